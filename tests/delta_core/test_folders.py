"""Image folders that a user brings: layouts, held-out images, identity, errors in one sentence."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from delta_core.training.data import splits
from delta_core.training.data.folders import (
    check_image_folder,
    folder_identity,
    held_out,
    load_image_folder,
    twins_in_training,
)
from delta_core.training.data.splits import FixedViews, LazySplit, Split, TensorSplit
from delta_core.training.errors import UserError
from delta_core.weights import Preprocessing

CPU = torch.device("cpu")
SMALL = Preprocessing(image_size=8, crop_pct=1.0, interpolation="bilinear", mean=(0.0,) * 3, std=(1.0,) * 3)


def write_image(path: Path, colour: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(colour).integers(0, 30, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(noise + np.uint8(colour)).save(path)


def write_folder(root: Path, *, classes: tuple[str, ...] = ("cat", "dog"), **counts: int) -> Path:
    """`counts` images per class in each split; classes differ in brightness."""
    for split, count in counts.items():
        for index, name in enumerate(classes):
            for number in range(count):
                write_image(root / split / name / f"{number}.png", 100 * index + number)
    return root


def everything(split: Split) -> Tensor:
    return torch.cat(list(split.batches(5, device=CPU)))


@pytest.mark.parametrize(
    ("layout", "sizes"),
    [
        ({"train": 10, "test": 3}, (18, 2, 6)),
        ({"train": 10, "val": 3}, (18, 2, 6)),
        ({"train": 10, "val": 4, "test": 3}, (20, 8, 6)),
        ({"train": 2, "test": 1}, (2, 2, 2)),
    ],
    ids=str,
)
def test_layouts_give_three_splits(layout: dict[str, int], sizes: tuple[int, int, int], tmp_path: Path) -> None:
    data = load_image_folder("pets", write_folder(tmp_path, **layout), SMALL, views=1)
    splits = (data.train, data.val, data.test)
    assert tuple(len(split.labels) for split in splits) == sizes
    assert (data.name, data.classes, data.sha) == ("pets", 2, folder_identity(tmp_path))
    for split in splits:
        images = everything(split)
        assert images.shape == (len(split.labels), 3, 8, 8)
        bright = images.mean((1, 2, 3)) > 80 / 255
        assert torch.equal(bright.long(), split.labels), "labels belong to their images"


def test_held_out_images_are_not_trained_on(tmp_path: Path) -> None:
    data = load_image_folder("pets", write_folder(tmp_path, train=10, test=1), SMALL, views=1)
    trained, held = ({image.numpy().tobytes() for image in everything(split)} for split in (data.train, data.val))
    assert len(trained) == 18
    assert len(held) == 2
    assert not trained & held


def test_fresh_views_keep_the_same_images_held_out(tmp_path: Path) -> None:
    write_folder(tmp_path, train=10, test=1)
    fixed, fresh = (load_image_folder("pets", tmp_path, SMALL, views=views) for views in (1, 0))
    assert torch.equal(everything(fixed.val), everything(fresh.val))
    assert torch.equal(fixed.train.labels, fresh.train.labels)


def test_only_training_views_are_fresh(tmp_path: Path) -> None:
    data = load_image_folder("pets", write_folder(tmp_path, train=10, test=3), SMALL, views=0)
    assert isinstance(data.train, LazySplit)
    assert isinstance(data.val, TensorSplit)
    assert isinstance(data.test, TensorSplit)
    assert not torch.equal(everything(data.train), everything(data.train))
    assert torch.equal(everything(data.test), everything(data.test))


@pytest.mark.parametrize("limit_mb", [2048, 0])
def test_fixed_views_are_of_training_images_alone(
    limit_mb: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splits, "MEMORY_LIMIT_MB", limit_mb)
    write_folder(tmp_path, train=5, test=3)
    fixed, one = (load_image_folder("pets", tmp_path, SMALL, views=views) for views in (3, 1))
    assert isinstance(fixed.train, FixedViews)
    assert {type(view) for view in fixed.train.views} == {TensorSplit if limit_mb else LazySplit}
    views = [everything(view) for view in fixed.train.views]
    assert len({view.numpy().tobytes() for view in (*views, everything(one.train))}) == 4
    assert all(torch.equal(everything(view), seen) for view, seen in zip(fixed.train.views, views, strict=True))
    assert torch.equal(everything(fixed.train), views[0])
    for split in ("val", "test"):
        assert torch.equal(everything(getattr(fixed, split)), everything(getattr(one, split)))


def test_in_memory_is_the_same_split(tmp_path: Path) -> None:
    memory = load_image_folder("pets", write_folder(tmp_path, train=4, test=3), SMALL, views=1).train
    lazy = load_image_folder("pets", tmp_path, SMALL, views=0).train
    lazy = LazySplit(
        images=lazy.images, labels=lazy.labels, transform=SMALL.resize_and_crop(), preprocessing=SMALL
    )  # fmt: skip
    assert isinstance(memory, TensorSplit)
    assert torch.equal(everything(lazy), everything(memory))
    order = torch.tensor([4, 0, 3])
    picked = [torch.cat(list(split.batches(2, device=CPU, order=order))) for split in (lazy, memory)]
    assert torch.equal(*picked)
    assert torch.equal(picked[0], everything(memory)[order])


@given(st.lists(st.integers(0, 4), min_size=10, max_size=200), st.integers(0, 2**31 - 1))
def test_held_out_is_stratified(labels: list[int], seed: int) -> None:
    members = torch.tensor([*labels, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4])  # at least two of each class
    kept, held = held_out(members, seed=seed)
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(len(members)))
    for label in range(5):
        total = int((members == label).sum())
        assert int((members[held] == label).sum()) == max(1, round(0.1 * total))
        assert (members[kept] == label).any()
    again = held_out(members, seed=seed)
    assert torch.equal(held, again[1])


def test_held_out_depends_on_the_seed() -> None:
    labels = torch.arange(200) % 2
    assert not torch.equal(held_out(labels, seed=0)[1], held_out(labels, seed=1)[1])


# --- identity ----------------------------------------------------------------------------------------------------


def test_identity_is_that_of_the_content_not_of_the_place(tmp_path: Path) -> None:
    here = write_folder(tmp_path / "here", train=3, test=2)
    there = shutil.copytree(here, tmp_path / "elsewhere" / "there")
    assert folder_identity(here) == folder_identity(there)


def test_identity_changes_with_names_sizes_and_number_of_files(tmp_path: Path) -> None:
    root = write_folder(tmp_path, train=3, test=2)
    path = root / "train" / "cat" / "0.png"
    found = [folder_identity(root)]
    path.write_bytes(path.read_bytes() + b"\0")
    found.append(folder_identity(root))
    path.rename(path.with_name("9.png"))
    found.append(folder_identity(root))
    path.with_name("9.png").rename(root / "train" / "dog" / "9.png")
    found.append(folder_identity(root))
    (root / "train" / "dog" / "9.png").unlink()
    found.append(folder_identity(root))
    assert len(set(found)) == 5


# --- errors ------------------------------------------------------------------------------------------------------


def refused(root: Path, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_image_folder("pets", root, SMALL, views=1)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError):
        check_image_folder(root)


def test_wrong_layouts_are_told_in_one_sentence(tmp_path: Path) -> None:
    refused(tmp_path / "absent", "absent' does not exist")
    refused(write_folder(tmp_path / "a", test=2), r"needs train/ and test/ \(or val/\) inside, found \['test'\]")
    refused(write_folder(tmp_path / "b", train=2), r"found \['train'\]")
    (tmp_path / "c").mkdir()
    refused(tmp_path / "c", "found neither")
    (tmp_path / "d" / "train").mkdir(parents=True)
    (tmp_path / "d" / "test").mkdir()
    refused(tmp_path / "d", "holds 0 class folders")
    refused(write_folder(tmp_path / "e", classes=("cat",), train=2, test=2), "holds 1 class folders")
    refused(write_folder(write_folder(tmp_path / "f", train=2), classes=("cat", "fox"), test=2), r"\(dog, fox\)")
    write_image(write_folder(tmp_path / "g", train=2, test=2) / "test" / "eel" / "0.png", 1)
    refused(tmp_path / "g", r"different classes \(eel\)")


@pytest.mark.parametrize("kind", ["gif", "heic", "svg", "DNG"])
def test_images_that_would_be_left_out_are_told(kind: str, tmp_path: Path) -> None:
    root = write_folder(tmp_path, train=3, test=2)
    (root / "train/cat/notes.txt").write_text("no image")
    check_image_folder(root)
    (root / f"train/cat/9.{kind}").write_bytes(b"an image")
    refused(root, rf"train/cat/9\.{kind} is one of 1 images below .*train that would not be read; convert them to one")


def test_an_empty_class_is_told_and_a_hidden_folder_is_none(tmp_path: Path) -> None:
    root = write_folder(tmp_path, train=3, test=2)
    (root / "train" / ".cache").mkdir()
    check_image_folder(root)
    (root / "train" / "eel").mkdir()
    refused(root, "train/eel holds no images; put some there or remove the folder")


@pytest.mark.parametrize("target", [".", "..", "../.."])
def test_a_link_that_leads_back_up_is_told(target: str, tmp_path: Path) -> None:
    """torchvision would count the images below it forty times over, those of other classes as of this one."""
    root = write_folder(tmp_path, train=3, test=2)
    (root / "train" / "cat" / "more").symlink_to(root / "test" / "cat")
    check_image_folder(root)
    (root / "train" / "cat" / "again").symlink_to(target)
    refused(root, "train/cat/again is a link that leads back to")


def test_links_that_lead_to_each_other_are_told(tmp_path: Path) -> None:
    root = write_folder(tmp_path, train=3, test=2)
    for name, other in (("cat", "dog"), ("dog", "cat")):
        (root / "train" / name / "more").symlink_to(root / "train" / other)
    refused(root, "is a link that leads back to")


def test_images_that_are_measured_and_trained_on_are_counted(tmp_path: Path) -> None:
    root = write_folder(tmp_path, train=4)
    for number, name in enumerate(("cat", "dog")):
        write_image(root / "test" / name / "other.png", 50 + number)
    assert twins_in_training(root) == []
    for place in ("test/cat/copy.png", "test/dog/of_another_class.png", "val/cat/copy.png"):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / "train/cat/1.png", root / place)
    nearly = (root / "train/dog/2.png").read_bytes()
    (root / "test/dog/nearly.png").write_bytes(nearly[:40] + b"?" + nearly[41:])
    found = sorted(path.relative_to(root).as_posix() for path in twins_in_training(root))
    assert found == ["test/cat/copy.png", "test/dog/of_another_class.png", "val/cat/copy.png"]


def test_a_file_given_as_a_folder_is_called_a_file(tmp_path: Path) -> None:
    (tmp_path / "photos.zip").write_text("packed")
    refused(tmp_path / "photos.zip", "photos.zip' is a file; give a folder")


def test_too_few_images_to_hold_any_out_are_told(tmp_path: Path) -> None:
    """With one image of each class nothing is left to hold out for validation."""
    root = write_folder(tmp_path, train=1, test=1)
    with pytest.raises(UserError, match="train"):
        load_image_folder("pets", root, SMALL, views=1)


def test_files_that_are_no_images_are_told(tmp_path: Path) -> None:
    root = write_folder(tmp_path, train=3, test=2)
    for path in (root / "train" / "cat").iterdir():
        path.rename(path.with_suffix(".txt"))
    refused(root, "cat")
