"""The editor's preview: a web server for this machine alone."""
