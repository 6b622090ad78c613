"""Zero-shot domain adaptation (paper, Table 6): digits of one source, tested on digits of another.

spec -> runner -> (data, encoder) -> start [uniform_prior] -> adda -> diagnostics and rows. Both adversarial methods are
objectives of the suite's one training loop.
"""
