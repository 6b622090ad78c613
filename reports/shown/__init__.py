"""Which rows a report shows, and what it says of those that it leaves out."""
