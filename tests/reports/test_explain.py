"""`python -m reports explain`: the runs behind a cell, departures from the paper, and the command that repeats it."""

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import tyro
from fake_rows import fake_table2
from image_folders import write_folder
from PIL import Image
from synthetic import synthetic_frame

from benchmarks.perf.synthetic_rows import _rows
from benchmarks.records.collected import write_rows
from benchmarks.records.rows import to_frame
from benchmarks.spec import Run
from benchmarks.tables import TABLES, runs_of
from benchmarks.worlds.options import Options
from delta_core.training.errors import UserError
from reports.cli import main
from reports.findings.explain import explain, origins
from reports.findings.row_names import find_row
from reports.protocol import PATCHING, departures
from reports.registry import REPORTS, Question

ROWS = to_frame(
    replace(row, config=json.dumps({"image_size": 32, "method": {"recipe": {"epochs": 50}}})) for row in fake_table2()
)


def rows_of(table: str) -> pd.DataFrame:
    """Synthetic rows of a table."""
    rows = synthetic_frame()
    return rows[rows["suite"].isin(REPORTS[table].suites)]


FRAME = REPORTS["table2"].answer(Question(rows=ROWS, scale="embedded")).frame


def test_the_runs_of_the_cell_and_no_others() -> None:
    found = explain(FRAME, ROWS, "table2", "embedded", "resnet18/delta4/maps", "signs")
    behind = ROWS[ROWS["run_id"].isin(found.runs["run"])]
    assert len(found.runs) == 3
    assert set(behind["architecture"]) == {"resnet18"}
    assert set(behind["n_delta_modules"]) == {4}
    assert set(behind["variant"]) == {"maps"}
    assert set(behind["task"]) == {"signs"}
    words = shlex.split(found.command)
    assert words[:3] == ["nox", "-s", "table2"]
    assert [words[words.index(flag) + 1] for flag in ("--arch", "--task", "--method")] == [
        "resnet18", "signs", "delta_networks:maps",
    ]  # fmt: skip


def test_all_cells_at_once_are_each_cell_alone() -> None:
    found = origins(FRAME, ROWS, "table2", "embedded")
    assert len(found) > 50
    assert {row for row, _ in found} >= {"resnet18/finetune/lr=1e-05", "convnext_tiny/paint/lr=0.001/oracle"}
    for (row, column), origin in list(found.items())[::5]:
        alone = explain(FRAME, ROWS, "table2", "embedded", row, column)
        assert list(origin.runs) == list(alone.runs["run"])
        assert (origin.command, origin.why_none) == (alone.command, alone.why_none)
    assert ("resnet18/finetune/lr=1e-05", "signs") in found, "PAINT at alpha = 1"


def test_departures_are_settings_that_differ() -> None:
    same = {
        "image_size": 224,
        "method": {"recipe": {key.split(".")[-1]: v for key, v in PATCHING.items() if "." in key}},
    }
    assert departures("patching", json.dumps(same)).empty
    same["method"]["recipe"]["epochs"] = 6
    (line,) = departures("patching", json.dumps(same)).to_dict("records")
    assert line == {"setting": "method.recipe.epochs", "ours": 6, "paper": 50}
    assert departures("unknown", json.dumps(same)).empty


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        ("resnet18/nothing", "signs", "There is no row 'resnet18/nothing'; the nearest are resnet18/fc_only, "),
        ("resnet18/fc_only", "cars", "There is no column 'cars'; the nearest are textures, signs."),
        ("resnet50/fc_only", "signs", "Nothing was measured for resnet50/fc_only / signs; measure it: nox -s table2"),
    ],
)
def test_what_cannot_be_explained_is_one_sentence(row: str, column: str, words: str) -> None:
    with pytest.raises(UserError) as error:
        explain(FRAME, ROWS, "table2", "embedded", row, column)
    assert str(error.value).startswith(words)


