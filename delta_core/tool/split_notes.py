"""Sentences on a split of a person's images: what makes an accuracy on it higher than it ought to be, or leaves out.

They become part of the patch folder, which is shared: names of files stand in a second sentence, for its owner alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from delta_core.tool.seen_images import SeenImage, twins_in_training
from delta_core.training.data.folders import FolderPart
from delta_core.training.data.image_files import ClassFolders
from delta_core.training.data.near_duplicates import Hashes, first_look_alikes, perceptual_hashes
from delta_core.training.data.splits import Part


def of_single_images(images: ClassFolders) -> str:
    """A sentence on classes of which no image can be held out, if there are any."""
    counts = torch.tensor(images.targets).bincount(minlength=len(images.classes)).tolist()
    alone = [name for name, count in zip(images.classes, counts, strict=True) if count == 1]
    if not alone:
        return ""
    return (
        f" Never measured, because their one image is trained on: {len(alone)} of {len(counts)} classes "
        f"({', '.join(alone[:5])}{', ...' if len(alone) > 5 else ''})."
    )


def of_twins(seen: Sequence[SeenImage]) -> tuple[str, str]:
    """Sentences on measured images that were trained on as well, empty if there are none."""
    twins = twins_in_training(seen)
    if not twins:
        return "", ""
    told = f" {len(twins)} of the images measured on are byte for byte among those trained on: accuracy is too high."
    return told, f" The first of them is {twins[0].file}."


def of_near_duplicates(groups: Tensor, held: Tensor) -> str:
    """A sentence on near-duplicates, if there are any, and on those that could not be kept on one side."""
    sizes = groups.bincount()
    alike = int(sizes[sizes > 1].sum())
    if not alike:
        return ""
    measured = groups[held].bincount(minlength=len(sizes))
    parted = int(measured[(measured > 0) & (measured < sizes)].sum())
    told = f" {alike} images are near-duplicates of others of their class; they are trained on together or not at all."
    if not parted:
        return told
    return f"{told} Not so {parted} of those measured on, whose class shows nothing else: accuracy is too high there."


def of_look_alikes(
    parts: Mapping[Part, FolderPart], hashes: Hashes, root: Path, seen: Sequence[SeenImage]
) -> tuple[str, str]:
    """Sentences on measured images that look like images trained on without being the same file, empty without any.

    `hashes` are those of the images trained on.
    """
    twins = {image.file for image in twins_in_training(seen)}
    others = [root / image.file for image in seen if image.part == "test" and image.file not in twins]
    pairs = first_look_alikes(perceptual_hashes(others), hashes)
    if not pairs:
        return "", ""
    one, other = min(pairs.items())
    files = [path.relative_to(root).as_posix() for path in (others[one], parts["train"].files[other])]
    return (
        f" {len(pairs)} of the images measured on look like ones trained on: accuracy may be too high.",
        f" The first of them is {files[0]}, like {files[1]}.",
    )
