"""Reports: from result rows to the paper's tables. Reads rows and printed values only; never imports torch."""
