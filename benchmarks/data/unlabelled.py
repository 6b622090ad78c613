"""Images of a base task without labels: what the untouched net answers on them takes the place of the truth."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Subset
from torchvision.datasets.folder import IMG_EXTENSIONS

from delta_core.training.data.image_files import paths_below, read_image
from delta_core.training.data.splits import LazySplit, Split, TaskData, in_memory_if_small
from delta_core.training.errors import UserError
from delta_core.weights import Preprocessing

NO_LABEL = -1


class UnlabelledImages(Dataset[tuple[Image.Image]]):
    """Image files, as they come."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files

    def __getitem__(self, index: int) -> tuple[Image.Image]:
        return (read_image(self.files[index]),)

    def __len__(self) -> int:
        return len(self.files)


def image_files(root: Path) -> list[Path]:
    """All image files below a folder, in the order of their paths.

    Raises:
        UserError: if the folder is not there, or holds fewer than two images or one whose head cannot be read.
    """
    if not root.is_dir():
        raise UserError(f"Folder {str(root)!r} of unlabelled images does not exist; give --base-images DIR.")
    files = sorted(path for path in paths_below(root) if path.is_file() and path.suffix.lower() in IMG_EXTENSIONS)
    if len(files) < 2:
        raise UserError(
            f"Folder {str(root)!r} holds {len(files)} images (JPEG, PNG, ...); --base-images needs at least two, one "
            "to validate and one to test."
        )
    for path in files:
        try:
            Image.open(path).close()
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise UserError(
                f"Image {str(path)!r} of --base-images cannot be read ({type(error).__name__}); remove it, or give a "
                "JPEG, PNG or another image that Pillow opens."
            ) from error
    return files


def load_unlabelled(
    name: str, images: Dataset[Any], sha: str, preprocessing: Preprocessing, *, classes: int
) -> TaskData:
    """Evaluation images of a base task: every fifth is of the validation split, the others of the test split.

    Args:
        name: of the base task.
        images: item i a tuple whose first element is an RGB image.
        sha: identity of the images.
        preprocessing: of the backbone's weights.
        classes: of the base head.

    Returns:
        A task whose labels are all `NO_LABEL`, until `benchmarks.nets.untouched` puts a net's answers there.
    """
    held = torch.arange(len(images)) % 5 == 0  # type: ignore[arg-type]

    def split(mask: Tensor) -> Split:
        places = torch.nonzero(mask)[:, 0].tolist()
        return in_memory_if_small(
            LazySplit(
                images=Subset(images, places),
                labels=torch.full((len(places),), NO_LABEL),
                transform=preprocessing.resize_and_crop(),
                preprocessing=preprocessing,
            )
        )

    val = split(held)
    return TaskData(name=name, classes=classes, sha=sha, train=val, val=val, test=split(~held))
