"""What folding frozen BatchNorms into convolutions gives: steps and latency of Delta (4), against nets as they are."""

from dataclasses import replace
from typing import cast

import torch

from benchmarks.perf.arms import build
from benchmarks.perf.inference import forward_of
from benchmarks.perf.paired import interleaved_seconds
from benchmarks.perf.rows import PerfRow, perf_row
from benchmarks.perf.training import epoch_of, random_batch
from delta_core import DeltaModel, fold_norms


def measure(
    *,
    repetitions: int = 7,
    device: str = "cpu",
    architecture: str = "resnet50",
    n_modules: int = 4,
    batch: int = 8,
    image_px: int = 224,
) -> list[PerfRow]:
    """Seconds of a training step and of a forward pass under Delta (4) on a folded backbone.

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
    arms = {
        "as it is": build("delta", architecture, n_modules, torch.device(device)),
        "finetune": build("finetune", architecture, n_modules, torch.device(device)),
    }
    model = cast(DeltaModel, arms["as it is"].module)
    folded = fold_norms(model)
    arms["delta"] = replace(arms["as it is"], module=folded)
    steps = interleaved_seconds(
        {name: epoch_of(arm, [pixels], labels, batch) for name, arm in arms.items()}, repetitions
    )
    patch = model.active_patch
    model.eval()  # and with it the patch of both
    passes = interleaved_seconds(
        {
            "delta": forward_of(folded, folded, patch, pixels),
            "as it is": forward_of(model, model, patch, pixels),
            "folded base": forward_of(folded, folded, None, pixels),
            "base": forward_of(model, model, None, pixels),
        },
        repetitions,
    )

    def row(name: str, seconds: dict[str, list[float]], reference: str) -> PerfRow:
        return perf_row(
            f"folded {name} of delta ({n_modules}) / {reference}",
            "s", seconds["delta"], seconds[reference], setting, device=device,
        )  # fmt: skip

    return [
        *(row("step", steps, reference) for reference in ("as it is", "finetune")),
        *(row("latency", passes, reference) for reference in ("as it is", "folded base", "base")),
    ]
