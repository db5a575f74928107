"""What an issue came to, in numbers that may be shown to anybody: gathered, drawn, written."""