@pytest.mark.parametrize("table", [name for name, report in REPORTS.items() if report.has_cells])
def test_every_measured_cell_of_every_table_can_be_explained_and_measured_again(table: str) -> None:
    """One cell of each arm; the command names runs that the table has, among them those behind the cell."""
    rows = rows_of(table)
    frame = REPORTS[table].answer(Question(rows=rows, scale="embedded")).frame
    arms = [name for name in ("method", "variant", "rule", "picked", "arm") if name in frame]
    measured = frame[frame["n"] > 0].drop_duplicates(arms)
    assert len(measured)
    for cell in measured.itertuples():
        found = explain(frame, rows, table, "embedded", cell.row_id, cell.task)
        assert set(rows.loc[rows["run_id"].isin(found.runs["run"]), "architecture"]) == {cell.architecture}
        words = shlex.split(found.command)
        asked = {flag: (words[words.index(flag) + 1],) for flag in ("--arch", "--task", "--method") if flag in words}
        options = Options(table=table, dry_run=True, **{flag[2:]: value for flag, value in asked.items()})
        world = TABLES[table].open_world(options, TABLES[table].tasks)
        again = {run.run_id for run in runs_of(options, world)}
        assert set(found.runs["run"]) <= again, found.command


@pytest.mark.parametrize(
    ("table", "task", "wanted"),
    [
        ("table2", "signs", {"--task": "imagefolder:signs", "--weights": "WEIGHTS", "--data-root": "DATA"}),
        ("table6", "mnist5k->optdigits", {"--task": "mnist5k->optdigits", "--data-root": "DATA"}),
    ],
)
def test_own_data_are_named_as_the_table_takes_them(table: str, task: str, wanted: dict[str, str]) -> None:
    rows = rows_of(table)
    frame = REPORTS[table].answer(Question(rows=rows, scale="embedded")).frame
    cell = frame[(frame["n"] > 0) & (frame["task"] == task)].iloc[0]
    words = shlex.split(explain(frame, rows, table, "local", cell["row_id"], task).command)
    told = {flag: value for flag, value in pairwise(words) if flag in ("--task", "--weights", "--data-root")}
    assert told == wanted


def test_a_report_without_runs_is_told_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("table9", "claims", "lint", "study_defaults"):
        monkeypatch.setattr(sys, "argv", ["python -m reports", "explain", name, "a", "b", "--results", str(tmp_path)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert (ended.value.code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith(
            f"python -m reports: {name} has no cell that is the mean of some runs; choose one of table1, table2, "
        )
        assert "table9," not in err and "lint," not in err


def test_the_command_prints_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "embedded").mkdir()
    write_rows(tmp_path / "embedded", ROWS)
    arguments = ["explain", "table2", "resnet18/fc_only", "signs", "--results", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["python -m reports", *arguments])
    main()
    out = capsys.readouterr().out
    assert "method.recipe.weight_decay" in out
    assert "--method fc_only" in out


# --- the printed command measures the same runs ------------------------------------------------------------------


def plan_of(table: str, words: Sequence[str]) -> list[Run]:
    """Runs that the command line of a table names."""
    options = tyro.cli(tyro.conf.OmitArgPrefixes[Options], args=[table, "--dry-run", *words])
    return runs_of(options, TABLES[table].open_world(options, TABLES[table].tasks))


def rows_of_runs(runs: Sequence[Run]) -> pd.DataFrame:
    return to_frame(row for run in runs for row in _rows(run))


LOCAL = ("--scale", "local", "--data-root", "DATA", "--weights", "WEIGHTS", "--arch", "resnet10t")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("table2", ("--arch", "resnet18", "--task", "signs", "--views", "8")),
        ("table2", ("--arch", "resnet18", "--task", "signs", "--views", "0", "--epochs", "3", "--micro-batch", "16")),
        ("table3", ("--arch", "resnet18", "--steps", "5")),
        ("table4", ("--arch", "resnet18", "--feature-dtype", "bfloat16")),
        ("table5", ("--epochs", "3")),
        ("table6", ("--steps", "30", "--seeds", "2")),
        ("table7", ("--heads", "stock", "--epochs", "2")),
        ("table12", ("--arch", "resnet18", "--epochs", "2")),
        ("table2", ("--scale", "real", "--image-size", "64", "--task", "real:mnist5k")),
        ("table2", ("--scale", "paper", "--arch", "resnet18", "--task", "flowers", "--without-base", "--views", "1")),
        ("table2", (*LOCAL, "--task", "imagefolder:pets", "--image-size", "64", "--epochs", "2", "--base", "own")),
        ("table2", (*LOCAL, "--task", "imagefolder:pets", "--base-images", "photographs", "--views", "4")),
        ("table3", (*LOCAL, "--task", "imagefolder:pets+birds")),
        ("table5", (*LOCAL, "--task", "imagefolder:pets", "--image-size", "48")),
        ("table12", (*LOCAL, "--task", "imagefolder:pets", "--epochs", "2")),
    ],
)
def test_the_printed_command_measures_the_runs_of_the_cell(
    table: str, words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "WEIGHTS").write_bytes(b"a net")
    write_folder(tmp_path / "DATA" / "pets")
    write_folder(tmp_path / "DATA" / "birds", classes=("tit", "owl"))
    for name in ("own", "photographs"):
        (tmp_path / "DATA" / name).mkdir()
        for image in ("a.png", "b.png"):
            Image.new("RGB", (8, 8)).save(tmp_path / "DATA" / name / image)
    (tmp_path / "DATA" / "own" / "labels.csv").write_text("a.png,0\nb.png,1\n")
    runs = [run for run in plan_of(table, words) if "paint_on" not in run.method.name]
    rows = rows_of_runs(runs)
    scale = runs[0].scale
    rows = REPORTS[table].shown(rows).rows
    frame = REPORTS[table].answer(Question(rows=rows, scale=scale)).frame
    measured = frame[frame["n"] > 0] if "status" not in frame else frame[frame["selection"].notna()]
    seen = 0
    for cell in measured.drop_duplicates("method").itertuples():  # a plan takes a second
        found = explain(frame, rows, table, scale, cell.row_id, cell.task)
        printed = shlex.split(found.command)
        again = {run.run_id for run in plan_of(table, printed[printed.index("--") + 1 :])}
        assert set(found.runs["run"]) <= again, found.command
        seen += len(found.runs)
    assert seen


