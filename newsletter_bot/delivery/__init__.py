"""Rendering + subscribers → messages handed over, and the ledger that proves it."""
