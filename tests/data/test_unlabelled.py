"""Images without labels: which files they are, how they are split, and what is said of those that cannot be read."""

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from image_folders import write_folder
from PIL import Image

from benchmarks.data.load import load_base_task
from benchmarks.data.packaged import photographs
from benchmarks.data.packaged.photographs import PHOTOGRAPHS, VIEWS, Photographs, photographs_identity
from benchmarks.data.unlabelled import NO_LABEL, UnlabelledImages, image_files, load_unlabelled
from benchmarks.env import Env
from benchmarks.records.names import UNLABELLED
from delta_core.tool.predict import find_images
from delta_core.training.data.folders import folder_identity
from delta_core.training.errors import UserError
from delta_core.weights import Preprocessing

SMALL = Preprocessing(image_size=24, crop_pct=0.875, interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3)


def test_all_images_below_a_folder_are_found_in_order(tmp_path: Path) -> None:
    write_folder(tmp_path / "pets")
    (tmp_path / "notes.txt").write_text("no image")
    found = image_files(tmp_path)
    assert len(found) == 18
    assert found == sorted(found)
    assert {path.suffix for path in found} == {".png"}


def test_every_fifth_image_validates_and_none_has_a_label(tmp_path: Path) -> None:
    files = image_files(write_folder(tmp_path / "pets"))
    task = load_unlabelled("unlabelled:pets", UnlabelledImages(files), "sha", SMALL, classes=7)
    assert (len(task.val.labels), len(task.test.labels)) == (4, 14)
    assert torch.cat([task.val.labels, task.test.labels]).eq(NO_LABEL).all()
    (batch,) = task.val.batches(10, device=torch.device("cpu"))
    expected = [SMALL.normalise(SMALL.resize_and_crop()(Image.open(files[place]))[None]) for place in (0, 5, 10, 15)]
    assert torch.equal(batch, torch.cat(expected))


def test_a_base_without_labels_is_opened_from_its_folder_or_from_packages(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "pets")
    env = Env(results=tmp_path, cache=tmp_path, folders={f"{UNLABELLED}pets": folder})
    own = load_base_task(f"{UNLABELLED}pets", env, SMALL, classes=7)
    packaged = load_base_task(f"{UNLABELLED}photographs", env, SMALL, classes=7)
    assert len(own.val.labels) + len(own.test.labels) == 18
    assert (len(packaged.val.labels), len(packaged.test.labels)) == (40, 160)
    assert own.sha != packaged.sha == photographs_identity()


def test_a_view_of_a_photograph_is_always_the_same_square() -> None:
    views, again = Photographs(), Photographs()
    assert len(views) == VIEWS * len(PHOTOGRAPHS) == 200
    sides = []
    for place in (0, 1, VIEWS, 199):
        (image,), (same,) = views[place], again[place]
        assert np.array_equal(np.asarray(image), np.asarray(same))
        assert abs(image.width - image.height) <= 1
        sides.append(image.size)
    assert len(set(sides)) > 1, "they show parts of several sizes"


# --- bad input ---------------------------------------------------------------------------------------------------


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist; give --base-images DIR"):
        image_files(tmp_path / "no")


@pytest.mark.parametrize("count", [0, 1])
def test_a_folder_with_fewer_than_two_images_is_refused(count: int, tmp_path: Path) -> None:
    for number in range(count):
        Image.new("RGB", (4, 4)).save(tmp_path / f"{number}.png")
    (tmp_path / "labels.csv").write_text("file,index")
    with pytest.raises(UserError, match=f"holds {count} images .* needs at least two"):
        image_files(tmp_path)


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path / "pets")
    (tmp_path / "pets" / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"broken\.jpg' of --base-images cannot be read \(UnidentifiedImageError\)"):
        image_files(tmp_path)


def test_a_missing_package_of_photographs_is_told_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.data.packaged.task.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"run: pip install scikit-image scikit-learn matplotlib$"):
        photographs_identity()


def test_a_package_that_lost_its_photograph_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(photographs.PHOTOGRAPHS, "cat", ("skimage", "data/no_cat.png"))
    with pytest.raises(UserError, match=r"no_cat\.png is missing; run: pip install --force-reinstall scikit-image"):
        photographs_identity()


@pytest.mark.parametrize("listed", [image_files, folder_identity, lambda root: find_images([root], io.StringIO())])
def test_a_folder_that_may_not_be_listed_is_not_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: Callable[[Path], object]
) -> None:
    write_folder(tmp_path / "pets")
    forbidden = next(path for path in sorted((tmp_path / "pets").rglob("*")) if path.is_dir())
    scandir = os.scandir

    def forbid(folder: str | Path) -> object:
        if Path(folder) == forbidden:
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", forbid)  # root may list every folder
    with pytest.raises(UserError, match=rf"{forbidden}.* cannot be listed \(PermissionError\).*allow it to be read"):
        listed(tmp_path)
