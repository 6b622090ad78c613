"""Many tasks on one backbone in one pass, against one model per task run one after the other.

References: `models`, as many DeltaModels with a backbone each; `finetuned`, as many plain nets of the task's classes.
Ours shares all stages in front of the last block, that block's first sub-block, and the bytes of the backbone.
"""

import copy
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast, get_args

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
    *, repetitions: int = 9, architecture: str = "resnet18", image_px: int = 224, batch: int = 8, tasks: int = 100
) -> list[PerfRow]:
    """Seconds of one pass for all tasks, bytes held, and peak memory: of a pass, and of loading patches from files.

    Args:
        repetitions: paired repetitions of the time; a third as many of the memory.
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
    in_files = _in_files_mb(cast(DeltaModel, built["ours"]))
    del built
    threads = torch.get_num_threads()
    peaks: dict[Kind, list[float]] = {kind: [] for kind in kinds}
    for _ in range(max(1, repetitions // 3)):
        for kind in kinds:
            peaks[kind].append(in_fresh_process(_peak_mb, kind, architecture, tasks, batch, image_px, threads))
    loaded = [in_fresh_process(_loaded_mb, architecture, tasks) for _ in peaks["ours"]]
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
        *(
            perf_row(f"{cost} / {reference}", unit, values["ours"], values[reference], setting)
            for cost, unit, values in costs
            for reference in kinds[1:]
        ),
        perf_row("memory of loaded patches / base and patch files", "MiB", loaded, [in_files] * len(loaded), setting),
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


def _in_files_mb(model: DeltaModel) -> float:
    """Bytes of a base, and of the folders of its patches."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [model.save_patch(Path(folder) / name, name) for name in model.patches]
        files = [file.stat().st_size for path in paths for file in path.iterdir()]
    return _tensor_mb(model.backbone) + sum(files) / 2**20


def _loaded_mb(architecture: str, tasks: int) -> float:
    """Peak resident memory of a base and patches loaded from files, above that of the process after its imports."""
    imported = peak_resident_mb()
    model = DeltaModel(timm.create_model(architecture))
    model.add_patch("task", num_classes=CLASSES, config=costed(1))
    with tempfile.TemporaryDirectory() as folder:
        path = model.save_patch(Path(folder) / "task")
        model.delete_patch("task")
        for task in range(tasks):
            model.load_patch(path, f"task{task}")
    return peak_resident_mb() - imported
