"""Each net that `list_backbones()` names: untouched without patch, its adapters exact, its gates trainable."""

import pytest
import torch
from backbones import blocks_of, candidates, filled, on_meta, tried
from timm.models._efficientnet_blocks import MobileAttention
from tiny import wake
from torch import Tensor, nn

from delta_core import DeltaConfig, DeltaModel, list_backbones
from delta_core.families import SUB_BLOCKS, Block, base_head, feature_size, pool, stages_of
from delta_core.features import feature_info, taps
from delta_core.patch import Patch
from delta_core.zoo import backbone_tests

ONE_OF_A_KIND = (
    "resnet10t",
    "ecaresnet26t",
    "test_convnext",
    "convnextv2_atto",
    "efficientnet_lite0",
    "efficientnet_cc_b0_4e",
    "tf_efficientnetv2_b1",
    "mobilenetv3_large_075",
    "mobilenetv4_hybrid_medium",
    "regnety_002",
    "regnetz_005",
    "regnetv_040",
    "densenet121",
    "torchvision:resnet18",
    "torchvision:resnet50",
    "torchvision:convnext_tiny",
    "torchvision:efficientnet_v2_s",
    "torchvision:mobilenet_v2",
    "torchvision:mobilenet_v3_small",
    "torchvision:regnet_y_400mf",
    "torchvision:densenet121",
)
"""Small nets that hold a unit of each type between them."""


def batch() -> Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def outputs(net: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of a net, and what its classifier reads to make them."""
    read: list[Tensor] = []
    hook = base_head(net).register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].clone()))
    logits = net(x)
    hook.remove()
    return logits, read[0]


def prove(net: nn.Module) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        _prove(net, batch())


def _prove(net: nn.Module, x: Tensor) -> None:
    logits, features = outputs(net, x)
    assert logits.isfinite().all()
    assert features.std() > 0
    with torch.no_grad():
        assert torch.equal(base_head(net)(features), logits)
    model = DeltaModel(net).eval()
    with torch.no_grad():
        assert torch.equal(model(x), logits), "without patch the net is as it was"

        every = len(model.blocks)
        model.add_patch(
            "base", num_classes=1, config=DeltaConfig(n_modules=every, gating="existing-only", norm_place="none")
        )
        model.patches["base"].head = nn.Identity()
        tolerance = 1e-5 * features.abs().max().item()
        assert torch.allclose(model(x), features, rtol=1e-4, atol=tolerance), "existing skips at 1 are the net"
        model.add_patch("other", num_classes=1, config=DeltaConfig(n_modules=every, gating="random", norm_place="none"))
        model.patches["other"].head = nn.Identity()
        assert not torch.allclose(model(x), features, rtol=1e-3, atol=100 * tolerance), "gates reach the output"

    model.add_patch("task", num_classes=3, config=DeltaConfig(n_modules=every, norm_start="fresh"))
    part = model.patches["task"]
    wake(part)
    model.train()
    model(x).square().sum().backward()
    for name, parameter in part.blocks.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    assert all(parameter.grad is None for parameter in model.backbone.parameters())


def prove_structure(net: nn.Module) -> None:
    """What can be known of a net without memory: the patched pass gives the shapes it should."""
    with torch.device("meta"):
        blocks = blocks_of(net)
        patch = Patch(tuple(blocks), feature_size(net), 3, DeltaConfig(n_modules=len(blocks)))
        x = batch().to("meta")
        for stage in stages_of(net):
            if isinstance(stage, Block):
                x = patch.of(stage)(net, x)
            for name in () if isinstance(stage, Block) else stage.modules:
                x = net.get_submodule(name)(x)
        assert patch.head(pool(net, x)).shape == (2, 3)


@pytest.mark.parametrize("name", ONE_OF_A_KIND)
def test_one_net_of_each_kind(name: str) -> None:
    prove(filled(on_meta(name, units_per_block=3)))


@pytest.mark.matrix
@pytest.mark.parametrize(("name", "how"), backbone_tests().items())
def test_backbone(name: str, how: str) -> None:
    net = on_meta(name, units_per_block=2 if how == "shallow" else None)
    stages = stages_of(net)
    assert taps(feature_info(net, stages), stages), "levels of features are found among the stages"
    if how == "structure":
        prove_structure(net)
    else:
        prove(filled(net))


# --- the list ----------------------------------------------------------------------------------------------------


def test_the_kinds_cover_all_unit_types() -> None:
    covered = {
        type(net.get_submodule(unit))
        for net in (on_meta(name) for name in ONE_OF_A_KIND)
        for block in blocks_of(net)
        for unit in block.sub_blocks
    }
    assert {kind for kind in SUB_BLOCKS if kind.__module__.startswith(("timm", "torchvision"))} == covered


def test_the_list_leaves_out_nets_without_blocks_alone() -> None:
    listed = set(list_backbones())
    assert listed < set(candidates())
    assert len([name for name in listed if not name.startswith("torchvision:")]) >= 150
    for name in set(candidates()) - listed:
        assert blocks_of(on_meta(name)) == [], name


@pytest.mark.parametrize("name", list_backbones()[::25])
def test_the_list_says_how_a_net_is_tested(name: str) -> None:
    assert tried(name) == backbone_tests()[name]


def test_the_list_can_be_filtered() -> None:
    assert list_backbones("torchvision:resnet1*") == [f"torchvision:resnet{n}" for n in (101, 152, 18)]
    assert list_backbones("vit*") == []


@torch.no_grad()
def test_position_encoding_in_front_of_attention_is_part_of_both_branches() -> None:
    """No net of timm's makes use of it today."""
    unit = MobileAttention(8, 8, num_heads=2, key_dim=4, value_dim=4, use_cpe=True, act_layer=nn.ReLU).eval()
    adapter, x = SUB_BLOCKS[MobileAttention], torch.rand(2, 8, 6, 6)
    assert torch.allclose(adapter.residual(unit, x) + adapter.shortcut(unit, x), unit(x), atol=1e-6)
