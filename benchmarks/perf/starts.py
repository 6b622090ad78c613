"""What a person waits for: commands from their start to their end, against importing the libraries they stand on."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image

from benchmarks.perf.arms import costed
from benchmarks.perf.paired import interleaved_seconds
from benchmarks.perf.rows import PerfRow, perf_row
from delta_core import DeltaModel, load_backbone

ROOT = Path(__file__).parents[2]
ARCHITECTURE = "resnet18"
LIBRARIES = "import torch, torchvision, timm"


def measure(*, repetitions: int = 7, image_px: int = 224) -> list[PerfRow]:
    """Seconds of each command in a process of its own, with files that the system has in memory.

    Args:
        repetitions: paired repetitions.
        image_px: side of the image that is classified under a Delta (1) patch on a resnet18.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        patch, image, weights = _patch_and_image(folder, image_px)
        commands = {
            LIBRARIES: ("-c", LIBRARIES),
            "import delta_core": ("-c", "import delta_core"),
            "delta_core.DeltaModel": ("-c", "import delta_core; delta_core.DeltaModel"),
            "delta-patch --help": ("-m", "delta_core.tool", "--help"),
            "delta-patch predict": ("-m", "delta_core.tool", "predict", patch, image, "--weights", weights),
            "python -m benchmarks --help": ("-m", "benchmarks", "--help"),
            "python -m benchmarks plan table2": ("-m", "benchmarks", "plan", "table2"),
            "python -m reports table2": ("-m", "reports", "table2", "--results", str(ROOT / "results")),
        }
        seconds = interleaved_seconds(
            {command: _process(words, folder) for command, words in commands.items()}, repetitions
        )
    return [
        perf_row(f"{command} / {LIBRARIES}", "s", seconds[command], seconds[LIBRARIES], {})
        for command in commands
        if command != LIBRARIES
    ]


def _process(words: tuple[str, ...], folder: Path) -> Callable[[], object]:
    """Python with these words, in an empty folder."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}

    def run() -> None:
        subprocess.run([sys.executable, *words], env=environment, cwd=folder, stdout=subprocess.DEVNULL, check=True)

    return run


def _patch_and_image(folder: Path, image_px: int) -> tuple[str, str, str]:
    """Places of a patch, an image, and the weights of the patch's net."""
    weights, image = folder / "net.pt", folder / "image.png"
    torch.save(timm.create_model(ARCHITECTURE).state_dict(), weights)
    model = DeltaModel(load_backbone(ARCHITECTURE, str(weights)), architecture=ARCHITECTURE, weights=weights.name)
    model.add_patch("task", num_classes=10, config=costed(1))
    pixels = np.random.default_rng(0).integers(0, 256, (image_px, image_px, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(image)
    return str(model.save_patch(folder / "patch")), str(image), str(weights)
