"""Task-own parts on shared frozen weights: what is added, what trains, and that the base cannot notice."""

import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import RECIPE, basic_block_net, bottleneck_net, convnext_net, images
from tiny_cell import tiny_cell
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.methods.adapted import AdaptedMethod, AdaptedNet, is_norm, is_spatial_conv, sharing_copy, trainable
from benchmarks.methods.base import Method
from benchmarks.methods.batchnorm_adapt import COPIES, BatchNormAdapt, adapt_statistics_, momenta
from benchmarks.methods.bitfit import BitFit
from benchmarks.methods.ia3 import Ia3
from benchmarks.methods.lora import Lora
from benchmarks.methods.norm_tuning import NormTuning
from benchmarks.methods.parallel_adapters import ParallelAdapters, ParallelConv
from benchmarks.methods.peft_layers import targets
from benchmarks.methods.series_adapters import SeriesAdapters, SeriesConv
from benchmarks.methods.ssf import Scaled, ScaleShift
from delta_core import backbone_fingerprint
from delta_core.training.errors import UserError

ADAPTED: list[AdaptedMethod] = [
    kind(recipe=RECIPE) for kind in (ParallelAdapters, SeriesAdapters, NormTuning, BitFit, ScaleShift, Lora, Ia3)
]
NETS = [basic_block_net, bottleneck_net, convnext_net]
by_name = pytest.mark.parametrize("method", ADAPTED, ids=lambda method: method.name)
by_net = pytest.mark.parametrize("make_net", NETS)


def adapted(method: AdaptedMethod, make_net: Callable[[], nn.Module]) -> tuple[nn.Module, AdaptedNet]:
    backbone = make_net()
    return backbone, AdaptedNet(backbone, method.adapt, 3, seed=2)


@by_name
def test_training_never_reaches_the_base(method: Method) -> None:
    cell = tiny_cell()
    outcome = method.measure(cell)
    assert outcome.base_logits_equal
    assert outcome.backbone_sha_after == backbone_fingerprint(cell.new_backbone())
    found = {(m.column, m.phase, m.split) for m in outcome.measurements}
    tests = {("glyphs62", "before", "test"), ("glyphs62", "after", "test")}
    assert found == tests | {("signs", "after", split) for split in ("val", "test")}


@by_name
@by_net
def test_what_does_not_train_is_the_backbones_own(method: AdaptedMethod, make_net: Callable[[], nn.Module]) -> None:
    backbone, model = adapted(method, make_net)
    shared = {id(parameter) for parameter in backbone.parameters()}
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    for name, parameter in model.net.named_parameters():
        assert parameter.requires_grad == (id(parameter) not in shared), name
    assert trainable(model.net) > 0


@by_name
def test_train_mode_reaches_task_own_modules_alone(method: AdaptedMethod) -> None:
    backbone, model = adapted(method, basic_block_net)
    before = backbone_fingerprint(backbone)
    model.train()
    model(images(size=16))
    assert backbone_fingerprint(backbone) == before, "running statistics of the base moved"
    learning = {module for module in model.net.modules() if isinstance(module, _BatchNorm) and module.training}
    owns_norms = method.name in ("parallel_adapters", "series_adapters", "norm_tuning")
    assert bool(learning) == owns_norms


@pytest.mark.parametrize("name", ["parallel_adapters", "series_adapters"])
def test_adapters_start_away_from_zero_with_the_published_deviation(name: str) -> None:
    method = next(method for method in ADAPTED if method.name == name)
    _, model = adapted(method, lambda: _wide(basic_block_net()))
    kinds = (ParallelConv, SeriesConv)
    weights = [module.adapter.weight for module in model.net.modules() if isinstance(module, kinds)]
    assert len(weights) == sum(is_spatial_conv(module) for module in _wide(basic_block_net()).modules())
    for weight in weights:
        assert weight.std().item() == pytest.approx((2 / weight.shape[0]) ** 0.5, rel=0.2)


def _wide(net: nn.Module) -> nn.Module:
    """A net whose convolutions have enough channels for a standard deviation to be one."""
    conv = nn.Conv2d(64, 128, 3, padding=1)
    return nn.Sequential(conv) if net is None else _with(net, conv)


