"""Links gathered through the week: feeds, arXiv and bookmarks, into a file an editor reads."""
