"""Handing messages to a provider by HTTP: what all providers share."""
