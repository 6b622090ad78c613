"""How a patch came about: `training.json` in the patch folder, which the model card tells in words."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from delta_core.patch_io import read_beside
from delta_core.tool.choice import Trial
from delta_core.training.class_weights import ClassWeights
from delta_core.training.history import Epoch
from delta_core.training.recipe import Recipe

NAME = "training.json"


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """Data, recipe, measured accuracy and the proof that the base stayed as it was."""

    run_id: str
    """Identity of the training."""
    data: str
    """Name of the image folder."""
    data_sha: str
    """Hash of the names and sizes of its files."""
    seen_sha: str
    """`seen_identity` of the list of images."""
    splits: str
    train_images: int
    val_images: int
    val_top1: float
    test_images: int
    test_right: int
    by_class: tuple[tuple[str, int, int], ...]
    """(class, right answers, images) on the test images, the worst class first."""
    recipe: Recipe
    patience: int | None
    """Of early stopping on the validation images; None: the last epoch was kept whatever it was."""
    class_weights: ClassWeights | None
    trials: tuple[Trial, ...]
    """What the number of modules was chosen from; empty where it was given."""
    epochs_run: int
    kept_epoch: int
    """The epoch whose weights the patch has, from 1."""
    history: tuple[Epoch, ...]
    """Loss, validation accuracy and seconds of every epoch, those before an interruption among them."""
    seed: int
    steps: int
    train_s: float
    fingerprint_before: str
    fingerprint_after: str
    base_logits_equal: bool
    """Whether the base net's logits on the test images are, bit for bit, those of before."""
    origin: Mapping[str, Any]
    """Commit, versions, device, precision and time, as rows of the benchmark suite carry them."""

    def write(self, folder: Path) -> None:
        """Write `training.json` into a folder."""
        (folder / NAME).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class DataIdentity:
    """What the record of a patch says of the images; empty where it does not say."""

    data_sha: str = ""
    """`folder_identity` of the images that it was trained on."""
    seen_sha: str = ""
    """`seen_identity` of their list."""


def read_identity(folder: Path) -> DataIdentity:
    """What the record in a patch folder says of the images; nothing where there is none, or none that can be read.

    Raises:
        DeltaError: if it is a link, a pipe or too long.
    """
    data = read_beside(folder / NAME) or b""
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError):
        return DataIdentity()
    if not isinstance(raw, dict):
        return DataIdentity()
    return DataIdentity(data_sha=str(raw.get("data_sha", "")), seen_sha=str(raw.get("seen_sha", "")))
