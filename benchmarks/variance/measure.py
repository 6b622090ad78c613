"""Variance of features through depth, measured in the derivation's own model and in ResNets.

Shape legend: N inputs, d features, B batch.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from benchmarks.data.load import load_task
from benchmarks.env import Env
from benchmarks.nets.open import EMBEDDED_BASE_CLASSES
from benchmarks.nets.pretraining import load_pretrained
from benchmarks.nets.slim import PREPROCESSING
from benchmarks.records.variance import ARMS, Arm, CorrelationRow, Setting, VarianceRow
from benchmarks.variance.derived import net_variances, rms_correlation
from delta_core import DeltaConfig, DeltaModel
from delta_core.training.identity import derive_seed

K, BLOCKS = 2, 4
"""Sub-blocks and blocks of ResNet-18; the derivation's model has the same."""

GATES: dict[Arm, list[float]] = {
    "one skip": [1, 0, 1],
    "all skips": [1, 1, 1],
    "all skips + BN": [1, 1, 1],
    "Delta": [0.5, 0.5, 0.5],
}
"""Gates of one block. A new Delta-module puts out about 0.5."""

NORMS: dict[Arm, bool] = {"one skip": False, "all skips": False, "all skips + BN": True, "Delta": True}

PATCHES: dict[Arm, DeltaConfig | None] = {
    "one skip": None,
    "all skips": DeltaConfig.gates_alone(gating="ones", norm_place="none", norm_start="fresh"),
    "all skips + BN": replace(DeltaConfig.paper(), gating="ones"),
    "Delta": DeltaConfig.paper(),
}

PROBE_TASK = "photos"
"""Images on which the pre-trained net is measured."""


