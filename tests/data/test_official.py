"""Official data sets as tasks: splits, held-out images, what is refused, decoded images on disk, cost."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lookalikes import FRAMES, small, write
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from benchmarks.data import load
from benchmarks.data.catalogue import CATALOGUE, entry, readers
from benchmarks.data.catalogue.entry import DataSet, list_of
from benchmarks.data.catalogue.held_out import as_text, draw, held_tracks, track_of
from benchmarks.data.official import images_not_for_testing, load_official, parts_of
from benchmarks.env import Env
from benchmarks.grid import cost
from benchmarks.methods.delta import DeltaNetworks
from benchmarks.methods.fc_only import FcOnly
from benchmarks.suites.patching.spec import RunSpec
from delta_core import DeltaConfig
from delta_core.training.data.pixels import PixelStore
from delta_core.training.data.splits import FixedViews, LazySplit, Split, TaskData, TensorSplit
from delta_core.training.errors import UserError
from delta_core.training.recipe import Recipe
from delta_core.training.tensor_store import TensorStore
from delta_core.weights import Preprocessing

CPU = torch.device("cpu")
SMALL = Preprocessing(image_size=8, crop_pct=1.0, interpolation="bilinear", mean=(0.0,) * 3, std=(1.0,) * 3)
LISTED = tuple(each for each in CATALOGUE.values() if each.val is None and each.held_by == "list")


@pytest.fixture
def lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of lists for look-alikes, which are smaller than the real data sets."""
    folder = tmp_path / "lists"
    folder.mkdir()
    monkeypatch.setattr(entry, "LISTS", folder)
    return folder


def opened(name: str, root: Path, lists: Path, *, views: int = 1, limit_gb: float = 1.0) -> TaskData:
    found = write(name, root / "data")
    (lists / f"{name}.txt").write_text(as_text(name, found.counts[found.train]))
    return again(found, root, views=views, limit_gb=limit_gb)


def again(found: DataSet, root: Path, *, views: int = 1, limit_gb: float = 1.0) -> TaskData:
    store = TensorStore(root=root / "store", limit_gb=limit_gb)
    return load_official(found, root / "data", SMALL, views=views, store=store)


def everything(split: Split) -> Tensor:
    return torch.cat(list(split.batches(5, device=CPU)))


# --- views -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "changes"), [("decathlon_dtd", True), ("decathlon_svhn", False), ("dtd", True)])
def test_fresh_views_are_those_of_the_adapters_code_on_the_decathlon(
    name: str, changes: bool, tmp_path: Path, lists: Path
) -> None:
    """Its digits, signs and characters are neither cropped nor flipped; nothing outside the decathlon is flipped."""
    train, fixed = (opened(name, tmp_path / str(views), lists, views=views).train for views in (0, 1))
    assert isinstance(train, LazySplit)
    first, second = (everything(train.in_epoch(epoch, 0)) for epoch in (0, 1))
    assert torch.equal(first, second) != changes
    assert torch.equal(first, everything(fixed)) != changes
    flips = [found for found in modules_of(train.transform) if isinstance(found, v2.RandomHorizontalFlip)]
    assert bool(flips) == (name == "decathlon_dtd")


def modules_of(transform: object) -> list[object]:
    parts = getattr(transform, "transforms", ())
    return [transform, *(found for part in parts for found in modules_of(part))]


def test_the_decathlon_alone_has_an_augmentation_of_its_own() -> None:
    own = {each.name: each.augmentation for each in CATALOGUE.values() if each.augmentation}
    assert own == {
        name: "none" if name.endswith(("gtsrb", "omniglot", "svhn")) else "crop_flip"
        for name in CATALOGUE
        if name.startswith("decathlon_")
    }


# --- splits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["flowers", "stl10", "cars", "gtsrb", "cifar100", "usps", "decathlon_omniglot", "imagenet"]
)
def test_three_splits_that_share_no_image(name: str, tmp_path: Path, lists: Path) -> None:
    data = opened(name, tmp_path, lists)
    found = write(name, tmp_path / "again")
    splits = (data.train, data.val, data.test)
    seen = [{image.numpy().tobytes() for image in everything(split)} for split in splits]
    assert not seen[0] & seen[1]
    assert not seen[2] & (seen[0] | seen[1])
    official = [found.counts[split] for split in dict.fromkeys(s for s in (found.train, found.val, found.test) if s)]
    assert sum(len(split.labels) for split in splits) == sum(official)
    assert (data.name, data.classes, data.train.labels.dtype) == (name, found.classes, torch.int64)
    assert data.train.labels.unique().tolist() == list(range(found.classes))


