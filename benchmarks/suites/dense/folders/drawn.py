"""The drawn scenes as data of detection or segmentation: facts that are known before a scene is drawn."""

from pathlib import Path

from benchmarks.suites.dense import scenes
from benchmarks.suites.dense.folders.described import DenseData, DenseSplit, Kind


def drawn_data(cache: Path, kind: Kind) -> DenseData:
    """Where the scenes lie below a cache folder and what they hold; nothing is drawn here."""
    sets, annotations = ("Main", "Annotations") if kind == "detection" else ("Segmentation", "SegmentationClass")
    train, test = (
        DenseSplit(
            images=f"{scenes.YEAR}/JPEGImages",
            annotations=f"{scenes.YEAR}/{annotations}",
            names=f"{scenes.YEAR}/ImageSets/{sets}/{split}.txt",
        )
        for split in ("trainval", "test")
    )
    return DenseData(
        root=scenes.place_of_scenes(cache),
        format="voc",
        train=(train,),
        test=test,
        train_images=scenes.COUNTS["train"] + scenes.COUNTS["val"],
        classes=scenes.CLASS_NAMES,
        has_ground=kind == "segmentation",
        image_size=(scenes.SIDE, scenes.SIDE),
        is_drawn=True,
    )
