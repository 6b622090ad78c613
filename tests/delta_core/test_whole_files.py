"""Files that are whole or not there."""

import os
from pathlib import Path

import pytest

from delta_core.training.whole_files import STALE_S, sweep_unfinished, whole_file, whole_text


def test_the_file_takes_its_place_at_the_end_alone(tmp_path: Path):
    path = tmp_path / "new" / "a.txt"
    with whole_text(path) as stream:
        stream.write("one")
        assert not path.exists()
    assert [each.name for each in path.parent.iterdir()] == ["a.txt"]
    assert path.read_text() == "one"


def test_an_error_keeps_the_old_file_and_leaves_no_trace(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), whole_file(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_file_and_name_are_synced_before_it_returns(tmp_path: Path, monkeypatch):
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(str(Path(f"/proc/self/fd/{handle}").readlink())))
    with whole_text(tmp_path / "a.txt") as stream:
        stream.write("one")
    assert len(synced) == 2
    assert synced[0].endswith(".tmp")
    assert synced[1] == str(tmp_path)


def test_only_files_that_nobody_writes_any_more_are_swept(tmp_path: Path):
    left, being_written, other = (tmp_path / name for name in (".a.1.tmp", ".b.2.tmp", ".keep"))
    for path in (left, being_written, other):
        path.write_text("")
    old = being_written.stat().st_mtime - STALE_S - 60
    for path in (left, other):
        os.utime(path, (old, old))
    sweep_unfinished(tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == [".b.2.tmp", ".keep"]
