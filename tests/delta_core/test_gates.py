"""What is gated: which blocks, which skips, and whether a skip has one gate or one for each channel."""

from itertools import combinations
from pathlib import Path

import pytest
import timm
import torch
from tiny import basic_block_net, images
from torch import Tensor
from torch.nn import functional as F

from delta_core import DeltaConfig, DeltaError, DeltaModel
from delta_core.gates import FixedGates, GatesPerChannel, existing_skips
from delta_core.skip_sum import SkipSums


def model_with(**options: object) -> DeltaModel:
    """A model with gates alone that needs no calibration unless its options say so."""
    model = DeltaModel(basic_block_net())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model.add_patch("task", num_classes=5, config=DeltaConfig.gates_alone(**{"norm_start": "fresh"} | options))
    return model.eval()


@pytest.mark.parametrize(("n", "after"), [(1, 0), (1, 3), (2, 1), (3, 1), (4, 0)])
def test_blocks_are_counted_from_the_end(n: int, after: int) -> None:
    gated = list(model_with(n_modules=n, blocks_after=after).patch().blocks)
    assert gated == ["layer1", "layer2", "layer3", "layer4"][4 - after - n : 4 - after]


def test_blocks_behind_the_gated_ones_run_as_they_do_in_the_base() -> None:
    model, x = model_with(n_modules=1, blocks_after=2, norm_place="none", gating="ones"), images()
    part = model.patch().blocks["layer2"]
    part.gates = FixedGates(existing_skips(2).float())
    assert torch.allclose(model.forward_features(x), model.backbone.forward_features(x), atol=1e-6)
    part.gates = FixedGates(torch.ones(3))
    assert not torch.allclose(model.forward_features(x), model.backbone.forward_features(x), atol=1e-3)


def test_more_blocks_than_there_are_in_front_are_refused() -> None:
    with pytest.raises(DeltaError, match="n_modules is 3 but the net has 2 blocks in front of the last 2"):
        model_with(n_modules=3, blocks_after=2)
    with pytest.raises(DeltaError, match="the net has 0 blocks in front of the last 9"):
        model_with(n_modules=1, blocks_after=9)


@pytest.mark.parametrize("gate_per", ["skip", "channel"])
def test_own_skips_stay_at_one_where_only_new_ones_are_gated(gate_per: str) -> None:
    model = model_with(n_modules=1, skips="new", gate_per=gate_per)
    gates = model.patch().blocks["layer4"].gates(torch.rand(3, 16, 4, 4))
    own, new = gates[:, existing_skips(2)], gates[:, ~existing_skips(2)]
    assert own.eq(1).all()
    assert ((new > 0) & (new < 1)).all()
    assert gates.shape[:2] == (3, 3)


def test_only_the_gates_of_new_skips_have_parameters() -> None:
    sizes = {skips: model_with(skips=skips).count_parameters().delta for skips in ("all", "new")}
    widths = (4, 4, 4, 8)  # half the channels that enter each block
    assert sizes["all"] - sizes["new"] == sum(2 * (width + 1) for width in widths)


def test_equal_gates_for_all_channels_are_one_gate_for_the_skip() -> None:
    """Values and gradients, through the block's own shortcut as well."""
    torch.manual_seed(0)
    scalar = torch.rand(2, 3, requires_grad=True)
    nodes = [torch.randn(2, 4, 3, 3) for _ in range(2)]
    own = torch.randn(2, 4, 3, 3)

    def total(gates: Tensor) -> Tensor:
        sums = SkipSums(gates, 2)
        first = sums(nodes[0], own)
        return sums(nodes[1] + first, None, nodes[0])

    total(scalar).square().sum().backward()
    per_skip, scalar.grad = scalar.grad, None
    total(scalar[..., None].expand(2, 3, 4)).square().sum().backward()
    assert per_skip is not None and scalar.grad is not None
    assert torch.allclose(per_skip, scalar.grad, rtol=1e-4)
    channels = torch.rand(2, 3, 4)
    for channel in range(4):
        alone = total(channels[..., channel])[:, channel]
        assert torch.allclose(total(channels)[:, channel], alone, atol=1e-6)


def test_gates_per_channel_are_grouped_by_skip() -> None:
    gates = GatesPerChannel(FixedGates(torch.arange(6.0)), 2)(torch.zeros(1, 1, 1, 1))
    assert gates.tolist() == [[[0, 1], [2, 3], [4, 5]]]


@pytest.mark.parametrize(
    "options", [{"skips": "new"}, {"gate_per": "channel"}, {"skips": "new", "gate_per": "channel"}]
)
@pytest.mark.parametrize("start", ["half", "identity"])
def test_starts_gradients_strength_and_files(options: dict[str, str], start: str, tmp_path: Path) -> None:
    model, x = model_with(gate_start=start, norm_start="fresh", **options), images(8)
    gates = model.patch().blocks["layer1"].gates(torch.rand(2, 8, 8, 8))
    wanted = torch.full((3,), 0.5) if start == "half" else torch.sigmoid(torch.tensor([1.0, -1.0, 1.0]))
    wanted = torch.where(existing_skips(2) & (options.get("skips") == "new"), 1.0, wanted)
    seen = gates.mean(-1) if gates.ndim == 3 else gates
    assert torch.allclose(seen, wanted.expand(2, 3), atol=0.3 if start == "half" else 1e-6)
    F.cross_entropy(model.train()(x), torch.arange(8) % 5).backward()
    assert any(p.grad is not None and p.grad.any() for n, p in model.patches.named_parameters() if "fc" in n)
    model.eval()
    with model.scale_patch(0):
        assert torch.allclose(model.forward_features(x), model.backbone.forward_features(x), atol=1e-5)
    folder = model.save_patch(tmp_path / "patch")
    other = DeltaModel(basic_block_net()).eval()
    other.load_patch(folder, name="task")
    assert other.patch().config == model.patch().config
    assert torch.equal(other(x), model(x))


def test_gatings_that_cannot_be_are_refused() -> None:
    with pytest.raises(DeltaError, match="gating is 'existing-only'"):
        DeltaConfig(gating="existing-only", skips="new")
    dense = DeltaModel(timm.create_model("densenet121", growth_rate=4, block_config=(2, 2)))
    for options, said in (({"skips": "new"}, "no room for new skips"), ({"gate_per": "channel"}, "different widths")):
        with pytest.raises(DeltaError, match=said):
            dense.add_patch("task", num_classes=3, config=DeltaConfig(n_modules=1, **options))


def test_all_arms_differ() -> None:
    x = images()
    arms = [model_with(**options)(x) for options in ({}, {"skips": "new"}, {"gate_per": "channel"}, {"reduction": 4})]
    assert not [pair for pair in combinations(arms, 2) if torch.equal(*pair)]
