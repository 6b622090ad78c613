"""`delta-patch predict` at work: folders and lists, forms of output, bad files among good ones."""

import csv
import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from patch_tool_world import call, make_world

from delta_core.tool import predict
from delta_core.tool.counted import counted
from delta_core.tool.predict import find_images
from delta_core.training.errors import UserError


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_world(tmp_path_factory.mktemp("world"))
    shutil.copytree(root / "pets" / "test", root / "mixed")
    (root / "mixed" / "cat" / "1.png").write_bytes((root / "mixed" / "cat" / "1.png").read_bytes()[:50])
    (root / "mixed" / "cat" / "phone.heic").write_bytes(b"a photograph")
    (root / "mixed" / "notes.txt").write_text("mine")
    return root


@pytest.fixture
def predicted(world: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    return lambda *words: call(monkeypatch, "predict", world / "kept", *words, "--weights", world / "net.pt")


def test_a_folder_is_all_images_below_and_a_bad_one_loses_no_other(
    world: Path, predicted: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert predicted(world / "mixed", "--csv", "--topk", 2, "--batch-size", 2) == 1
    out, told = capsys.readouterr()
    lines = list(csv.DictReader(io.StringIO(out)))
    assert list(lines[0]) == ["image", "patch", "class_1", "probability_1", "class_2", "probability_2"]
    good = sorted(
        str(path) for path in (world / "mixed").rglob("*.png") if path.name != "1.png" or path.parent.name != "cat"
    )
    assert [line["image"] for line in lines] == good
    assert all(0.3 < float(line["probability_1"]) <= 1 for line in lines)
    assert [line.split(" ", 2)[2] for line in told.splitlines()[:-1]] == [
        f"{str(world / 'mixed' / 'cat' / name)!r} cannot be read ({why}); give a JPEG, PNG or another image that "
        "Pillow opens."
        for name, why in (("1.png", "OSError"), ("phone.heic", "UnidentifiedImageError"))
    ]
    assert told.splitlines()[-1] == "delta-patch: 2 of 13 images were not read."


def test_every_form_says_the_same(
    world: Path, predicted: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = sorted((world / "pets" / "test" / "cat").iterdir())
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{path}\n" for path in images)))
    assert predicted("-", "--json") == 0
    whole = json.loads(capsys.readouterr().out)
    assert [each["image"] for each in whole] == list(map(str, images))
    assert predicted(*images, "--jsonl") == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == whole
    assert predicted(*images, "--csv") == 0
    lines = list(csv.reader(io.StringIO(capsys.readouterr().out)))[1:]
    assert [line[2::2] for line in lines] == [[each["class"] for each in found["classes"]] for found in whole]
    assert predicted(*images, "--json", "--max-pixels", 10) == 1
    out, told = capsys.readouterr()
    assert json.loads(out) == []
    assert "is refused: 60 x 40 pixels are more than 10" in told


def test_answers_come_batch_by_batch(
    world: Path, predicted: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was answered before something breaks has been printed."""
    read, seen = predict.read_image, []

    def breaks(path: Path, **options: object) -> object:
        seen.append(path)
        if len(seen) > 4:
            raise KeyboardInterrupt
        return read(path, **options)

    monkeypatch.setattr(predict, "read_image", breaks)
    assert predicted(world / "pets" / "test", "--jsonl", "--batch-size", 2) == 130
    assert len([json.loads(line) for line in capsys.readouterr().out.splitlines()]) == 4


def test_what_is_given_is_found_once_and_in_order(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/1.JPG", "b/deep/3.gif", "b/notes.txt", "a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    listed = io.StringIO(f"{tmp_path / 'a.png'}\n\nnot there.png\r\n")
    found = find_images([tmp_path / "b", Path("-"), tmp_path / "b" / "2.png"], listed)
    names = ["b/1.JPG", "b/2.png", "b/deep/3.gif", "a.png"]
    assert found == [*(tmp_path / name for name in names), Path("not there.png")]
    with pytest.raises(UserError, match="no image to look at"):
        find_images([Path("-")], io.StringIO("\n"))


def test_progress_without_a_terminal_is_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(counted(range(1200), 1200, "images")) == list(range(1200))
    assert capsys.readouterr() == ("", "500 of 1200 images\n1000 of 1200 images\n")
