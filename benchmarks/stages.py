"""The stages of a run: a run that was killed goes on in its middle, and ends in the same bits as one that was not.

What lies below the cache folder until a run is on record, in a folder that names the run and what its bits depend on:

    unfinished/<run_id>-<identity>/<stage>.pt             a training, as `delta_core.training.checkpoint` writes it
    unfinished/<run_id>-<identity>/values.safetensors     what was measured so far
"""

import json
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.env import Env
from delta_core.errors import DeltaError
from delta_core.training.checkpoint import END_FROM_S, EVERY_S, Checkpoint
from delta_core.training.identity import content_id
from delta_core.training.provenance import device_name, git_state, versions
from delta_core.training.ranks import Ranks
from delta_core.training.sealed_state import read_sealed, write_sealed

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Clock:
    """Seconds that a run has taken, with those of earlier sittings as soon as what they did is taken over."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    def seconds(self) -> float:
        """Until now."""
        return time.perf_counter() - self._began

    def put_forward(self, seconds: float) -> None:
        """Take over work of an earlier sitting, which was done when the run had taken so many seconds."""
        self._began = min(self._began, time.perf_counter() - seconds)

    def add(self, seconds: float) -> None:
        """Take over work that was done for so many seconds by another run."""
        self._began -= seconds

    def state_dict(self) -> dict[str, float]:
        """Seconds until now."""
        return {"seconds": self.seconds()}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Take over what `state_dict` gave."""
        self.put_forward(state["seconds"])


class Stages:
    """Trainings and measurements of one run, in which it may be killed.

    Args:
        folder: where they are kept; None keeps nothing.
        every_s: seconds that a kill may cost.
        ranks: processes that share the run, if several do: all go by what the first one finds, which alone writes.
    """

    def __init__(self, folder: Path | None = None, *, every_s: float = EVERY_S, ranks: Ranks | None = None) -> None:
        self.clock = Clock()
        self._ranks = ranks
        self._folder = folder
        self._every_s = every_s
        self._values: dict[str, dict[str, Any]] | None = None
        self._written = time.monotonic()

    def training(self, name: str) -> Checkpoint | None:
        """Where the loop of a stage keeps its state; None keeps none."""
        if self._folder is None:
            return None
        return Checkpoint(
            path=self._folder / f"{name}.pt",
            identity=f"{self._folder.name}/{name}",
            every_s=self._every_s,
            each_epoch=False,
            beside={"clock": self.clock},
        )

    def value(self, name: str, measure: Callable[[], Any]) -> Any:
        """What `measure` gives, as JSON has it, or what it gave before the run was killed."""
        if self._values is None:
            is_first = self._ranks is None or self._ranks.is_first
            kept = self._kept_values() if is_first else {}
            self._values = kept if self._ranks is None else self._ranks.of_the_first(kept)
        if name in self._values:
            self.clock.put_forward(self._values[name]["seconds"])
        else:
            self._values[name] = {"value": measure(), "seconds": self.clock.seconds()}
            if time.monotonic() - self._written >= min(END_FROM_S, self._every_s):
                self._write(self._values)
        return self._values[name]["value"]

    def _write(self, values: dict[str, dict[str, Any]]) -> None:
        if self._folder is not None and (self._ranks is None or self._ranks.is_first):
            write_sealed(self._values_path(self._folder), {}, values=json.dumps(values))
        self._written = time.monotonic()

    def _kept_values(self) -> dict[str, dict[str, Any]]:
        if self._folder is None:
            return {}
        try:
            found = read_sealed(self._values_path(self._folder))
        except DeltaError as error:
            warnings.warn(f"What a killed run had measured is damaged: {error} It is measured anew.", stacklevel=2)
            return {}
        values: dict[str, dict[str, Any]] = {} if found is None else json.loads(found[1]["values"])
        return values

    @staticmethod
    def _values_path(folder: Path) -> Path:
        return folder / "values.safetensors"


def stages_of(run_id: str, env: Env, fabric: "Fabric") -> Stages:
    """The stages of a run, as far as they were kept by the same commit, versions, devices and precision.

    A warning says so where they were begun otherwise: bits of two kinds are not mixed.
    """
    device = device_name(fabric.device)
    identity = content_id((git_state(), versions(), device, fabric.world_size, env.precision))
    folder = _kept_in(env) / f"{run_id}-{identity}"
    others = [begun for begun in _begun(run_id, env) if begun != folder]
    if others and not folder.exists():
        warnings.warn(
            f"Run {run_id} was begun by another commit, version, device, number of devices or precision "
            f"({others[0].name}) and starts anew; go back to that one to go on.",
            stacklevel=2,
        )
    return Stages(folder, every_s=env.checkpoint_every_s, ranks=Ranks.behind(fabric))


def forget_stages(run_id: str, env: Env) -> None:
    """Remove what was kept of a run, which is on record now."""
    for folder in _begun(run_id, env):
        shutil.rmtree(folder, ignore_errors=True)


def _kept_in(env: Env) -> Path:
    return env.cache / "unfinished"


def _begun(run_id: str, env: Env) -> list[Path]:
    return sorted(_kept_in(env).glob(f"{run_id}-*"))
