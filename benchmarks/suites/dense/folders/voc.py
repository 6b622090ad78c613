"""PASCAL VOC's layout: VOC2007, and VOC2012 if it is there, with ImageSets, JPEGImages and annotations."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.data.catalogue.voc import CLASSES as VOC_CLASSES
from benchmarks.suites.dense.folders.described import DenseData, DenseSplit, picture, require, same_classes, size_of
from delta_core.training.errors import UserError


def devkit_of(root: Path, *years: str) -> Path | None:
    """The folder that holds one of the years: the root, or a VOCdevkit below it."""
    places = (root, root / "VOCdevkit", root / "voc" / "VOCdevkit")  # the last is where the catalogue has it
    return next((folder for folder in places if any((folder / year).is_dir() for year in years)), None)


def voc_boxes(root: Path, classes: tuple[str, ...] | None = None) -> DenseData:
    """Boxes below a VOCdevkit folder: VOC2007 and, to train on, VOC2012 if it is there.

    Classes are those that the boxes name, in alphabetical order; VOC's own order is kept where they are all of VOC's.

    Args:
        root: the folder, or one that holds it.
        classes: to take these instead; boxes of others are left out.

    Raises:
        UserError: naming what is missing or cannot be read.
    """
    root = _devkit(root, "VOC2007")
    years = [year for year in ("VOC2007", "VOC2012") if (root / year).is_dir()]
    splits = tuple(_split(root, year, "Main", "Annotations", "trainval") for year in years)
    test = _split(root, "VOC2007", "Main", "Annotations", "test")
    if classes is None:
        # Reading all of VOC07+12 for names that are known would take a minute.
        classes = VOC_CLASSES if len(years) == 2 else _classes_of_boxes(root, splits, test)
    elif not any(name in classes for split in splits for name in _names_in(root, split)):  # ends at the first
        raise UserError(
            f"No image to train on in {str(root)!r} has a box of {', '.join(classes[:3])}; name classes that it has."
        )
    return DenseData(
        root=root,
        format="voc",
        train=splits,
        test=test,
        train_images=sum(len(names_of(root, split)) for split in splits),
        classes=classes,
        image_size=_image_size(root, test),
    )


def voc_masks(root: Path, classes: tuple[str, ...] | None = None) -> DenseData:
    """Masks below a VOCdevkit folder: VOC2012 or else VOC2007.

    VOC2012 is read as mmseg reads it: tested on `val`, with SBD's masks to train on if they are there. Masks have no
    names, so the classes are VOC's unless they are given.

    Raises:
        UserError: naming what is missing.
    """
    root = _devkit(root, "VOC2012", "VOC2007")
    if (root / "VOC2012").is_dir():
        year, train, test_split = "VOC2012", "train", "val"
    else:
        year, train, test_split = "VOC2007", "trainval", "test"
    splits = [_split(root, year, "Segmentation", "SegmentationClass", train)]
    if (root / year / "SegmentationClassAug").is_dir():
        splits.append(_split(root, year, "Segmentation", "SegmentationClassAug", "aug"))
    test = _split(root, year, "Segmentation", "SegmentationClass", test_split)
    return DenseData(
        root=root,
        format="voc",
        train=tuple(splits),
        test=test,
        train_images=sum(len(names_of(root, split)) for split in splits),
        classes=classes or VOC_CLASSES,
        has_ground=True,
        image_size=_image_size(root, test),
    )


def names_of(root: Path, split: DenseSplit) -> list[str]:
    """Names of the images of a split.

    Raises:
        UserError: if the list is empty, or has more than a name on a line.
    """
    path = root / split.names
    names = [line.strip() for line in path.read_text("utf-8", errors="replace").splitlines() if line.strip()]
    if not names:
        raise UserError(f"{str(path)!r} lists no image; write one name a line into it.")
    if wrong := next((name for name in names if len(name.split()) > 1), None):
        raise UserError(f"{str(path)!r} has the line {wrong!r}; expected one name a line, without columns.")
    return names


def names_of_boxes(file: Path) -> list[str]:
    """Classes of the objects in an annotation; none for an image without objects.

    Raises:
        UserError: if it cannot be read, or has an object without name.
    """
    try:
        entries = list(ElementTree.parse(file).iter("object"))
    except (OSError, ElementTree.ParseError) as error:
        raise UserError(f"Annotation {str(file)!r} cannot be read ({type(error).__name__}); write it again.") from error
    names = [(entry.findtext("name") or "").strip() for entry in entries]
    if "" in names:
        raise UserError(f"Annotation {str(file)!r} has an object without name; give it one or take it out.")
    return names


def _classes_of_boxes(root: Path, train: tuple[DenseSplit, ...], test: DenseSplit) -> tuple[str, ...]:
    found = [set(_names_in(root, split)) for split in (*train, test)]
    trained = set[str]().union(*found[:-1])
    if not trained:
        raise UserError(f"{str(root)!r} has no object in the images to train on; draw boxes around some.")
    same_classes(root, trained, found[-1])
    return VOC_CLASSES if trained == set(VOC_CLASSES) else tuple(sorted(trained))


def _names_in(root: Path, split: DenseSplit) -> Iterator[str]:
    """Classes of all boxes of a split, one a box."""
    for image in names_of(root, split):
        yield from names_of_boxes(root / split.annotations / f"{image}.xml")


def _devkit(root: Path, *years: str) -> Path:
    found = devkit_of(root, *years)
    if found is None:
        raise UserError(f"{str(root)!r} holds no {' or '.join(years)}; name a folder in VOC's layout.")
    return found


def _split(root: Path, year: str, kind: str, annotations: str, split: str) -> DenseSplit:
    names = f"{year}/ImageSets/{kind}/{split}.txt"
    require(root, names, f"{year}/JPEGImages", f"{year}/{annotations}")
    found = DenseSplit(images=f"{year}/JPEGImages", annotations=f"{year}/{annotations}", names=names)
    listed = names_of(root, found)
    ending = ".xml" if annotations == "Annotations" else ".png"
    if lone := next((name for name in listed if not (root / found.annotations / f"{name}{ending}").is_file()), None):
        raise UserError(f"{names} of {str(root)!r} lists {lone!r}, which has no {annotations}/{lone}{ending}.")
    return found


def _image_size(root: Path, split: DenseSplit) -> tuple[int, int]:
    return size_of([picture(root / split.images, name) for name in names_of(root, split)[:20]])
