"""`python -m benchmarks forget`: what is chosen goes, asked before, and nothing else."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fake_rows import fake_table2

from benchmarks import forget as command
from benchmarks.cli import main
from benchmarks.records.collected import collect, read_rows
from benchmarks.records.gates import GateRow, collect_gates, read_gates, write_gates
from benchmarks.records.record_files import diagnostics_path, record_path, write_record
from delta_core.training.errors import UserError

OTHER = "px=32,views=8,epochs=6"
Forget = Callable[..., int]
GATE = GateRow(
    run_id="", scale="embedded", architecture="resnet18", task="signs", variant="maps", seed=0, block=1, source=0,
    target=1, existing=True, sample=None, label=None, value=0.5, sd=0.1, n_examples=9,
)  # fmt: skip


@pytest.fixture
def forget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Forget:
    """The command on a folder with Table 2 and one of its nets at another protocol, recorded and collected."""
    source = tmp_path / "embedded"
    usual = list(fake_table2())
    other = [replace(row, run_id=f"{row.run_id}-8", protocol=OTHER) for row in usual if row.method == "fc_only"]
    names = {name: f"run{number}" for number, name in enumerate(dict.fromkeys(row.run_id for row in usual + other))}
    rows = [replace(row, run_id=names[row.run_id]) for row in usual + other]
    for run_id in names.values():
        write_record(source, [row for row in rows if row.run_id == run_id])
        write_gates(source, [replace(GATE, run_id=run_id)])
    collect_gates(source)
    collect(source)
    diagnostics_path(source, rows[-1].run_id).write_bytes(b"arrays")
    (source / "failed").mkdir()

    def run(*arguments: str) -> int:
        asked = ["forget", "--scale", "embedded", "--results", str(tmp_path), *arguments]
        monkeypatch.setattr(sys, "argv", ["python -m benchmarks", *asked])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return run


def test_runs_of_a_protocol_go_with_records_rows_and_gates_and_nothing_else(
    forget: Forget, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "embedded"
    before = read_rows(source)
    gone = set(before.loc[before["protocol"] == OTHER, "run_id"])
    assert gone
    assert forget("table2", "--protocol", OTHER, "--yes") == 0
    out = capsys.readouterr().out
    assert all(run_id in out for run_id in gone) and f"{len(gone)} runs forgotten" in out
    assert not [path.name for path in (source / "records").iterdir() if path.name.partition(".")[0] in gone]
    after = collect(source)
    assert after.equals(before[before["protocol"] != OTHER].reset_index(drop=True))
    assert {record_path(source, run_id).exists() for run_id in after["run_id"]} == {True}


def test_all_runs_can_go(forget: Forget, tmp_path: Path) -> None:
    assert forget("table2", "--yes") == 0
    assert read_rows(tmp_path / "embedded").empty
    assert forget("table2", "--yes") == 2, "there are none left"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("table2",), "add --yes"),
        ((), "Say which runs to forget"),
        (("--method", "paintt", "--yes"), "No run on record matches --method paintt; there are "),
        (("--protocol", "views=9", "--yes"), "No run on record matches --protocol views=9"),
        (("table8", "--yes"), "nothing is forgotten"),
        (("tabel2", "--yes"), "Table 'tabel2' is not known"),
    ],
)
def test_a_mistake_and_nobody_to_ask_leave_everything(
    arguments: tuple[str, ...], says: str, forget: Forget, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert forget(*arguments) == 2
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == files


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1), ("", 1)])
def test_on_a_terminal_it_asks_and_says_whose_results_they_are(
    answer: str, code: int, forget: Forget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or answer)
    monkeypatch.setattr(command, "COMMITTED", tmp_path)
    count = read_rows(tmp_path / "embedded")["run_id"].nunique()
    assert forget("--method", "fc_only", "--protocol", OTHER) == code
    assert "committed with the project" in asked[0]
    assert (read_rows(tmp_path / "embedded")["run_id"].nunique() < count) == (code == 0)


def test_gates_of_the_run_go_and_others_stay(forget: Forget, tmp_path: Path) -> None:
    source = tmp_path / "embedded"
    known = set(read_gates(source)["run_id"])
    one = min(known)
    assert forget("--run-id", one, "--yes") == 0
    assert set(read_gates(source)["run_id"]) == known - {one}


def test_one_table_of_version_1_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.records import forget as records

    monkeypatch.setattr(records, "is_of_version_1", lambda _: True)
    with pytest.raises(UserError, match="collect --scale embedded"):
        records.forget(tmp_path / "embedded", ["a"])
