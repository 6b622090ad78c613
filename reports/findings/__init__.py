"""What the rows say: claims of the paper as checks, where a number comes from, numbers that cannot be right."""
