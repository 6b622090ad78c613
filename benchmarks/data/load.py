"""One way to any task: drawn or packaged data by name, folders and official data sets through `Env`."""

from functools import lru_cache
from pathlib import Path

import torch

from benchmarks.data.catalogue import CATALOGUE
from benchmarks.data.catalogue.look_alikes import declared_at
from benchmarks.data.embedded import load_embedded
from benchmarks.data.groups import members
from benchmarks.data.images import ArrayImages, ImageSplit
from benchmarks.data.joint import joint_task
from benchmarks.data.listed_images import load_listed_images
from benchmarks.data.official import load_official
from benchmarks.data.packaged.listing import PREFIXES
from benchmarks.data.packaged.load import load_packaged
from benchmarks.data.packaged.photographs import Photographs, photographs_identity
from benchmarks.data.unlabelled import UnlabelledImages, image_files, load_unlabelled
from benchmarks.env import Env
from benchmarks.records.names import UNLABELLED
from delta_core.training.data.folders import folder_identity, load_image_folder
from delta_core.training.data.splits import LazySplit, Split, TaskData, TensorSplit, seen_in_views
from delta_core.training.tensor_store import TensorStore
from delta_core.weights import Preprocessing


def load_task(name: str, env: Env, preprocessing: Preprocessing, *, views: int = 1) -> TaskData:
    """All splits of a patch task, ready to train on; of several tasks as one for a name like `a+b`.

    Raises:
        UserError: if a folder's layout is wrong, an official data set is not what the catalogue declares, or a package
            is missing.
    """
    if env.data_root is not None and name in CATALOGUE:
        return _official(name, env.data_root, preprocessing, views, env.loader_workers, _store(env))
    if name in env.folders:
        return _folder(name, env.folders[name], preprocessing, views, env.loader_workers, _store(env))
    parts = members(name)
    if len(parts) > 1:
        return _joint(tuple(load_task(part, env, preprocessing, views=views) for part in parts))
    if name.startswith(PREFIXES):
        return _packaged(name, env.cache / "data", preprocessing, views, env.loader_workers, _store(env))
    return _embedded(name, env.cache / "data", preprocessing, views)


def load_base_task(name: str, env: Env, preprocessing: Preprocessing, *, classes: int) -> TaskData:
    """The task of the backbone's own head: drawn data, ImageNet, listed images, an ImageFolder, unlabelled images.

    Nobody trains on it, so that training images are not kept decoded: they come in fresh views.
    """
    if env.data_root is not None:
        return load_task(name, env, preprocessing, views=0)
    root = env.folders.get(name)
    if name.startswith(UNLABELLED):
        return _unlabelled(name, root, preprocessing, classes)
    if root is None:
        return _embedded(name, env.cache / "data", preprocessing, 1)
    if (root / "labels.csv").is_file() or not (root / "train").is_dir():
        return _listed(name, root, preprocessing, classes)
    return _folder(name, root, preprocessing, 0, env.loader_workers, _store(env))


def _store(env: Env) -> TensorStore:
    return TensorStore(root=env.cache / "features", limit_gb=env.cache_gb)


# Each worker process runs many cells on the same few tasks; decoding them again for each would cost more than training.
OPEN_TASKS = 4
"""The longest sequence and its base task."""

_joint = lru_cache(maxsize=1)(joint_task)


@lru_cache(maxsize=OPEN_TASKS)
def _folder(
    name: str, root: Path, preprocessing: Preprocessing, views: int, loader_workers: int, store: TensorStore
) -> TaskData:
    return load_image_folder(name, root, preprocessing, views=views, loader_workers=loader_workers, store=store)


@lru_cache(maxsize=OPEN_TASKS)
def _official(
    name: str, data_root: Path, preprocessing: Preprocessing, views: int, loader_workers: int, store: TensorStore
) -> TaskData:
    entry = declared_at(CATALOGUE[name], data_root)
    return load_official(entry, data_root, preprocessing, views=views, loader_workers=loader_workers, store=store)


@lru_cache(maxsize=OPEN_TASKS)
def _packaged(
    name: str, cache: Path, preprocessing: Preprocessing, views: int, loader_workers: int, store: TensorStore
) -> TaskData:
    return load_packaged(name, cache, preprocessing, views=views, loader_workers=loader_workers, store=store)


@lru_cache(maxsize=1)
def _listed(name: str, root: Path, preprocessing: Preprocessing, classes: int) -> TaskData:
    return load_listed_images(name, root, preprocessing, classes=classes)


@lru_cache(maxsize=1)
def _unlabelled(name: str, root: Path | None, preprocessing: Preprocessing, classes: int) -> TaskData:
    if root is None:
        return load_unlabelled(name, Photographs(), photographs_identity(), preprocessing, classes=classes)
    images = UnlabelledImages(image_files(root))
    return load_unlabelled(name, images, folder_identity(root), preprocessing, classes=classes)


@lru_cache(maxsize=OPEN_TASKS)
def _embedded(name: str, cache: Path, preprocessing: Preprocessing, views: int) -> TaskData:
    task = load_embedded(name, cache_dir=cache)

    def split(images: ImageSplit) -> TensorSplit:
        return TensorSplit(
            inputs=torch.from_numpy(images.images).permute(0, 3, 1, 2).contiguous(),
            labels=torch.from_numpy(images.labels),
            preprocessing=preprocessing,
        )

    train: Split = split(task.train)
    if views != 1:
        lazy = LazySplit(
            images=ArrayImages(task.train.images),
            labels=train.labels,
            transform=preprocessing.random_view(),
            preprocessing=preprocessing,
        )
        train = seen_in_views(lazy, views, task=name, keep=LazySplit.in_memory)
    return TaskData(
        name=name,
        classes=len(task.class_names),
        sha=task.sha256()[:12],
        train=train,
        val=split(task.val),
        test=split(task.test),
    )
