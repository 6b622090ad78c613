"""One report a file: rows -> frame -> page."""
