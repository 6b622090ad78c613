"""Families: how nets are cut, what concatenation changes, and how a family joins from outside."""

from collections.abc import Callable, Iterator

import pytest
import timm
import torch
import torchvision
from backbones import filled, on_meta
from timm.models import densenet as timm_densenet
from timm.models.resnet import BasicBlock, ResNet
from tiny import basic_block_net, images
from torch import nn
from torchvision.models import densenet as tv_densenet

from delta_core import DeltaConfig, DeltaError, DeltaModel, register_family, register_sub_block
from delta_core.families import FAMILIES, SUB_BLOCKS, Block, Plain, stages_of
from delta_core.gates import existing_skips, n_skips


def randomised(net: nn.Module) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for tensor in net.state_dict().values():
            if tensor.is_floating_point() and tensor.ndim == 1:
                tensor.uniform_(0.5, 1.5)
    return net.eval()


def timm_dense_net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return randomised(timm_densenet.DenseNet(growth_rate=4, block_config=(2, 3), num_classes=7))


def tv_dense_net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = tv_densenet.DenseNet(growth_rate=4, block_config=(2, 3), num_init_features=8, num_classes=7)
        return randomised(net)


@pytest.fixture(params=[timm_dense_net, tv_dense_net], ids=["timm", "torchvision"])
def dense_net(request: pytest.FixtureRequest) -> nn.Module:
    return request.param()


@pytest.fixture
def registries() -> Iterator[None]:
    """Whatever a test registers is gone after it."""
    saved = [(registry, dict(registry)) for registry in (SUB_BLOCKS, FAMILIES)]
    yield
    for registry, entries in saved:
        registry.clear()
        registry.update(entries)


def refuse(message: str, act: Callable[[], object]) -> None:
    with pytest.raises(DeltaError, match=message) as caught:
        act()
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


# --- concatenation -----------------------------------------------------------------------------------------------


def test_a_dense_block_is_a_block_and_its_layers_are_the_sub_blocks(dense_net: nn.Module) -> None:
    blocks = [stage for stage in stages_of(dense_net) if isinstance(stage, Block)]
    assert [block.name for block in blocks] == ["features.denseblock1", "features.denseblock2"]
    assert [(block.in_channels, block.out_channels) for block in blocks] == [(8, 16), (8, 20)]
    assert [len(block.sub_blocks) for block in blocks] == [2, 3]


