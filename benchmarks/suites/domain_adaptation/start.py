"""Training on labels: rows of their own, and the start of ADDA's rows, which take it from the cache."""

import math
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from benchmarks.env import Env
from benchmarks.stages import Stages, forget_stages, stages_of
from benchmarks.suites.domain_adaptation.diagnostics import Looks, Monitor
from benchmarks.suites.domain_adaptation.encoder import Classifier, new_classifier
from benchmarks.suites.domain_adaptation.spec import StartSpec
from benchmarks.suites.domain_adaptation.uniform_prior import UniformPriorObjective
from delta_core.errors import DeltaError
from delta_core.training.data.splits import Split
from delta_core.training.engine import train_module
from delta_core.training.fabric import to_device
from delta_core.training.lock import locked
from delta_core.training.sealed_state import read_sealed, write_sealed

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True, kw_only=True)
class TrainedNet:
    """A net in eval mode and what it cost."""

    net: Classifier
    steps: int
    train_s: float
    borrowed_s: float = 0.0
    """Part of `train_s` that an earlier run spent."""


def new_net(spec: StartSpec, classes: int, fabric: "Fabric") -> Classifier:
    """A net with fresh weights on the device."""
    net = new_classifier(spec, classes)
    to_device(net, fabric.device)
    return net


def train_start(
    net: Classifier, spec: StartSpec, train: Split, fabric: "Fabric", stages: Stages, monitor: Monitor | None = None
) -> TrainedNet:
    """Train a fresh net on a labelled split, under a uniform prior where the spec has one.

    Raises:
        DivergedError: when a loss is not finite or the discriminator collapses.
    """
    started = stages.clock.seconds()
    recipe = spec.schedule.recipe(len(train.labels))
    objective = None
    if spec.prior is not None:
        objective = UniformPriorObjective(net, spec.prior, fabric, seed=spec.draw("prior"))
    looks = None
    if monitor is not None:
        looks = Looks(
            monitor,
            epochs=recipe.epochs,
            steps_per_epoch=math.ceil(len(train.labels) / recipe.batch_size),
            take=objective.adversary.take_top1 if objective else None,
        )
    steps = train_module(
        net,
        net.head,
        train,
        recipe,
        fabric,
        seed=spec.draw("order"),
        objective=objective,
        watch=looks,
        checkpoint=stages.training("start"),
    )
    if objective is not None and monitor is None:
        objective.adversary.take_top1()  # a collapse ends the run here too
    net.eval()
    looking_s = monitor.seconds if monitor else 0.0
    return TrainedNet(net=net, steps=steps, train_s=stages.clock.seconds() - started - looking_s)


def checkpoint_path(cache: Path, spec: StartSpec) -> Path:
    """Where a trained start lies below the cache folder."""
    return cache / "starts" / f"{spec.run_id}.safetensors"


@contextmanager
def being_trained(spec: StartSpec, cache: Path) -> Iterator[None]:
    """Keep other processes from training the same start meanwhile."""
    lock = checkpoint_path(cache, spec).with_suffix(".lock")
    with locked(lock, waiting_for=f"the start {spec.run_id} of an adaptation"):
        yield


def save_start(path: Path, trained: TrainedNet) -> None:
    """Write weights and cost, as a whole or not at all."""
    write_sealed(path, trained.net.state_dict(), steps=str(trained.steps), train_s=str(trained.train_s))


def load_start(path: Path, net: Classifier) -> TrainedNet | None:
    """A fresh net with the weights of a file, or None where there is none; a warning says so where it is damaged."""
    try:
        found = read_sealed(path)
        if found is None:
            return None
        weights, notes = found
        net.load_state_dict(weights)
    except (DeltaError, RuntimeError) as error:
        told = str(error) if isinstance(error, DeltaError) else f"{str(path)!r} is of another net."
        warnings.warn(f"Start {told} It is trained anew.", stacklevel=1)  # one place, so it is told once
        return None
    train_s = float(notes["train_s"])
    return TrainedNet(net=net.eval(), steps=int(notes["steps"]), train_s=train_s, borrowed_s=train_s)


def train_kept_start(
    net: Classifier, spec: StartSpec, train: Split, fabric: "Fabric", env: Env, stages: Stages, monitor: Monitor
) -> TrainedNet:
    """As `train_start`, and runs that adapt this net find it in the cache.

    Where it lies there already nothing is written, as its bits are the same: the cache may be for reading alone.
    """
    path = checkpoint_path(env.cache, spec)
    with torch.random.fork_rng(devices=[]):
        lies_there = load_start(path, new_net(spec, net.head.out_features, fabric)) is not None
    if lies_there:
        return train_start(net, spec, train, fabric, stages, monitor)
    with being_trained(spec, env.cache):
        trained = train_start(net, spec, train, fabric, stages, monitor)
        save_start(path, trained)
    return trained


def start_of(spec: StartSpec, classes: int, train: Split, fabric: "Fabric", env: Env) -> TrainedNet:
    """The trained net of a spec: from the cache, else trained now and left there."""
    path = checkpoint_path(env.cache, spec)
    found = load_start(path, new_net(spec, classes, fabric))  # without a lock: the cache may be for reading alone
    if found is None:
        with being_trained(spec, env.cache):
            found = load_start(path, new_net(spec, classes, fabric))
            if found is None:
                began = time.perf_counter()
                stages = stages_of(spec.run_id, env, fabric)
                with torch.random.fork_rng(devices=[]):
                    found = train_start(new_net(spec, classes, fabric), spec, train, fabric, stages)
                earlier_s = max(0.0, found.train_s - (time.perf_counter() - began))
                found = replace(found, borrowed_s=earlier_s)
                save_start(path, found)
                forget_stages(spec.run_id, env)
    return found
