"""Training: seconds per epoch, seconds per step and peak memory, against full fine-tuning and other peers."""

from collections.abc import Callable
from importlib import import_module

import torch
from torch import Tensor

from benchmarks.perf.arms import CLASSES, Arm, TrainedArm, build
from benchmarks.perf.paired import in_fresh_process, interleaved_seconds
from benchmarks.perf.rows import PerfRow, perf_row
from delta_core.training.provenance import peak_mem_mb


def measure_epoch(
    *,
    repetitions: int = 5,
    device: str = "cpu",
    architecture: str = "resnet18",
    n_modules: tuple[int, ...] = (1, 4),
    images: int = 64,
    batch: int = 16,
    image_px: int = 224,
) -> list[PerfRow]:
    """Seconds of one epoch of a patch, with stored features and without, against full fine-tuning and peers.

    The stored features are in memory as the mapped store would hold them; making them is a row of its own.

    Args:
        repetitions: paired repetitions.
        device: where torch computes.
        architecture: timm net with random weights.
        n_modules: modules of each patch, on the last blocks; each is measured on its own.
        images: images of one epoch.
        batch: images of one step.
        image_px: side of the square input in pixels.
    """
    return [row for n in n_modules for row in _epoch(repetitions, device, architecture, n, images, batch, image_px)]


def _epoch(
    repetitions: int, device: str, architecture: str, n_modules: int, images: int, batch: int, image_px: int
) -> list[PerfRow]:
    arms: tuple[Arm, ...] = ("delta_features", "delta", "finetune", "head_features", "head", "lora")
    trained = {arm: build(arm, architecture, n_modules, torch.device(device)) for arm in arms}
    pixels, labels = random_batch(images, image_px, device)
    runs: dict[str, Callable[[], object]] = {
        arm: epoch_of(one, prepared(one, pixels, batch), labels, batch) for arm, one in trained.items()
    }
    runs["making features"] = lambda: prepared(trained["delta_features"], pixels, batch)
    seconds = interleaved_seconds(runs, repetitions)
    flops = {arm: one.train_flops(one.prepare(pixels[:2])) for arm, one in trained.items()}
    setting: dict[str, object] = {
        "architecture": architecture, "n_modules": n_modules, "images": images, "batch": batch, "image_px": image_px,
    }  # fmt: skip
    pairs: tuple[tuple[Arm, Arm], ...] = (
        ("delta_features", "finetune"),
        ("delta_features", "delta"),
        ("delta", "finetune"),
        ("lora", "finetune"),
        ("head_features", "finetune"),
        ("head", "finetune"),
        ("delta_features", "lora"),
    )
    rows = [
        perf_row(
            f"epoch of {ours} / {reference}, Delta ({n_modules})",
            "s",
            seconds[ours],
            seconds[reference],
            setting,
            flop_ratio=flops[ours] / flops[reference],
            device=device,
        )
        for ours, reference in pairs
    ]
    making = perf_row(
        f"making features / epoch of finetune, Delta ({n_modules})",
        "s",
        seconds["making features"],
        seconds["finetune"],
        setting,
        device=device,
    )
    return [*rows, making]


def measure_step(
    *,
    repetitions: int = 7,
    device: str = "cpu",
    architectures: tuple[str, ...] = ("resnet18", "resnet50", "convnext_tiny"),
    n_modules: int = 4,
    batch: int = 8,
    image_px: int = 224,
) -> list[PerfRow]:
    """Seconds of one training step of Delta (4) on images, against one of full fine-tuning and of LoRA."""
    arms: tuple[Arm, ...] = ("delta", "finetune", "lora")
    rows: list[PerfRow] = []
    for architecture in architectures:
        trained = {arm: build(arm, architecture, n_modules, torch.device(device)) for arm in arms}
        pixels, labels = random_batch(batch, image_px, device)
        seconds = interleaved_seconds(
            {arm: epoch_of(one, [pixels], labels, batch) for arm, one in trained.items()}, repetitions
        )
        flops = {arm: one.train_flops(pixels[:2]) for arm, one in trained.items()}
        setting: dict[str, object] = {
            "architecture": architecture, "n_modules": n_modules, "batch": batch, "image_px": image_px,
        }  # fmt: skip
        rows += [
            perf_row(
                f"step of delta ({n_modules}) / {reference}, {architecture}",
                "s",
                seconds["delta"],
                seconds[reference],
                setting,
                flop_ratio=flops["delta"] / flops[reference],
                device=device,
            )
            for reference in arms[1:]
        ]
    return rows


def measure_memory(
    *,
    repetitions: int = 5,
    device: str = "cpu",
    architecture: str = "resnet50",
    n_modules: int = 1,
    batch: int = 32,
    image_px: int = 224,
) -> list[PerfRow]:
    """Peak memory of two training steps on images, above that of the process after its imports."""
    peaks: dict[Arm, list[float]] = {"delta": [], "finetune": [], "head": []}
    for _ in range(repetitions):
        for arm, values in peaks.items():
            values.append(in_fresh_process(peak_training_mb, arm, architecture, n_modules, batch, image_px, device))
    setting: dict[str, object] = {
        "architecture": architecture, "n_modules": n_modules, "batch": batch, "image_px": image_px,
    }  # fmt: skip
    return [
        perf_row(
            f"peak training memory of {arm} / finetune", "MiB", peaks[arm], peaks["finetune"], setting, device=device
        )
        for arm in ("delta", "head")
    ]


def peak_training_mb(arm: Arm, architecture: str, n_modules: int, batch: int, image_px: int, device: str) -> float:
    """Peak memory of two training steps in this process, above that after its imports; call it in a fresh one."""
    if arm == "lora":
        import_module("peft")  # its imports would count as memory of training
    return peak_mb_of_steps(lambda at: build(arm, architecture, n_modules, at), batch, image_px, device)


def peak_mb_of_steps(make: Callable[[torch.device], TrainedArm], batch: int, image_px: int, device: str) -> float:
    """Peak memory of making an arm and of two training steps in this process, above that of the process as it is."""
    at = torch.device(device)
    imported = peak_mem_mb(at)
    one = make(at)
    pixels, labels = random_batch(batch, image_px, device)
    inputs = one.prepare(pixels)
    optimizer = one.optimizer()
    for _ in range(2):  # the second step meets the optimiser's state
        one.step(inputs, labels, optimizer)
    return peak_mem_mb(at) - imported


def random_batch(images: int, image_px: int, device: str) -> tuple[Tensor, Tensor]:
    """Images (N, 3, S, S), channels last, and labels (N,), on the device."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(images, 3, image_px, image_px, generator=generator)
    labels = torch.randint(CLASSES, (images,), generator=generator)
    return pixels.to(device).contiguous(memory_format=torch.channels_last), labels.to(device)


def prepared(one: TrainedArm, pixels: Tensor, batch: int) -> list[Tensor]:
    """Inputs of an arm, batch by batch."""
    return [one.prepare(part) for part in pixels.split(batch)]


def epoch_of(one: TrainedArm, inputs: list[Tensor], labels: Tensor, batch: int) -> Callable[[], None]:
    """One epoch over prepared inputs, to be called again and again."""
    optimizer = one.optimizer()

    def run() -> None:
        for part, target in zip(inputs, labels.split(batch), strict=True):
            one.step(part, target, optimizer)

    return run
