"""The paper's figures and our own: one function per figure, data frame in, matplotlib Figure out; no torch."""
