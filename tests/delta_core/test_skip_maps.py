"""S_w: maps on skips start as the identity, are linear, and are what the formula says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import NETS, basic_block_net, images, wake
from torch import Tensor, nn
from torch.nn import functional as F

from delta_core import DeltaConfig, DeltaError, DeltaModel, skip_sum
from delta_core.config import NormPlace, SkipMap, SkipMapPer
from delta_core.patch_file import _checksum
from delta_core.skip_maps import _map, add_map

KINDS = [kind for kind in get_args(SkipMap) if kind != "identity"]
PER = get_args(SkipMapPer)


def dense_net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return timm.create_model("densenet121", growth_rate=4, block_config=(2, 3)).eval()


def model_with(net: nn.Module, **options: object) -> DeltaModel:
    model = DeltaModel(net)
    options = {"n_modules": min(4, len(model.blocks)), "norm_place": "none"} | options
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model.add_patch("task", num_classes=5, config=DeltaConfig(**options))
    return model.eval()


@pytest.mark.parametrize("per", PER)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", [*NETS.values(), dense_net], ids=[*NETS, "dense"])
@torch.no_grad()
def test_a_new_patch_is_the_base_an_awake_one_is_not_and_a_weakened_one_is_again(
    make: Callable[[], nn.Module], kind: SkipMap, per: SkipMapPer
) -> None:
    model, x = model_with(make(), skip_map=kind, skip_map_per=per), images(size=64)
    base = model.backbone.forward_features(x)
    tolerance = 1e-5 * base.abs().max().item()
    assert torch.allclose(model.forward_features(x), base, rtol=1e-4, atol=tolerance)
    gates = {name: part.gates for name, part in model.patch().blocks.items()}
    wake(nn.ModuleList(part.maps for part in model.patch().blocks.values()))
    assert not torch.allclose(model.forward_features(x), base, rtol=1e-3, atol=100 * tolerance), "maps alone reach out"
    for part in gates.values():
        wake(part)
    with model.scale_patch(0):
        assert torch.allclose(model.forward_features(x), base, rtol=1e-4, atol=tolerance)


LAYOUTS = pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])


@LAYOUTS
@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_map_added_in_place_is_the_map_and_has_its_gradients(
    kind: SkipMap, is_kept: bool, layout: torch.memory_format
) -> None:
    skip_map = _map(kind, 12, 4).to(memory_format=layout)
    wake(skip_map)
    x, total = (torch.randn(3, 12, 5, 4).to(memory_format=layout).requires_grad_() for _ in range(2))
    wanted = total + 0.5 * skip_map(x)
    found = total * 1
    add_map(found, skip_map, x, 0.5, None if is_kept else x.detach().clone)
    assert found.is_contiguous(memory_format=layout)
    assert torch.allclose(found, wanted, atol=1e-5)
    parameters = [x, total, *skip_map.parameters()]
    gradients = [torch.autograd.grad(each.square().sum(), parameters) for each in (found, wanted)]
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-4)


@LAYOUTS
@pytest.mark.parametrize("make", NETS.values(), ids=NETS)
def test_sums_that_maps_read_are_made_again_for_the_same_gradients_and_not_kept(
    make: Callable[[], nn.Module], layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x = model_with(make().to(memory_format=layout), norm_start="fresh"), images(size=64)
    wake(model.patch())
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    def trained() -> tuple[list[Tensor], int]:
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = model(x.to(memory_format=layout)).square().sum()
        return list(torch.autograd.grad(loss, list(model.patch().parameters()))), sum(kept.values())

    of_made, made = trained()
    monkeypatch.setattr(skip_sum.SkipSums, "again", lambda _: None)
    of_kept, in_all = trained()
    assert all(torch.equal(one, other) for one, other in zip(of_made, of_kept, strict=True))
    assert made < in_all


@pytest.mark.parametrize("place", get_args(NormPlace))
@pytest.mark.parametrize("make", NETS.values(), ids=NETS)
def test_what_is_summed_in_place_is_what_training_sums(make: Callable[[], nn.Module], place: NormPlace) -> None:
    net = make().to(memory_format=torch.channels_last)
    model, x = model_with(net, norm_place=place, norm_start="fresh"), images(size=64)
    wake(model.patch())
    x = x.to(memory_format=torch.channels_last)
    with torch.no_grad():
        served = model(x)
        again = model(x)
    assert torch.equal(served, again)
    assert torch.allclose(served, model(x), rtol=1e-4, atol=1e-5 * served.abs().max().item())


@pytest.mark.parametrize("per", PER)
@pytest.mark.parametrize("make", NETS.values(), ids=NETS)
@torch.no_grad()
def test_samples_summed_one_by_one_are_those_summed_together(
    make: Callable[[], nn.Module], per: SkipMapPer, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = make().to(memory_format=torch.channels_last)
    model, x = model_with(net, skip_map_per=per, norm_start="fresh"), images(size=64)
    wake(model.patch())
    x = x.to(memory_format=torch.channels_last)
    together = [model(x), *model.forward_patches(x, [model.active_patch]).values()]
    monkeypatch.setattr(skip_sum, "LARGE_SAMPLE_BYTES", 0)
    one_by_one = [model(x), *model.forward_patches(x, [model.active_patch]).values()]
    for one, other in zip(together, one_by_one, strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-5 * one.abs().max().item())


def matrix(module: nn.Module, channels: int) -> Tensor:
    """The matrix (C, C) of a map that acts on every place alone."""
    rows: Tensor = module(torch.eye(channels)[:, :, None, None])[:, :, 0, 0]
    return rows.T


@pytest.mark.parametrize("per", PER)
@pytest.mark.parametrize("kind", ["channel", "low_rank"])
@torch.no_grad()
def test_nodes_are_those_of_the_formula(kind: SkipMap, per: SkipMapPer) -> None:
    """node_j = act(residual_j + sum_i (I + M_ij) g_ij node_i), with the matrices written out."""
    model = model_with(basic_block_net(), n_modules=1, skip_map=kind, skip_map_per=per)
    wake(model.patch())
    net, part, x = model.backbone, model.patch().blocks["layer4"], torch.randn(2, 16, 6, 6)
    first, second = net.layer4
    gates = part.gates(x)
    matrices = [torch.eye(16) + matrix(each, 16) for each in part.maps]
    m01, m02, m12 = matrices if per == "skip" else (matrices[0], matrices[1], matrices[1])

    def skip(m: Tensor, column: int, node: Tensor) -> Tensor:
        return torch.einsum("dc,b,bchw->bdhw", m, gates[:, column], node)

    def residual(unit: nn.Module, node: Tensor) -> Tensor:
        return unit.bn2(unit.conv2(unit.act1(unit.bn1(unit.conv1(node)))))

    node0 = x if first.downsample is None else first.downsample(x)
    node1 = torch.relu(residual(first, x) + skip(m01, 0, node0))
    node2 = torch.relu(residual(second, node1) + skip(m02, 1, node0) + skip(m12, 2, node1))
    assert torch.allclose(part(net, x), node2, rtol=1e-4, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(kind=st.sampled_from(KINDS), gate=st.floats(-2, 2), rank=st.integers(1, 20))
@torch.no_grad()
def test_the_gate_weights_the_map(kind: SkipMap, gate: float, rank: int) -> None:
    model = model_with(basic_block_net(), skip_map=kind, skip_map_rank=rank)
    wake(model.patch())
    x = torch.randn(2, 16, 5, 5)
    for each in model.patch().blocks["layer4"].maps:
        assert torch.allclose(each(gate * x), gate * each(x), rtol=1e-4, atol=1e-5)


def test_counts() -> None:
    """Beside the module: nothing, C, 2 r C or 9 C for each sum or each skip; a rank is at most half of the channels."""

    def maps(**options: object) -> int:
        blocks = model_with(basic_block_net(), **options).patch().blocks.values()
        return sum(parameter.numel() for part in blocks for parameter in part.maps.parameters())

    widths = 8 + 8 + 16 + 16
    assert maps(skip_map="identity") == 0
    assert maps(skip_map="channel") == 2 * widths
    assert maps(skip_map="channel", skip_map_per="skip") == 3 * widths
    assert maps(skip_map="depthwise") == 9 * 2 * widths
    assert maps(skip_map="low_rank", skip_map_rank=3) == 2 * 3 * 2 * widths
    assert maps(skip_map="low_rank", skip_map_rank=100) == 2 * (8 * 8 + 8 * 8 + 16 * 16 + 16 * 16)


@pytest.mark.parametrize("per", PER)
@pytest.mark.parametrize("kind", KINDS)
def test_maps_learn(kind: SkipMap, per: SkipMapPer) -> None:
    model = model_with(basic_block_net(), skip_map=kind, skip_map_per=per).train()
    optimizer = torch.optim.SGD(model.trainable_parameters(), lr=0.1)
    for _ in range(1 if per == "node" else 2):  # the map of a new skip waits for its gate, which starts at zero
        optimizer.zero_grad()
        F.cross_entropy(model(images(6)), torch.arange(6) % 5).backward()
        optimizer.step()
    assert all(each(torch.rand(1, c, 3, 3)).any() for each, c in every_map(model))


def every_map(model: DeltaModel) -> list[tuple[nn.Module, int]]:
    found = []
    for block in model.blocks:
        part = model.patch().of(block)
        assert part is not None
        found += [(each, block.out_channels) for each in part.maps]
    return found


def test_a_file_from_before_there_were_maps_loads_as_it_was_saved(tmp_path: Path) -> None:
    model, x = model_with(basic_block_net()), images()
    model.add_patch("old", num_classes=5, config=DeltaConfig.gates_alone(norm_start="fresh"))
    wake(model.patch())
    model.save_patch(tmp_path)
    raw = json.loads((tmp_path / "delta.json").read_text())
    later = {"gate_range", "skip_map", "skip_map_rank", "skip_map_per", "module_kernel"}
    assert later < raw["config"].keys()
    raw["config"] = {name: value for name, value in raw["config"].items() if name not in later}
    del raw["checksum"]
    (tmp_path / "delta.json").write_text(json.dumps(raw | {"checksum": _checksum(raw)}))
    other = DeltaModel(basic_block_net()).eval()
    other.load_patch(tmp_path)
    assert other.patch().config == model.patch().config
    assert torch.equal(other(x), model.eval()(x))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"skip_map": "full"}, "skip_map is 'full'; choose one of identity, channel, low_rank, depthwise"),
        ({"skip_map_rank": 0}, "skip_map_rank is 0; give a whole number of at least 1"),
        ({"skip_map_per": "pair"}, "skip_map_per is 'pair'; choose one of node, skip"),
        ({"module_kernel": 5}, "module_kernel is 5; choose one of 1, 3"),
        ({"module_kernel": True}, "module_kernel is True; choose one of 1, 3"),
        ({"gate_range": "wide"}, "gate_range is 'wide'; choose one of unit, around_base"),
        ({"gate_start": "half"}, "gate_start is 'half', .* set gate_range to 'unit'"),
    ],
)
def test_values_that_cannot_be_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(DeltaError, match=said):
        DeltaConfig(**options)
