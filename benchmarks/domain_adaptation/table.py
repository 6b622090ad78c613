"""Table 6 as a function from a world to runs, and its world: pairs of digit domains instead of patch tasks."""

from dataclasses import replace
from pathlib import Path

from benchmarks.data.catalogue import data_set
from benchmarks.data.catalogue.check import DATA_ROOT, what_is_missing
from benchmarks.data.digits import digits_identity
from benchmarks.data.embedded import data_version
from benchmarks.domain_adaptation.spec import (
    AddaConfig,
    DomainMethod,
    DomainSpec,
    NetSize,
    PriorConfig,
    Schedule,
    transfer,
)
from benchmarks.errors import UserError
from benchmarks.options import Options
from benchmarks.records.rows import SCRATCH, Scale
from benchmarks.worlds import TaskSet, World, chosen, env_of
from delta_core import DeltaConfig

ARCHITECTURE = "resnet18"

_PAIRS: dict[Scale, tuple[tuple[str, str], ...]] = {
    "embedded": (("mnist5k", "optdigits"), ("optdigits", "mnist5k"), ("clutter_digits", "mnist5k")),
    "local": (("mnist", "usps"), ("usps", "mnist"), ("svhn", "mnist")),
    "paper": (("mnist", "usps"), ("usps", "mnist"), ("svhn", "mnist")),
}

TRANSFERS = TaskSet(
    embedded=tuple(transfer(*pair) for pair in _PAIRS["embedded"]),
    paper=tuple(transfer(*pair) for pair in _PAIRS["paper"]),
)

NETS: dict[Scale, NetSize] = {"embedded": "slim", "local": "slim", "paper": "full"}
"""A full ResNet-18 costs ten times as much a step; local scale is for CPUs too."""

# ADDA's own rates are for 10,000 steps. For short schedules they were chosen by the label-free validator: on
# mnist5k -> optdigits, seed 0, 240 steps, it scores 2.02 nats at 2e-4 / 2e-4 and 2.13 at 5e-4 / 1e-3.
_SHORT_ADDA = AddaConfig(schedule=Schedule(steps=240, lr=5e-4, batch_size=64), discriminator_lr=1e-3)

SCHEDULES: dict[Scale, tuple[Schedule, AddaConfig]] = {
    # Digits on clutter take longest to learn: 49 % of the source's test images after 160 steps, 91 % after 480. ADDA
    # cannot help a source net that knows too little: from the former it ends below it.
    "embedded": (Schedule(steps=480, lr=3e-3, batch_size=64), _SHORT_ADDA),
    "local": (
        Schedule(steps=200, lr=3e-3, batch_size=64),
        replace(_SHORT_ADDA, schedule=replace(_SHORT_ADDA.schedule, steps=200)),
    ),
    # Steps, batch and rates of erictzeng/adda.
    "paper": (Schedule(steps=10_000, lr=1e-3), AddaConfig(schedule=Schedule(steps=10_000, lr=2e-4))),
}
"""Training on labels, and adaptation. Only the paper scale has the original's length."""


def open_digits(options: Options, transfers: TaskSet) -> World:
    """The world of Table 6. At scale paper digits lie where `fetch` leaves them, at scale local where torchvision does.

    Raises:
        UserError: for options that have no meaning here.
    """
    options.check()
    given = {
        "--weights": options.weights,
        "--base": options.base,
        "--image-size": options.image_size,
        "--epochs": options.epochs,
        "--views": options.views,
    }
    for flag, value in given.items():
        if value is not None:
            raise UserError(f"{flag} {value} has no meaning for {options.table}, which trains from scratch; leave it.")
    chosen("--arch", options.arch, (ARCHITECTURE,))
    known = transfers.embedded if options.scale == "embedded" else transfers.paper
    names = chosen("--task", options.task, known)
    folders: dict[str, Path] = {}
    blocked: dict[str, str] = {}
    if options.scale == "embedded":
        if options.data_root is not None:
            raise UserError(
                f"--data-root {options.data_root} contradicts --scale embedded, which brings its own digits; "
                "use --scale local."
            )
        data = {name: f"v{data_version(name)}" for name in _domains(names)}
    elif options.scale == "paper":
        entries = [data_set(name) for name in _domains(names)]
        root = options.data_root or DATA_ROOT
        data = {entry.name: entry.identity for entry in entries}
        folders = {entry.name: root.absolute() for entry in entries}
        blocked = what_is_missing(entries, root)
    else:
        root = (options.data_root or DATA_ROOT).absolute()
        root = root / "digits" if (root / "digits").is_dir() else root
        data, folders, blocked = _on_disk(_domains(names), root)
    return World(
        scale=options.scale,
        weights={ARCHITECTURE: SCRATCH},
        tasks={name: "/".join(data[domain] for domain in _domains([name])) for name in names},
        base_task="",
        base_data="",
        image_size=32,
        env=env_of(options, folders),
        options=options,
        blocked=blocked,
    )


def table6(world: World, seeds: int) -> list[DomainSpec]:
    """Table 6: nine rows for each transfer. Rows that train on labels come first, so that ADDA's find their start.

    Seeds come first of all: a table that is cut short has whole repetitions.
    """
    runs = []
    for seed in range(seeds):
        for name, identities in world.tasks.items():
            source, target = _domains([name])
            source_data, target_data = identities.split("/")
            runs += [
                DomainSpec(
                    scale=world.scale,
                    architecture=ARCHITECTURE,
                    net=NETS[world.scale],
                    source=source,
                    source_data=source_data,
                    target=target,
                    target_data=target_data,
                    method=method,
                    image_size=world.image_size,
                    seed=seed,
                )
                for method in methods(world.scale)
            ]
    return sorted(runs, key=lambda run: (run.seed, run.method.adda is not None))


def methods(scale: Scale) -> list[DomainMethod]:
    """The nine rows: four zero-shot, the reference, four of ADDA.

    From scratch Delta is the literal reading of the paper: there are no base features that a start at the identity
    could keep.
    """
    schedule, adda = SCHEDULES[scale]
    options = [
        {"prior": prior, "delta": delta}
        for prior in (None, PriorConfig())
        for delta in (None, DeltaConfig.paper(n_modules=4))
    ]
    return [
        *(DomainMethod(learns_from="source", recipe=schedule, **option) for option in options),  # type: ignore[arg-type]
        DomainMethod(learns_from="target", recipe=schedule),
        *(DomainMethod(learns_from="source", recipe=schedule, adda=adda, **option) for option in options),  # type: ignore[arg-type]
    ]


def _domains(transfers: list[str] | tuple[str, ...]) -> list[str]:
    """Domains of transfers, each once, in order.

    >>> _domains(["mnist->usps", "usps->mnist"])
    ['mnist', 'usps']
    """
    return list(dict.fromkeys(domain for name in transfers for domain in name.split("->")))


def _on_disk(names: list[str], root: Path) -> tuple[dict[str, str], dict[str, Path], dict[str, str]]:
    """Identity and folder of each domain, and why one cannot be read."""
    data: dict[str, str] = {}
    folders: dict[str, Path] = {}
    blocked: dict[str, str] = {}
    for name in names:
        try:
            data[name], folders[name] = digits_identity(name, root), root
        except UserError as error:
            data[name] = "missing"
            blocked[name] = str(error)
    return data, folders, blocked
