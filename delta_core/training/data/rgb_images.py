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


def to_rgb(image: Image.Image, *, white: int | None = None) -> Image.Image:
    """A PIL image as RGB of 8 bits a channel; grey values of more bits are scaled by their depth.

    Pillow's own conversion cuts off such values instead: 16 bits become white, and floats black.

    Args:
        image: of any mode.
        white: the largest value that its whole numbers can have, where their kind does not say.

    Raises:
        UserError: for values whose white nobody knows: floats outside of 0 to 1, and whole numbers of 32 bits.

    >>> to_rgb(Image.fromarray(np.array([[0, 32768, 65535]], dtype=np.uint16))).getpixel((1, 0))
    (128, 128, 128)
    """
    deep = image.mode == "I" or image.mode.startswith("I;16")
    if not deep and image.mode != "F":
        return image.convert("RGB")
    values = np.asarray(image).astype(np.float64)
    if image.mode == "F":
        white = 1
    elif white is None and image.mode != "I":
        white = 2**16 - 1
    if white is None:
        raise UserError("its whole numbers of 32 bits do not say what is white; save it in 8 or 16 bits.")
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= white):  # NaN is neither
        raise UserError(f"its values go from {low:g} to {high:g}; save it with values from 0 to {white}.")
    return Image.fromarray(np.rint(values / white * 255).astype(np.uint8)).convert("RGB")


def as_rgb(image: Any) -> Image.Image | Tensor:
    """An image of a user as RGB. Raises UserError for what is no image.

    >>> as_rgb(torch.zeros(1, 4, 5, dtype=torch.uint8)).shape
    torch.Size([3, 4, 5])
    """
    if isinstance(image, Image.Image):
        try:
            return image if image.mode == "RGB" else to_rgb(image)
        except UserError as error:
            raise UserError(f"An image of the data is refused: {error}") from error
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
