"""Conv-Adapter against its authors' counts, and against its published sums on units that delta_core takes apart."""

import math
from collections.abc import Callable

import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from peer_arms import PLACEMENTS
from tiny import NETS, RECIPE, images
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.methods.conv_adapter import Adapter, Behind, Beside, ConvAdapters, Placement, _grouped
from delta_core.families import SUB_BLOCKS
from delta_core.training.errors import UserError

COUNTED = {
    ("resnet50", 4): 356_848,
    ("resnet50", 8): 199_192,
    ("convnext_tiny", 4): 1_250_496,
    ("convnext_tiny", 8): 796_848,
}
"""Parameters of the adapters in the nets of Hhhhhhao/Conv-Adapter (`models/backbones`, `adapt_size` 4 and 8), counted
by building them with the authors' code."""


@pytest.mark.parametrize(("net", "count"), COUNTED.items(), ids=str)
def test_counts_are_those_of_the_authors_code(net: tuple[str, int], count: int) -> None:
    architecture, reduction = net
    assert ConvAdapters(recipe=RECIPE, reduction=reduction).full_size_params(architecture) == count


def adapter_by_hand(
    adapter: Adapter, like: nn.Conv2d, x: Tensor, activation: Callable[[Tensor], Tensor], *, stride: bool
) -> Tensor:
    """The published bottleneck, with the shape of the unit's own convolution, in functions of torch."""
    grouped, pointwise = adapter.grouped, adapter.pointwise
    steps = like.stride if stride else (1, 1)
    pads = []  # of the same size before striding: symmetric at these sizes unless TensorFlow's, which leans to the end
    for size, step, kernel in zip(x.shape[-2:], steps, like.kernel_size, strict=True):
        both = max((math.ceil(size / step) - 1) * step + kernel - size, 0) if like.padding == (0, 0) else kernel - 1
        pads = [both // 2, both - both // 2, *pads]
    y = F.conv2d(F.pad(x, pads), grouped.weight, grouped.bias, steps, groups=grouped.out_channels)
    return adapter.scale * F.conv2d(activation(y), pointwise.weight, pointwise.bias)


def randomised(net: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for module in net.modules():
        if isinstance(module, Adapter):
            for parameter in module.parameters():
                parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)
    return net


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("name", NETS)
@torch.no_grad()
def test_units_compute_the_published_sums(name: str, placement: Placement) -> None:
    plain, net = NETS[name](), randomised(_adapted(NETS[name](), placement))
    units = [key for key, module in plain.named_modules() if type(module) in SUB_BLOCKS]
    for place, key in enumerate(units):
        found, unit = net.get_submodule(key), plain.get_submodule(key)
        channels, _ = SUB_BLOCKS[type(unit)].channels(unit)
        x = images(count=2 * channels, size=8 + place % 2)[:, 0].unflatten(0, (2, channels))
        wanted = published(unit, next(m for m in found.modules() if isinstance(m, Adapter)), placement, name, x)
        assert torch.allclose(found(x), wanted, rtol=1e-3, atol=1e-3), key


def published(unit: nn.Module, adapter: Adapter, placement: Placement, name: str, x: Tensor) -> Tensor:
    """What an untouched unit of a net puts out when an adapter's sum is added where the paper has it."""
    parts = SUB_BLOCKS[type(unit)]
    like = next(m for m in unit.modules() if isinstance(m, nn.Conv2d) and m.kernel_size[0] > 1)
    activation = {"convnext": F.gelu, "efficientnet_lite": F.relu6}.get(name, F.relu)
    parallel = placement.endswith("parallel")

    def added(y: Tensor) -> Tensor:
        return adapter_by_hand(adapter, like, y, activation, stride=parallel)

    residual, shortcut = parts.residual(unit, x), parts.shortcut(unit, x)
    shortcut = shortcut if parts.has_skip(unit) else torch.zeros(())
    if placement == "residual_parallel":
        return parts.activation(unit, residual + shortcut + added(x))
    if placement == "residual_sequential":
        return parts.activation(unit, residual + added(residual) + shortcut)
    where = unit.act2 if hasattr(unit, "conv3") else like  # a bottleneck's sum stands behind its activation
    return _with_sum_at(unit, like, where, added, x, parallel=parallel)


def _with_sum_at(
    unit: nn.Module, like: nn.Conv2d, where: nn.Module, added: Callable[[Tensor], Tensor], x: Tensor, *, parallel: bool
) -> Tensor:
    """The untouched unit, with what an adapter adds to the output of one of its modules."""
    entered = []
    hooks = [
        like.register_forward_pre_hook(lambda _, args: entered.append(args[0].clone())),
        where.register_forward_hook(lambda _, __, y: y + added(entered[0] if parallel else y)),
    ]
    y: Tensor = unit(x)
    for hook in hooks:
        hook.remove()
    return y


def _adapted(net: nn.Module, placement: Placement, **fields: object) -> nn.Module:
    ConvAdapters(recipe=RECIPE, placement=placement, **fields).adapt(net)  # type: ignore[arg-type]
    return net


@pytest.mark.parametrize(("placement", "kind"), [("conv_parallel", Beside), ("conv_sequential", Behind)])
def test_down_sampling_of_convnext_is_adapted_at_the_convolution(placement: Placement, kind: type) -> None:
    stages = _adapted(NETS["convnext"](), placement).stages
    last = [list(stage.downsample.children())[-1:] for stage in stages]
    convs = [module for modules in last for module in modules]
    assert len(convs) == 3 and all(isinstance(module, kind) for module in convs)


@given(st.integers(1, 64), st.integers(1, 40))
def test_groups_are_as_many_as_the_channels_allow(channels: int, reduction: int) -> None:
    grouped = _grouped(nn.Conv2d(channels, channels, 3), channels, reduction)
    assert grouped.out_channels == max(1, channels // reduction)
    assert grouped.groups == grouped.out_channels or channels % grouped.out_channels


def test_weights_start_as_in_the_authors_code() -> None:
    """Kaiming's rule for outputs in ResNets, 0.02 in ConvNeXt; biases at zero, scales at one."""
    for architecture in ("resnet18", "convnext_atto"):
        net = _adapted(timm.create_model(architecture), "conv_parallel", reduction=2)
        adapters = [module for module in net.modules() if isinstance(module, Adapter)]
        conv = adapters[-1].pointwise
        wanted = (2 / conv.out_channels) ** 0.5 if architecture == "resnet18" else 0.02
        assert conv.weight.std().item() == pytest.approx(wanted, rel=0.05)
        for adapter in adapters:
            assert adapter.scale.eq(1).all() and adapter.pointwise.bias.eq(0).all() and adapter.grouped.bias.eq(0).all()


def test_a_unit_of_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(UserError, match=r"knows no place in DenseLayer \(features"):
        _adapted(timm.create_model("densenet121"), "conv_parallel")
