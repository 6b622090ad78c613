"""Image files on disk: how one is read, and how a folder of class folders lists them."""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from PIL import Image, ImageOps
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from delta_core.training.data.rgb_images import to_rgb
from delta_core.training.errors import UserError

UNREAD = (".arw", ".cr2", ".cr3", ".dng", ".heic", ".heif", ".jxl", ".nef", ".orf", ".raf", ".rw2", ".svg", ".svgz")
"""Kinds of images that Pillow does not know even by name."""

BITS_PER_SAMPLE = 258
"""Tag of a TIFF."""


def read_image(path: str | Path, *, upright: bool = True, max_pixels: int | None = None) -> Image.Image:
    """One image as RGB, upright as its camera meant it (EXIF orientation), or as it is stored.

    Of a file with several pictures it is the first, and a warning says so. Grey values of more than 8 bits are scaled
    by their depth, see `to_rgb`.

    Args:
        path: the file.
        upright: whether it is turned as EXIF says.
        max_pixels: width times height above which it is refused before it is decoded; None: Pillow's own limit.

    Raises:
        UserError: if the file is missing, cut off, too large or no image, or does not say what is white.
    """
    if Path(path).exists() and not Path(path).is_file():  # reading a pipe or a device may never end
        raise UserError(f"Image {str(path)!r} cannot be read: it is no file; give a JPEG, PNG or another image.")
    try:
        with Image.open(path) as image:
            if max_pixels is not None and image.width * image.height > max_pixels:
                raise UserError(f"{image.width} x {image.height} pixels are more than {max_pixels:,}")
            # A JPEG of several pictures is a photograph with its preview.
            if getattr(image, "is_animated", False) and image.format != "MPO":
                warnings.warn(f"Image {str(path)!r} holds several pictures; the first is the one used.", stacklevel=2)
            white = _white_of(image)  # a turned copy does not know its file
            return to_rgb(ImageOps.exif_transpose(image) if upright else image, white=white)
    except UserError as error:
        raise UserError(f"Image {str(path)!r} is refused: {error}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # what Pillow's decoders raise
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else type(error).__name__
        raise UserError(
            f"Image {str(path)!r} cannot be read ({reason}); give a JPEG, PNG or another image that Pillow opens."
        ) from error


def _white_of(image: Image.Image) -> int | None:
    """The largest value that the whole numbers of an opened file can have; None where their kind says so, or nothing.

    A PGM says so itself, and Pillow scales it to 16 bits; a TIFF may have 12.
    """
    if image.format == "PPM":
        return 2**16 - 1
    bits = image.tag_v2.get(BITS_PER_SAMPLE, (32,))[0] if image.format == "TIFF" else 32  # type: ignore[attr-defined]
    return 2**bits - 1 if bits <= 16 else None


def is_read(path: Path) -> bool:
    """Whether a file is an image by its name, of a kind that folders of images are read from."""
    return path.suffix.lower() in IMG_EXTENSIONS


def is_left_out(path: Path) -> bool:
    """Whether a file is an image by its name, of a kind that folders of images are not read from."""
    kind = path.suffix.lower()
    return (kind in UNREAD or Image.registered_extensions().get(kind) in Image.OPEN) and not is_read(path)


def paths_below(folder: Path) -> Iterator[Path]:
    """Every file and folder below a folder, as `folder.rglob("*")`, which takes a forbidden folder for an empty one.

    Raises:
        UserError: for a folder whose files may not be listed.
    """
    for parent, folders, files in os.walk(folder, onerror=_refuse):
        yield from (Path(parent, name) for name in (*folders, *files))


def _refuse(error: OSError) -> NoReturn:
    raise UserError(
        f"Folder {error.filename!r} cannot be listed ({type(error).__name__}), so its images would be left out without "
        "a word; allow it to be read, or move it elsewhere."
    ) from error


def class_folders(folder: Path) -> list[str]:
    """Sorted names of the folders in a folder; empty and hidden ones are no classes."""
    return sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".") and any(entry.iterdir())
    )


class ClassFolders(ImageFolder):  # type: ignore[misc]  # torchvision has no types
    """A torchvision ImageFolder whose classes are `class_folders` and whose images come from `read_image`."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, loader=read_image)

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """Class names and their indices, as torchvision asks for them."""
        names = class_folders(Path(directory))
        return names, {name: index for index, name in enumerate(names)}
