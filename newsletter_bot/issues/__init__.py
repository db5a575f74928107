"""An issue file → Issue: parsing, checks, importers."""
