"""Cost of the library against a reference, measured side by side in one run; one file per measurement.

A measurement is a function `measure(*, repetitions, ...) -> list[PerfRow]` with an entry in `__main__.MEASUREMENTS`.
Only ratios travel between machines, so only ratios are ever compared, and no test asserts a time.
"""
