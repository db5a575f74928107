"""People who come and go by the thousand while an issue is being sent."""
