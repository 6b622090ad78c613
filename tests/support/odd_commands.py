"""Tables of odd commands: a command, its exit code and a piece of what it says, one a line."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class OddCommand:
    """What somebody types, and what must come of it."""

    words: tuple[str, ...]
    """With `{name}` for places that are known when it runs."""
    code: int
    says: str
    """On stderr where the exit code is 2, else on either stream."""

    def with_places(self, places: Mapping[str, object]) -> list[str]:
        """The words with their places."""
        return [word.format_map(places) for word in self.words]

    def __str__(self) -> str:
        return shlex.join(self.words)


def read_table(table: str) -> list[OddCommand]:
    """Commands of lines such as `predict {patch} {image} --topk 0 | 2 | --topk is 0`; # begins a remark."""
    lines = [line.split(" | ") for line in table.splitlines() if line.strip() and not line.startswith("#")]
    return [OddCommand(words=tuple(shlex.split(words)), code=int(code), says=says) for words, code, says in lines]


def is_one_sentence(err: str, prog: str) -> bool:
    """Whether stderr is one line of a program, or the box in which tyro says what is wrong with the words."""
    told = err.strip()
    return "For full helptext" in told or (told.startswith(f"{prog}: ") and "\n" not in told)