@pytest.mark.parametrize("protocol", ["epochs=6", "px=32,views=1,epochs=6x7", "steps=3"])
def test_rows_that_do_not_say_their_options_get_a_sentence_and_no_command(
    protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(tmp_path / "embedded", ROWS.assign(protocol=protocol))
    arguments = ["explain", "table2", "resnet18/fc_only", "signs", "--results", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["python -m reports", *arguments])
    main()
    out = capsys.readouterr().out
    assert f"No command is known to measure these runs again: their rows (protocol {protocol!r})" in out
    assert "nox" not in out


# --- names of rows -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "row_id"),
    [
        ("resnet18/delta4/maps", "resnet18/delta4/maps"),
        ("resnet18 Delta (4)", "resnet18/delta4/maps"),
        ("resnet18 Delta-Networks (4), paper's reading", "resnet18/delta4/paper"),
        ("resnet18/fc-only", "resnet18/fc_only"),
        ("resnet18 PAINT lr=0.001+bn, oracle", "resnet18/paint/lr=0.001+bn/oracle"),
    ],
)
def test_rows_are_found_by_what_people_see(asked: str, row_id: str) -> None:
    labels = REPORTS["table2"].labels
    assert labels is not None
    assert find_row(FRAME, labels(FRAME), asked) == row_id
    one_net = FRAME[FRAME["architecture"] == "resnet18"]
    assert find_row(one_net, labels(one_net), asked.removeprefix("resnet18 ")) == row_id


def test_a_name_that_rows_of_several_nets_have_and_a_miss_say_what_there_is() -> None:
    labels = REPORTS["table2"].labels
    assert labels is not None
    with pytest.raises(UserError, match=r"Several rows are called 'Delta \(4\)'; choose one of resnet18/delta4/maps, "):
        find_row(FRAME, labels(FRAME), "Delta (4)")
    with pytest.raises(UserError) as error:
        find_row(FRAME, labels(FRAME), "resnet18/delta4/map")
    text = str(error.value)
    assert text.startswith("There is no row 'resnet18/delta4/map'; the nearest are resnet18/delta4/maps, ")
    assert text.count(", ") == 2


@pytest.mark.parametrize("table", [name for name, report in REPORTS.items() if report.has_cells])
def test_rows_of_every_table_are_found_by_their_label_and_net(table: str) -> None:
    rows = rows_of(table)
    frame = REPORTS[table].answer(Question(rows=rows, scale="embedded")).frame
    labels = REPORTS[table].labels
    assert labels is not None
    for row_id, net, label in dict.fromkeys(zip(frame["row_id"], frame["architecture"], labels(frame), strict=True)):
        assert find_row(frame, labels(frame), f"{net} {label}") == row_id
