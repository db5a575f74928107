"""Letters: mails to one person that belong to no issue, such as the one that asks to confirm."""
