"""What `status` tells of drivers that are at work."""

import json
import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from grid_world import ENVIRONMENT, LIMIT_S, ONE_CELL, ROOT, bench, command, run_ids, wait_for, write_one_cell

from benchmarks.grid import board
from benchmarks.grid.board import Board, Place, told_of_drivers
from benchmarks.records.collected import read_rows


def written(path: Path) -> bool:
    """A place is told with a job; before that no worker was ready."""
    try:
        return any(place["jobs"] for place in json.loads(path.read_text())["places"])
    except (OSError, ValueError):
        return False


def test_status_shows_who_is_at_what_until_the_driver_ends(tmp_path: Path) -> None:
    write_one_cell(tmp_path / "cache")
    where = ("--results", tmp_path / "results", "--cache", tmp_path / "cache")
    chosen = (*ONE_CELL[:-1], "2000", "--method", "norm_tuning", *where)
    driver = subprocess.Popen(
        command("run", *chosen, "--workers", 1), cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL
    )
    drivers = tmp_path / "results" / "embedded" / ".drivers"
    try:
        assert wait_for(lambda: any(map(written, drivers.glob("*.json"))), LIMIT_S)
        told = bench("status", *chosen).stdout
        assert "table2, at work since " in told
        assert ": 0 of 1 runs ended, " in told
        assert "runs of which nothing is known" in told
        assert "  worker 0 on cpu, 1 at a time: " in told
    finally:
        driver.kill()
        driver.wait(LIMIT_S)
    assert list(drivers.glob("*.json")), "a killed driver cannot put away what it told"
    assert "at work" not in bench("status", *chosen).stdout
    assert not list(drivers.iterdir())
    ended = subprocess.Popen(command("run", *chosen), cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    assert wait_for(lambda: list(drivers.glob("*.json")), LIMIT_S)
    ended.send_signal(signal.SIGTERM)
    assert ended.wait(LIMIT_S) == 143
    assert not list(drivers.iterdir())


def test_hours_to_go_are_those_of_like_runs_shared_by_all_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "EVERY_S", 0.0)
    one = next(iter(run_ids().values()))
    runs = [replace(one, seed=seed) for seed in range(4)]
    rows = pd.DataFrame(
        {"run_id": ["0"], "architecture": [runs[0].architecture], "method": [runs[0].method.name],
         "n_delta_modules": [runs[0].method.n_delta_modules], "task": [runs[0].task],
         "train_s": [3000.0], "eval_s": [600.0]}
    )  # fmt: skip
    places = [
        Place(name="node a", slots=2, jobs=("one", "two")),
        Place(name="node b", slots=0, left_out="Its data differ."),
        Place(name="node c", slots=1),
    ]
    with Board(tmp_path, "table9", runs, rows) as told:
        told.ended(runs[0].run_id)
        told.write(lambda: places, pending=3, slots=2)
        lines = list(told_of_drivers(tmp_path))
        since = time.strftime("%H:%M")
        assert lines[0].partition(": ")[2] == "1 of 4 runs ended, 1 jobs queued, 1.50 hours to go"
        assert lines[0].startswith(f"table9, at work since {since[:3]}")
        assert lines[1:] == [
            "  node a, 2 at a time: one; two",
            "  node b is left out: Its data differ.",
            "  node c, 1 at a time: idle",
        ]
        told.write(lambda: places, pending=3, slots=0)
        assert "nobody at work" in next(told_of_drivers(tmp_path))
    assert list(told_of_drivers(tmp_path)) == []


def test_what_a_driver_was_writing_when_it_was_killed_is_removed_too(tmp_path: Path) -> None:
    drivers = tmp_path / ".drivers"
    drivers.mkdir()
    (drivers / "node-1.json").write_text("{}")
    (drivers / ".node-1.json.0123.tmp").write_text('{"title": ')
    (drivers / ".node-2.json.4567.tmp").write_text('{"title": ')  # of a driver that may live
    assert not list(told_of_drivers(tmp_path))
    assert [path.name for path in drivers.iterdir()] == [".node-2.json.4567.tmp"]


def test_a_full_disk_is_not_told_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(board, "whole_text", full)
    with Board(tmp_path, "table9", [], read_rows(tmp_path)) as told:
        told.write(list, pending=0, slots=1)
