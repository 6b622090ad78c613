"""Patches and images of strangers: what they name, and what they are, costs neither files nor memory nor time."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from patch_folders import edit
from patch_tool_world import fit_words, write_classes
from PIL import Image

from delta_core import DeltaError, DeltaModel
from delta_core.patch_file import MAX_IMAGE_SIZE
from delta_core.tool.inspect import check_picture
from delta_core.training.errors import UserError
from delta_core.weights import MAX_NET_BYTES, net_bytes

COMMANDS = ("predict", "eval", "inspect")


@pytest.fixture
def foreign(world: Path, tmp_path: Path) -> Path:
    return shutil.copytree(world / "kept", tmp_path / "kept")


def use(command: str, patch: Path, world: Path) -> tuple[object, ...]:
    given = world / "pets" if command == "eval" else world / "pets" / "test" / "cat" / "0.png"
    return (command, patch, given, *(("-o", patch.parent / "gates.png") if command == "inspect" else ()))


@pytest.mark.parametrize("weights", ["/etc/passwd", "net.pt", "../net.pt", "default", "~/net.pt", "hub:me/net"])
def test_the_tool_reads_no_file_that_a_patch_names(
    weights: str, foreign: Path, world: Path, patch_tool: Callable[..., int], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """As `from_pretrained`, by one rule."""
    monkeypatch.chdir(world)  # where net.pt lies
    edit(foreign, lambda raw: raw["base"].update(weights=weights))
    told = f"names the backbone weights {weights!r}, which is no timm:TAG, torchvision:TAG or pypi:NAME; pass "
    for command in COMMANDS:
        assert patch_tool(*use(command, foreign, world)) == 2
        err = capsys.readouterr().err
        assert f"{told}--weights with a source or file of your own.\n" in err
    with pytest.raises(DeltaError) as caught:
        DeltaModel.from_pretrained(foreign)
    assert f"{told}weights= with" in str(caught.value)
    assert patch_tool(*use("predict", foreign, world), "--weights", world / "net.pt") == 0


def test_a_patch_names_no_net_of_any_size(
    foreign: Path,
    world: Path,
    patch_tool: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    large = "eva02_enormous_patch14_clip_224"
    edit(foreign, lambda raw: raw["base"].update(architecture=large))
    for command in COMMANDS:
        assert patch_tool(*use(command, foreign, world), "--weights", world / "net.pt") == 2
        assert f"names the architecture '{large}', whose 17.4 GB are more than" in capsys.readouterr().err
    with pytest.raises(DeltaError, match="are more than"):
        DeltaModel.from_pretrained(foreign, weights="none")
    assert patch_tool("info", foreign) == 0
    assert large in capsys.readouterr().out
    assert (net_bytes("regnety_2560") or 0) < MAX_NET_BYTES, "the largest that can be patched"


def test_info_tells_of_nets_whose_size_it_cannot_tell(
    foreign: Path, patch_tool: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    edit(foreign, lambda raw: raw["base"].update(architecture="torchvision:regnet_y_400mf"))
    assert patch_tool("info", foreign) == 0
    assert "torchvision:regnet_y_400mf" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("view", "told"),
    [
        ({"image_size": 2**14}, "image_size is 16384, expected a whole number from 1 to 4096"),
        ({"image_size": MAX_IMAGE_SIZE, "crop_pct": 0.1}, "crop_pct is 0.1, with which images are resized to 40960"),
    ],
)
def test_a_patch_asks_for_no_input_of_any_size(
    view: dict[str, object],
    told: str,
    foreign: Path,
    world: Path,
    patch_tool: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    edit(foreign, lambda raw: raw["preprocessing"].update(view))
    for command in COMMANDS:
        assert patch_tool(*use(command, foreign, world), "--weights", world / "net.pt") == 2
        assert told in capsys.readouterr().err


def test_nor_is_one_fitted(
    world: Path, patch_tool: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert patch_tool(*fit_words(world, str(tmp_path / "kept"), **{"image-size": MAX_IMAGE_SIZE + 1})) == 2
    assert "image size is 4097; give at most 4096 pixels" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_large_input_goes_through_the_net_in_small_batches(
    foreign: Path, world: Path, patch_tool: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(foreign, lambda raw: raw["preprocessing"].update(image_size=2048))
    sizes: list[int] = []

    def forward(_: DeltaModel, images: torch.Tensor, names: list[str]) -> dict[str, torch.Tensor]:
        sizes.append(len(images))
        return {name: torch.zeros(len(images), 3) for name in names}

    monkeypatch.setattr(DeltaModel, "forward_patches", forward)
    images = sorted((world / "pets" / "test" / "cat").iterdir())[:3]
    assert patch_tool("predict", foreign, *images, "--weights", world / "net.pt") == 0
    assert sizes == [2, 1]


def test_a_thread_of_an_image_is_refused(
    world: Path, patch_tool: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    thread = tmp_path / "thread.png"
    Image.new("1", (200_000, 1)).save(thread)
    known = ("--weights", world / "net.pt")
    assert patch_tool("predict", world / "kept", thread, *known) == 1
    assert "200000 x 1 pixels become " in capsys.readouterr().err
    assert patch_tool("inspect", world / "kept", thread, "-o", tmp_path / "gates.png", *known) == 2
    assert "short side is resized to" in capsys.readouterr().err


# --- pipes and devices -------------------------------------------------------------------------------------------


@pytest.mark.timeout(120)
def test_no_pipe_or_device_is_opened_as_an_image(
    world: Path, patch_tool: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = ("--weights", world / "net.pt")
    data = write_classes(tmp_path / "data", 3)
    pipe = data / "cat" / "pipe.png"
    os.mkfifo(pipe)
    (data / "cat" / "device.jpg").symlink_to("/dev/zero")
    for path in (pipe, Path("/dev/zero"), Path("/dev/stdin")):
        assert patch_tool("predict", world / "kept", path, *known) == 1
        assert f"{path}' cannot be read: it is no file" in capsys.readouterr().err
        assert patch_tool("inspect", world / "kept", path, *known, "-o", tmp_path / "gates.png") == 2
        assert f"{path}' cannot be read: it is no file" in capsys.readouterr().err
    assert patch_tool("predict", world / "kept", data, *known) == 1
    assert capsys.readouterr().err.count("cannot be read: it is no file") == 2
    for words in (fit_words(tmp_path, "new", "data", weights=world / "net.pt"), ("eval", world / "kept", data, *known)):
        assert patch_tool(*words) == 2
        assert "is a pipe or a device and no image; remove it" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.timeout(120)
def test_no_pipe_or_device_is_opened_as_weights_or_beside_a_patch(
    foreign: Path, world: Path, patch_tool: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = ("--weights", world / "net.pt")
    os.mkfifo(tmp_path / "pipe.pt")
    for weights in (tmp_path / "pipe.pt", "/dev/zero", "/dev/stdin"):
        assert patch_tool(*use("predict", foreign, world), "--weights", weights) == 2
        assert f"Weights '{weights}' is neither" in capsys.readouterr().err
        assert patch_tool(*fit_words(world, str(tmp_path / "new"), weights=weights)) == 2
        assert f"Weights '{weights}' is neither" in capsys.readouterr().err
    for name in ("delta.json", "patch.safetensors", "images.csv", "training.json", "gates.csv"):
        for spoil in (
            os.mkfifo,
            lambda path: path.symlink_to("/dev/zero"),
            lambda path: path.symlink_to("/etc/passwd"),
        ):
            kept = (foreign / name).read_bytes()
            (foreign / name).unlink()
            spoil(foreign / name)
            command = "inspect" if name == "gates.csv" else "eval"
            assert patch_tool(*use(command, foreign, world), *known) == 2
            assert f"{name} is a link or not a file" in capsys.readouterr().err
            (foreign / name).unlink()
            (foreign / name).write_bytes(kept)


def test_no_picture_is_written_to_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gates.png")
    with pytest.raises(UserError, match="is there and is no file"):
        check_picture(tmp_path / "gates.png")
