"""Folded BatchNorms: answers and gradients as before up to rounding, one set of patches, and a proof that stays."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from tiny import NETS, basic_block_net, bottleneck_net, images, with_patches
from torch import nn
from torch.nn import functional as F

from delta_core import DeltaConfig, DeltaError, DeltaModel, FoldedModel, FrozenError, create_model, fold_norms, training


def norms(net: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())


@pytest.mark.parametrize("reading", [DeltaConfig, DeltaConfig.paper], ids=["default", "paper"])
@pytest.mark.parametrize("make_net", NETS.values(), ids=NETS)
def test_answers_and_gradients_are_those_of_the_model(
    make_net: Callable[[], nn.Module], reading: Callable[..., DeltaConfig]
) -> None:
    model = with_patches(make_net(), {"a": 2, "b": 0}, reading).double()
    folded, x = fold_norms(model), images().double()
    assert norms(folded.backbone) == 0
    for patch in ("a", "b", None):
        model.set_patch(patch)
        folded.set_patch(patch)
        with torch.no_grad():
            assert torch.allclose(folded(x), model(x), rtol=1e-9, atol=1e-12)
    found = []
    for one in (model, folded):
        one.set_patch("a")
        one.train().zero_grad()
        F.cross_entropy(one(x), torch.zeros(len(x), dtype=torch.long)).backward()
        found.append(
            [parameter.grad.clone() for parameter in model.patch("a").parameters() if parameter.grad is not None]
        )
    assert found[0]
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, rtol=1e-6, atol=1e-9 * float(other.abs().max()))


@pytest.mark.parametrize("architecture", ["densenet121", "regnety_002", "mobilenetv3_small_050"])
def test_norms_without_a_convolution_in_front_stay(architecture: str) -> None:
    torch.manual_seed(0)
    net = timm.create_model(architecture, num_classes=7)
    for tensor in net.state_dict().values():
        if tensor.is_floating_point() and tensor.ndim == 1:
            tensor.uniform_(0.5, 1.5)
    model = DeltaModel(net.double()).eval()
    folded = fold_norms(model)
    x = torch.randn(2, 3, 64, 64, dtype=torch.double)
    assert norms(folded.backbone) < norms(model.backbone)
    with torch.no_grad():
        assert torch.allclose(folded(x), model(x), rtol=1e-8, atol=1e-10)


def test_training_it_trains_the_patch_of_the_model(tmp_path: Path) -> None:
    model = with_patches(basic_block_net(), {"a": 2})
    before = copy.deepcopy(model.patch("a").state_dict())
    folded = fold_norms(model)
    labels = torch.arange(8) % 5
    training.fit(folded, (torch.randn(8, 3, 16, 16), labels), recipe=training.Recipe(epochs=1, batch_size=4, views=1))
    assert any(not torch.equal(before[name], tensor) for name, tensor in model.patch("a").state_dict().items())
    with torch.no_grad():
        assert torch.allclose(folded.eval()(images()), model.eval()(images()), rtol=1e-3, atol=1e-4)
    folder = folded.save_patch(tmp_path / "patch")
    model.delete_patch("a")
    assert folded.load_patch(folder) == model.active_patch == "a"
    model.assert_frozen()
    folded.assert_frozen()


def test_a_folder_is_opened_folded(tmp_path: Path) -> None:
    model = create_model("resnet10t", weights="none")
    model.add_patch("a", num_classes=3, config=DeltaConfig.paper(n_modules=1))
    torch.save(model.backbone.state_dict(), tmp_path / "net.pt")
    model = create_model("resnet10t", weights=str(tmp_path / "net.pt"))
    model.add_patch("a", num_classes=3, config=DeltaConfig.paper(n_modules=1))
    folder = model.eval().save_patch(tmp_path / "patch")
    opened = FoldedModel.from_pretrained(folder, weights=str(tmp_path / "net.pt")).eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(opened(x), model(x), atol=1e-5)
    assert norms(opened.backbone) == 0


@pytest.mark.parametrize("which", ["folded", "unfolded"])
def test_either_net_that_changed_is_seen(which: str) -> None:
    folded = fold_norms(with_patches(basic_block_net(), {"a": 1}))
    net = folded if which == "folded" else folded.unfolded
    next(net.backbone.parameters()).data.add_(1)
    with pytest.raises(FrozenError, match="bytes changed"):
        folded.assert_frozen()


def test_the_model_stays_as_it_was_and_both_move_together() -> None:
    model = with_patches(bottleneck_net(), {"a": 1})
    expected, structure = model(images()), str(model.backbone)
    folded = fold_norms(model)
    assert torch.equal(model(images()), expected)
    assert str(model.backbone) == structure
    folded.double()
    assert {parameter.dtype for parameter in model.parameters()} == {torch.double}
    assert len(list(folded.parameters())) == len(set(folded.parameters()))
    assert not any(name.startswith("_unfolded") for name in folded.state_dict())


def test_a_layout_is_kept_whatever_the_default_device() -> None:
    model = with_patches(bottleneck_net().to(memory_format=torch.channels_last), {"a": 1})
    with torch.device("meta"):
        folded = fold_norms(model)
    kernels = [module.weight for module in folded.backbone.modules() if isinstance(module, nn.Conv2d)]
    assert not any(kernel.is_meta for kernel in kernels)
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)


def test_a_norm_that_is_used_twice_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        x = net.bn1(net.conv1(x)) + net.bn1(net.conv1(x * 0.5))  # type: ignore[operator]
        return net.layer4(net.layer3(net.layer2(net.layer1(net.maxpool(x)))))  # type: ignore[operator,no-any-return]

    net = timm.create_model("resnet10t", num_classes=7, stem_type="").eval()
    monkeypatch.setattr(type(net), "forward_features", twice)
    folded = fold_norms(DeltaModel(net)).backbone
    assert [name for name, module in folded.named_modules() if isinstance(module, nn.BatchNorm2d)] == ["bn1"]


def test_a_net_whose_convolution_is_also_read_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        made = net.conv1(x)  # type: ignore[operator]
        x = net.maxpool(net.act1(net.bn1(made) + made))  # type: ignore[operator]
        return net.layer4(net.layer3(net.layer2(net.layer1(x))))  # type: ignore[operator,no-any-return]

    net = timm.create_model("resnet10t", num_classes=7, stem_type="").eval()
    net.bn1.running_mean.fill_(0.5)
    monkeypatch.setattr(type(net), "forward_features", twice)
    with pytest.raises(DeltaError, match="ResNet cannot be folded: its answers then differ by"):
        fold_norms(DeltaModel(net))
