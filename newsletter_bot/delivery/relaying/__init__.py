"""The ways out: how fast, how many at once, and what their replies mean."""
