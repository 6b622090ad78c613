"""Values of a config that are settled where a training or a test begins, by its data, its net and its heads.

A config of mmengine is read before anybody knows what it will be trained on: what a child config or `--cfg-options`
says of `data` comes later. So a config holds such values as short lists, reading it does nothing else, and `settle`
puts in what they stand for. Whatever a user writes in their place stays.
"""

from collections.abc import Callable, Mapping
from typing import Any

from delta_core.training.errors import UserError

Late = list[Any]
"""`["late", name, what is given]`: not a dict, which mmengine lets stand for another dict alone."""

MARK = "late"
CHOICES = ("by_data", "by_heads")


def by_data(*, drawn: Any, folder: Any) -> Late:
    """One value on drawn scenes, another on a folder of images."""
    return [MARK, "by_data", {"drawn": drawn, "folder": folder}]


def by_heads(*, narrow: Any, stock: Any) -> Late:
    """One value for narrow heads, another for those of OpenMMLab."""
    return [MARK, "by_heads", {"narrow": narrow, "stock": stock}]


def of(fact: str, **given: Any) -> Late:
    """A fact of the data or the net, e.g. `of("num_classes")`; `facts.py` has them all."""
    return [MARK, fact, given]


def settle(value: Any, facts: Mapping[str, Callable[..., Any]], chosen: Mapping[str, str]) -> Any:
    """A config, or a part of one, with every late value in its place; what becomes None in a list is left out of it.

    Args:
        value: dicts, lists and plain values.
        facts: by name; each is called with what is given beside its name.
        chosen: `by_data` -> `drawn` or `folder`, `by_heads` -> `narrow` or `stock`.

    Raises:
        UserError: for a fact that is not known.

    >>> settle({"a": [by_data(drawn=1, folder=2)], "b": of("double", x=3)}, {"double": lambda x: 2 * x},
    ...        {"by_data": "folder"})
    {'a': [2], 'b': 6}
    """
    if is_late(value):
        _, name, given = value
        if name in CHOICES:
            return settle(given[chosen[name]], facts, chosen)
        if name not in facts:
            raise UserError(f"The config asks for {name!r}, which nothing knows; choose from {', '.join(facts)}.")
        return facts[name](**settle(given, facts, chosen))
    if isinstance(value, Mapping):
        return {name: settle(part, facts, chosen) for name, part in value.items()}
    if isinstance(value, list | tuple):
        parts = [(part, settle(part, facts, chosen)) for part in value]
        return type(value)(found for part, found in parts if not (found is None and is_late(part)))
    return value


def is_late(value: Any) -> bool:
    """Whether a value of a config waits to be settled."""
    return isinstance(value, list) and len(value) == 3 and value[0] == MARK
