"""A digest for each run in a pair of tables, one line a run and one line a value: any change of either is found.

It is the SHA-256 of both header lines, the run's line and the lines of its values in sorted order, and stands in the
last column of the table of runs. So it outlives sorting, merges of git and runs that come and go.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from delta_core.training.errors import UserError

COLUMN = "digest"


def with_digests(runs: str, values: str) -> str:
    """The table of runs with a last column more. Lines of both begin with `run_id`, and no cell breaks a line."""
    header, *lines = _lines(runs.encode())
    digests = _digests([header, *lines], _lines(values.encode()))
    sealed = (f"{line.decode()},{digest}\n" for line, digest in zip(lines, digests, strict=True))
    return f"{header.decode()},{COLUMN}\n{''.join(sealed)}"


def has_digests(runs: bytes) -> bool:
    """Whether a table of runs has the column."""
    return runs.partition(b"\n")[0].endswith(b"," + COLUMN.encode())


def verified(
    paths: tuple[Path, Path], tables: tuple[bytes, bytes], *, replaceable: Callable[[str], bool]
) -> tuple[bytes, bytes]:
    """Both tables as `with_digests` got them, without those damaged runs of which a whole copy lies elsewhere.

    Args:
        paths: of the tables, for messages.
        tables: runs with their digests, and values.
        replaceable: whether there is that copy of a run (its id).

    Raises:
        UserError: naming run, files and lines of a run that is not what its digest says.
        ValueError: for lines of a run that has none in the first table.
    """
    header, *sealed = _lines(tables[0])
    parts = [line.rpartition(b",") for line in sealed]
    runs = [header.rpartition(b",")[0], *(part[0] for part in parts)]
    values = _lines(tables[1])
    damaged = {
        _run_id(line): place
        for place, (line, digest, (_, _, said)) in enumerate(zip(runs[1:], _digests(runs, values), parts, strict=True))
        if digest.encode() != said
    }
    for run_id, place in damaged.items():
        if not replaceable(run_id.decode(errors="replace")):
            raise UserError(_told(paths, run_id, place + 2, values))
    whole = {_run_id(line) for line in runs} - damaged.keys()  # the header's "run_id" among them
    if damaged:  # a line of values that has no run is one of what is damaged
        return _joined(runs, whole), _joined(values, whole)
    lone = next((run_id for run_id in map(_run_id, values) if run_id not in whole), None)
    if lone is not None:
        raise ValueError(f"run {lone.decode(errors='replace')} stands in {paths[1].name} alone")
    return b"\n".join((*runs, b"")), tables[1]


def _told(paths: tuple[Path, Path], run_id: bytes, line: int, values: list[bytes]) -> str:
    of_values = [place for place, value in enumerate(values, start=1) if _run_id(value) == run_id]
    where = f"lines {of_values[0]} to {of_values[-1]}" if of_values else "no line"
    return (
        f"Run {run_id.decode(errors='replace')} is not what its digest says: {paths[0]} line {line}, {paths[1].name} "
        f"{where}. Restore both files, e.g. from git; or take its lines out of both, and it is collected from its "
        "record or measured again."
    )


def _digests(runs: list[bytes], values: list[bytes]) -> Iterator[str]:
    """Of each run in its order; the first line of both is the header."""
    of_run: defaultdict[bytes, list[bytes]] = defaultdict(list)
    for line in values[1:]:
        of_run[_run_id(line)].append(line)
    headers = hashlib.sha256(runs[0] + b"\n" + values[0])
    for line in runs[1:]:
        digest = headers.copy()
        digest.update(b"\n".join((b"", line, *sorted(of_run[_run_id(line)]))))
        yield digest.hexdigest()


def _joined(lines: list[bytes], whole: Collection[bytes]) -> bytes:
    return b"\n".join((*(line for line in lines if _run_id(line) in whole), b""))


def _lines(table: bytes) -> list[bytes]:
    return table.removesuffix(b"\n").split(b"\n")


def _run_id(line: bytes) -> bytes:
    """The first cell, with its opening quote alone where it has quotes; a line may be that cell and no other."""
    return line.partition(b'",' if line.startswith(b'"') else b",")[0].removesuffix(b'"')