def _with(net: nn.Module, conv: nn.Conv2d) -> nn.Module:
    for name, module in list(net.named_modules()):
        if is_spatial_conv(module):
            net.set_submodule(name, copy.deepcopy(conv))
    return net


@by_net
def test_adapter_counts_follow_closed_formulas(make_net: Callable[[], nn.Module]) -> None:
    net = make_net()
    convs = [module for module in net.modules() if is_spatial_conv(module)]
    norms = sum(2 * module.weight.numel() for module in net.modules() if is_norm(module))
    biases = sum(p.numel() for name, p in net.named_parameters() if name.endswith("bias")) - 7  # base head
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear) or is_norm(m)][:-1]
    if make_net is convnext_net:  # its last layer but one is the norm of the head
        layers = [
            m for m in net.modules() if (isinstance(m, nn.Conv2d | nn.Linear) or is_norm(m)) and m is not net.head.fc
        ]
    chosen = [net.get_submodule(name) for name in targets(net)]
    r = Lora(recipe=RECIPE).rank
    expected = {
        "parallel_adapters": norms + sum(conv.in_channels * conv.out_channels for conv in convs),
        "series_adapters": norms + sum(conv.out_channels**2 + 2 * conv.out_channels for conv in convs),
        "norm_tuning": norms,
        "bitfit": biases,
        "ssf": sum(2 * layer.weight.shape[0] for layer in layers),
        "lora": sum(r * (layer.weight[0].numel() + layer.weight.shape[0]) for layer in chosen),
        "ia3": sum(layer.weight.shape[0] for layer in chosen),
    }
    assert {method.name: trainable(adapted(method, make_net)[1].net) for method in ADAPTED} == expected


def test_full_size_counts_follow_the_formulas_of_resnet18() -> None:
    convs = [(3, 64)] + [(64, 64)] * 4 + [(64, 128)] + [(128, 128)] * 3 + [(128, 256)] + [(256, 256)] * 3
    convs += [(256, 512)] + [(512, 512)] * 3
    norms = 9600
    parallel, series = (kind(recipe=RECIPE).full_size_params("resnet18") for kind in (ParallelAdapters, SeriesAdapters))
    assert parallel == norms + sum(a * b for a, b in convs)
    assert series == norms + sum(b * b + 2 * b for _, b in convs)
    assert BatchNormAdapt(recipe=RECIPE).full_size_params("resnet18") == 0


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(3, 11), st.integers(1, 3))
def test_parallel_convolution_is_a_strided_1x1_beside(inputs: int, outputs: int, size: int, stride: int) -> None:
    conv = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
    parallel = ParallelConv(conv)
    x = torch.randn(2, inputs, size, size)
    beside = nn.functional.conv2d(x, parallel.adapter.weight, stride=stride)
    assert torch.allclose(parallel(x), conv(x) + beside, atol=1e-5)


def test_series_convolution_adds_the_adapted_output_to_the_output() -> None:
    series = SeriesConv(nn.Conv2d(3, 4, 3, padding=1)).eval()
    x = torch.randn(2, 3, 5, 5)
    y = series.conv(x)
    normed = y / (1 + series.norm.eps) ** 0.5  # fresh statistics
    assert torch.allclose(series(x), y + nn.functional.conv2d(normed, series.adapter.weight), atol=1e-5)
    nn.init.zeros_(series.adapter.weight)
    assert torch.equal(series(x), y)


def test_scales_and_shifts_act_on_channels_wherever_they_stand() -> None:
    for layer, x, channel in (
        (nn.Conv2d(3, 4, 1), torch.randn(2, 3, 5, 5), 1),
        (nn.Linear(3, 4), torch.randn(2, 5, 3), -1),
    ):
        scaled = Scaled(layer)
        with torch.no_grad():
            scaled.scale.copy_(torch.tensor([2.0, 1, 1, 1]))
            scaled.shift.copy_(torch.tensor([0.0, 0, 0, 3]))
        y, found = layer(x).movedim(channel, -1), scaled(x).movedim(channel, -1)
        assert torch.allclose(found[..., 0], 2 * y[..., 0])
        assert torch.equal(found[..., 1], y[..., 1])
        assert torch.allclose(found[..., 3], y[..., 3] + 3)


