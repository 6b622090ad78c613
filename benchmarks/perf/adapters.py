"""What every method of the adapter study costs on one net: training, memory, latency, and bytes to keep for a task.

Rates cost nothing, sizes do: a method is measured once at each of its sizes. All train on images, nothing is stored.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import timm
import torch
from safetensors.torch import save
from torch import Tensor, nn

from benchmarks.methods.adapted import AdaptedMethod, AdaptedNet
from benchmarks.methods.base import Method
from benchmarks.methods.delta import DeltaNetworks
from benchmarks.methods.finetune import FineTune, FineTuned
from benchmarks.methods.lora import Lora
from benchmarks.perf.arms import CLASSES, TrainedArm
from benchmarks.perf.flops import flops_of
from benchmarks.perf.paired import in_fresh_process, interleaved_seconds
from benchmarks.perf.peers import kept_tensors
from benchmarks.perf.rows import PerfRow, perf_row
from benchmarks.perf.training import epoch_of, peak_mb_of_steps, random_batch
from benchmarks.records.configurations import told_apart
from benchmarks.suites.patching.adapters_search import searched
from benchmarks.worlds.recipes import local_recipes
from delta_core import DeltaModel
from delta_core.training.errors import UserError
from delta_core.training.identity import plain

ARCHITECTURES = ("tf_efficientnet_lite0",)
BASE = "base"


@dataclass(frozen=True, kw_only=True)
class Costed:
    """A method at one size."""

    name: str
    """As in the study, with what tells the size from others."""
    method: Method

    @property
    def size(self) -> dict[str, Any]:
        """The method as a run's config has it, but for its recipe."""
        return {name: value for name, value in plain(self.method).items() if name != "recipe"}


def costed_methods(architecture: str) -> list[Costed]:
    """Every method of the study that suits a net, at each of its sizes."""
    found = []
    for each in searched(local_recipes()):
        # A head's or a part's rate is no cost: the first configuration of each size stands for all of them.
        sizes: dict[str, Method] = {}
        for method in each.configurations:
            if method.suits(architecture):
                sizes.setdefault(json.dumps(Costed(name="", method=method).size), method)
        names = told_apart([Costed(name="", method=method).size for method in sizes.values()])
        found += [
            Costed(name=f"{each.name} {name}".rstrip(), method=method)
            for name, method in zip(names, sizes.values(), strict=True)
        ]
    return found


