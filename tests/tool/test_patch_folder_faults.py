"""Patch folders under faults: kills at every operation, several fits at once, pictures that fail, lost lists."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from fitted_worlds import Fitted, everything_in, fitted
from kills import killed_at
from patch_tool_world import fit_words, write_classes

import delta_core.exchange
from delta_core import read_patch
from delta_core.exchange import only_writer
from delta_core.tool import fitted as writing
from delta_core.tool.fitted import write_fitted
from delta_core.tool.seen_images import read_seen


def write(made: Fitted, out: Path) -> list[str]:
    """The last step of a fit; gives what was said."""
    said: list[str] = []
    with only_writer(out, wait=False):
        write_fitted(made.model, made.accuracy, made.record, made.gates, made.seen, out, say=said.append)
    return said


@pytest.mark.parametrize("at_once", [True, False], ids=["exchanged at once", "by two renames"])
def test_a_fit_killed_anywhere_while_it_writes_leaves_one_whole_patch(
    at_once: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not at_once:
        monkeypatch.setattr(delta_core.exchange, "_exchanged", lambda *_: False)
    for drawing in ("draw_confusion", "draw_training"):  # which take a second each
        monkeypatch.setattr(writing, drawing, lambda *args, **_: args[-1].write_bytes(b"picture"))
    old, new, place = fitted(["a", "b"]), fitted(["c", "d", "e"]), tmp_path / "place"
    whole = {}
    for name, made in (("old", old), ("new", new)):
        write(made, tmp_path / name / "kept")
        whole[name] = everything_in(tmp_path / name / "kept") | {"notes.txt": b"mine"}
    ends = set()
    for number in count(1):
        out = place / "kept"
        write(old, out)
        (out / "notes.txt").write_bytes(b"mine")
        killed = killed_at(number, lambda: write(new, out), place)  # noqa: B023 - runs at once
        found = everything_in(out) if out.exists() else everything_in(place / ".kept.partial" / "old")
        (end,) = [name for name, files in whole.items() if files == found]
        ends.add(end)
        write(new, out)
        assert everything_in(out) == whole["new"]
        assert [path.name for path in place.iterdir()] == ["kept"]
        shutil.rmtree(place)
        if not killed:
            break
    assert ends == {"old", "new"}
    assert number > 40


def test_of_three_fits_to_one_folder_one_trains_and_the_others_say_why_not(world: Path, tmp_path: Path) -> None:
    words = [str(word) for word in fit_words(world, str(tmp_path / "kept"), "plain", modules=0)]
    command = [sys.executable, "-m", "delta_core.tool", *words]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    ended = [(process.communicate(timeout=600)[1], process.returncode) for process in started]
    assert sorted(code for _, code in ended) == [0, 2, 2], ended
    for told, code in ended:
        if code:
            assert "Another fit is writing" in told or "holds a patch already" in told
            assert told.count("\n") == 1
    assert read_patch(tmp_path / "kept").num_classes == 3
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_no_training_is_lost_to_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("no\nfont")

    out = tmp_path / "kept"
    assert write(fitted(["a", "b"]), out) == []
    monkeypatch.setattr(writing, "draw_confusion", broken)
    (said,) = write(fitted(["a", "b"]), out)
    assert said == "confusion.png could not be drawn (ValueError: no font); the patch is whole without it."
    assert not (out / "confusion.png").exists(), "nor that of the older patch"
    assert (out / "training.png").exists()
    card = (out / "README.md").read_text()
    assert "](confusion.png)" not in card
    assert "](training.png)" in card
    assert read_patch(out).class_names == ("a", "b")


def test_a_full_disk_is_no_matter_of_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    write(fitted(["a", "b"]), tmp_path / "kept")
    before = everything_in(tmp_path)
    monkeypatch.setattr(writing, "draw_training", full)
    with pytest.raises(OSError, match="No space"):
        write(fitted(["c", "d"]), tmp_path / "kept")
    assert everything_in(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_told_of_before_the_training(
    world: Path, patch_tool: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shutil.copytree(world / "kept", tmp_path / "kept")
    out.chmod(0o555)
    assert patch_tool(*fit_words(world, str(out)), "--force") == 2
    assert "cannot be written" in capsys.readouterr().err
    out.chmod(0o755)


# --- what eval counts --------------------------------------------------------------------------------------------


def test_eval_counts_no_training_images_whatever_was_lost(
    world: Path, patch_tool: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The list says it; a damaged one is refused; without it what was held out is drawn anew where that is safe."""
    data = write_classes(tmp_path / "data", 10)
    for name in ("ant bear", "cat"):  # a film of which the frames go one way
        for number in range(1, 4):
            shutil.copy(data / name / "0.png", data / name / f"{number}.png")
    assert patch_tool(*fit_words(tmp_path, "kept", "data", weights=world / "net.pt", modules=0)) == 0
    held = sum(image.part == "test" for image in read_seen(tmp_path / "kept"))
    capsys.readouterr()

    def said(**lost: Callable[[Path], object]) -> str:
        folder = shutil.copytree(tmp_path / "kept", tmp_path / "copy")
        for name, spoil in lost.items():
            spoil(folder / name.replace("_", "."))
        code = patch_tool("eval", folder, data, "--weights", world / "net.pt")
        shutil.rmtree(folder)
        out, err = capsys.readouterr()
        assert code == (2 if err else 0)
        assert "Traceback" not in out + err
        return str(out + err)

    def cut(path: Path) -> None:
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-4]))

    def change(path: Path) -> None:
        text = path.read_text()
        path.write_text(text.replace("train,", "train,f", 1))

    def empty(path: Path) -> None:
        path.write_bytes(b"")

    assert f"of {held} images) right" in said()
    for spoil in (Path.unlink, empty, lambda path: path.write_text("{")):
        assert f"of {held} images) right" in said(training_json=spoil)
    for spoil in (cut, change, empty):
        assert "images.csv' is damaged, and says which images were trained on; copy" in said(images_csv=spoil)
    assert "has no list of them any more; give images that it has not seen" in said(images_csv=Path.unlink)
    both = said(images_csv=Path.unlink, training_json=Path.unlink)
    assert "has no list of the images that it was trained on; some of these may be among them" in both
