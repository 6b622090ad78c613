"""Runners of the Delta-Patching suite: config -> runs -> rows.

Data flow: `tables` (paper table -> list of `RunSpec`) -> `grid` (plan and run) -> `record`
(one file per run, collected into one CSV). Nothing here knows how a table is printed.
"""
