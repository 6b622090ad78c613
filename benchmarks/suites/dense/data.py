"""What a folder holds for detection or segmentation: its layout, classes and image sizes, read from its files.

Known layouts: VOCdevkit with VOC2007 (and VOC2012), and for segmentation also that of SegNet (`train`, `trainannot`,
`test`, `testannot`, perhaps `val` and `valannot`, and `classes.txt` with one `number name` a line).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image

from benchmarks.data.catalogue.voc import CLASSES as VOC_CLASSES
from benchmarks.suites.dense import scenes
from delta_core.training.errors import UserError

VOID = "unlabelled"
"""How the name of a class begins that is not scored."""


@dataclass(frozen=True, kw_only=True)
class DenseSplit:
    """Where the images of a split lie, relative to the root of the data."""

    images: str
    annotations: str
    """Folder of the boxes (XML) or masks (PNG)."""
    names: str = ""
    """File that lists the names; empty: all of the folder."""


@dataclass(frozen=True, kw_only=True)
class DenseData:
    """Data of one task."""

    root: Path
    train: tuple[DenseSplit, ...]
    test: DenseSplit
    classes: tuple[str, ...]
    """Without the ground of segmentation in VOC's layout."""
    has_ground: bool = False
    """Whether the masks count classes from 1 and ground is 0."""
    ignore_index: int = 255
    """Value of mask pixels that are not scored."""
    image_size: tuple[int, int]
    """Long and short side in pixels: the largest of a sample."""
    is_drawn: bool = False

    @property
    def is_voc(self) -> bool:
        """Whether the classes are those of PASCAL VOC."""
        return self.classes == VOC_CLASSES


def detection_data(root: Path) -> DenseData:
    """Boxes below a VOCdevkit folder, or a folder that holds one: VOC2007 and, to train on, VOC2012 if it is there.

    Raises:
        UserError: naming what is missing.
    """
    root = _devkit(root, "VOC2007")
    years = [year for year in ("VOC2007", "VOC2012") if (root / year).is_dir()]
    splits = tuple(_voc_split(root, year, "Main", "Annotations", "trainval") for year in years)
    test_split = _voc_split(root, "VOC2007", "Main", "Annotations", "test")
    # Reading all of VOC07+12 for names that are known would take a minute.
    found = set(VOC_CLASSES) if len(years) == 2 else _names_of_boxes(root, splits)
    classes = VOC_CLASSES if found <= set(VOC_CLASSES) else tuple(sorted(found))
    return DenseData(
        root=root, train=splits, test=test_split, classes=classes, image_size=_image_size(root, test_split)
    )  # fmt: skip


def segmentation_data(root: Path) -> DenseData:
    """Masks below a folder of SegNet's layout, or of VOC's: VOC2012 or else VOC2007.

    VOC2012 is read as mmseg reads it: tested on `val`, with SBD's masks to train on if they are there.

    Raises:
        UserError: naming what is missing.
    """
    if (root / "trainannot").is_dir():
        return _segnet(root)
    root = _devkit(root, "VOC2012", "VOC2007")
    if (root / "VOC2012").is_dir():
        year, train, test = "VOC2012", "train", "val"
    else:
        year, train, test = "VOC2007", "trainval", "test"
    splits = [_voc_split(root, year, "Segmentation", "SegmentationClass", train)]
    if (root / year / "SegmentationClassAug").is_dir():
        splits.append(_voc_split(root, year, "Segmentation", "SegmentationClassAug", "aug"))
    test_split = _voc_split(root, year, "Segmentation", "SegmentationClass", test)
    return DenseData(
        root=root,
        train=tuple(splits),
        test=test_split,
        classes=VOC_CLASSES,
        has_ground=True,
        image_size=_image_size(root, test_split),
    )


