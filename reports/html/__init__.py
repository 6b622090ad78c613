"""One HTML file with every table and figure: works from disk, without network."""
