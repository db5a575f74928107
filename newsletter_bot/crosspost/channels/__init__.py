"""Channels, one file each, found by discovery."""