def drawn_data(cache: Path, task: str) -> DenseData:
    """The drawn scenes as data of `detection` or `segmentation`, drawn first if they are not below `cache`."""
    root = scenes.scenes_folder(cache)
    kind, annotations = ("Main", "Annotations") if task == "detection" else ("Segmentation", "SegmentationClass")
    train, test = (_voc_split(root, scenes.YEAR, kind, annotations, split) for split in ("trainval", "test"))
    return DenseData(
        root=root,
        train=(train,),
        test=test,
        classes=scenes.CLASS_NAMES,
        has_ground=task == "segmentation",
        image_size=(scenes.SIDE, scenes.SIDE),
        is_drawn=True,
    )


def _devkit(root: Path, *years: str) -> Path:
    for folder in (root, root / "VOCdevkit", root / "voc" / "VOCdevkit"):  # the last is where the catalogue has it
        if any((folder / year).is_dir() for year in years):
            return folder
    raise UserError(f"data_root is {str(root)!r}, which holds no {' or '.join(years)}; set DELTA_DATA to a folder.")


def _voc_split(root: Path, year: str, kind: str, annotations: str, split: str) -> DenseSplit:
    names = f"{year}/ImageSets/{kind}/{split}.txt"
    for part in (names, f"{year}/JPEGImages", f"{year}/{annotations}"):
        if not (root / part).exists():
            raise UserError(
                f"data_root is {str(root)!r}, where {part} is missing; set DELTA_DATA to a whole VOCdevkit."
            )
    return DenseSplit(images=f"{year}/JPEGImages", annotations=f"{year}/{annotations}", names=names)


def _segnet(root: Path) -> DenseData:
    for part in ("train", "test", "testannot", "classes.txt"):
        if not (root / part).exists():
            raise UserError(f"data_root is {str(root)!r}, where {part} is missing; set DELTA_DATA to a whole data set.")
    names = [line.split(maxsplit=1)[1] for line in (root / "classes.txt").read_text("utf-8").splitlines() if line]
    void = [number for number, name in enumerate(names) if name.lower().startswith(VOID)]
    train, test = (DenseSplit(images=part, annotations=f"{part}annot") for part in ("train", "test"))
    for split in (train, test):
        _check_pairs(root, split)
    return DenseData(
        root=root,
        train=(train,),
        test=test,
        classes=tuple(name for number, name in enumerate(names) if number not in void),
        ignore_index=void[0] if void else 255,
        image_size=_image_size(root, test),
    )


def _check_pairs(root: Path, split: DenseSplit) -> None:
    """Refuse a folder whose images are not those that have masks: mmseg would leave out what it does not find."""
    images = set(_names(root, split))
    masks = {path.stem for path in (root / split.annotations).glob("*.png")}
    if images != masks:
        lone = min(images ^ masks)
        kind = "mask, a PNG" if lone in images else "image, a JPEG"
        raise UserError(f"data_root is {str(root)!r}, where {lone!r} of {split.images} has no {kind}; put it there.")


def _listed(root: Path, split: DenseSplit) -> list[str]:
    return (root / split.names).read_text("utf-8").split()


def count_images(data: DenseData) -> int:
    """Images to train on."""
    return sum(len(_names(data.root, split)) for split in data.train)


def _names(root: Path, split: DenseSplit) -> list[str]:
    return _listed(root, split) if split.names else sorted(path.stem for path in (root / split.images).glob("*.jpg"))


def _names_of_boxes(root: Path, splits: Iterable[DenseSplit]) -> set[str]:
    files = (root / split.annotations / f"{name}.xml" for split in splits for name in _listed(root, split))
    return {str(entry.findtext("name")) for file in files for entry in ElementTree.parse(file).iter("object")}


def _image_size(root: Path, split: DenseSplit, sample: int = 20) -> tuple[int, int]:
    names = _names(root, split)
    if not names:
        raise UserError(f"data_root is {str(root)!r}, where {split.names or split.images} lists no image.")
    sizes = []
    for name in names[:sample]:
        with Image.open(root / split.images / f"{name}.jpg") as image:
            sizes.append(image.size)
    return max(max(size) for size in sizes), max(min(size) for size in sizes)
