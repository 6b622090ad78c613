"""Gates on disk: a digest for each run, damaged files set aside, gates of earlier versions read as they are."""

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from fake_rows import one_row

from benchmarks.records.collecting import collect_rows
from benchmarks.records.gates import GateRow, collect_gates, gates_path, read_gates, write_gates
from benchmarks.records.lock import locked_results
from benchmarks.records.record_files import is_whole, record_path, write_record
from delta_core.training.errors import UserError

GATE = GateRow(
    run_id="run", scale="embedded", architecture="resnet18", task="signs", variant="maps", seed=0, block=1, source=0,
    target=1, existing=True, sample=None, label=None, value=0.123456789, sd=None, n_examples=9,
)  # fmt: skip
GATES = [GATE, replace(GATE, target=2, value=0.5, sd=0.25)]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two runs with gates, recorded and collected."""
    for run_id in ("run", "other"):
        write_gates(tmp_path, [replace(gate, run_id=run_id) for gate in GATES])
        write_record(tmp_path, [one_row(run_id=run_id)])
    collect_gates(tmp_path)
    return tmp_path


@pytest.mark.parametrize("damage", ["", "cut", "digit"])
def test_a_damaged_file_of_a_run_is_set_aside_with_its_record(
    damage: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, path = read_gates(results), gates_path(results, "run")
    text = path.read_text()
    lines = text.splitlines(keepends=True)
    path.write_text({"": "", "cut": "".join(lines[:-1]), "digit": text.replace("0.123457", "0.123458")}[damage])
    assert collect_gates(results).equals(before), "what was collected stays"
    told = capsys.readouterr().err
    assert str(path) in told and str(record_path(results, "run")) in told
    assert not path.exists() and not is_whole(record_path(results, "run"))
    assert is_whole(record_path(results, "other"))


def test_a_changed_digit_is_refused_by_run_and_line_and_taken_from_the_run_where_it_is_here(results: Path) -> None:
    before, path = read_gates(results), results / "gates.csv"
    path.write_text(path.read_text().replace("0.123457", "0.123458", 1))
    with pytest.raises(UserError, match=r"Run other is .*gate_digests\.csv line 2, gates\.csv lines 2 to 3\. Restore"):
        read_gates(results)
    assert collect_gates(results).equals(before)
    assert read_gates(results).equals(before)


def test_a_line_that_names_another_run_is_refused_or_goes_with_the_run_it_is_of(results: Path) -> None:
    before, path = read_gates(results), results / "gates.csv"
    text = path.read_text()
    path.write_text(text.replace("\nother,", "\n0ther,", 1))
    with pytest.raises(UserError, match="Run other is not what its digest says"):
        read_gates(results)
    assert collect_gates(results).equals(before)
    path.write_text(f"{text}{text.splitlines()[1].replace('other,', '0ther,')}\n")
    with pytest.raises(UserError, match=r"run 0ther stands in gates\.csv alone"):
        read_gates(results)


@pytest.mark.parametrize("lost", ["gates.csv", "gate_digests.csv"])
def test_a_lost_file_is_told(lost: str, results: Path) -> None:
    (results / lost).unlink()
    with pytest.raises(UserError, match=re.escape(str(results / "gates.csv"))):
        read_gates(results)


def test_gates_of_version_2_are_read_and_get_digests_when_they_are_collected(results: Path) -> None:
    before = read_gates(results)
    for record in (results / "records").iterdir():
        record.unlink()
    (results / "gate_digests.csv").unlink()
    first = [name for name in before.columns if name != "run_id"]
    before[[*first, "run_id"]].to_csv(results / "gates.csv", index=False)
    assert read_gates(results).equals(before)
    assert collect_gates(results).equals(before)
    assert (results / "gate_digests.csv").exists()
    assert read_gates(results).equals(before)


def test_gates_collected_at_once_are_all_there(tmp_path: Path) -> None:
    def measure(number: int) -> None:
        write_gates(tmp_path, [replace(gate, run_id=f"run{number}", seed=number) for gate in GATES])
        collect_gates(tmp_path)
        with locked_results(tmp_path):  # nobody takes a file away while another reads
            gates_path(tmp_path, f"run{number}").unlink()  # measured elsewhere

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(measure, range(8)))
    assert read_gates(tmp_path)["run_id"].nunique() == 8


# --- from other machines ---------------------------------------------------------------------------------------------


def measured(results: Path, *run_ids: str, value: float = 0.75) -> Path:
    for run_id in run_ids:
        write_gates(results, [replace(GATE, run_id=run_id, value=value)])
        write_record(results, [one_row(run_id=run_id)])
    return results


def test_gates_and_arrays_of_other_machines_come_with_their_rows_collected_there_or_not(tmp_path: Path) -> None:
    home = tmp_path / "home"
    ours = measured(home / "embedded", "run", value=0.25)
    collect_rows((), scale="embedded", results=home)
    shutil.rmtree(ours / "records")  # as in a clone
    records, tables = measured(tmp_path / "a", "new1"), measured(tmp_path / "b", "new2", "run")
    collect_gates(tables)
    gates_path(tables, "new2").unlink()  # in its gates.csv alone
    write_gates(records, [replace(GATE, run_id="not measured")])
    for source in (records, tables):
        for place in ("records/new1.npz", "pictures/new2.npz", "pictures/unknown.npz"):
            (source / place).parent.mkdir(exist_ok=True)
            (source / place).write_bytes(place.encode())
    for _ in "twice":
        collect_rows((records, tables), scale="embedded", results=home)
        found = read_gates(ours)
        # A run has its gates from where it is known first.
        assert dict(zip(found["run_id"], found["value"], strict=True)) == {"run": 0.25, "new1": 0.75, "new2": 0.75}
        arrays = {path.relative_to(ours).as_posix() for path in ours.rglob("*.npz")}
        assert arrays == {"records/new1.npz", "pictures/new2.npz"}, "and what is drawn of them"


@pytest.mark.parametrize("damaged", ["records/new.gates.csv", "gates.csv"])
def test_damaged_gates_of_another_machine_are_refused_before_a_row_is_taken(damaged: str, tmp_path: Path) -> None:
    source = measured(tmp_path / "there", "new", "old")
    collect_gates(source)
    if damaged == "gates.csv":
        gates_path(source, "new").unlink()
    path = source / damaged
    path.write_text(path.read_text().replace("0.75", "0.76"))
    content = path.read_bytes()
    with pytest.raises(UserError, match=re.escape(str(source))):
        collect_rows((source,), scale="embedded", results=tmp_path / "home")
    assert not (tmp_path / "home").exists() and path.read_bytes() == content
