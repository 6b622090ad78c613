"""The suite: config -> runs -> rows.

Data flow: `worlds` (what a scale offers) -> `suites` (a table as runs, and what measures a run) -> `grid` (plan, pool)
-> `records` (one file a run, gathered into two tables). Nothing here knows how a table is printed.
"""
