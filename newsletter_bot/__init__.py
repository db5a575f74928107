"""A weekly newsletter kept as files, and the bot that checks, renders, sends and archives it."""

__version__ = "0.1.0"
