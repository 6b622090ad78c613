"""A folder of any known layout as data of a task."""

from pathlib import Path

from benchmarks.suites.dense.folders.coco import coco_data, is_coco
from benchmarks.suites.dense.folders.described import FORMATS, DenseData, Format, Kind
from benchmarks.suites.dense.folders.segnet import segnet_masks
from benchmarks.suites.dense.folders.voc import devkit_of, voc_boxes, voc_masks
from delta_core.training.errors import UserError


def read_folder(
    root: Path, kind: Kind, *, layout: Format | None = None, classes: tuple[str, ...] | None = None
) -> DenseData:
    """What a folder holds for a task.

    Args:
        root: the folder.
        kind: boxes or masks.
        layout: how the folder is laid out; None: seen from what is there.
        classes: to take these, in this order; None: those that the annotations have.

    Raises:
        UserError: if the folder has no known layout, or naming what is missing or cannot be read.
    """
    if not root.is_dir():
        raise UserError(f"{str(root)!r} is not a folder; name one in VOC's, SegNet's or COCO's layout.")
    layout = layout or _seen(root, kind)
    if layout == "coco":
        return coco_data(root, kind, classes)
    if layout == "segnet":
        if kind == "detection":
            raise UserError(f"{str(root)!r} is in SegNet's layout, which has masks and no boxes; name another folder.")
        return segnet_masks(root, classes)
    return voc_boxes(root, classes) if kind == "detection" else voc_masks(root, classes)


def _seen(root: Path, kind: Kind) -> Format:
    if kind == "segmentation" and (root / "trainannot").is_dir():
        return "segnet"
    if devkit_of(root, "VOC2007", "VOC2012") is not None:
        return "voc"
    if is_coco(root):
        return "coco"
    expected = "VOC2007/, annotations/instances_train*.json"
    expected += " or train/ with trainannot/" if kind == "segmentation" else ""
    raise UserError(f"{str(root)!r} has none of the layouts {', '.join(FORMATS)}; expected {expected}.")