@pytest.mark.parametrize("name", ["lora", "ia3"])
@by_net
def test_lora_and_ia3_are_pefts_own(name: str, make_net: Callable[[], nn.Module]) -> None:
    """Against peft's public wrapper, with the same values put in."""
    from peft import IA3Config, LoraConfig, get_peft_model

    method = next(method for method in ADAPTED if method.name == name)
    _, ours = adapted(method, make_net)
    names = targets(make_net())
    config = (
        LoraConfig(r=8, lora_alpha=8, target_modules=names)
        if name == "lora"
        else IA3Config(target_modules=names, feedforward_modules=[])
    )
    theirs = get_peft_model(make_net(), config).eval()  # type: ignore[arg-type]
    assert trainable(ours.net) == trainable(theirs)
    generator = torch.Generator().manual_seed(0)
    values = {n: torch.randn(p.shape, generator=generator) for n, p in ours.net.named_parameters() if p.requires_grad}
    for net, prefix in ((ours.net, ""), (theirs.base_model.model, "")):
        for n, parameter in net.named_parameters():
            if n.removeprefix(prefix) in values:
                parameter.data.copy_(values[n.removeprefix(prefix)])
    x = images(size=16)
    with torch.no_grad():
        assert torch.equal(ours.net(x), theirs(x))
        assert not torch.equal(ours.net(x), make_net()(x))


# --- DUA ---------------------------------------------------------------------------------------------------------


def test_momentum_falls_as_published() -> None:
    found, momentum = momenta(), 0.1
    assert len(found) == 80
    for value in found:
        momentum *= 0.94
        assert value == pytest.approx(momentum + 0.005)


def test_statistics_move_by_each_momentum_and_weights_stay() -> None:
    net = nn.Sequential(nn.BatchNorm2d(2))
    before = [parameter.clone() for parameter in net.parameters()]
    batches = [torch.randn(8, 2, 4, 4) + shift for shift in (1, 5)]
    adapt_statistics_(net, iter(batches))
    mean = torch.zeros(2)
    for batch, momentum in zip(batches, (0.1 * 0.94 + 0.005, 0.1 * 0.94**2 + 0.005), strict=True):
        mean = (1 - momentum) * mean + momentum * batch.mean((0, 2, 3))
    assert torch.allclose(net[0].running_mean, mean, atol=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert net[0].momentum == 0.1 and not net[0].training


def test_each_image_makes_a_batch_of_augmented_copies() -> None:
    from benchmarks.methods.batchnorm_adapt import _augmented

    batches = list(_augmented(tiny_cell()))
    assert {batch.shape for batch in batches} == {(COPIES, 3, 16, 16)}
    assert len(batches) == 24, "fewer images than 80"
    assert not torch.equal(batches[0][0], batches[0][1])


def test_batchnorm_adapt_keeps_the_base_and_trains_the_head_alone() -> None:
    cell = tiny_cell()
    outcome = BatchNormAdapt(recipe=RECIPE).measure(cell)
    assert outcome.base_logits_equal and outcome.params_delta == 0
    assert outcome.backbone_sha_after == backbone_fingerprint(cell.new_backbone())


def test_a_net_without_batch_norm_is_refused() -> None:
    with pytest.raises(UserError, match="ConvNeXt has no BatchNorm"):
        BatchNormAdapt(recipe=RECIPE).measure(tiny_cell(convnext_net))


def test_a_copy_shares_every_tensor() -> None:
    backbone = basic_block_net()
    twin = sharing_copy(backbone)
    tensors, others = ([*net.parameters(), *net.buffers()] for net in (backbone, twin))
    assert all(a is b for a, b in zip(tensors, others, strict=True))
    assert all(a is not b for a, b in zip(backbone.modules(), twin.modules(), strict=True))
