"""Runs at scale paper without ImageNet: patch accuracy stands alone, and gives way once the base is measured too."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_rows import one_row, plain_run

from benchmarks.methods.fc_only import FcOnly
from benchmarks.records.rows import Row, to_frame
from benchmarks.suites.patching.spec import RunSpec
from benchmarks.tables import TABLES, runs_of
from benchmarks.worlds.open import open_world
from benchmarks.worlds.options import Options
from delta_core.training.identity import canonical_json
from delta_core.training.recipe import Recipe
from reports import paper
from reports.findings.explain import explain
from reports.measured import without_superseded
from reports.registry import REPORTS, Question
from reports.tables.sequence_frame import single_task_means

SPEC = RunSpec(
    scale="paper", architecture="resnet18", weights="timm:resnet18.tv_in1k", task="stl10", data="d",
    base_task="imagenet_val", base_data="b", method=FcOnly(recipe=Recipe()), image_size=224, seed=0,
)  # fmt: skip


def rows_of_spec(spec: RunSpec) -> list[Row]:
    row = one_row(
        run_id=spec.run_id, scale=spec.scale, architecture=spec.architecture, weights=spec.weights, task=spec.task,
        column=spec.task, method=spec.method.name, variant=spec.method.variant, seed=spec.seed,
        n_delta_modules=spec.method.n_delta_modules, protocol=spec.protocol, config=canonical_json(spec),
    )  # fmt: skip
    if not spec.base_task:
        return [row]
    return [row, *(replace(row, column=spec.base_task, phase=phase) for phase in ("before", "after"))]


def test_a_run_without_base_gives_way_to_its_like_with_one() -> None:
    without = replace(SPEC, base_task="", base_data="")
    others = [
        replace(without, seed=1),
        replace(without, task="cars"),
        replace(without, method=FcOnly(recipe=Recipe(lr=1))),
    ]
    rows = to_frame([row for spec in (without, SPEC, *others) for row in rows_of_spec(spec)])
    kept = set(without_superseded(rows)["run_id"])
    assert kept == {spec.run_id for spec in (SPEC, *others)}
    alone = rows[rows["run_id"] != SPEC.run_id]
    assert len(without_superseded(alone)) == len(alone)


def test_other_suites_have_no_base_to_miss() -> None:
    rows = to_frame(plain_run(patch=50.0, base=None))
    assert len(without_superseded(rows)) == len(rows)


@pytest.mark.parametrize("report", ["table1", "table2", "table3", "table8", "table10", "table4", "claims"])
def test_tables_say_why_harmonic_means_are_blank(report: str, tmp_path: Path) -> None:
    table = report if report in TABLES else "table2"
    options = Options(table=table, scale="paper", without_base=True, results=tmp_path)
    runs = [run for run in runs_of(options, open_world(options, TABLES[table].tasks)) if isinstance(run, RunSpec)]
    rows = to_frame([row for run in runs if not run.base_task for row in rows_of_spec(run)])
    assert set(rows["column"]) == set(rows["task"]), "the base is not measured"
    answer = REPORTS[report].answer(Question(rows=rows, scale="paper", results=tmp_path))
    if "status" in answer.frame:
        measured = answer.frame[answer.frame["status"] == "no_base"]
        assert len(measured)
        assert measured["harmonic_mean"].isna().all()
        assert "run without base data, so there is no harmonic mean" in " ".join(answer.page.notes)
        delta = next(block for block in answer.page.blocks if block.title == "resnet18").cells
        assert delta.set_index("method").filter(regex="^(?!printed)").loc["FC-only"].str.startswith("top-1 50.00").any()


@pytest.mark.parametrize("table", ["table4", "table11"])
def test_what_sequences_cannot_have_without_a_base_is_not_applicable_rather_than_not_run(
    table: str, tmp_path: Path
) -> None:
    options = Options(table=table, scale="paper", without_base=True, results=tmp_path)
    runs = [run for run in runs_of(options, open_world(options, TABLES[table].tasks)) if isinstance(run, RunSpec)]
    rows = to_frame([row for run in runs if not run.base_task for row in rows_of_spec(run)])
    answer = REPORTS[table].answer(Question(rows=rows, scale="paper", results=tmp_path))
    frame = answer.frame
    never = (frame["method"] == "paint") | (table == "table4")
    never |= frame["column"] == "imagenet_val" if table == "table11" else False
    printed = frame["verdict"] != ""
    assert set(frame.loc[printed & never, "verdict"]) == {"n/a"}
    assert frame.loc[printed & never, "difference"].isna().all()
    assert not (frame.loc[~never, "verdict"] == "not run").any(), "what can be measured without a base was"
    assert (printed & ~never).sum() == (0 if table == "table4" else 2 * 3 * 3), "three tasks in each of the sequences"
    assert (frame.loc[frame["method"] == "delta_networks", "mean"] == 50.0).any(), "it needs no sequence of PAINT's"
    assert "n/a: these runs have no base data" in " ".join(answer.page.notes)
    nothing = REPORTS[table].answer(Question(rows=rows[:0], scale="paper", results=tmp_path))
    assert "n/a" not in set(nothing.frame["verdict"]), "what was not begun may have a base"
    assert not any(note.startswith("n/a") for note in nothing.page.notes)


def test_a_mean_over_a_sequence_is_never_without_the_base_beside_means_with_it() -> None:
    tasks = ("stl10", "cars", "gtsrb")
    runs = [(method, task, method == "delta_networks") for method in ("fc_only", "delta_networks") for task in tasks]
    rows = [
        replace(row, scale="paper")
        for method, task, based in runs
        for row in plain_run(method=method, task=task, column=task, patch=60.0, base=70.0 if based else None)
    ]
    found = single_task_means(to_frame(rows), ["+".join(tasks)])
    assert found["method"].tolist() == ["delta_networks"]
    without = single_task_means(to_frame([row for row in rows if row.method == "fc_only"]), ["+".join(tasks)])
    assert without["test"].tolist() == [(60.0, 60.0, 60.0)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"base_task": ""}, "--without-base"),
        ({"base_transform": "own-bilinear"}, "--accept-base resnet18.tv_in1k=own-bilinear"),
    ],
)
def test_the_command_behind_a_cell_says_how_its_base_was_taken(changes: dict[str, Any], said: str) -> None:
    rows = to_frame(rows_of_spec(replace(SPEC, **changes)))
    frame = REPORTS["table2"].answer(Question(rows=rows, scale="paper", results=Path("none"))).frame
    assert (
        f" {said} --results elsewhere" in explain(frame, rows, "table2", "paper", "resnet18/fc_only", "stl10").command
    )
    usual = to_frame(rows_of_spec(SPEC))
    assert "base" not in explain(frame, usual, "table2", "paper", "resnet18/fc_only", "stl10").command


def test_the_papers_base_has_the_name_of_ours() -> None:
    printed = paper.printed(11)
    assert set(printed.loc[printed["quantity"] == "base_top1", "column"]) == {"imagenet_val"}
