"""MNIST, USPS and SVHN in torchvision's layouts, written here as tiny files; and the drawn stand-in for SVHN."""

import bz2
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lookalikes import write
from scipy.io import savemat

from benchmarks.cli import main
from benchmarks.data import digits
from benchmarks.data.catalogue import data_set, entry
from benchmarks.data.catalogue.check import is_there
from benchmarks.data.digits import DIGITS, digits_home, digits_identity, load_digits
from benchmarks.data.embedded import clutter_digits
from benchmarks.data.embedded.draw import generator
from benchmarks.nets.slim import PREPROCESSING
from benchmarks.suites.domain_adaptation.world import TRANSFERS, open_digits
from benchmarks.worlds.options import Options
from delta_core.training.data.splits import Split
from delta_core.training.errors import UserError

COUNTS = {"train": 40, "test": 12}


def write_mnist(root: Path) -> None:
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for part, count in (("train", COUNTS["train"]), ("t10k", COUNTS["test"])):
        images = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (count, 28, 28))
        (folder / f"{part}-images-idx3-ubyte").write_bytes(images + bytes(range(count)) * 28 * 28)
        labels = bytes([0, 0, 8, 1]) + count.to_bytes(4, "big")
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels + bytes(i % 10 for i in range(count)))


def write_usps(root: Path) -> None:
    (root / "USPS").mkdir(parents=True)
    for file, count in (("usps.bz2", COUNTS["train"]), ("usps.t.bz2", COUNTS["test"])):
        pixels = " ".join(f"{i + 1}:{i / 128 - 1}" for i in range(256))
        lines = [f"{i % 10 + 1} {pixels}" for i in range(count)]
        (root / "USPS" / file).write_bytes(bz2.compress("\n".join(lines).encode()))


def write_svhn(root: Path) -> None:
    (root / "SVHN").mkdir(parents=True)
    for part, count in COUNTS.items():
        images = np.zeros((32, 32, 3, count), dtype=np.uint8)
        images[..., 0, :] = 200
        labels = np.array([[i % 10 + 1] for i in range(count)], dtype=np.uint8)  # digit 0 is stored as 10
        savemat(root / "SVHN" / f"{part}_32x32.mat", {"X": images, "y": labels})


WRITERS: dict[str, Callable[[Path], None]] = {"mnist": write_mnist, "usps": write_usps, "svhn": write_svhn}


