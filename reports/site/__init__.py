"""Pages of the documentation site that are made of rows: one a report, the figures, the errata of the numbers."""