def test_a_base_is_chosen_by_and_measured_on_validation_images_alone(tmp_path: Path, lists: Path) -> None:
    data = opened("imagenet_val", tmp_path, lists)
    held, reported = ({image.numpy().tobytes() for image in everything(split)} for split in (data.val, data.test))
    assert not (tmp_path / "data/imagenet/train").exists()
    assert data.train is data.val, "nothing is trained on them"
    assert not held & reported
    assert len(held) == len(list_of("imagenet_val")) > 0
    assert len(held) + len(reported) == small("imagenet_val").counts["val"]


def test_labels_stay_beside_their_images(tmp_path: Path, lists: Path) -> None:
    data = opened("cars", tmp_path, lists)
    held = list_of("cars")
    train = CATALOGUE["cars"].read(tmp_path / "data/cars", "train")
    assert data.val.labels.tolist() == [int(train.labels[index]) for index in held]
    expected = torch.stack([SMALL.resize_and_crop()(train.images[index][0]) for index in held])
    assert torch.equal(everything(data.val), SMALL.normalise(expected))


@pytest.mark.parametrize("each", LISTED, ids=lambda each: each.name)
def test_committed_lists_are_as_they_were_drawn(each: DataSet) -> None:
    count = each.counts[each.train]
    assert (entry.LISTS / f"{each.name}.txt").read_text(encoding="utf-8") == as_text(each.name, count)
    held = list_of(each.name)
    assert len(set(held)) == len(held) == min(5000, round(0.1 * count))
    assert 0 <= held[0] <= held[-1] < count


def test_lists_of_two_data_sets_differ() -> None:
    assert draw("cifar10", 50000) != draw("cifar100", 50000)
    assert draw("cifar10", 50000)[:3] == list_of("cifar10")[:3]


def test_no_track_of_a_traffic_sign_is_in_two_splits(tmp_path: Path) -> None:
    root = tmp_path / "data"
    found = replace(
        write("gtsrb", root, counts={"train": 4 * 12 * FRAMES, "test": 24}), counts={"train": 144, "test": 24}
    )
    parts = parts_of(found, root)
    tracks = {part: {track_of(parts[part][0].names[i]) for i in parts[part][1].tolist()} for part in ("train", "val")}
    assert not tracks["train"] & tracks["val"]
    assert sorted(name.partition("/")[0] for name in tracks["val"]) == [f"{label:05d}" for label in range(4)]
    assert len(tracks["train"]) == 4 * 11
    assert len(parts["val"][1]) == 4 * FRAMES


def test_tracks_do_not_depend_on_the_order_of_files() -> None:
    names = [
        f"Training/{label:05d}/{track:05d}_{frame:05d}.ppm"
        for label in (0, 1)
        for track in range(20)
        for frame in (0, 1)
    ]
    labels = torch.arange(2).repeat_interleave(40)
    forward = {names[index] for index in held_tracks(names, labels)}
    backward = {names[::-1][index] for index in held_tracks(names[::-1], labels.flip(0))}
    assert forward == backward
    assert len(forward) == 2 * 2 * 2


def test_one_track_of_a_class_is_trained_on() -> None:
    assert held_tracks(["a/00000/00000_00000.ppm", "a/00000/00000_00001.ppm"], torch.zeros(2)) == []


def test_the_credit_banner_of_aircraft_is_cut(tmp_path: Path) -> None:
    pixels = np.zeros((60, 40, 3), np.uint8)
    pixels[-20:] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = np.asarray(readers.without_banner(tmp_path / "a.png"))
    assert found.shape == (40, 40, 3)
    assert not found.any()


# --- identity and refusal ----------------------------------------------------------------------------------------


def test_identity_is_known_without_data_and_changes_with_the_splits() -> None:
    stl10, flowers = CATALOGUE["stl10"], CATALOGUE["flowers"]
    assert len({each.identity for each in CATALOGUE.values()}) == len(CATALOGUE)
    assert replace(stl10, counts=stl10.counts | {"train": 4999}).identity != stl10.identity
    assert replace(flowers, val=None, held_by="track").identity != flowers.identity
    assert replace(stl10, licence="other", folder="elsewhere", recipe="x").identity == stl10.identity


def test_another_list_is_another_identity(lists: Path) -> None:
    found = set()
    for text in ("# drawn\n1 2 3\n", "# drawn\n1 2 4\n"):
        (lists / "stl10.txt").write_text(text)
        found.add(CATALOGUE["stl10"].identity)
    assert len(found) == 2


