"""Rows of several protocols in one folder: every report shows one, says which others there are, and can show them."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from fake_rows import fake_table2, one_row
from gate_rows import gates_of
from synthetic import synthetic_frame

from benchmarks.records.collected import write_rows
from benchmarks.records.gates import collect_gates, write_gates
from benchmarks.records.rows import Scale, to_frame
from reports.cli import main
from reports.figures.index import all_figures
from reports.registry import REPORTS, Question, Report
from reports.shown.one_protocol import of_one_protocol

ONE_PROTOCOL = [name for name, report in REPORTS.items() if report.suites and report.protocol_per != "row"]


def at_other_settings(rows: pd.DataFrame) -> pd.DataFrame:
    """The same runs as if they had been measured with other options, with other values."""
    protocol = rows["protocol"]
    for usual, other in (("views=1", "views=8"), ("x60", "x61"), ("steps=480", "steps=9"), ("config", "2")):
        protocol = protocol.str.replace(usual, other)
    return rows.assign(protocol=protocol, run_id=rows["run_id"] + "-8", value=rows["value"] / 2)


@pytest.fixture(scope="module")
def usual() -> pd.DataFrame:
    return synthetic_frame()


@pytest.fixture(scope="module")
def both(usual: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([at_other_settings(usual), usual], ignore_index=True)


def answered(report: Report, rows: pd.DataFrame, protocol: str | None = None) -> tuple[pd.DataFrame, tuple[str, ...]]:
    shown = report.shown(rows, protocol)
    beside = rows[rows["suite"].isin(report.beside)]
    question = Question(rows=shown.rows, scale="embedded", beside=beside, notes=shown.notes, flags=shown.flags)
    answer = report.answer_marked(question)
    return answer.frame, answer.page.notes


@pytest.mark.parametrize("name", ONE_PROTOCOL)
def test_a_report_shows_its_scales_own_protocol_and_tells_of_the_other(
    name: str, usual: pd.DataFrame, both: pd.DataFrame
) -> None:
    frame, notes = answered(REPORTS[name], both)
    alone, without = answered(REPORTS[name], usual)
    pd.testing.assert_frame_equal(frame, alone)
    assert set(without) < set(notes) and not any("protocols" in note for note in without)
    own = both[both["suite"].isin(REPORTS[name].suites)]
    other = own[own["run_id"].str.endswith("-8")]
    (note,) = set(notes) - set(without)
    told = dict(re.findall(r"(?:shown: |; )(\S+) \((\d+) runs: --protocol \1\)", note))
    assert sum(map(int, told.values())) == other["run_id"].nunique()
    for protocol in told:
        shown = REPORTS[name].shown(both, protocol).rows
        assert len(shown) and set(shown["run_id"]) <= set(other["run_id"]), "the flag of the footnote shows them"


def test_adapters_show_every_protocol_as_ever(both: pd.DataFrame) -> None:
    rows = both[both["suite"] == "adapters"]
    assert REPORTS["adapters"].shown(rows).rows.equals(rows)


def test_nets_of_the_search_of_rates_have_a_protocol_each() -> None:
    """A net that was searched at another size stands beside one at the usual; one that has both, at the usual."""
    one = {"suite": "rates", "scale": "real"}
    usual, other = "px=96,views=1,epochs=6", "px=64,views=1,epochs=6"
    rows = to_frame(
        one_row(run_id=f"{net}{protocol}", architecture=net, protocol=protocol, **one)
        for net, protocol in (("a", usual), ("a", other), ("b", other))
    )
    shown = REPORTS["rates"].shown(rows).rows
    assert list(zip(shown["architecture"], shown["protocol"], strict=True)) == [("a", usual), ("b", other)]


@pytest.mark.parametrize(
    ("scale", "chosen"), [("embedded", "px=32,views=1,epochs=6"), ("local", "px=32,views=8,epochs=6")]
)
def test_at_scale_local_it_is_the_protocol_with_most_runs(scale: Scale, chosen: str) -> None:
    runs = [("px=32,views=1,epochs=6", 0), ("px=32,views=8,epochs=6", 0), ("px=32,views=8,epochs=6", 1)]
    rows = [one_row(run_id=f"{protocol}{seed}", protocol=protocol, seed=seed, scale=scale) for protocol, seed in runs]
    assert set(of_one_protocol(to_frame(rows)).rows["protocol"]) == {chosen}


def test_of_two_with_as_many_runs_it_is_the_newest() -> None:
    rows = [
        one_row(run_id=day, protocol=f"px={day}", scale="local", measured_at=f"2026-01-{day}")
        for day in ("02", "03", "01")
    ]
    assert set(of_one_protocol(to_frame(rows)).rows["protocol"]) == {"px=03"}


def test_what_fills_blanks_has_the_options_of_the_protocol_shown(usual: pd.DataFrame) -> None:
    rows = at_other_settings(usual[(usual["architecture"] == "resnet18") & (usual["task"] != "signs")])
    shown = REPORTS["table2"].shown(rows)
    question = Question(rows=shown.rows, scale="embedded", flags=shown.flags)
    commands = REPORTS["table2"].answer_marked(question).page.commands
    assert commands and all(command.endswith(" --views 8") for command in commands)


def test_gates_of_two_protocols_are_not_averaged(tmp_path: Path) -> None:
    means = {}
    for protocol, value in (("px=32,views=1,epochs=6", 0.2), ("px=32,views=8,epochs=6", 0.8)):
        write_gates(tmp_path, gates_of("resnext50_32x4d", "signs", value, run_id=protocol))
        rows = [one_row(run_id=each, suite="table8", protocol=each) for each in (*means, protocol)]
        means[protocol] = value
    collect_gates(tmp_path)
    shown = of_one_protocol(to_frame(rows))
    drawn, _ = all_figures(tmp_path, "embedded", shown.left_out)
    (figure3,) = (one for one in drawn if one.name == "figure3")
    assert figure3.data is not None and set(figure3.data["value"]) == {0.2}


# --- the commands ------------------------------------------------------------------------------------------------

OTHER = "epochs=6,px=32,views=8"
FAKE = list(fake_table2())
COMMANDS = [
    ("table1",), ("table2",), ("table10",), ("table4",), ("table11",), ("claims",), ("lint",), ("html",), ("figures",),
    ("reproducing",), ("explain", "table2", "resnet18/fc_only", "signs"),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Table 2 twice, with gates of one of its runs."""
    other = [replace(row, run_id=f"{row.run_id}-8", protocol=OTHER, value=row.value / 2) for row in FAKE]
    write_rows(tmp_path / "embedded", to_frame([*FAKE, *other]))
    for run_id in (FAKE[0].run_id, other[0].run_id):
        write_gates(tmp_path / "embedded", gates_of("resnet18", "signs", run_id=run_id))
    collect_gates(tmp_path / "embedded")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["python -m reports", *arguments, "--results", "."])
    main()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_survives_a_second_protocol_and_can_show_it(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def result() -> str:
        out = capsys.readouterr().out
        written = [Path("report/index.html"), Path("REPRODUCING.md"), Path(f"embedded/tables/{command[0]}.md")]
        return out + "".join(path.read_text() for path in written if path.exists())

    run(monkeypatch, *command)
    usual = result()
    run(monkeypatch, *command, "--protocol", OTHER)
    other = result()
    if command[0] not in ("table1", "table4", "table11", "explain"):  # they have no rows here, or show no others
        assert f"--protocol {OTHER}" in usual
        assert "--protocol epochs=6,px=32,views=1" in other
    if command[0] == "explain":
        assert "--views 8" in other and "--views" not in usual


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("command", [c for c in COMMANDS if c[0] not in ("table4", "table11")], ids=lambda c: c[0])
def test_an_unknown_protocol_is_answered_with_those_there_are(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, *command, "--protocol", "views=9")
    err = capsys.readouterr().err
    assert ended.value.code == 2 and err.count("\n") == 1
    assert "match --protocol views=9; there are" in err and OTHER in err and "epochs=6,px=32,views=1" in err
