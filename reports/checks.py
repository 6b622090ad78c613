"""Refusals: rows that must not meet in one table or one cell. Each names the values and the way out."""

import pandas as pd

from delta_core.training.errors import UserError

RUN_CELL = ["architecture", "method", "n_delta_modules", "variant", "task"]
"""Runs that agree in these differ by their seed only and are averaged in one cell."""

CONTEST = ["architecture", "task"]
"""Methods that agree in these are compared with each other: they must share base weights and data."""


def check_comparable(rows: pd.DataFrame) -> None:
    """Refuse rows of mixed scale, or of mixed protocol, weights or data where numbers are averaged or compared.

    Raises:
        UserError: names the first mixture found and how to resolve it.
    """
    scales = list(rows["scale"].unique())
    if len(scales) > 1:
        raise UserError(
            f"The rows mix the scales {_quoted(scales)}, and a table shows one; keep each in its own folder "
            "<results>/<scale>/ and run collect there."
        )
    protocols, where = _first_mixture(rows, RUN_CELL, "protocol")
    if protocols:
        raise UserError(
            f"The cell {where} mixes the protocols {_quoted(protocols)}; choose one, e.g. --protocol {protocols[0]}."
        )
    for field, keys in (("weights", CONTEST), ("data_sha", [*CONTEST, "column"])):
        values, where = _first_mixture(rows, keys, field)
        if values:
            runs = "; ".join(f"{value!r}: {_runs(rows[rows[field] == value])}" for value in values)
            raise UserError(
                f"The runs of {where} mix several {field} ({runs}), so their numbers cannot be compared; delete the "
                "runs you do not want from records/, runs.csv and values.csv, or keep them apart with --results."
            )


def check_one_run_per_seed(seeds: pd.DataFrame) -> None:
    """Refuse to count one seed twice: `seeds` has one line per cell, role and seed.

    Raises:
        UserError: names the runs that measured the same cell with the same seed.
    """
    keys = [*RUN_CELL, "role", "seed"]
    twice = seeds[seeds.duplicated(keys, keep=False)]
    if len(twice):
        same = twice[(twice[keys] == twice[keys].iloc[0]).all(axis=1)]
        where = " / ".join(str(value) for value in same[keys].iloc[0] if value != "")
        raise UserError(
            f"The runs {_runs(same)} measured the same cell with the same seed ({where}); delete all but one from "
            "records/, runs.csv and values.csv."
        )


def check_suites(rows: pd.DataFrame) -> None:
    """Refuse what the two checks above refuse, suite by suite: those of two suites have other data by design.

    Raises:
        UserError: as they do.
    """
    for _, part in rows.groupby("suite"):
        check_comparable(part)
        after = part[part["phase"] == "after"]  # what was measured before belongs to no arm
        check_one_run_per_seed(after.drop_duplicates([*RUN_CELL, "seed", "run_id"]).assign(role="method"))


def _first_mixture(rows: pd.DataFrame, keys: list[str], field: str) -> tuple[list[str], str]:
    """Values of `field` in the first group of `keys` that has several, and the group's name; else two empties."""
    mixed = rows[rows.groupby(keys)[field].transform("nunique") > 1]
    if mixed.empty:
        return [], ""
    group = mixed[(mixed[keys] == mixed[keys].iloc[0]).all(axis=1)]
    return list(group[field].unique()), " / ".join(str(value) for value in group[keys].iloc[0] if value != "")


def _runs(rows: pd.DataFrame) -> str:
    """Ids of the runs; of many, the first few and how many more."""
    first, more = rows["run_id"].unique()[:4], rows["run_id"].nunique() - 4
    return ", ".join(first) + (f" and {more} more" if more > 0 else "")


def _quoted(values: list[str]) -> str:
    return " and ".join(repr(value) for value in values)