def measure(
    *,
    repetitions: int = 5,
    device: str = "cpu",
    architectures: tuple[str, ...] = ARCHITECTURES,
    images: int = 32,
    batch: int = 16,
    latency_batches: tuple[int, ...] = (1, 8),
    image_px: int = 96,
) -> list[PerfRow]:
    """Every method beside LoRA at its smallest rank in training, beside the base in inference.

    Args:
        repetitions: paired repetitions of the times; memory is measured once, in a process of its own.
        device: where torch computes.
        architectures: full-size timm nets with random weights.
        images: images of one epoch.
        batch: images of one step.
        latency_batches: batch sizes of inference.
        image_px: side of the square input in pixels.

    Raises:
        UserError: for a net that timm does not have.
    """
    for architecture in architectures:
        if not timm.is_model(architecture):
            raise UserError(f"--arch {architecture} is no net of timm; see timm.list_models().")
    rows: list[PerfRow] = []
    for architecture in architectures:
        methods = costed_methods(architecture)
        lora = next(each.name for each in methods if isinstance(each.method, Lora))
        arms = {each.name: build(each.method, architecture, torch.device(device)) for each in methods}
        pixels, labels = random_batch(images, image_px, device)
        epochs: dict[str, Callable[[], object]] = {
            name: epoch_of(arm, list(pixels.split(batch)), labels, batch) for name, arm in arms.items()
        }
        in_training: dict[str, object] = {"images": images, "batch": batch}
        costs = [
            Cost(
                name="epoch",
                unit="s",
                reference=lora,
                values=interleaved_seconds(epochs, repetitions),
                operations={name: arm.train_flops(pixels[:2]) for name, arm in arms.items()},
                setting=in_training,
            ),
            Cost(
                name="kept bytes",
                unit="B",
                reference=lora,
                values={name: [float(patch_bytes(arm.module))] for name, arm in arms.items()},
            ),
        ]
        for size in latency_batches:
            passes = _passes(arms, architecture, pixels[:1].repeat(size, 1, 1, 1))
            costs.append(
                Cost(
                    name=f"latency at batch {size}",
                    unit="s",
                    reference=BASE,
                    values=interleaved_seconds(passes, repetitions),
                    operations={name: flops_of(run) for name, run in passes.items()},
                )
            )
        del arms, epochs, passes
        peaks = {
            each.name: [in_fresh_process(peak_mb, each.method, architecture, batch, image_px, device)]
            for each in methods
        }
        costs.append(Cost(name="peak training memory", unit="MiB", reference=lora, values=peaks, setting=in_training))
        where: dict[str, object] = {"architecture": architecture, "image_px": image_px}
        rows += [cost.row(each, where, device) for each in methods for cost in costs]
    return rows


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One cost of all methods."""

    name: str
    unit: str
    reference: str
    """Whose cost the others are divided by."""
    values: Mapping[str, list[float]]
    """By method."""
    operations: Mapping[str, int] = field(default_factory=dict)
    """Floating-point operations by method, where they say something."""
    setting: Mapping[str, object] = field(default_factory=dict)

    def row(self, each: Costed, where: Mapping[str, object], device: str) -> PerfRow:
        """That of one method."""
        counted = self.operations
        return perf_row(
            f"{self.name} of {each.name} / {self.reference}, {where['architecture']}",
            self.unit,
            self.values[each.name],
            self.values[self.reference],
            {**where, **self.setting, "method": each.size},
            flop_ratio=counted[each.name] / counted[self.reference] if counted else None,
            device=device,
        )


def build(method: Method, architecture: str, device: torch.device) -> TrainedArm:
    """A method on a full-size timm net with random weights (time does not depend on them), in train mode."""
    net = timm.create_model(architecture).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return TrainedArm(module=_module(method, net).train(), prepare=_as_it_is)


def _module(method: Method, net: nn.Module) -> nn.Module:
    if isinstance(method, AdaptedMethod):
        return AdaptedNet(net, method.adapt, CLASSES, seed=0)
    if isinstance(method, FineTune):
        return FineTuned(net, CLASSES, seed=0)
    model = DeltaModel(net)
    # BatchNorms that start fresh cost what others do, and wait for no images.
    config = replace(method.config, norm_start="fresh") if isinstance(method, DeltaNetworks) else None
    model.add_patch("task", num_classes=CLASSES, config=config)
    return model


def patch_bytes(module: nn.Module) -> int:
    """Length of a safetensors file with what the task owns, its head among it."""
    tensors = kept_tensors(module)
    return len(save({str(place): tensor.detach().contiguous().clone() for place, tensor in enumerate(tensors)}))


def peak_mb(method: Method, architecture: str, batch: int, image_px: int, device: str) -> float:
    """Peak memory of two training steps in this process, above that after its imports; call it in a fresh one."""
    import peft  # noqa: F401 - its imports, and those of what it imports, would count as memory of training

    return peak_mb_of_steps(lambda at: build(method, architecture, at), batch, image_px, device)


def _passes(arms: dict[str, TrainedArm], architecture: str, x: Tensor) -> dict[str, Callable[[], object]]:
    """One forward pass of every method and of the net as it was, in eval mode."""
    base = timm.create_model(architecture).to(x.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    modules = {BASE: base} | {name: arm.module for name, arm in arms.items()}
    x = x.contiguous(memory_format=torch.channels_last)
    return {name: _forward(module.eval(), x) for name, module in modules.items()}


def _forward(module: nn.Module, x: Tensor) -> Callable[[], Tensor]:
    @torch.inference_mode()
    def run() -> Tensor:
        return module(x)  # type: ignore[no-any-return]

    return run


def _as_it_is(images: Tensor) -> Tensor:
    return images