@pytest.mark.parametrize("name", ["cars", "mnist"])
def test_data_sha_follows_what_was_read(name: str, tmp_path: Path, lists: Path) -> None:
    here, there = (opened(name, tmp_path / place, lists).sha for place in ("here", "there"))
    assert here == there
    (lists / f"{name}.txt").write_text("# another\n0 1 2\n")
    found = write(name, tmp_path / "again/data")
    assert again(found, tmp_path / "again").sha != here
    (lists / f"{name}.txt").write_text(as_text(name, found.counts["train"]))
    assert again(found, tmp_path / "again").sha == here
    if name == "cars":
        image = tmp_path / "again/data/cars/stanford_cars/cars_train/00003.jpg"
        image.write_bytes(image.read_bytes() + b" ")
        assert again(found, tmp_path / "again").sha != here


def test_damaged_data_are_refused_with_the_command(tmp_path: Path) -> None:
    found = write("flowers", tmp_path / "data")
    with pytest.raises(UserError, match=r"flowers: split train has 204 images, expected 205\. Run: .* flowers --check"):
        again(replace(found, counts=found.counts | {"train": 205}), tmp_path)


def test_a_pickle_that_is_not_the_published_one_is_never_opened(tmp_path: Path) -> None:
    found = write("cifar10", tmp_path / "data")
    path = tmp_path / "data/cifar10/cifar-10-batches-py/data_batch_1"
    path.write_bytes(f"cos\nmkdir\n(S'{tmp_path / 'was opened'}'\ntR.".encode())
    with pytest.raises(UserError, match=r"data_batch_1 has the MD5"):
        again(found, tmp_path)
    assert not (tmp_path / "was opened").exists()


def test_detection_data_are_no_classification_task(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="its metric is map50_11point"):
        parts_of(CATALOGUE["voc2007"], tmp_path)


