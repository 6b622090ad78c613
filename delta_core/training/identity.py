"""Identity by content: equal science gives equal ids and seeds, on any machine."""

import hashlib
import json
from dataclasses import Field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from delta_core.config import WITHOUT
from delta_core.training.errors import UserError

NEW_SINCE_RECORDED = {"new since recorded": True}
"""Metadata of a field that was added after runs were recorded: at its default it stays out of the identity, so that the
old runs keep theirs. A field whose default is not what those runs had says so by `delta_core.config.WITHOUT`."""


def plain(value: Any) -> Any:
    """Dataclasses as dictionaries that carry their type's name; paths are refused, they are not science.

    A class that is renamed keeps its old name here by a class attribute `recorded_as`; see also `NEW_SINCE_RECORDED`.
    """
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return {name: plain(found) for name, found in _parts(value).items()}


def _parts(value: Any) -> dict[str, Any]:
    """A dataclass as a dictionary of what it holds, which may be dataclasses.

    Raises:
        TypeError: for anything else.
    """
    if not is_dataclass(value) or isinstance(value, type):
        raise TypeError(f"{type(value).__name__} has no place in a run's identity.")
    known, parts = _parts_of(type(value))
    held = {"type": known}
    for name, unset in parts:
        found = getattr(value, name)
        if isinstance(found, (tuple, dict, list)):
            _check_fits(found)
        if unset is ALWAYS or found != unset:
            held[name] = found
    return held


def _check_fits(value: Any) -> None:
    """Refuse, at any depth of tuples, what JSON would take without a word."""
    if isinstance(value, tuple):
        for item in value:
            _check_fits(item)
    elif isinstance(value, (dict, list)):
        raise TypeError(f"{type(value).__name__} has no place in a run's identity.")


ALWAYS = object()
"""Instead of a value at which a field stays out of the identity: there is none."""


@cache
def _parts_of(kind: type) -> tuple[str, tuple[tuple[str, Any], ...]]:
    """How a dataclass is called in identities, and its fields, each with the value at which it stays out."""
    known = kind.__dict__.get("recorded_as", kind.__name__)
    return known, tuple((each.name, _unset(each)) for each in fields(kind))


def _unset(field: Field[Any]) -> Any:
    if WITHOUT in field.metadata:
        return field.metadata[WITHOUT]
    return field.default if "new since recorded" in field.metadata else ALWAYS


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=_parts)
"""Of what `plain` gives, without making it: there are thousands of runs."""


def canonical_json(spec: Any) -> str:
    """Key-sorted JSON of a spec: equal text exactly when the science is equal."""
    _check_fits(spec)
    return _ENCODER.encode(spec)


def content_id(spec: Any) -> str:
    """First twelve hexadecimal digits of the SHA-256 of a spec's canonical JSON."""
    return hashlib.sha256(canonical_json(spec).encode()).hexdigest()[:12]


def derive_seed(*ingredients: str | int) -> int:
    """A 31-bit seed from named ingredients, so that adding a method never shifts another's numbers.

    >>> derive_seed("order", "signs", 0) == derive_seed("order", "signs", 0)
    True
    """
    text = json.dumps(ingredients).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4]) >> 1


def weights_identity(file: Path) -> str:
    """How a run names weights that are a file: by content. Raises UserError if the file is not there."""
    if not file.is_file():
        raise UserError(f"Weights {str(file)!r} is neither pypi:NAME, timm:TAG nor an existing file.")
    return f"file:{hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"
