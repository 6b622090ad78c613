"""Folders that are replaced as a whole: killed anywhere, written by several at once, among files of others."""

import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from kills import killed_at
from patch_folders import trained

import delta_core.exchange
from delta_core import DeltaConfig, DeltaError, read_patch
from delta_core.exchange import only_writer, put_in_place, start_new
from delta_core.patch_io import check_place, write_folder

NOTES = {"notes.txt": b"mine", "inner/photo.bin": bytes(range(256))}


@pytest.fixture(params=[True, False], ids=["exchanged at once", "by two renames"])
def at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the file system can exchange two folders."""
    if not request.param:
        monkeypatch.setattr(delta_core.exchange, "_exchanged", lambda *_: False)
    return bool(request.param)


@pytest.fixture
def two_patches(tmp_path: Path) -> list[dict[str, bytes]]:
    """Files of an old patch and of a new one."""
    found = []
    for name, config in (("one", DeltaConfig(n_modules=2)), ("two", None)):
        folder = trained(config).save_patch(tmp_path / "made" / name)
        found.append({path.name: path.read_bytes() for path in folder.iterdir()})
    return found


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in (files | NOTES).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_killed_anywhere_the_folder_is_the_old_or_the_new_one_and_the_next_save_succeeds(
    at_once: bool, two_patches: list[dict[str, bytes]], tmp_path: Path
) -> None:
    old, new = two_patches
    ends = set()
    for number in count(1):
        place = tmp_path / "place"
        folder = fill(place / "patch", old)
        killed = killed_at(number, lambda: write_folder(folder, new), place)  # noqa: B023 - runs at once
        if not folder.exists():
            assert not at_once
            with pytest.raises(DeltaError, match=r"It lies in '.*\.patch\.partial/old', as it was being replaced"):
                read_patch(folder)
            ends.add("absent")
        else:
            assert contents(folder) in (old | NOTES, new | NOTES)
            ends.add("old" if contents(folder) == old | NOTES else "new")
        write_folder(folder, new)
        assert contents(folder) == new | NOTES
        assert [path.name for path in place.iterdir()] == ["patch"]
        shutil.rmtree(place)
        if not killed:
            break
    assert ends == ({"old", "new"} if at_once else {"old", "new", "absent"})
    assert number > 20


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["disk", "user"])
@pytest.mark.parametrize("old", [True, False], ids=["over an old one", "new"])
@pytest.mark.parametrize("at", range(5))
def test_what_fails_leaves_what_was_there(
    at: int,
    old: bool,
    error: BaseException,
    two_patches: list[dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Break the first or second write, the first rename, the second one, or what makes the files reach the disk."""
    monkeypatch.setattr(delta_core.exchange, "_exchanged", lambda *_: False)
    place, calls = tmp_path / "place", [0]
    place.mkdir()
    if old:
        fill(place / "patch", two_patches[0])
    before = contents(place)

    def breaking(function: Callable[..., object], wanted: int) -> Callable[..., object]:
        def call(*args: object) -> object:
            calls[0] += 1
            if calls[0] == wanted:
                raise error
            return function(*args)

        return call

    owner, name, wanted = [
        (Path, "write_bytes", 1),
        (Path, "write_bytes", 2),
        (Path, "rename", 1),
        (Path, "rename", 2 if old else 1),
        (os, "fsync", 1),
    ][at]
    monkeypatch.setattr(owner, name, breaking(getattr(owner, name), wanted))
    with pytest.raises(DeltaError if isinstance(error, OSError) else KeyboardInterrupt):
        write_folder(place / "patch", two_patches[1])
    assert contents(place) == before
    assert [path.name for path in place.iterdir()] == ["patch"] * old, "no hidden rest"


@pytest.mark.usefixtures("at_once")
def test_files_of_others_stay_as_they_are_whatever_they_are(
    two_patches: list[dict[str, bytes]], tmp_path: Path
) -> None:
    old, new = two_patches
    place = tmp_path / "place"
    folder = fill(place / "patch", old)
    os.mkfifo(folder / "pipe")
    (folder / "nowhere").symlink_to("gone")
    (folder / "inner" / "up").symlink_to("..")
    (folder / "inner").chmod(0o555)
    folder.chmod(0o750)
    inode = (folder / "notes.txt").stat().st_ino
    write_folder(folder, new, gone=("gates.csv",))
    assert stat.S_ISFIFO((folder / "pipe").stat().st_mode)
    assert (folder / "nowhere").readlink() == Path("gone")
    assert (folder / "inner" / "up").readlink() == Path("..")
    assert stat.S_IMODE((folder / "inner").stat().st_mode) == 0o555
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    assert (folder / "notes.txt").stat().st_ino == inode, "not copied"
    assert (folder / "notes.txt").read_bytes() == b"mine"
    assert [path.name for path in place.iterdir()] == ["patch"]
    (folder / "inner").chmod(0o755)


def test_one_writes_after_the_other(two_patches: list[dict[str, bytes]], tmp_path: Path) -> None:
    """Many at once: each ends, the last one's patch is there as a whole, and nothing is left behind."""
    folder, failed = tmp_path / "place" / "patch", []

    def write(number: int) -> None:
        try:
            write_folder(folder, two_patches[number % 2])
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert contents(folder) in two_patches
    assert [path.name for path in folder.parent.iterdir()] == ["patch"]


def test_a_patch_that_comes_between_two_looks_is_one(
    two_patches: list[dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, looks = tmp_path / "patch", []

    def then_it_comes(look: Callable[[Path], Any]) -> Callable[[Path], Any]:
        def looked(path: Path) -> Any:
            looks.append(path)
            try:
                found = look(path)
                return iter([*found]) if isinstance(found, Iterator) else found
            finally:
                if len(looks) == 1:
                    folder.mkdir()
                    for name, data in two_patches[0].items():
                        (folder / name).write_bytes(data)

        return looked

    for name in ("exists", "is_file", "is_dir", "iterdir"):
        monkeypatch.setattr(Path, name, then_it_comes(getattr(Path, name)))
    check_place(folder, may_replace=True)
    assert len(looks) > 1


def test_a_patch_that_came_meanwhile_is_not_replaced_unasked(
    two_patches: list[dict[str, bytes]], tmp_path: Path
) -> None:
    folder, told = tmp_path / "place" / "patch", []

    def write() -> None:
        with pytest.raises(DeltaError, match="holds a patch already") as caught:
            write_folder(folder, two_patches[1], may_replace=False)
        told.append(caught)

    with only_writer(folder):
        waiting = threading.Thread(target=write)
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        new = start_new(folder)
        for name, content in two_patches[0].items():
            (new / name).write_bytes(content)
        put_in_place(folder)
    waiting.join()
    assert told
    assert contents(folder) == two_patches[0]


def test_two_folders_of_which_one_was_made_by_hand_are_both_kept(
    two_patches: list[dict[str, bytes]], tmp_path: Path
) -> None:
    folder = fill(tmp_path / "place" / "patch", two_patches[0])
    for name in ("old", "new"):
        fill(tmp_path / "place" / ".patch.partial" / name, two_patches[1])
    before = contents(tmp_path)
    with pytest.raises(DeltaError, match=r"patch' is there, but so is '.*old', which it was before; remove one"):
        write_folder(folder, two_patches[1])
    assert {name: content for name, content in contents(tmp_path).items() if not name.endswith("lock")} == before
