"""Pages served over HTTP; for now the editor's preview."""
