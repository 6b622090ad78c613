"""Commands that fill the blanks of a table."""

import shlex
from collections.abc import Iterable

import pandas as pd


def whole_table(name: str, scale: str) -> str:
    """The command that measures everything of a table that is missing."""
    return shlex.join(["nox", "-s", name, "--", "--scale", scale])


def fill_commands(missing: pd.DataFrame, name: str, scale: str) -> tuple[str, ...]:
    """One command per group of architectures that lack the same tasks.

    Args:
        missing: `architecture` and `task` of everything that is to be measured; repeats do no harm.
        name: nox session of the table.
        scale: scale of the runs.
    """
    lacking: dict[tuple[str, ...], list[str]] = {}
    for architecture, part in missing.groupby("architecture", sort=False):
        lacking.setdefault(tuple(part["task"].unique()), []).append(str(architecture))
    # A user's own data: the table knows the names of weights and folders, the user knows where they lie.
    own = ["--weights", "WEIGHTS", "--data-root", "DATA"] if scale == "local" else []
    fixed = ["nox", "-s", name, "--", "--scale", scale, *own]
    return tuple(
        shlex.join(
            [
                *fixed,
                *_repeated("--arch", architectures),
                *_repeated("--task", [task_argument(task, scale) for task in tasks]),
            ]
        )
        for tasks, architectures in lacking.items()
    )


def task_argument(task: str, scale: str) -> str:
    """What --task calls a task of a row. Own folders of images need their kind; scenes and pairs of digits tell theirs.

    Example:
        >>> [task_argument(task, "local") for task in ("flowers17", "detection:bccd", "mnist->usps")]
        ['imagefolder:flowers17', 'detection:bccd', 'mnist->usps']
    """
    return f"imagefolder:{task}" if scale == "local" and ":" not in task and "->" not in task else task


def _repeated(flag: str, names: Iterable[str]) -> list[str]:
    return [word for name in names for word in (flag, name)]
