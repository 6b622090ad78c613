"""Reports: from result rows to the paper's tables.

Reads rows, printed values and the images that figures show; imports no torch but to open these.
"""
