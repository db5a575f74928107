"""One-line summaries fitted to a channel, and the ledger of what was posted where."""
