"""People: who they are, which lists they chose, who must never be mailed."""
