"""Webhooks that go out: what happens is told to endpoints, signed, until they have it."""
