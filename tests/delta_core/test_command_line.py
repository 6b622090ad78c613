"""How command lines end: one sentence and an exit code, for mistakes and for the machine's troubles."""

import errno
import subprocess
import sys
import warnings

import pytest

from delta_core.training.command_line import told_in_one_sentence, warnings_in_one_line
from delta_core.training.errors import UserError

ENDS = [
    (UserError("no"), 2, "tool: no"),
    (KeyboardInterrupt(), 130, "tool: interrupted; kept."),
    (OSError(errno.ENOSPC, "No space left on device", "a.png"), 1, "tool: The disk is full (a.png); make room"),
    (RuntimeError("[enforce fail at inline_container.cc:659] . unexpected pos 64"), 1, "tool: The disk is full; make"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"), 1, "tool: There is not enough memory;"),
    (MemoryError(), 1, "tool: There is not enough memory; take a smaller batch size"),
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
