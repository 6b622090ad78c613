"""A packaged task as splits for one net."""

from pathlib import Path

from benchmarks.data.packaged.listing import packaged_task
from delta_core.training.data.pixels import PixelStore
from delta_core.training.data.splits import LazySplit, Part, Split, TaskData, seen_in_views
from delta_core.training.tensor_store import TensorStore
from delta_core.weights import Preprocessing


def load_packaged(
    name: str, cache: Path, preprocessing: Preprocessing, *, views: int, loader_workers: int = 0, store: TensorStore
) -> TaskData:
    """Open a packaged task; its images are resized and cropped as the weights of the net want it.

    Args:
        name: with its prefix, as rows call it.
        cache: folder of data that take seconds to make.
        preprocessing: resize, crop and normalisation of the backbone's weights.
        views: of each training image: 0 = a fresh one in every epoch, 1 = resized and cropped, K = K fixed random ones.
        loader_workers: processes that decode images.
        store: where decoded images are kept.

    Raises:
        UserError: for a name that is not known, and a package that is missing or another than expected.
    """
    task = packaged_task(name)
    parts, sha = task.read(cache)
    pixels = PixelStore(store=store, name=name, data_sha=sha)

    def split(part: Part, views: int = 1) -> Split:
        images, labels = parts[part]
        lazy = LazySplit(
            images=images,
            labels=labels,
            transform=preprocessing.resize_and_crop(),
            preprocessing=preprocessing,
            workers=loader_workers,
        )
        return seen_in_views(lazy, views, task=name, keep=lambda images: pixels.keep(part, images))

    return TaskData(
        name=name,
        classes=len(task.class_names),
        sha=sha,
        train=split("train", views),
        val=split("val"),
        test=split("test"),
    )
