"""The layout of SegNet's data: `train`, `trainannot`, `test`, `testannot`, `classes.txt`; `val` may be there."""

from pathlib import Path

from benchmarks.suites.dense.folders.described import DenseData, DenseSplit, pictures_in, require, size_of
from delta_core.training.errors import UserError

VOID = "unlabelled"
"""How the name of a class begins that is not scored."""


def segnet_masks(root: Path, classes: tuple[str, ...] | None = None) -> DenseData:
    """Masks in SegNet's layout, images as JPEG or PNG and masks as PNG of the same names.

    A line of classes.txt is a name, or a number and a name; without numbers the first line is class 0. A class whose
    name begins with `unlabelled` is not scored. Images of `val` are neither trained nor tested on.

    Raises:
        UserError: naming what is missing.
    """
    require(root, "train", "trainannot", "test", "testannot", *([] if classes else ["classes.txt"]))
    names = list(classes) if classes else _names(root / "classes.txt")
    void = [number for number, name in enumerate(names) if name.lower().startswith(VOID)]
    train, test = (DenseSplit(images=part, annotations=f"{part}annot") for part in ("train", "test"))
    images = {split.images: _paired(root, split) for split in (train, test)}
    return DenseData(
        root=root,
        format="segnet",
        train=(train,),
        test=test,
        train_images=len(images["train"]),
        classes=tuple(name for number, name in enumerate(names) if number not in void),
        ignore_index=void[0] if void else 255,
        image_size=size_of(images["test"]),
    )


def _names(path: Path) -> list[str]:
    """Class names in the order of the masks' values."""
    lines = [line.strip() for line in path.read_text("utf-8", errors="replace").splitlines() if line.strip()]
    if not lines:
        raise UserError(f"{str(path)!r} names no class; write one a line.")
    parts = [line.split(maxsplit=1) for line in lines]
    if not all(len(part) == 2 and part[0].isdecimal() for part in parts):
        return lines
    numbers = [int(part[0]) for part in parts]
    if sorted(numbers) != list(range(len(numbers))):
        raise UserError(f"{str(path)!r} numbers its classes {numbers}; expected 0 to {len(numbers) - 1}, each once.")
    return [name for _, name in sorted(zip(numbers, (part[1] for part in parts), strict=True))]


def _paired(root: Path, split: DenseSplit) -> list[Path]:
    """Images of a split. Those without mask are refused, and masks without image: mmseg would leave them out."""
    found = pictures_in(root / split.images)
    images = {path.stem for path in found}
    masks = {path.stem for path in (root / split.annotations).glob("*.png")}
    if images != masks:
        lone = min(images ^ masks)
        kind = "mask, a PNG" if lone in images else "image, a JPEG or PNG"
        raise UserError(f"{str(root)!r} has {lone!r} in {split.images} without {kind}; put it there.")
    if not found:
        raise UserError(f"{str(root / split.images)!r} holds no image; put JPEG or PNG files there.")
    return found
