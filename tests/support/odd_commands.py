"""Tables of odd commands: a command, its exit code and a piece of what it says, one a line."""

import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

NOTHING = "(nothing)"


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
    """Commands of lines such as `predict {patch} {image} --topk 0 | 2 | --topk is 0`.

    # begins a remark, and (nothing) stands for no words at all.
    """
    lines = [line.split(" | ") for line in table.splitlines() if line.strip() and not line.startswith("#")]
    return [
        OddCommand(words=() if words == NOTHING else tuple(shlex.split(words)), code=int(code), says=says)
        for words, code, says in lines
    ]


def is_one_sentence(err: str, prog: str) -> bool:
    """Whether stderr is one line of a program, or the box in which tyro says what is wrong with the words."""
    told = err.strip()
    return "For full helptext" in told or (told.startswith(f"{prog}: ") and "\n" not in told)


def check_odd(
    odd: OddCommand,
    main: Callable[[], None],
    prog: str,
    places: Mapping[str, object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Run a command in the folder `places["root"]`: its code and words are the expected ones, and nothing changes."""
    root = Path(str(places["root"]))
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "argv", [prog, *odd.with_places(places)])
    before = _listing(root)
    code = 0
    try:
        main()
    except SystemExit as left:
        code = int(left.code or 0)
    out, err = capsys.readouterr()
    assert code == odd.code, err
    assert odd.says in (err if code == 2 else out + err)
    assert "Traceback" not in out + err
    if code == 2:
        assert is_one_sentence(err, prog), err
    assert _listing(root) == before


def _listing(root: Path) -> list[tuple[str, int, int]]:
    return sorted((str(path), path.lstat().st_size, path.lstat().st_mtime_ns) for path in root.rglob("*"))
