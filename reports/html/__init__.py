"""One HTML file with an overview, every table and every figure: works from disk, without network."""
