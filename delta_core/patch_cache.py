"""Patches that lie in folders and are in memory while they are used: hundreds of tasks on one backbone."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from delta_core.errors import DeltaError
from delta_core.many_patches import check_names
from delta_core.model import DeltaModel
from delta_core.nearest import unknown
from delta_core.patch import check_patch_name
from delta_core.patch_io import JSON_NAME
from delta_core.staged import Names


class PatchCache:
    """Loads a patch when it is asked for, and lets go of the one that was used longest ago.

    The model's active patch is left alone, and so are patches that it has from elsewhere. One that is trained again is
    seen after `drop`. For use by one thread.

    Args:
        model: on the backbone of the patches.
        root: folder with a folder of `save_patch` for each patch, which is its name here.
        most: patches in memory at once.
        mapped: leave their tensors in their files, see `delta_core.load_patch`.

    Raises:
        DeltaError: if `root` is no folder, or `most` is below 1.

    Example:
        >>> import tempfile, timm, torch
        >>> from delta_core import DeltaConfig
        >>> model = DeltaModel(timm.create_model("resnet10t")).eval()
        >>> root = Path(tempfile.mkdtemp())
        >>> for task in ("birds", "cars", "trees"):
        ...     model.add_patch(task, num_classes=5, config=DeltaConfig.paper(n_modules=1))
        ...     _ = model.save_patch(root / task)
        ...     model.delete_patch(task)
        >>> cache = PatchCache(model, root, most=2)
        >>> cache.names()
        ('birds', 'cars', 'trees')
        >>> [len(logits) for logits in cache.forward_each(torch.zeros(3, 3, 64, 64), ["cars", None, "birds"])]
        [5, 1000, 5]
        >>> list(cache.forward_patches(torch.zeros(1, 3, 64, 64)))  # two at a time
        ['birds', 'cars', 'trees']
        >>> list(model.patches)
        ['cars', 'trees']
    """

    def __init__(self, model: DeltaModel, root: str | Path, *, most: int = 32, mapped: bool = False) -> None:
        self.model = model
        self.root = Path(root)
        self.most = most
        self.mapped = mapped
        self._used: dict[str, None] = {}
        """What is in memory by this cache, used longest ago first."""
        if not self.root.is_dir():
            raise DeltaError(f"{str(root)!r} is no folder; give one that holds a folder for each patch.")
        if most < 1:
            raise DeltaError(f"most is {most}; give a whole number of at least 1.")

    def names(self) -> tuple[str, ...]:
        """Patches that can be asked for, by name."""
        return tuple(sorted(path.parent.name for path in self.root.glob(f"[!.]*/{JSON_NAME}")))

    def load(self, names: Iterable[str]) -> None:
        """Have patches in memory, as those used last; the active patch stays what it was.

        Raises:
            DeltaError: if they are more than `most`, or one is not there or cannot be loaded; those before it are then
                in memory.
        """
        wanted = dict.fromkeys(names)
        if len(wanted) > self.most:
            raise DeltaError(f"{len(wanted)} patches are to be in memory, but most is {self.most}; ask for fewer.")
        for name in wanted:
            if name not in self._used:
                self._make_room(wanted)
                self._load(name)
        for name in wanted:
            self._used[name] = self._used.pop(name)

    def drop(self, name: str) -> None:
        """Forget a patch that is in memory, so that the next use reads its folder again; if it is active, none is."""
        if name in self._used:
            del self._used[name]
            self.model.delete_patch(name)

    def forward_patches(self, x: Tensor, names: Sequence[str] | None = None) -> dict[str, Tensor]:
        """`DeltaModel.forward_patches` of any number of patches (default: all), in a pass for each `most` of them.

        Raises:
            DeltaError: as `load`.
        """
        asked = tuple(dict.fromkeys(self.names() if names is None else names))
        found: dict[str, Tensor] = {}
        for first in range(0, len(asked), self.most):
            part = asked[first : first + self.most]
            self.load(part)
            found |= self.model.forward_patches(x, part)
        return found

    def forward_each(self, x: Tensor, names: Names) -> list[Tensor]:
        """`DeltaModel.forward_each` of any number of patches, in a pass for the images of each `most` of them.

        Raises:
            DeltaError: as `load`, and as `DeltaModel.forward_each`.
        """
        check_names(names, x)
        asked = tuple(dict.fromkeys(names))
        if len(asked) <= self.most:
            self.load(name for name in asked if name is not None)
            return self.model.forward_each(x, names)
        found: dict[int, Tensor] = {}
        for first in range(0, len(asked), self.most):
            part = asked[first : first + self.most]
            rows = [row for row, name in enumerate(names) if name in part]
            found |= zip(rows, self.forward_each(x[rows], [names[row] for row in rows]), strict=True)
        return [found[row] for row in range(len(x))]

    def _make_room(self, wanted: Mapping[str, None]) -> None:
        """Let go of a patch, neither wanted nor active, where one more would be too many."""
        while len(self._used) >= self.most:
            gone = next((name for name in self._used if name not in wanted and name != self.model.active_patch), None)
            if gone is None:
                return
            self.drop(gone)

    def _load(self, name: str) -> None:
        check_patch_name(name)
        folder, active = self.root / name, self.model.active_patch
        if not folder.is_dir():
            raise DeltaError(unknown("Patch", name, self.names(), f"the folder {str(self.root)!r}"))
        self.model.load_patch(folder, name, mapped=self.mapped)
        self.model.active_patch = active
        self._used[name] = None