@pytest.mark.parametrize("name", DIGITS)
def test_sets_are_read_split_and_resized(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    task = load_digits(name, tmp_path, PREPROCESSING, full=False)
    assert [len(split.labels) for split in (task.train, task.val, task.test)] == [36, 4, 12]
    for split in (task.train, task.val, task.test):
        batch = next(split.batches(4, device=torch.device("cpu")))
        assert batch.shape == (4, 3, 32, 32)
    assert torch.cat([task.train.labels, task.val.labels]).bincount().tolist() == [4] * 10
    grey = next(task.test.batches(4, device=torch.device("cpu")))
    assert torch.equal(grey[:, 0], grey[:, 1]) == (name != "svhn")
    again = load_digits(name, tmp_path, PREPROCESSING, full=False)
    assert torch.equal(again.train.labels, task.train.labels)
    assert again.sha == task.sha


@pytest.mark.parametrize(("name", "fault"), [("usps", "has the MD5"), ("mnist", "has 40 images, expected 60000")])
def test_a_part_of_a_set_is_refused_where_the_full_one_is_asked_for(name: str, fault: str, tmp_path: Path) -> None:
    as_fetched(name, tmp_path)
    with pytest.raises(UserError, match=f"Data set {name}: .*{fault}.* Run: python -m benchmarks fetch {name} --check"):
        load_digits(name, tmp_path, PREPROCESSING, full=True)


@pytest.mark.parametrize("name", DIGITS)
def test_full_sets_hold_out_the_images_of_their_list(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = write(name, tmp_path)
    monkeypatch.setattr(digits, "data_set", {name: small}.__getitem__)
    monkeypatch.setattr(entry, "LISTS", tmp_path)
    (tmp_path / f"{name}.txt").write_text("# by hand\n3 5 14\n")
    task = load_digits(name, tmp_path, PREPROCESSING, full=True)
    assert (task.val.labels.tolist(), len(task.train.labels), len(task.test.labels)) == ([3, 5, 4], 17, 10)
    part = load_digits(name, tmp_path, PREPROCESSING, full=False)
    assert part.sha == task.sha
    images = {found.numpy().tobytes(): number for number, found in enumerate(_inputs(task.train))}
    assert len(images) == 17
    assert not images.keys() & {found.numpy().tobytes() for found in _inputs(task.val)}


def _inputs(split: Split) -> torch.Tensor:
    return next(split.batches(100, device=torch.device("cpu")))


@pytest.mark.parametrize("name", DIGITS)
def test_missing_files_come_with_a_command(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^{name}, run: python -m benchmarks fetch {name} --data-root {tmp_path}$"):
        digits_identity(name, tmp_path)


def as_fetched(name: str, root: Path) -> Path:
    """Writes a set where the catalogue has it."""
    WRITERS[name](root / "elsewhere")
    found = root / "elsewhere" if name == "mnist" else root / "elsewhere" / name.upper()
    return found.rename(root / data_set(name).folder)


@pytest.mark.parametrize("name", DIGITS)
def test_what_fetch_leaves_is_found(name: str, tmp_path: Path) -> None:
    home = as_fetched(name, tmp_path)
    assert digits_home(name, tmp_path) == home
    assert is_there(data_set(name), tmp_path)


def test_identity_follows_the_files(tmp_path: Path) -> None:
    write_usps(tmp_path)
    before = digits_identity("usps", tmp_path)
    assert before == digits_identity("usps", tmp_path)
    (tmp_path / "USPS" / "usps.t.bz2").write_bytes(b"other")
    assert digits_identity("usps", tmp_path) != before


def test_at_paper_scale_runs_are_named_without_data(tmp_path: Path) -> None:
    options = Options(table="table6", scale="paper", data_root=tmp_path)
    world = open_digits(options, TRANSFERS)
    assert world.blocked == {
        name: f"{name}, run: python -m benchmarks fetch {name} --data-root {tmp_path}"
        for name in ("mnist", "usps", "svhn")
    }
    as_fetched("usps", tmp_path)
    again = open_digits(options, TRANSFERS)
    assert again.tasks == world.tasks
    assert set(again.blocked) == {"mnist", "svhn"}


def test_drawn_digits_have_colour_and_clutter() -> None:
    images = np.stack([clutter_digits.draw_digit(label, generator("test", label)) for label in range(10)])
    assert images.shape == (10, 32, 32, 3)
    assert (images.std(axis=(1, 2)) > 3).any(axis=1).all(), "no image is flat"
    assert (np.ptp(images.astype(int), axis=3) > 30).any(axis=(1, 2)).all(), "no image is grey"
    assert np.array_equal(images[3], clutter_digits.draw_digit(3, generator("test", 3)))


def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["python -m benchmarks", *words])
    with pytest.raises(SystemExit) as done:
        main()
    out, err = capsys.readouterr()
    return int(done.value.code or 0), " ".join((out + err).split())


def test_plan_blocks_transfers_whose_digits_are_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_mnist(tmp_path / "digits")
    write_usps(tmp_path / "digits")
    words = ("plan", "table6", "--scale", "local", "--data-root", str(tmp_path), "--results", str(tmp_path / "r"))
    code, text = command(capsys, monkeypatch, *words)
    assert code == 0
    assert "27 runs at scale local: 0 done, 18 todo, 9 blocked" in text
    assert "blocked: svhn, run: python -m benchmarks fetch svhn --data-root" in text
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--epochs", "3"), "--epochs 3 has no meaning for table6"),
        (("--weights", "net.pth", "--scale", "local"), "--weights net.pth has no meaning for table6"),
        (("--task", "mnist->usps"), "--task mnist->usps is not known at this scale; nearest: mnist5k->optdigits"),
        (("--arch", "resnet50"), "--arch resnet50 is not known at this scale; nearest: resnet18"),
        (("--data-root", "d"), "--data-root d contradicts --scale embedded"),
    ],
)
def test_options_without_a_meaning_are_refused(
    words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, text = command(capsys, monkeypatch, "plan", "table6", *words)
    assert code == 2
    assert sentence in text
