"""Many tasks on one backbone in one pass, against one model per task run one after the other.

References: `models`, as many DeltaModels with a backbone each; `finetuned`, as many plain nets of the task's classes.
Ours shares all stages in front of the last block, and the bytes of the backbone.
"""

import copy
from collections.abc import Callable
from typing import Literal, get_args

import timm
import torch
from torch import Tensor, nn

from benchmarks.perf.arms import costed
from benchmarks.perf.paired import in_fresh_process, interleaved_seconds
from benchmarks.perf.rows import PerfRow, perf_row
from delta_core import DeltaModel
from delta_core.training.process import peak_resident_mb

Kind = Literal["ours", "models", "finetuned"]
CLASSES = 10


def measure(
    *, repetitions: int = 9, architecture: str = "resnet18", image_px: int = 224, batch: int = 8, tasks: int = 10
) -> list[PerfRow]:
    """Seconds of one pass for all tasks, bytes held, and peak memory.

    Args:
        repetitions: paired repetitions of the time; a third as many of the peak memory.
        architecture: timm net with random weights (time does not depend on them).
        image_px: side of the square input in pixels.
        batch: images per pass; 8 is a small serving batch whose activations of a resnet18 stay far below its weights.
        tasks: number of Delta (1) patches.
    """
    kinds: tuple[Kind, ...] = get_args(Kind)
    built = {kind: _build(kind, architecture, tasks) for kind in kinds}
    x = torch.randn(batch, 3, image_px, image_px, generator=torch.Generator().manual_seed(0))
    seconds = interleaved_seconds({kind: _pass(built[kind], x) for kind in kinds}, repetitions)
    held = {kind: [_tensor_mb(built[kind])] for kind in kinds}
    del built
    threads = torch.get_num_threads()
    peaks: dict[Kind, list[float]] = {kind: [] for kind in kinds}
    for _ in range(max(1, repetitions // 3)):
        for kind in kinds:
            peaks[kind].append(in_fresh_process(_peak_mb, kind, architecture, tasks, batch, image_px, threads))
    setting = {
        "architecture": architecture, "batch": batch, "classes": CLASSES, "image_px": image_px, "n_modules": 1,
        "tasks": tasks,
    }  # fmt: skip
    costs = (
        ("time", "s", seconds),
        ("parameters and buffers", "MiB", held),
        ("peak memory above imports", "MiB", peaks),
    )
    return [
        perf_row(f"{cost} / {reference}", unit, values["ours"], values[reference], setting)
        for cost, unit, values in costs
        for reference in kinds[1:]
    ]


def _build(kind: Kind, architecture: str, tasks: int) -> nn.Module:
    """All nets of one arm as one module in eval mode."""
    if kind == "finetuned":
        net = timm.create_model(architecture, num_classes=CLASSES)
        return nn.ModuleList(copy.deepcopy(net) for _ in range(tasks)).eval()
    model = DeltaModel(timm.create_model(architecture))
    config = costed(1)
    if kind == "ours":
        for task in range(tasks):
            model.add_patch(f"task{task}", num_classes=CLASSES, config=config)
        return model.eval()
    model.add_patch("task", num_classes=CLASSES, config=config)
    return nn.ModuleList(copy.deepcopy(model) for _ in range(tasks)).eval()


def _pass(built: nn.Module, x: Tensor) -> Callable[[], list[Tensor]]:
    """Logits of all tasks for one batch."""

    @torch.no_grad()
    def run() -> list[Tensor]:
        if isinstance(built, DeltaModel):
            return list(built.forward_patches(x).values())
        return [net(x) for net in built.children()]

    return run


def _tensor_mb(built: nn.Module) -> float:
    return sum(tensor.nbytes for tensor in (*built.parameters(), *built.buffers())) / 2**20


def _peak_mb(kind: Kind, architecture: str, tasks: int, batch: int, image_px: int, threads: int) -> float:
    """Peak resident memory of building the nets and one pass, above that of the process after its imports."""
    imported = peak_resident_mb()
    torch.set_num_threads(threads)
    _pass(_build(kind, architecture, tasks), torch.randn(batch, 3, image_px, image_px))()
    return peak_resident_mb() - imported
