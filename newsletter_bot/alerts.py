"""What operators are told when something needs them, and how often."""
