"""A patch beside what else one would train: images per second, memory, and bytes to keep for every task."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.perf.arms import Arm, build
from benchmarks.perf.paired import in_fresh_process, interleaved_seconds
from benchmarks.perf.rows import PerfRow, perf_row
from benchmarks.perf.training import epoch_of, peak_training_mb, prepared, random_batch

PEERS: tuple[Arm, ...] = ("delta_features", "delta", "head_features", "lora", "parallel_adapters", "series_adapters")


def measure(
    *,
    repetitions: int = 5,
    device: str = "cpu",
    architectures: tuple[str, ...] = ("resnet18", "resnet50", "convnext_tiny"),
    images: int = 16,
    batch: int = 8,
    image_px: int = 224,
) -> list[PerfRow]:
    """Delta (1), linear probe, LoRA and residual adapters against full fine-tuning, on full-size nets.

    Args:
        repetitions: paired repetitions of the time; memory is measured once in a process of its own.
        device: where torch computes.
        architectures: timm nets with random weights.
        images: images of one epoch.
        batch: images of one step.
        image_px: side of the square input in pixels.
    """
    rows: list[PerfRow] = []
    for architecture in architectures:
        arms: tuple[Arm, ...] = (*PEERS, "finetune")
        trained = {arm: build(arm, architecture, 1, torch.device(device)) for arm in arms}
        pixels, labels = random_batch(images, image_px, device)
        runs: dict[str, Callable[[], object]] = {
            arm: epoch_of(one, prepared(one, pixels, batch), labels, batch) for arm, one in trained.items()
        }
        rates = {
            arm: [images / second for second in seconds]
            for arm, seconds in interleaved_seconds(runs, repetitions).items()
        }
        kept = {arm: [kept_mb(one.module)] for arm, one in trained.items()}
        del trained, runs
        peaks = {
            arm: [in_fresh_process(peak_training_mb, arm, architecture, 1, batch, image_px, device)] for arm in arms
        }
        setting: dict[str, object] = {
            "architecture": architecture, "images": images, "batch": batch, "image_px": image_px,
        }  # fmt: skip
        rows += [
            perf_row(
                f"{cost} of {arm} / finetune, {architecture}", unit, values[arm], values["finetune"], setting,
                device=device,
            )
            for arm in PEERS
            for cost, unit, values in (
                ("training speed", "images/s", rates),
                ("peak training memory", "MiB", peaks),
                ("kept for a task", "MiB", kept),
            )
        ]  # fmt: skip
    return rows


def kept_mb(module: nn.Module) -> float:
    """MiB of what must be kept for one task."""
    return sum(tensor.nbytes for tensor in kept_tensors(module)) / 2**20


def kept_tensors(module: nn.Module) -> list[Tensor]:
    """What must be kept for one task: trained parameters, and the buffers beside them."""
    tensors: list[Tensor] = []
    for part in module.modules():
        trained = [parameter for parameter in part.parameters(recurse=False) if parameter.requires_grad]
        tensors += trained
        if trained:
            tensors += list(part.buffers(recurse=False))
    return tensors
