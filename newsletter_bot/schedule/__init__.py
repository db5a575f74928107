"""Weekly slots, their occurrences, approval, and the ticker that rings for what is due."""
