"""Inference: latency of a patched net against the net without patch."""

from collections.abc import Callable

import timm
import torch
from torch import Tensor

from benchmarks.perf.arms import costed
from benchmarks.perf.flops import flops_of
from benchmarks.perf.paired import interleaved_seconds
from benchmarks.perf.rows import PerfRow, perf_row
from delta_core import DeltaModel


def measure_latency(
    *,
    repetitions: int = 9,
    device: str = "cpu",
    architecture: str = "resnet50",
    modules: tuple[int, ...] = (1, 4),
    batches: tuple[int, ...] = (1, 8),
    image_px: int = 224,
) -> list[PerfRow]:
    """Seconds of a forward pass under each patch, against the base.

    Args:
        repetitions: paired repetitions.
        device: where torch computes.
        architecture: timm net with random weights.
        modules: numbers of Delta-modules to measure.
        batches: batch sizes to measure.
        image_px: side of the square input in pixels.
    """
    model = DeltaModel(timm.create_model(architecture).to(memory_format=torch.channels_last))
    for n in modules:
        model.add_patch(f"delta{n}", num_classes=1000, config=costed(n))
    model.to(device).eval()
    rows: list[PerfRow] = []
    for batch in batches:
        x = torch.randn(batch, 3, image_px, image_px, generator=torch.Generator().manual_seed(0))
        x = x.to(device).contiguous(memory_format=torch.channels_last)
        patches = {"base": None} | {f"delta{n}": f"delta{n}" for n in modules}
        seconds = interleaved_seconds(
            {name: forward_of(model, model, patch, x) for name, patch in patches.items()}, repetitions
        )
        flops = {name: flops_of(forward_of(model, model, patch, x[:1])) for name, patch in patches.items()}
        rows += [
            perf_row(
                f"latency of delta ({n}) at batch {batch} / base",
                "s",
                seconds[f"delta{n}"],
                seconds["base"],
                {"architecture": architecture, "batch": batch, "image_px": image_px, "n_modules": n},
                flop_ratio=flops[f"delta{n}"] / flops["base"],
                device=device,
            )
            for n in modules
        ]
    return rows


def forward_of(
    net: Callable[[Tensor], Tensor], model: DeltaModel, patch: str | None, x: Tensor
) -> Callable[[], Tensor]:
    """A pass of a model, or of what was compiled of it, under a patch or without."""

    @torch.inference_mode()
    def run() -> Tensor:
        model.set_patch(patch)
        return net(x)

    return run