def test_runs_at_paper_scale_read_the_catalogue(tmp_path: Path, lists: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = write("cars", tmp_path / "data")
    (lists / "cars.txt").write_text(as_text("cars", found.counts["train"]))
    monkeypatch.setattr(load, "CATALOGUE", {"cars": found, "imagenet": found})
    env = Env(results=tmp_path, cache=tmp_path / "cache", data_root=tmp_path / "data")
    data = load.load_task("cars", env, SMALL, views=0)
    assert isinstance(data.train, LazySplit)
    assert isinstance(data.test, TensorSplit)
    assert load.load_base_task("imagenet", env, SMALL, classes=4).test.labels.tolist() == data.test.labels.tolist()


@pytest.mark.parametrize(("name", "splits"), [("aircraft", ("train", "val")), ("cars", ("train",))])
def test_all_images_but_the_test_images(name: str, splits: tuple[str, ...], tmp_path: Path) -> None:
    """Table 5 trains on validation images too: 6,667 of Aircraft, 8,144 of Cars."""
    found = write(name, tmp_path)
    images, labels = images_not_for_testing(found, tmp_path)
    parts = [found.read(found.at(tmp_path), split) for split in splits]
    assert labels.tolist() == [label for part in parts for label in part.labels.tolist()]
    assert len(images) == len(labels) == sum(found.counts[split] for split in splits)  # type: ignore[arg-type]
    assert images[len(parts[0]) - 1][0].tobytes() == parts[0].images[len(parts[0]) - 1][0].tobytes()


# --- decoded images ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("views", [1, 3])
def test_decoded_images_are_the_same_images(
    views: int, tmp_path: Path, lists: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = opened("dtd", tmp_path, lists, views=views)
    found = write("dtd", tmp_path / "data")
    lazy = again(found, tmp_path, views=views, limit_gb=0)
    pairs = [(kept.val, lazy.val), (kept.test, lazy.test)]
    if views == 1:
        pairs.append((kept.train, lazy.train))
    else:
        assert isinstance(kept.train, FixedViews)
        assert isinstance(lazy.train, FixedViews)
        pairs += list(zip(kept.train.views, lazy.train.views, strict=True))
    for ours, theirs in pairs:
        assert isinstance(ours, TensorSplit)
        assert isinstance(theirs, LazySplit)
        assert torch.equal(everything(ours), everything(theirs))
    monkeypatch.setattr(readers.ImageFiles, "__getitem__", None)  # nothing is decoded a second time
    assert torch.equal(everything(again(found, tmp_path, views=views).val), everything(kept.val))


def test_what_is_kept_belongs_to_its_size_and_data(tmp_path: Path) -> None:
    images = [(Image.new("RGB", (9, 9), (value, 0, 0)),) for value in (10, 20)]

    def stored(sha: str, size: int) -> tuple[int, ...]:
        preprocessing = replace(SMALL, image_size=size)
        lazy = LazySplit(
            images=images, labels=torch.zeros(2), transform=preprocessing.resize_and_crop(), preprocessing=preprocessing
        )  # type: ignore[arg-type]
        found = PixelStore(store=TensorStore(root=tmp_path, limit_gb=1), name="a", data_sha=sha).keep("train", lazy)
        assert isinstance(found, TensorSplit)
        return tuple(found.inputs.shape)

    assert stored("x", 8) == stored("y", 8) == (2, 3, 8, 8)
    assert stored("x", 6) == (2, 3, 6, 6)
    assert len(list(tmp_path.glob("*/*/features.bin"))) == 3


BUILD = """
import sys, torch
from pathlib import Path
from delta_core.training.data.pixels import PixelStore
from delta_core.training.data.splits import LazySplit
from delta_core.training.tensor_store import TensorStore
from delta_core.weights import Preprocessing

class Images(torch.utils.data.Dataset):
    def __len__(self):
        return 100
    def __getitem__(self, index):
        print("decodes", flush=True)
        sys.stdin.read(1)  # waits to be told
        return (torch.full((3, 8, 8), index, dtype=torch.uint8),)

small = Preprocessing(image_size=8, crop_pct=1.0, interpolation="bilinear", mean=(0.0,) * 3, std=(1.0,) * 3)
lazy = LazySplit(images=Images(), labels=torch.zeros(100), transform=small.resize_and_crop(), preprocessing=small)
print("ready", flush=True)
sys.stdin.read(1)
store = PixelStore(store=TensorStore(root=Path(sys.argv[1]), limit_gb=1), name="a", data_sha="b")
print(store.keep("train", lazy).inputs[:, 0, 0, 0].tolist(), flush=True)
"""


def test_two_builders_of_one_cache_one_of_them_killed(tmp_path: Path) -> None:
    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", BUILD, str(tmp_path)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=Path(__file__).parents[2], stdin=pipe, stdout=pipe, text=True, bufsize=1)

    def tell(process: subprocess.Popen[str], count: int) -> None:
        assert process.stdin is not None
        process.stdin.write("g" * count)
        process.stdin.flush()

    killed, survivor = start(), start()
    assert killed.stdout is not None
    for process in (killed, survivor):
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    tell(killed, 70)  # one batch of 64 is written, the next has begun
    assert [killed.stdout.readline() for _ in range(70)] == ["decodes\n"] * 70
    tell(survivor, 101)  # waits for the lock of the other
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    out, _ = survivor.communicate(timeout=600)
    assert out.count("decodes") == 100
    assert out.splitlines()[-1] == str(list(range(100)))
    assert len(list(tmp_path.glob("*/*/meta.json"))) == 1
    assert not list(tmp_path.glob("*/.*.tmp"))


def test_prune_frees_what_is_kept(tmp_path: Path, lists: Path) -> None:
    opened("usps", tmp_path, lists)
    store = TensorStore(root=tmp_path / "store", limit_gb=1)
    assert store.size_bytes() >= 30 * 3 * 8 * 8
    assert store.prune() > 0
    assert store.size_bytes() == 0
    opened("usps", tmp_path / "more", lists)


# --- cost --------------------------------------------------------------------------------------------------------


def spec(task: str, **changes: object) -> RunSpec:
    made = RunSpec(
        scale="paper", architecture="resnet18", weights="", task=task, data="", base_task="", base_data="",
        method=FcOnly(recipe=Recipe(epochs=50, lr=1, head_lr=1)), image_size=224, seed=0,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def test_cost_by_hand() -> None:
    head = cost.cost_of([spec("flowers")])
    assert head.training_images == 50 * 1020
    assert head.h100_hours == pytest.approx(50 * 1020 / 3 / (3482 * 2.5) / 3600)
    delta = DeltaNetworks(recipe=Recipe(epochs=50, lr=1, head_lr=1), config=DeltaConfig(n_modules=4), reading="paper")
    ratio = cost.cost_of([spec("flowers", method=delta)]).h100_hours / head.h100_hours
    assert ratio == pytest.approx(0.75 * 3)
    joint = cost.cost_of([spec("flowers+stl10"), spec("somewhere"), spec("flowers", architecture="other")])
    assert (joint.runs, joint.training_images, joint.unknown) == (3, 50 * (1020 + 4500), 2)
    assert "without 2 run(s) of unknown cost" in str(joint)