def simulate(arm: Arm, *, d: int, n_inputs: int, seed: int) -> list[float]:
    """Mean squares behind the input and every sub-block of the derivation's model, for one draw of all weights.

    A residual is W2 relu(W1 x) with w1 ~ N(0, 1/d) and w2 ~ N(0, 2/d): it keeps the mean square. All means are zero
    over the weights, so that the mean square is the variance.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(rows: int, variance: float) -> Tensor:
        return math.sqrt(variance) * torch.randn(rows, d, generator=generator, dtype=torch.double)

    x = normal(n_inputs, 1.0)
    found = [x.square().mean().item()]
    for _ in range(BLOCKS):
        nodes = [x]
        gates = iter(GATES[arm])
        for _ in range(K):
            residual = torch.relu(nodes[-1] @ normal(d, 1 / d).T) @ normal(d, 2 / d).T
            nodes.append(residual + sum(next(gates) * node for node in tuple(nodes)))
        if NORMS[arm]:
            nodes[-1] = (nodes[-1] - nodes[-1].mean(0)) / nodes[-1].std(0, correction=0)
        found += [node.square().mean().item() for node in nodes[1:]]
        x = nodes[-1]
    return found


def correlations(d: int, *, draws: int, seed: int) -> CorrelationRow:
    """RMS of corr(x_i, [Wx]_i) over the coordinates of `draws` matrices, exactly: x has uncorrelated coordinates.

    corr(x_i, [Wx]_i) = w_ii / |w_i|, because Cov = w_ii Var and Var([Wx]_i) = |w_i|^2 Var.
    """
    generator = torch.Generator().manual_seed(seed)
    squares = []
    for _ in range(draws):
        weights = torch.randn(d, d, generator=generator, dtype=torch.double) / math.sqrt(d)
        squares.append((weights.diagonal() / weights.norm(dim=1)).square())
    found = torch.cat(squares)
    rms = found.mean().sqrt()
    error = found.std() / math.sqrt(len(found)) / (2 * rms)
    return CorrelationRow(
        d=d, rms=rms.item(), standard_error=error.item(), n_coordinates=len(found), derived=rms_correlation(d)
    )


@torch.no_grad()
def measure_net(net: nn.Module, arm: Arm, images: Tensor) -> list[float]:
    """Mean squares of what enters a ResNet's first block and of what leaves each sub-block, on images (B, 3, H, W).

    The backbone is in eval mode; a patch is new and in train mode, so that its BatchNorms normalise.
    """
    model = DeltaModel(net)
    config = PATCHES[arm]
    if config is not None:
        model.add_patch("probe", num_classes=2, config=config)
        model.train()
    with _mean_squares(model) as found:
        model.forward_features(images)
    return found


@contextmanager
def _mean_squares(model: DeltaModel) -> Iterator[list[float]]:
    """Filled with one number per node, in order; behind a block's BatchNorm where it has one."""
    found: list[float] = []
    patch = model.patch() if model.active_patch else None

    def add(_module: nn.Module, _inputs: Any, out: Tensor) -> None:
        found.append(out.double().square().mean().item())

    def enter(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found.append(inputs[0].double().square().mean().item())

    def normed(_module: nn.Module, _inputs: Any, out: Tensor) -> None:
        found[-1] = out.double().square().mean().item()

    handles: list[RemovableHandle] = []
    for index, block in enumerate(model.blocks):
        part = patch.of(block) if patch else None
        units = [model.backbone.get_submodule(name) for name in block.sub_blocks]
        if index == 0:
            handles.append(units[0].get_submodule("conv1").register_forward_pre_hook(enter))
        # The last activation of a unit follows its sum, gated or not.
        for unit in units:
            last = unit.get_submodule("act3" if hasattr(unit, "act3") else "act2")
            handles.append(last.register_forward_hook(add))
        if part is not None:
            handles.append(part.norm.register_forward_hook(normed))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def kaiming_resnet18(seed: int) -> nn.Module:
    """ResNet-18 with He's initialisation (fan-in); its BatchNorms in eval mode are the identity."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = timm.create_model("resnet18", zero_init_last=False)
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
    return net.eval()


def measure_all(base_id: str, env: Env) -> tuple[list[VarianceRow], list[CorrelationRow]]:
    """Every setting and arm.

    Args:
        base_id: id of the pre-trained slim ResNet-18.
        env: where its checkpoint and the drawn images are.
    """
    pretrained = load_pretrained("resnet18", base_id, env, num_classes=EMBEDDED_BASE_CLASSES).eval()
    images = next(load_task(PROBE_TASK, env, PREPROCESSING).test.batches(128, device=torch.device("cpu")))
    noise = torch.randn(16, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    rows: list[VarianceRow] = []
    for arm in ARMS:
        simulated = [simulate(arm, d=256, n_inputs=256, seed=derive_seed("variance", n)) for n in range(20)]
        rows += _rows("derivation", arm, simulated)
        drawn = [measure_net(kaiming_resnet18(derive_seed("kaiming", n)), arm, noise) for n in range(5)]
        rows += _rows("kaiming", arm, drawn)
        rows += _rows("pretrained", arm, [measure_net(pretrained, arm, images)])
    dimensions = [2**power for power in range(3, 11)]
    return rows, [correlations(d, draws=max(4, 8192 // d), seed=d) for d in dimensions]


def _rows(setting: Setting, arm: Arm, draws: list[list[float]]) -> list[VarianceRow]:
    logs = torch.tensor(draws, dtype=torch.double).log10()
    logs = logs - logs[:, :1]
    derived = net_variances(GATES[arm], K, BLOCKS, norm=NORMS[arm])
    spread: list[float | None] = logs.std(0).tolist() if len(draws) > 1 else [None] * len(derived)
    return [
        VarianceRow(
            setting=setting,
            arm=arm,
            depth=depth,
            variance=10**mean,
            log10_sd=sd,
            n_draws=len(draws),
            derived=expected,
        )
        for depth, (mean, sd, expected) in enumerate(zip(logs.mean(0).tolist(), spread, derived, strict=True))
    ]
