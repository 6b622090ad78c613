"""Settings of rows: what every scale measures by itself is known, and the flags of a setting measure the same run."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.records.protocols import FACTS, flags_of, is_usual, settings_of
from benchmarks.records.rows import Scale
from benchmarks.spec import Run
from benchmarks.tables import TABLES, table_of, tables_at
from benchmarks.worlds.options import Options


def planned(table: str, folder: Path, **options: Any) -> list[Run]:
    asked = Options(table=table, results=folder, dry_run=True, **options)
    found = table_of(table)
    return list(found.runs(found.open_world(asked, found.tasks), 1))


def settings(runs: list[Run]) -> list[str]:
    facts = [(run.suite, run.scale, run.method.name, run.task, run.protocol) for run in runs]
    return list(settings_of(pd.DataFrame(facts, columns=FACTS)))


@pytest.mark.parametrize("scale", ["real", "embedded", "paper"])
def test_a_table_without_options_has_the_usual_setting_and_needs_no_flags(scale: Scale, tmp_path: Path) -> None:
    for table in tables_at(scale):
        runs = planned(table, tmp_path, scale=scale)
        for run, setting in zip(runs, settings(runs), strict=True):
            assert is_usual(setting, run.suite, scale), (table, run.protocol)
            assert flags_of(setting, run.suite, scale) == ()


ASKED: list[tuple[str, dict[str, Any]]] = [
    ("table2", {"views": 8}),
    ("table2", {"views": 0, "epochs": 3}),
    ("table2", {"scale": "real", "image_size": 64, "micro_batch": 8}),
    ("table1", {"scale": "paper", "views": 1, "feature_dtype": "float16"}),
    ("table1", {"scale": "paper", "epochs": 7}),
    ("table3", {"steps": 5}),
    ("table4", {"feature_dtype": "bfloat16"}),
    ("table5", {"epochs": 3}),
    ("table5", {"steps": 3, "scale": "real"}),
    ("table6", {"steps": 30}),
    ("table7", {"heads": "stock", "epochs": 2}),
    ("table8", {"epochs": 2, "views": 3}),
    ("table12", {"steps": 4}),
    ("table13", {"epochs": 2}),
    ("table13", {"scale": "paper", "image_size": 64}),
    ("rates", {"scale": "paper", "epochs": 9}),
]


@pytest.mark.parametrize(("table", "asked"), ASKED)
def test_the_flags_of_a_setting_plan_the_same_run(table: str, asked: dict[str, Any], tmp_path: Path) -> None:
    scale = asked.get("scale", "embedded")
    runs = planned(table, tmp_path, **asked)
    assert runs
    ids: dict[tuple[str, ...], set[str]] = {}
    for run, setting in zip(runs, settings(runs), strict=True):
        flags = flags_of(setting, run.suite, scale)
        assert flags, f"{run.protocol} is not what the scale measures by itself"
        if flags not in ids:
            words = zip(flags[::2], flags[1::2], strict=True)
            again = {flag[2:].replace("-", "_"): int(v) if v.isdigit() else v for flag, v in words}
            ids[flags] = {each.run_id for each in planned(table, tmp_path, scale=scale, **again)}
        assert run.run_id in ids[flags]


def test_runs_of_one_table_differ_by_design_and_have_one_setting(tmp_path: Path) -> None:
    for table, protocols in (("table5", 4), ("table6", 2), ("table13", 2)):
        runs = planned(table, tmp_path)
        assert len({run.protocol for run in runs}) == protocols
        assert len(set(settings(runs))) == 1


@pytest.mark.parametrize("protocol", ["epochs=6", "px=32,views=1,epochs=6x9", "px=32,views=1,epochs=6,noise=3"])
def test_a_protocol_that_options_do_not_make_has_no_flags(protocol: str) -> None:
    assert flags_of(protocol, "patching", "embedded") is None


def test_every_table_was_looked_at() -> None:
    assert {table for table, _ in ASKED} <= set(TABLES)
