"""Where and on what runs execute: outside their identity, so that moving data or machines never forgets a run."""

from dataclasses import dataclass, field
from pathlib import Path

from delta_core.training.checkpoint import EVERY_S
from delta_core.training.ranks import Rank
from delta_core.training.tensor_store import CACHE_GB


@dataclass(frozen=True, kw_only=True)
class Env:
    """Folders, device and precision of a run. Never part of its identity."""

    results: Path
    cache: Path
    device: str = "cpu"
    """Of a run; several devices that share each of its batches are joined by commas."""
    rank: Rank | None = None
    """Of this process among those of a run, one for each device."""
    precision: str = "32-true"
    folders: dict[str, Path] = field(default_factory=dict)
    """Task name -> folder, for data that live outside the package."""
    data_root: Path | None = None
    """Folder below which the official data sets lie, at scale paper."""
    weights_root: Path | None = None
    """Folder of weight files by timm tag; None = timm downloads them."""
    weights_file: Path | None = None
    """File behind `weights="file:..."`."""
    loader_workers: int = 0
    """Processes that decode images."""
    cache_gb: float = CACHE_GB
    """Room for features of frozen nets, in 10^9 bytes; 0 keeps none."""
    checkpoint_every_s: float = EVERY_S
    """Seconds of a training that a kill may cost."""
    log_dir: Path | None = None
    """Folder for TensorBoard, with one of each run inside; None = nothing is logged."""
