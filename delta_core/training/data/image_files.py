"""Image files on disk: how one is read, and how a folder of class folders lists them."""

from pathlib import Path

from PIL import Image, ImageOps
from torchvision.datasets import ImageFolder

from delta_core.training.errors import UserError


def read_image(path: str | Path, *, upright: bool = True) -> Image.Image:
    """One image as RGB, upright as its camera meant it (EXIF orientation), or as it is stored.

    Raises:
        UserError: if the file is missing, cut off or no image.
    """
    try:
        with Image.open(path) as image:
            return (ImageOps.exif_transpose(image) if upright else image).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # what Pillow's decoders raise
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else type(error).__name__
        raise UserError(
            f"Image {str(path)!r} cannot be read ({reason}); give a JPEG, PNG or another image that Pillow opens."
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
