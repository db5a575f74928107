"""One file for each kind of mailbox, found by discovery."""
