"""Mails that came back, read: bytes in, a reading out; pure."""
