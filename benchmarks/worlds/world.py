"""Four sizes of world, one code path: which backbones, tasks, data and recipes a scale offers.

| scale | base | data |
|---|---|---|
| real | ImageNet weights that pip packages carry | real images that pip packages carry, a few hundred of each task |
| embedded | slim nets pre-trained by the suite | drawn or carried by pip packages |
| local | weights the user names | ImageFolders the user names, real images that pip packages carry |
| paper | pinned timm tags | the official data sets of the catalogue, below --data-root |
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.data.groups import Grouping
from benchmarks.env import Env
from benchmarks.nets.base_transforms import BaseTransform
from benchmarks.nets.pretraining import BaseSpec
from benchmarks.records.rows import Scale
from benchmarks.worlds.options import Options
from benchmarks.worlds.recipes import Recipes, local_recipes
from delta_core.nearest import nearest
from delta_core.training.errors import UserError


@dataclass(frozen=True, kw_only=True)
class TaskSet:
    """Names of a table's tasks; at scale local the user names them."""

    embedded: tuple[str, ...]
    paper: tuple[str, ...]
    real: tuple[str, ...] = ()
    """Empty for a table that this scale does not have."""
    grouping: Grouping = "single"
    """Whether a task is one, or several joined by `+`."""


@dataclass(frozen=True, kw_only=True)
class World:
    """What one scale offers to a table."""

    scale: Scale
    weights: dict[str, str]
    """Architecture -> weights as a RunSpec names them."""
    tasks: dict[str, str]
    """Patch task -> identity of its data."""
    base_task: str
    base_data: str
    image_size: int
    env: Env
    options: Options
    """What the user asked for; the rest of the world follows from it."""
    recipes: Recipes = field(default_factory=lambda: local_recipes())
    """Of the patching runner; other runners bring their own."""
    bases: tuple[BaseSpec, ...] = ()
    """Pre-trainings that the runs need first."""
    base_transforms: dict[str, BaseTransform] = field(default_factory=dict)
    """Weights -> transform in which the user accepted them as a base."""
    blocked: dict[str, str] = field(default_factory=dict)
    """Task -> why it cannot run and what to do about it."""
    notices: tuple[str, ...] = ()
    """Lines to print where the data are used: whose they are, under which licence."""

    def among(self, architectures: Iterable[str]) -> dict[str, str]:
        """Architecture -> weights, of a table's architectures that this world has.

        At scale local these are the user's own, and at scale real, where every net suits every table, those that
        `--arch` names.
        """
        if self.scale == "local" or (self.scale == "real" and self.options.arch):
            return self.weights
        return {name: self.weights[name] for name in architectures if name in self.weights}


def env_of(options: Options, folders: dict[str, Path]) -> Env:
    """Where and on what the runs of these options execute; `folders` are those of data outside the package."""
    return Env(
        results=options.results / options.scale,
        cache=options.cache,
        device=options.device,
        precision=options.precision,
        folders=folders,
        weights_root=options.weights_root,
        loader_workers=options.loader_workers or 0,
        cache_gb=options.cache_gb,
        checkpoint_every_s=options.checkpoint_every_s,
        log_dir=None if options.log_dir is None else options.log_dir / options.table,
    )


def refuse(options: Options, names: Iterable[str], because: str) -> None:
    """Raise UserError for an option of these names that is given: the flag, its value and `because`."""
    for name in names:
        value = getattr(options, name)
        if value is not None:
            raise UserError(f"--{name.replace('_', '-')} {value} {because}")


LISTED_AS = {"--arch": "nets", "--task": "tasks"}
"""What `list` calls that which a flag names."""


def chosen(flag: str, asked: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """The names asked for, or all. Raises UserError for one that is not known."""
    for name in asked:
        if name not in known:
            raise UserError(
                f"{flag} {name} is not known at this scale; nearest: {', '.join(nearest(name, known))}; "
                f"python -m benchmarks list {LISTED_AS[flag]} lists all."
            )
    return asked or known
