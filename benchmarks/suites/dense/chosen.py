"""What a config says of its data and heads, with what the environment says instead.

| variable | in place of | what it sets |
|---|---|---|
| DELTA_DATA | data.root | folder of the data, or `scenes` |
| DELTA_HEADS | heads | `stock` or `narrow` (a quarter of the channels) |
| DELTA_CACHE | data.cache | where drawn scenes and slim nets are kept |
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from benchmarks.data.catalogue.voc import CLASSES as VOC_CLASSES
from benchmarks.suites.dense.folders.described import FORMATS, DenseData, Format, Kind
from benchmarks.suites.dense.folders.drawn import drawn_data
from benchmarks.suites.dense.folders.read import read_folder
from delta_core.training.errors import UserError

AUTO = "auto"
SCENES = "scenes"
VOC = "voc"
"""As classes of data: all of PASCAL VOC's, though a part of the images may not have them all."""
Heads = Literal["stock", "narrow"]
HEADS: tuple[Heads, ...] = get_args(Heads)
KEYS = ("task", "root", "format", "classes", "cache")


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Data and heads of one training or test."""

    data: DenseData
    heads: Heads
    cache: Path

    def to_config(self, kind: Kind) -> dict[str, Any]:
        """`data` of a config that chooses the same anywhere else on this machine, and says what the classes are."""
        root = SCENES if self.data.is_drawn else str(self.data.root)
        layout = AUTO if self.data.is_drawn else self.data.format
        classes = AUTO if self.data.is_drawn else list(self.data.classes)
        return {"task": kind, "root": root, "format": layout, "classes": classes, "cache": str(self.cache)}


def choose(data: Mapping[str, Any], heads: str, project: Path, environment: Mapping[str, str] = os.environ) -> Chosen:
    """Data and heads by a config's `data` and `heads`; says in one line that scenes are drawn where nobody chose that.

    Args:
        data: `task`, and perhaps `root`, `format`, `classes` and `cache`.
        heads: `auto`, `stock` or `narrow`; auto is narrow on drawn scenes.
        project: folder of this project, for its `.cache` and the standard place of VOC.
        environment: what it says is taken instead.

    Raises:
        UserError: for names that are not known, or naming what a folder lacks.
    """
    if unknown := next((key for key in data if key not in KEYS), None):
        raise UserError(f"data.{unknown} is no setting of a config's data; choose from {', '.join(KEYS)}.")
    kind: Kind = data["task"]
    if kind not in get_args(Kind):
        raise UserError(f"data.task is {kind!r}; choose {' or '.join(get_args(Kind))}.")
    layout = _one_of("data.format", data.get("format") or AUTO, (AUTO, *FORMATS))
    classes = _classes(data.get("classes") or AUTO)
    cache = Path(environment.get("DELTA_CACHE") or data.get("cache") or project / ".cache").absolute()
    if cache.exists() and not cache.is_dir():
        raise UserError(f"The cache {str(cache)!r} (DELTA_CACHE or data.cache) is a file; name a folder.")
    root = environment.get("DELTA_DATA") or data.get("root") or ""
    standard = project / kind / "data" / "VOCdevkit"
    if not root and standard.is_dir():
        root = str(standard)
    if not root:
        print(f"{kind}/data/VOCdevkit is not there and data.root is not set: drawn scenes are taken.")
    name = "DELTA_HEADS" if environment.get("DELTA_HEADS") else "heads"
    wanted = _one_of(name, environment.get("DELTA_HEADS") or heads or AUTO, (AUTO, *HEADS))
    is_drawn = root in ("", SCENES)
    found = (
        drawn_data(cache, kind)
        if is_drawn
        else read_folder(Path(root).absolute(), kind, layout=_layout(layout), classes=classes)
    )
    narrow = wanted == "narrow" or (wanted == AUTO and is_drawn)
    return Chosen(data=found, heads="narrow" if narrow else "stock", cache=cache)


def _layout(name: str) -> Format | None:
    return next((layout for layout in FORMATS if layout == name), None)


def _one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise UserError(f"{name} is {value!r}; choose {', '.join(known[:-1])} or {known[-1]}.")
    return value


def _classes(classes: object) -> tuple[str, ...] | None:
    if classes == AUTO:
        return None
    if classes == VOC:
        return VOC_CLASSES
    names = tuple(classes) if isinstance(classes, list | tuple) else ()
    if not names or not all(isinstance(name, str) and name.strip() for name in names) or len(set(names)) < len(names):
        raise UserError(f"data.classes is {classes!r}; give 'auto', 'voc' or a list of different names.")
    return names
