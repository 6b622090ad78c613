"""Identity by content: equal science gives equal ids and seeds, on any machine."""

import hashlib
import json
from dataclasses import fields, is_dataclass
from typing import Any


def plain(value: Any) -> Any:
    """Dataclasses as dictionaries that carry their type's name; paths are refused, they are not science."""
    if is_dataclass(value):
        named = {f.name: plain(getattr(value, f.name)) for f in fields(value)}
        return {"type": type(value).__name__, **named}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"{type(value).__name__} has no place in a run's identity.")


def canonical_json(spec: Any) -> str:
    """Key-sorted JSON of a spec: equal text exactly when the science is equal."""
    return json.dumps(plain(spec), sort_keys=True, separators=(",", ":"))


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
