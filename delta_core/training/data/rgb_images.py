"""Images as users bring them, seen as RGB: PIL images, arrays and tensors of pixels."""

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from delta_core.training.errors import UserError


class RgbImages(Dataset[tuple[Any]]):
    """The images of a data set of (image, label) as RGB: PIL images, or tensors (3, H, W) uint8."""

    def __init__(self, pairs: Dataset[Any]) -> None:
        self.pairs = pairs

    def __getitem__(self, index: int) -> tuple[Any]:
        return (as_rgb(self.pairs[index][0]),)

    def __len__(self) -> int:
        return len(self.pairs)  # type: ignore[arg-type]


def as_rgb(image: Any) -> Image.Image | Tensor:
    """An image of a user as RGB. Raises UserError for what is no image.

    >>> as_rgb(torch.zeros(1, 4, 5, dtype=torch.uint8)).shape
    torch.Size([3, 4, 5])
    """
    if isinstance(image, Image.Image):
        return image if image.mode == "RGB" else image.convert("RGB")
    pixels = torch.from_numpy(image) if isinstance(image, np.ndarray) and image.dtype == np.uint8 else image
    if isinstance(pixels, Tensor) and pixels.dtype == torch.uint8 and pixels.ndim in (2, 3):
        if isinstance(image, np.ndarray) and pixels.ndim == 3:
            pixels = pixels.permute(2, 0, 1)
        pixels = pixels.reshape(-1, *pixels.shape[-2:])
        if len(pixels) in (1, 3):
            return pixels.expand(3, -1, -1)
    shape = f"{tuple(image.shape)} {image.dtype}" if hasattr(image, "shape") else type(image).__name__
    raise UserError(
        f"An image of the data is {shape}; give PIL images, uint8 arrays (H, W, 3), or tensors (3, H, W): uint8 "
        "pixels, or floats that are normalised already."
    )
