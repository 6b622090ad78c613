"""Two domains of noise whose brightness tells the class, and what adapts a tiny net from one to the other."""

import dataclasses
from pathlib import Path

import pytest
import torch

from benchmarks.env import Env
from benchmarks.nets.slim import PREPROCESSING
from benchmarks.records.rows import Row
from benchmarks.suites.domain_adaptation import runner
from benchmarks.suites.domain_adaptation.data import Domains
from benchmarks.suites.domain_adaptation.spec import AddaConfig, DomainMethod, DomainSpec, Schedule, StartSpec
from delta_core import DeltaConfig
from delta_core.training.data.splits import TaskData, TensorSplit

SCHEDULE = Schedule(steps=4, lr=3e-3, batch_size=16)
ADDA = AddaConfig(schedule=Schedule(steps=4, lr=1e-3, batch_size=16), discriminator_lr=1e-3)
PAPERS_DELTA = DeltaConfig.paper(n_modules=4)


def split(count: int, seed: int) -> TensorSplit:
    """Noise whose brightness tells the class."""
    labels = torch.arange(count) % 10
    noise = torch.randint(0, 60, (count, 3, 32, 32), generator=torch.Generator().manual_seed(seed))
    pixels = (noise + 19 * labels[:, None, None, None]).to(torch.uint8)
    return TensorSplit(inputs=pixels, labels=labels, preprocessing=PREPROCESSING)


def domain(name: str, seed: int) -> TaskData:
    train, val, test = (split(count, seed + i) for i, count in enumerate((40, 20, 30)))
    return TaskData(name=name, classes=10, sha=f"sha-{name}", train=train, val=val, test=test)


def spec_of(method: DomainMethod) -> DomainSpec:
    return DomainSpec(
        scale="embedded",
        architecture="resnet18",
        net="slim",
        source="here",
        source_data="v1",
        target="there",
        target_data="v1",
        method=method,
        seed=0,
    )


def method_of(**changes: object) -> DomainMethod:
    return dataclasses.replace(DomainMethod(learns_from="source", recipe=SCHEDULE), **changes)  # type: ignore[arg-type]


def start_spec(**changes: object) -> StartSpec:
    return dataclasses.replace(spec_of(method_of()).start, **changes)  # type: ignore[arg-type]


def execute(
    method: DomainMethod,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    shuffle_target: bool = False,
    checkpoint_every_s: float = Env.checkpoint_every_s,
) -> list[Row]:
    """Rows of a method on two noise domains; `shuffle_target` permutes all labels of the target."""
    domains = Domains(source=domain("here", 1), target=domain("there", 50))
    if shuffle_target:
        mixed = {}
        for name in ("train", "val", "test"):
            part = getattr(domains.target, name)
            order = torch.randperm(len(part.labels), generator=torch.Generator().manual_seed(3))
            mixed[name] = dataclasses.replace(part, labels=part.labels[order])
        domains = dataclasses.replace(domains, target=dataclasses.replace(domains.target, **mixed))
    monkeypatch.setattr(runner, "load_domains", lambda *_: domains)
    env = Env(results=folder / "results", cache=folder / "cache", checkpoint_every_s=checkpoint_every_s)
    return runner.execute(spec_of(method), env)
