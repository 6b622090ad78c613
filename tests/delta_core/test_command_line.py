"""How command lines end: one sentence and an exit code, for mistakes and for the machine's troubles."""

import errno
import subprocess
import sys
import warnings
from importlib.metadata import version

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delta_core.nearest import nearest, unknown
from delta_core.training.command_line import dispatch, told_in_one_sentence, version_line, warnings_in_one_line
from delta_core.training.errors import UserError, missing_package

ENDS = [
    (UserError("no"), 2, "tool: no"),
    (KeyboardInterrupt(), 130, "tool: interrupted; kept."),
    (OSError(errno.ENOSPC, "No space left on device", "a.png"), 1, "tool: The disk is full (a.png); make room"),
    (RuntimeError("[enforce fail at inline_container.cc:659] . unexpected pos 64"), 1, "tool: The disk is full; make"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"), 1, "tool: There is not enough memory;"),
    (MemoryError(), 1, "tool: There is not enough memory; take a smaller batch size"),
    (
        ModuleNotFoundError(name="skimage_of_nobody"),
        2,
        "tool: The package skimage_of_nobody is missing; run: pip install",
    ),
    (PermissionError(errno.EACCES, "Permission denied", "a.png"), 1, "may not be read or written (a.png);"),
]


@pytest.mark.parametrize(("error", "code", "said"), ENDS, ids=lambda value: type(value).__name__)
def test_what_goes_wrong_is_one_sentence(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left, told_in_one_sentence("tool", interrupted="kept."):
        raise error
    assert left.value.code == code
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_what_nobody_foresaw_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), told_in_one_sentence("tool", interrupted="kept."):
        raise ZeroDivisionError


def test_a_part_of_a_package_that_is_there_keeps_its_traceback() -> None:
    with pytest.raises(ModuleNotFoundError), told_in_one_sentence("tool", interrupted="kept."):
        raise ModuleNotFoundError(name="torch.of_nobody")


def test_pips_name_of_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    told = missing_package(ModuleNotFoundError(name="sklearn.datasets"))
    assert told == "The package sklearn is missing; run: pip install scikit-learn"


def greet(*, name: str = "you") -> str:
    """Say hello.

    Args:
        name: to whom.
    """
    return f"hello {name}"


def dispatched(monkeypatch: pytest.MonkeyPatch, *words: str, shows: dict[str, str] | None = None) -> object:
    monkeypatch.setattr(sys, "argv", ["tool", *words])
    return dispatch({"greet": greet, "part": greet}, prog="tool", description="Talk.", shows=shows)


def test_a_command_gets_its_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    assert dispatched(monkeypatch, "greet", "--name", "Ada") == "hello Ada"


def test_a_command_that_is_not_known_names_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"Command 'gret' is not known; nearest: greet, part; tool --help lists all."):
        dispatched(monkeypatch, "gret")


def test_help_texts_are_those_that_are_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        dispatched(monkeypatch, "--help", shows={"part": "Say farewell."})
    told = capsys.readouterr().out
    assert "Say hello." in told
    assert "Say farewell." in told


def test_versions_and_commit_are_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatched(monkeypatch, "--version") == 0
    assert dispatched(monkeypatch, "--version") == 0
    told = set(capsys.readouterr().out.splitlines())
    assert told == {version_line("tool")}
    assert f"delta-patching {version('delta-patching')}, torch {version('torch')}" in version_line("tool")
    monkeypatch.setattr("delta_core.training.provenance.git_state", lambda: ("0123456789abcdef", True))
    assert version_line("tool").endswith(", commit 0123456789ab+")
    monkeypatch.setattr("delta_core.training.provenance.git_state", lambda: ("", False))
    assert "commit" not in version_line("tool")


NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)


@given(NAMES, st.sets(NAMES, min_size=1, max_size=9))
def test_three_known_names_are_told_and_a_known_one_is_the_nearest(name: str, known: set[str]) -> None:
    distinct = {each.lower(): each for each in known}
    found = nearest(name, distinct.values())
    assert len(found) == min(3, len(distinct)) == len(set(found))
    assert set(found) <= known
    for each in distinct.values():
        assert nearest(each, distinct.values())[0] == each
    assert unknown("Net", name, [], "list").startswith(f"Net {name!r} is not known; nearest: nothing")


def test_warnings_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings_in_one_line("tool"):
        warnings.warn("Look here.", stacklevel=1)
    assert capsys.readouterr().err == "tool: Look here.\n"


PRINTER = """
import sys
from delta_core.training.command_line import told_in_one_sentence
with told_in_one_sentence("tool", interrupted=""):
    for number in range(int(sys.argv[1])):
        print("line", number)
    sys.exit(0)
"""


@pytest.mark.parametrize("lines", [10, 100_000])
def test_a_reader_that_has_gone_ends_in_silence(lines: int) -> None:
    printer = subprocess.Popen(
        [sys.executable, "-c", PRINTER, str(lines)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert printer.stdout is not None
    assert printer.stderr is not None
    printer.stdout.close()
    assert printer.stderr.read() == b""
    assert printer.wait() == 141


def test_output_to_a_full_disk_is_told() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run([sys.executable, "-c", PRINTER, "9"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (
        1, "tool: The disk is full; make room, then start again: what was finished is kept.\n",
    )  # fmt: skip
