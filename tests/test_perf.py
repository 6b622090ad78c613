"""benchmarks.perf on tiny settings: the format of rows and what is compared; never how fast anything is."""

import csv
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from benchmarks.perf import __main__ as command
from benchmarks.perf import forward_patches
from benchmarks.perf.paired import in_fresh_process, interleaved_seconds, peak_resident_mb
from benchmarks.perf.rows import PerfRow, perf_row, write_rows


@pytest.fixture(scope="module")
def rows() -> list[PerfRow]:
    return forward_patches.measure(repetitions=2, architecture="resnet10t", image_px=32, batch=1, tasks=2)


def test_forward_patches_has_a_row_for_each_cost_and_reference(rows: list[PerfRow]) -> None:
    costs = ("time", "parameters and buffers", "peak memory above imports")
    assert [row.name for row in rows] == [f"{cost} / {other}" for cost in costs for other in ("models", "finetuned")]
    assert [row.n for row in rows] == [2, 2, 1, 1, 1, 1]
    assert all(row.ratio > 0 and row.threads == torch.get_num_threads() and row.versions for row in rows)


def test_bytes_are_those_of_the_tensors(rows: list[PerfRow]) -> None:
    held = {row.name: row for row in rows if row.unit == "MiB"}
    model = forward_patches._build("models", "resnet10t", 1)
    one = sum(tensor.nbytes for tensor in model.state_dict().values()) / 2**20
    assert held["parameters and buffers / models"].reference == pytest.approx(2 * one)
    assert 0.5 < held["parameters and buffers / models"].ratio < 1


def test_both_sides_answer_for_all_tasks() -> None:
    x = torch.zeros(1, 3, 32, 32)
    for kind in ("ours", "models", "finetuned"):
        logits = forward_patches._pass(forward_patches._build(kind, "resnet10t", 3), x)()
        assert [tuple(one.shape) for one in logits] == [(1, forward_patches.CLASSES)] * 3


def test_a_ratio_is_taken_pair_by_pair() -> None:
    row = perf_row("a / b", "s", [1.0, 10.0, 100.0], [2.0, 20.0, 400.0], {"px": 1})
    assert (row.ratio, row.ours, row.reference, row.n) == (0.5, 10.0, 20.0, 3)
    assert perf_row("a / b", "s", [1.0], [2.0], {}).spread == 0
    with pytest.raises(ValueError, match="shorter"):
        perf_row("a / b", "s", [1.0, 2.0], [2.0], {})


def test_runs_take_turns() -> None:
    order: list[str] = []
    seconds = interleaved_seconds({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert "".join(order) == "ab" + "ab" + "ba" + "ab"
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}


def test_memory_of_a_fresh_process_is_its_own() -> None:
    held = torch.ones(64 * 2**20)  # 256 MiB that the other process must not count
    assert in_fresh_process(peak_resident_mb) < peak_resident_mb() - held.nbytes / 2**20 / 2


def test_command_writes_one_file_per_measurement(
    rows: list[PerfRow], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "MEASUREMENTS", {"tiny": lambda *, repetitions: rows[:repetitions]})
    threads = torch.get_num_threads()
    command.perf(("tiny",), repetitions=2, threads=threads, results=tmp_path)
    with (tmp_path / "perf" / "tiny.csv").open(encoding="utf-8", newline="") as stream:
        written = list(csv.DictReader(stream))
    assert list(written[0]) == [field.name for field in fields(PerfRow)]
    assert [float(row["ratio"]) for row in written] == [row.ratio for row in rows[:2]]
    assert "tiny.csv" in capsys.readouterr().out
    write_rows(tmp_path / "perf" / "tiny.csv", [])
    assert len((tmp_path / "perf" / "tiny.csv").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["nothing"], "no measurement 'nothing'"), (["--repetitions", "0"], "--repetitions is 0")],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["perf", *arguments])
    with pytest.raises(SystemExit) as stop:
        command.main()
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
