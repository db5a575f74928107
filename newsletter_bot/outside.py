"""HTTP to the outside: limits of time and size, and no way into a private network."""
