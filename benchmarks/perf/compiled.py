"""What `torch.compile` gives: steps and latency of compiled nets, against other compiled nets and the same as it is.

On CPU it needs a C++ compiler. Compiling takes minutes and is no part of these times; a row says how long it was.
"""

import time
from collections.abc import Callable

import timm
import torch

from benchmarks.perf.arms import Arm, TrainedArm, build, costed
from benchmarks.perf.inference import forward_of
from benchmarks.perf.paired import interleaved_seconds
from benchmarks.perf.rows import PerfRow, perf_row
from benchmarks.perf.training import epoch_of, random_batch
from delta_core import DeltaModel

OF_ARM: tuple[Arm, ...] = ("delta", "finetune", "lora")


def measure(
    *,
    repetitions: int = 7,
    device: str = "cpu",
    architecture: str = "resnet50",
    n_modules: int = 4,
    batch: int = 8,
    image_px: int = 224,
) -> list[PerfRow]:
    """Seconds of a compiled training step and of a compiled forward pass under Delta (4).

    Args:
        repetitions: paired repetitions.
        device: where torch computes.
        architecture: timm net with random weights.
        n_modules: of Delta.
        batch: images of a step, and of a pass.
        image_px: side of the square input in pixels.
    """
    setting: dict[str, object] = {
        "architecture": architecture, "n_modules": n_modules, "batch": batch, "image_px": image_px,
    }  # fmt: skip
    pixels, labels = random_batch(batch, image_px, device)
    runs: dict[str, Callable[[], object]] = {}
    for arm in OF_ARM:
        one = build(arm, architecture, n_modules, torch.device(device))
        if arm == "delta":
            runs["delta as it is"] = epoch_of(one, [pixels], labels, batch)
        compiled = TrainedArm(module=torch.compile(one.module), prepare=one.prepare)  # type: ignore[arg-type]
        runs[arm] = epoch_of(compiled, [pixels], labels, batch)
    compile_s = {name: _seconds(run) for name, run in runs.items()}
    steps = interleaved_seconds(runs, repetitions)

    model = DeltaModel(timm.create_model(architecture).to(memory_format=torch.channels_last))
    model.add_patch("delta", num_classes=1000, config=costed(n_modules))
    model.to(device).eval()
    faster = torch.compile(model)
    passes: dict[str, Callable[[], object]] = {
        "delta": forward_of(faster, model, "delta", pixels),
        "base": forward_of(faster, model, None, pixels),
        "delta as it is": forward_of(model, model, "delta", pixels),
        "base as it is": forward_of(model, model, None, pixels),
    }
    compile_s |= {f"{name}, forward": _seconds(run) for name, run in passes.items()}
    latencies = interleaved_seconds(passes, repetitions)

    def row(name: str, seconds: dict[str, list[float]], ours: str, reference: str) -> PerfRow:
        return perf_row(name, "s", seconds[ours], seconds[reference], setting, device=device)

    return [
        *(
            row(f"compiled step of delta ({n_modules}) / {name}", steps, "delta", reference)
            for name, reference in (
                ("compiled finetune", "finetune"), ("compiled lora", "lora"), ("not compiled", "delta as it is"),
            )
        ),
        *(
            row(f"compiled latency of delta ({n_modules}) / {name}", latencies, "delta", reference)
            for name, reference in (
                ("compiled base", "base"), ("not compiled", "delta as it is"), ("base as it is", "base as it is"),
            )
        ),
        perf_row(
            "compiling a step of delta / that step", "s", [compile_s["delta"]], [steps["delta"][-1]], setting,
            device=device,
        ),
        perf_row(
            "compiling a pass of delta / that pass", "s", [compile_s["delta, forward"]], [latencies["delta"][-1]],
            setting, device=device,
        ),
    ]  # fmt: skip


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started
