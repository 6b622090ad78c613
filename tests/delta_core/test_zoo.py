"""Backbones by name: what create_model loads, what it says of it, and the transform that belongs to it."""

import copy
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import timm
import torch
import torchvision
from PIL import Image
from tiny import PREPROCESSING, basic_block_net
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights

from delta_core import DeltaConfig, DeltaError, DeltaModel, create_model, resolve_transform, wrap
from delta_core.weights import default_weights, load_backbone, preprocessing_of


def picture(height: int = 300, width: int = 400) -> Tensor:
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def within_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloads are stubbed here, and servers take connections."""
    for module in ("weights", "torchvision_nets"):
        monkeypatch.setattr(f"delta_core.{module}.reachable", set)


def refuse(message: str, **arguments: Any) -> None:
    with pytest.raises(DeltaError, match=message) as caught:
        create_model(**arguments)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


# --- models ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["resnet10t", "torchvision:mobilenet_v3_small"])
def test_a_model_knows_where_it_comes_from(architecture: str) -> None:
    model = create_model(architecture, weights="none", num_classes=3, config=DeltaConfig.paper(n_modules=1))
    assert (model.architecture, model.weights, model.active_patch) == (architecture, "none", "default")
    assert len(model.patches["default"].blocks) == 1
    assert model.eval()(torch.rand(2, 3, 64, 64)).shape == (2, 3)
    with model.disable_patches():
        assert model(torch.rand(2, 3, 64, 64)).shape == (2, 1000)


def test_patches_come_with_classes_alone() -> None:
    assert list(create_model("resnet10t", weights="none").patches) == []
    head = create_model("resnet10t", weights="none", num_classes=3).patches["default"]
    assert len(head.blocks) == 0
    refuse("without num_classes", architecture="resnet10t", weights="none", config=DeltaConfig(n_modules=1))


def test_options_go_to_the_builder() -> None:
    assert create_model("resnet10t", weights="none", in_chans=1).backbone.conv1[0].in_channels == 1
    assert create_model("torchvision:mobilenet_v2", weights="none", dropout=0.7).backbone.classifier[0].p == 0.7
    for architecture in ("resnet10t", "torchvision:resnet18"):
        refuse("unexpected keyword argument 'odd'", architecture=architecture, weights="none", odd=1)


def test_a_net_of_ones_own_is_wrapped() -> None:
    model = wrap(torchvision.models.resnet18(num_classes=7), DeltaConfig.paper(n_modules=1), num_classes=3)
    assert (model.architecture, model.weights) == ("ResNet", "")
    assert model.eval()(torch.rand(1, 3, 64, 64)).shape == (1, 3)
    assert wrap(timm.create_model("resnet10t")).architecture == "resnet10t"


def test_a_wrapped_net_can_say_where_it_came_from(tmp_path: Path) -> None:
    net = torchvision.models.resnet18(num_classes=7)
    torch.save(net.state_dict(), tmp_path / "own.pth")
    model = wrap(net, num_classes=3, architecture="torchvision:resnet18", weights=str(tmp_path / "own.pth")).eval()
    assert (model.architecture, model.weights) == ("torchvision:resnet18", "file:own.pth")
    again = DeltaModel.from_pretrained(model.save_patch(tmp_path / "patch"), weights=str(tmp_path / "own.pth"))
    assert (again.architecture, again.weights) == (model.architecture, model.weights)
    assert wrap(timm.create_model("resnet18"), weights="default").weights == "timm:a1_in1k"
    assert wrap(timm.create_model("resnet18"), weights="timm:tv_in1k").weights == "timm:tv_in1k"
    with pytest.raises(DeltaError, match="'ResNet' is not a timm model"):
        wrap(net, weights="default")


def test_a_wrapped_net_whose_width_is_not_known_is_refused() -> None:
    net = torchvision.models.resnet18()
    net.fc = nn.Identity()
    with pytest.raises(DeltaError, match=r"head of this ResNet is of type Identity .*give create_model that file"):
        wrap(net, num_classes=3)


# --- weights -----------------------------------------------------------------------------------------------------


def test_default_weights_of_torchvision_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    state = torchvision.models.resnet18().state_dict()
    monkeypatch.setattr(ResNet18_Weights, "get_state_dict", lambda *_, **__: state)
    model = create_model("torchvision:resnet18")
    assert model.weights == "torchvision:IMAGENET1K_V1"
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.backbone.state_dict().items())


@pytest.mark.parametrize(
    ("architecture", "weights", "full"),
    [
        ("resnet18", "default", "resnet18.a1_in1k"),
        ("resnet18.tv_in1k", "default", "resnet18.tv_in1k"),
        ("resnet18", "timm:tv_in1k", "resnet18.tv_in1k"),
        ("resnet18", "timm:resnet18.tv_in1k", "resnet18.tv_in1k"),
    ],
)
def test_weights_of_timm_are_asked_for_by_full_name(
    architecture: str, weights: str, full: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, net = [], basic_block_net()

    def fake(name: str, *, pretrained: bool) -> nn.Module:
        asked.append((name, pretrained))
        return net

    monkeypatch.setattr(timm, "create_model", fake)
    assert create_model(architecture, weights=weights).architecture == "resnet18"
    assert asked == [(full, True)]


def test_a_file_of_torchvision_weights_is_loaded(tmp_path: Path) -> None:
    net = torchvision.models.mobilenet_v3_small()
    torch.save(net.state_dict(), tmp_path / "net.pth")
    loaded = load_backbone("torchvision:mobilenet_v3_small", str(tmp_path / "net.pth"))
    assert all(torch.equal(tensor, net.state_dict()[name]) for name, tensor in loaded.state_dict().items())
    refuse("another architecture than ResNet", architecture="torchvision:resnet18", weights=str(tmp_path / "net.pth"))


def test_unknown_names_and_mixed_up_weights_are_refused() -> None:
    refuse("'resnet19' is not a timm model", architecture="resnet19")
    refuse("'resnet19' is not a torchvision model; nearest: resnet18", architecture="torchvision:resnet19")
    refuse("no weights 'V9'; known are IMAGENET1K_V1", architecture="torchvision:resnet18", weights="torchvision:V9")
    refuse("of another library", architecture="torchvision:resnet18", weights="timm:a1_in1k")
    refuse("of another library", architecture="resnet18", weights="torchvision:IMAGENET1K_V1")
    refuse(
        "weights of resnet34, not of resnet18; pass timm:a1_in1k",
        architecture="resnet18",
        weights="timm:resnet34.a1_in1k",
    )
    refuse(
        r"Weights tag of resnet18 'tvin1k' is not known; nearest: tv_in1k, .*; timm\.list_models\('resnet18\.\*'",
        architecture="resnet18",
        weights="timm:tvin1k",
    )
    refuse("nor an existing file", architecture="resnet18", weights="nowhere.pth")
    refuse("no pre-trained weights for 'regnety_040_sgn'; pass", architecture="regnety_040_sgn")


def offline(*_: object, **__: object) -> None:
    raise URLError("no route")


def test_a_failed_download_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ResNet18_Weights, "get_state_dict", offline)
    refuse("cannot be downloaded .URLError.; connect", architecture="torchvision:resnet18")
    monkeypatch.setattr(timm, "create_model", offline)
    refuse("'resnet18.a1_in1k' cannot be downloaded", architecture="resnet18")


# --- transforms --------------------------------------------------------------------------------------------------


def test_the_transform_of_torchvision_weights_is_torchvisions() -> None:
    for architecture, weights in (
        ("resnet18", ResNet18_Weights.DEFAULT),
        ("convnext_tiny", torchvision.models.ConvNeXt_Tiny_Weights.DEFAULT),
        ("efficientnet_b1", torchvision.models.EfficientNet_B1_Weights.DEFAULT),
    ):
        transform = resolve_transform(create_model(f"torchvision:{architecture}", weights="none"), training=False)
        # One grey level: the two generations of torchvision's transforms round differently.
        assert torch.allclose(transform(picture()), weights.transforms()(picture()), atol=1 / 255 / 0.224 + 1e-4)


def test_the_transform_is_the_preprocessing_of_the_weights() -> None:
    model = create_model("resnet10t", weights="none")
    preprocessing = preprocessing_of(model.backbone)
    expected = preprocessing.normalise(preprocessing.resize_and_crop()(picture())[None])[0]
    found = resolve_transform(model, training=False)(picture())
    assert type(found) is Tensor
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected, atol=1e-5)


def test_training_views_are_fresh() -> None:
    transform = resolve_transform(create_model("resnet10t", weights="none"), training=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)  # two draws of so small a picture may agree by chance
        first, second = transform(picture()), transform(picture())
    assert first.shape == second.shape == (3, 176, 176)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "RGB", "CMYK"])
def test_images_of_any_mode_become_rgb(mode: str) -> None:
    transform = resolve_transform(create_model("resnet10t", weights="none"), training=False)
    assert transform(Image.new(mode, (40, 30))).shape == (3, 176, 176)


def test_a_patch_may_have_its_own_preprocessing() -> None:
    model = create_model("resnet10t", weights="none", num_classes=3)
    model.add_patch("small", num_classes=3, preprocessing=PREPROCESSING)
    assert resolve_transform(model, training=False)(picture()).shape == (3, 16, 16)
    model.set_patch("default")
    assert resolve_transform(model, training=False)(picture()).shape == (3, 176, 176)


def test_preprocessing_travels_with_a_net_and_is_never_guessed() -> None:
    net = load_backbone("torchvision:efficientnet_b1", "none")
    assert str(preprocessing_of(copy.deepcopy(net))).startswith("240px crop=0.941176 bilinear")
    with pytest.raises(DeltaError, match="does not say how its weights were trained"):
        resolve_transform(wrap(torchvision.models.resnet18()), training=False)


def test_default_weights_have_full_names() -> None:
    assert default_weights("resnet18") == "timm:a1_in1k"
    assert default_weights("torchvision:resnet50") == "torchvision:IMAGENET1K_V2"
