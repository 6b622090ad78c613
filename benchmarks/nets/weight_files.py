"""The paper's twelve bases as files of one folder, for machines without network: `--weights-root`."""

from collections.abc import Callable
from pathlib import Path

from torch import nn

from benchmarks.nets.base_check import BASE_TOP1
from delta_core.training.sealed_state import write_sealed
from delta_core.weights import load_backbone

BASES = tuple(weights.removeprefix("timm:") for weights in BASE_TOP1)
"""Full timm names."""


def fetch_weights(weights_root: Path, report: Callable[[str], None]) -> None:
    """Let timm download what is missing in the folder; `report` hears the name of each base.

    Raises:
        DeltaError: if a download fails.
    """
    for tagged in BASES:
        if not (weights_root / f"{tagged}.safetensors").is_file():
            save_weights(load_backbone(tagged.partition(".")[0], f"timm:{tagged}"), weights_root, tagged)
            report(tagged)


def save_weights(net: nn.Module, weights_root: Path, tagged: str) -> None:
    """Write the state of a net as the file of that name, as a whole or not at all."""
    write_sealed(weights_root / f"{tagged}.safetensors", net.state_dict())
