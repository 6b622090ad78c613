"""What to say of a name that is not known: the nearest that are, and where all of them stand."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The known names that are most like a name, the likest first; upper and lower case are the same.

    >>> nearest("ResNet-18", ["convnext_tiny", "resnet50", "resnet18", "resnet34"])
    ['resnet18', 'resnet50', 'resnet34']
    """
    by_lower = {each.lower(): each for each in known}
    return [by_lower[close] for close in get_close_matches(name.lower(), by_lower, n=count, cutoff=0)]


def unknown(what: str, name: str, known: Iterable[str], listed_by: str) -> str:
    """The sentence for a name that is not known.

    Args:
        what: kind of thing, with a capital, or the flag that named it.
        name: as it was given.
        known: all that could have been given there.
        listed_by: what shows all of them, mostly a command.

    >>> unknown("Table", "tabel3", ["table1", "table2", "table3", "claims"], "python -m benchmarks list tables")
    "Table 'tabel3' is not known; nearest: table3, table2, table1; python -m benchmarks list tables lists all."
    """
    close = ", ".join(nearest(name, known)) or "nothing, there are none here"
    return f"{what} {name!r} is not known; nearest: {close}; {listed_by} lists all."
