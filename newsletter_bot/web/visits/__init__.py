"""Links that lead on and the picture that is counted."""
