"""Structured logs: one action for each record, addresses redacted."""
