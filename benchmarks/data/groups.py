"""Several tasks under one name, `a+b+c`: learned together (joint, Table 3) or in turn (sequence, Table 4)."""

from collections.abc import Callable, Sequence
from typing import Literal

from delta_core.training.errors import UserError

Grouping = Literal["single", "joint", "sequence"]
"""What a table makes of a task's name: one task, or several at once or in turn."""

SIGN = "+"


def members(name: str) -> tuple[str, ...]:
    """Tasks of a group, in order; a single task is a group of one.

    >>> members("textures+photos")
    ('textures', 'photos')
    """
    return tuple(name.split(SIGN))


def grouped(parts: Sequence[str]) -> str:
    """Name of a group, or identity of its data, from those of its members."""
    return SIGN.join(parts)


def check_group(name: str, grouping: Grouping, class_names: Callable[[str], Sequence[str]]) -> None:
    """Refuse a group that cannot be measured.

    Args:
        name: of the group.
        grouping: joint or sequence.
        class_names: names of the classes of a member.

    Raises:
        UserError: for fewer than two tasks, a task that occurs twice, or joint tasks that share a class name.
    """
    parts = members(name)
    if len(parts) < 2:
        raise UserError(
            f"--task {name} is one task, and a {grouping} table needs two or more; join them: {name}+OTHER."
        )
    twice = [part for part in parts if parts.count(part) > 1]
    if twice:
        raise UserError(f"--task {name} names {twice[0]} twice; give each task of a {grouping} set once.")
    if grouping == "sequence":
        return
    owner: dict[str, str] = {}
    for part in parts:
        for label in class_names(part):
            if label in owner:
                raise UserError(
                    f"--task {name} cannot share one head: {owner[label]} and {part} both have a class {label!r}; "
                    "rename it in one of them, or choose other tasks."
                )
            owner[label] = part
