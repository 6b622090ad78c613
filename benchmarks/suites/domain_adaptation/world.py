"""The world of Table 6: pairs of digit domains instead of patch tasks."""

from pathlib import Path

from benchmarks.data.catalogue import data_set
from benchmarks.data.catalogue.check import DATA_ROOT, what_is_missing
from benchmarks.data.catalogue.look_alikes import declared_at
from benchmarks.data.digits import digits_identity
from benchmarks.data.embedded import data_version
from benchmarks.records.rows import SCRATCH, Scale
from benchmarks.suites.domain_adaptation.spec import transfer
from benchmarks.worlds.options import Options
from benchmarks.worlds.world import TaskSet, World, chosen, env_of, refuse
from delta_core.training.errors import UserError

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


def open_digits(options: Options, transfers: TaskSet) -> World:
    """The world of Table 6. At scale paper digits lie where `fetch` leaves them, at scale local where torchvision does.

    Raises:
        UserError: for options that have no meaning here.
    """
    options.check()
    meaningless = ("weights", "base", "base_images", "image_size", "epochs", "views", "micro_batch")
    refuse(options, meaningless, f"has no meaning for {options.table}, which trains from scratch; leave it.")
    if options.scale == "real":
        raise UserError(
            f"{options.table} is not measured at scale real: no net of it is pre-trained; use --scale embedded."
        )
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
        root = options.data_root or DATA_ROOT
        entries = [declared_at(data_set(name), root) for name in _domains(names)]
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
