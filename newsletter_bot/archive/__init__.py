"""The static site and its feeds; no subscriber is in scope here."""
