"""What came of one trial."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import reduce


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Trials, and in how many of them each kind of damage was seen."""

    trials: int = 1
    lost: int = 0
    """Something measured or written before is gone, or the same command does not bring it about any more."""
    doubled: int = 0
    """A value stands twice, or a run was done twice."""
    silent: int = 0
    """A number or a tensor differs from the undisturbed one, or is missing after exit code 0, and nothing says so."""
    traceback: int = 0
    hang: int = 0
    """Something did not end in its time, or left a process behind."""
    unlike: int = 0
    """Anything else that was promised: the exit code, the one sentence."""
    notes: tuple[str, ...] = ()
    """What was seen, a line each."""
    seconds: tuple[float, ...] = ()
    """Measured in the trials, where their kind measures a time."""
    took_s: float = 0.0
    """Of the trials themselves, one after the other."""

    def __add__(self, other: "Verdict") -> "Verdict":
        """Both trials."""
        return Verdict(**{field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)})

    @property
    def clean(self) -> bool:
        """Whether no damage was seen."""
        return not any(getattr(self, name) for name in DAMAGES)


DAMAGES = ("lost", "doubled", "silent", "traceback", "hang", "unlike")


def seen_together(parts: Iterable[Verdict]) -> Verdict:
    """What was seen at several looks at one trial."""
    parts = tuple(parts)
    return Verdict(
        trials=1,
        notes=tuple(note for part in parts for note in part.notes),
        seconds=tuple(second for part in parts for second in part.seconds),
        **{name: int(any(getattr(part, name) for part in parts)) for name in DAMAGES},
    )


def total(verdicts: Iterable[Verdict]) -> Verdict:
    """All trials of a group."""
    return reduce(Verdict.__add__, verdicts, Verdict(trials=0))