@torch.no_grad()
def test_gates_weigh_what_a_dense_layer_reads(dense_net: nn.Module) -> None:
    """Written out for a block of two: every gate has its own value, so a mixed-up order shows."""
    model = DeltaModel(dense_net)
    model.add_patch("task", num_classes=3, config=DeltaConfig(n_modules=2, gating="random", norm_place="none"))
    part = model.patches["task"].blocks["features_denseblock1"]
    first, second = dense_net.features.denseblock1.values()
    node0 = model.prefix(images())
    g01, g02, g12 = part.gates.gates
    node1 = first(g01 * node0)
    node2 = second(torch.cat([g02 * node0, g12 * node1], dim=1))
    assert torch.allclose(part(dense_net, node0), torch.cat([node0, node1, node2], dim=1), atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("gating", ["existing-only", "learnable", "ones"])
def test_all_concatenated_skips_exist_already(gating: str, dense_net: nn.Module) -> None:
    model, x = DeltaModel(dense_net).eval(), images(size=64)
    expected = model.forward_features(x)
    config = DeltaConfig(n_modules=2, gating=gating, gate_start="identity", norm_place="none")
    model.add_patch("task", num_classes=3, config=config)
    assert torch.equal(model.forward_features(x), expected)
    if gating != "ones":
        gates = [part.gates.gates.numel() for part in model.patches["task"].blocks.values()]
        assert gates == [n_skips(2), n_skips(3)]


@torch.no_grad()
def test_identity_start_opens_all_concatenated_skips(dense_net: nn.Module) -> None:
    model = DeltaModel(dense_net).eval()
    model.add_patch("task", num_classes=3, config=DeltaConfig.gates_alone(n_modules=1, gate_start="identity"))
    (part,) = model.patches["task"].blocks.values()
    assert torch.allclose(part.gates(torch.rand(2, 8, 4, 4)), torch.sigmoid(torch.ones(2, 6)))
    assert existing_skips(3, "concat").all()


@torch.no_grad()
def test_calibrated_and_weakened_dense_patches_are_the_base(dense_net: nn.Module) -> None:
    model, x = DeltaModel(dense_net).eval(), images(size=64)
    base = model.forward_features(x)
    model.add_patch("a", num_classes=3, config=DeltaConfig(n_modules=2, gating="ones"))
    model.eval().calibrate([x])
    assert torch.allclose(model.forward_features(x), base, rtol=1e-3, atol=1e-3)
    model.add_patch("b", num_classes=3, config=DeltaConfig.paper(n_modules=2))
    model.eval()
    assert not torch.allclose(model.forward_features(x), base, rtol=1e-2)
    with model.scale_patch(0):
        assert torch.allclose(model.forward_features(x), base, rtol=1e-4, atol=1e-4)


def test_a_norm_on_the_skip_sum_needs_a_sum(dense_net: nn.Module) -> None:
    model = DeltaModel(dense_net)
    config = DeltaConfig(n_modules=1, norm_place="skip_sum")
    refuse(
        "'skip_sum' but features.denseblock2 concatenates",
        lambda: model.add_patch("task", num_classes=3, config=config),
    )
    assert list(model.patches) == []


# --- how nets are cut --------------------------------------------------------------------------------------------


def test_units_without_shortcut_set_blocks_apart() -> None:
    stages = stages_of(on_meta("torchvision:mobilenet_v2"))
    blocks = [stage for stage in stages if isinstance(stage, Block)]
    assert [block.sub_blocks for block in blocks][:2] == [("features.3",), ("features.5", "features.6")]
    modules = [name for stage in stages for name in stage.modules]
    assert modules == [f"features.{i}" for i in range(19)]


def test_two_runs_in_one_stage_have_names_of_their_own() -> None:
    names = [stage.name for stage in stages_of(on_meta("fbnetv3_g")) if isinstance(stage, Block)]
    assert names[-3:] == ["blocks.4", "blocks.5.1", "blocks.5.8"]


def test_a_net_without_residual_units_takes_a_head_alone() -> None:
    model = DeltaModel(timm.create_model("test_efficientnet"))
    assert all(isinstance(stage, Plain) for stage in model.stages)
    refuse(
        "0 blocks that can be gated; patch its head alone",
        lambda: model.add_patch("task", num_classes=2, config=DeltaConfig(n_modules=1)),
    )
    model.add_patch("task", num_classes=2)
    assert model(images(size=64)).shape == (4, 2)


@torch.no_grad()
@pytest.mark.parametrize("name", ["densenet121", "regnety_002", "mobilenetv3_small_050"])
def test_levels_of_features_are_those_of_timm(name: str) -> None:
    net, x = filled(on_meta(name)), images(1, size=64)
    expected = net.forward_intermediates(x, intermediates_only=True)
    found = DeltaModel(net).forward_intermediates(x)
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


# --- what is refused, and how it joins ---------------------------------------------------------------------------


class ChangedResNet(ResNet):
    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        return -super().forward_features(x)


def changed_resnet() -> nn.Module:
    return ChangedResNet(BasicBlock, (1, 1, 1, 1), channels=(8, 8, 8, 8), num_classes=3)


def test_refusals_name_what_is_supported_and_the_guide() -> None:
    with torch.device("meta"):
        vgg = torchvision.models.vgg11()
    refuse("timm's RegNet, .*torchvision's ResNet. .*help.delta_core.register_family.", lambda: DeltaModel(vgg))


@pytest.mark.usefixtures("registries")
def test_a_subclass_of_a_net_is_refused_until_it_is_registered() -> None:
    refuse("type ChangedResNet cannot be patched", lambda: DeltaModel(changed_resnet()))
    register_family(ChangedResNet, FAMILIES[ResNet])
    assert len(DeltaModel(changed_resnet()).blocks) == 4
    refuse("ChangedResNet has a family already", lambda: register_family(ChangedResNet, FAMILIES[ResNet]))


@pytest.mark.usefixtures("registries")
def test_a_subclass_of_a_unit_is_refused_until_it_is_registered() -> None:
    class OddBlock(BasicBlock):
        pass

    net = basic_block_net()
    net.layer3[1].__class__ = OddBlock
    refuse("type OddBlock; .*help.delta_core.register_sub_block.", lambda: DeltaModel(net))
    register_sub_block(OddBlock, SUB_BLOCKS[BasicBlock])
    assert len(DeltaModel(net).blocks) == 4
    refuse("OddBlock has an adapter already", lambda: register_sub_block(OddBlock, SUB_BLOCKS[BasicBlock]))
