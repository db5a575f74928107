"""What comes back: bounces, complaints, auto-replies and unsubscribe requests, read as data."""
