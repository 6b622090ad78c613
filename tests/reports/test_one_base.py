"""A net pre-trained on two kinds of CPU has two bases: a table shows the runs of one and tells of the others."""

import pandas as pd
import pytest
from fake_rows import fake_table2

from benchmarks.records.rows import to_frame
from reports.registry import REPORTS, Question
from reports.shown.one_protocol import of_one_protocol


def measured(base: str, day: int, *, architecture: str = "resnet18", seed: int = 0) -> pd.DataFrame:
    rows = to_frame(fake_table2(seeds=(seed,), architectures=(architecture,)))
    return rows.assign(
        run_id=rows["run_id"] + base, weights="pretrain:0", backbone_sha_before=base, backbone_sha_after=base,
        measured_at=f"2026-01-{day:02}T00:00:00+00:00",
    )  # fmt: skip


def together(*parts: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(parts, ignore_index=True)


def test_runs_of_the_base_that_was_measured_with_last_are_shown() -> None:
    here = measured("avx2", 2)
    shown = of_one_protocol(together(measured("avx512", 1, seed=1), here, measured("avx512", 1, seed=2)))
    assert set(shown.rows["run_id"]) == set(here["run_id"])
    count = here["run_id"].nunique()
    assert shown.notes == (
        f"Not shown are {2 * count} runs from another base of the same name (resnet18): pre-trained on another kind of "
        "CPU, it has other weights.",
    )
    assert len(shown.left_out) == 2 * count


@pytest.mark.parametrize("weights", ["pypi:net", "timm:net", "scratch"])
def test_weights_that_are_files_are_the_same_everywhere(weights: str) -> None:
    rows = together(measured("one", 1, seed=1), measured("two", 2)).assign(weights=weights)
    shown = of_one_protocol(rows)
    assert len(shown.rows) == len(rows) and not shown.notes


def test_each_net_has_its_own_base() -> None:
    other = measured("older", 1, architecture="resnet50").assign(weights="pretrain:1")
    shown = of_one_protocol(together(measured("newer", 2), other))
    assert set(shown.rows["architecture"]) == {"resnet18", "resnet50"} and not shown.notes


def test_a_table_says_so_below() -> None:
    shown = REPORTS["table2"].shown(together(measured("one", 1, seed=1), measured("two", 2)))
    question = Question(rows=shown.rows, scale="embedded", notes=shown.notes)
    assert "another kind of CPU" in "".join(REPORTS["table2"].answer_marked(question).page.notes)
