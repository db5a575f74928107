"""Issue → Rendering: theme → MJML → inlined HTML, plain text, web page."""
