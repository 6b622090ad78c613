"""Every command and flag that a message, a docstring, a page or the README names is there, and the flag is of it."""

import ast
import io
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import tyro

import benchmarks.cli
import benchmarks.perf.command
import benchmarks.variance.__main__
import delta_core.tool.cli
import reports.cli
from reports.registry import REPORTS

ROOT = Path(__file__).parents[1]
READMES = [ROOT / folder / "README.md" for folder in ("detection", "segmentation")]
HABITS = [*(ROOT / ".github").rglob("*.yml"), *(ROOT / ".github").rglob("*.md")]
PAGES = sorted([*READMES, *ROOT.glob("[A-Z]*.md"), *(ROOT / "docs").glob("*.md"), *HABITS])
SOURCES = sorted(path for package in ("delta_core", "benchmarks", "reports") for path in (ROOT / package).rglob("*.py"))
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
PROGRAM = (
    r"python -m (?:benchmarks\.perf|benchmarks\.variance|benchmarks|reports)(?![\w.])|(?<![\w/-])delta-patch|nox -s"
)
CALL = re.compile(rf"(?P<program>{PROGRAM}) +(?P<words>(?:(?!{PROGRAM})[^\n`'\"();,])*)")
OF_OTHERS = {
    *("--help", "--version", "--tyro-print-completion"),  # every program of ours answers these
    *("--no-deps", "--force-reinstall"),  # pip
    *("--disable-pip", "--ignore-vuln", "--requirement"),  # pip-audit
    *("--cfg-options", "--resume", "--launcher", "--checkpoint", "--show-dir"),  # mim train, mim test
    "--nproc-per-node",  # torchrun
    *("--kinds", "--write"),  # tests.faults
    *("--array", "--gres", "--cpus-per-task", "--nodes", "--exclusive"),  # sbatch
    *("--head", "--address", "--generate"),  # ray start, ray get-auth-token
    "--out",  # tools/predict.py
    "--logdir",  # tensorboard
    *("--error-unmatch", "--porcelain", "--untracked-files"),  # git
    "--rwrap",  # a directive of pandas for LaTeX
}
"""Flags that no command lists."""
PYTEST = ("tests", "openmmlab", "wheel", "backbones", "lint")
"""Sessions whose arguments are pytest's, or that take none."""
OTHERWISE: dict[str, tuple[str, str]] = {
    "forget": ("python -m benchmarks", "forget"),
    "perf": ("python -m benchmarks.perf", ""),
    "rehearse": ("python -m benchmarks", "rehearse"),
    "reproduce": ("python -m benchmarks", "reproduce"),
    "report": ("python -m reports", "html"),
    "claims": ("python -m reports", "claims"),
    "table9": ("python -m reports", "table9"),
}
"""Sessions whose arguments go elsewhere than to `benchmarks run`."""


def flags_of(function: Callable[..., Any]) -> set[str]:
    """Flags that a command's help text lists, at the beginnings of its lines."""
    text = io.StringIO()
    with redirect_stdout(text), pytest.raises(SystemExit):
        tyro.cli(function, args=["--help"])
    lines = [line.lstrip("│ ") for line in text.getvalue().splitlines()]
    return {flag for line in lines if line.startswith("-") for flag in FLAG.findall(line)}


def commands_of(module: Any) -> dict[str, Callable[..., Any]]:
    """Commands of a program, as it hands them to the parser."""
    found: dict[str, Callable[..., Any]] = {}

    def take(commands: dict[str, Callable[..., Any]], **_: object) -> int:
        found.update(commands)
        return 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "dispatch", take)
        patch.setattr(sys, "exit", lambda _: None)
        module.main()
    return found


@cache
def programs() -> dict[str, dict[str, set[str]]]:
    """Program -> command -> flags; a program without commands has one that is called nothing."""
    many = {
        "python -m benchmarks": benchmarks.cli,
        "python -m reports": reports.cli,
        "delta-patch": delta_core.tool.cli,
    }
    return {
        **{name: {word: flags_of(call) for word, call in commands_of(module).items()} for name, module in many.items()},
        "python -m benchmarks.perf": {"": flags_of(benchmarks.perf.command.perf)},
        "python -m benchmarks.variance": {"": flags_of(benchmarks.variance.__main__.main)},
    }


@cache
def sessions() -> set[str]:
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list}
    (tables,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TABLES"
    ]
    return functions | set(tables)


def strings(source: str) -> Iterator[str]:
    """Strings of a source file, docstrings and messages alike; `{}` stands for what an f-string puts in."""
    tree = ast.parse(source)
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.value


def wrong_calls(text: str) -> Iterator[str]:
    """Calls of our programs that would be refused, and why."""
    text = re.sub(r"\\\n\s*", " ", text)
    text = re.sub(r"(?<=[\w-])\n(?=[\w-])", " ", text)
    for call in CALL.finditer(text):
        words = call["words"].split()
        yield from (f"{call['program']} {' '.join(words)}: {why}" for why in faults(call["program"], words))


def faults(program: str, words: list[str]) -> Iterator[str]:
    first = words[0].rstrip(".:|") if words else ""
    if program == "nox -s":
        yield from () if first in sessions() or "{" in first else [f"no session {first}"]
        if first in PYTEST:
            return
        program, first = OTHERWISE.get(first, ("python -m benchmarks", "run"))
    commands = programs()[program]
    if "" in commands:
        known = commands[""]
    elif first in commands:
        known = commands[first]
    elif re.fullmatch(r"[a-z_]+[0-9]*", first) and program != "delta-patch":
        yield f"no command {first}"
        return
    else:  # prose, a placeholder, or alternatives such as plan|run|status
        known = set().union(*commands.values())
    yield from (f"no flag {flag}" for word in words for flag in FLAG.findall(word) if flag not in known | OF_OTHERS)


def unknown_flags(text: str) -> Iterator[str]:
    known = set().union(*(flags for commands in programs().values() for flags in commands.values())) | OF_OTHERS
    yield from (flag for flag in FLAG.findall(text) if flag not in known)


def test_a_wrong_command_and_a_wrong_flag_would_be_seen() -> None:
    said = "run: python -m benchmarks fetch stl10 --data-rot data, then nox -s table99 and python -m reports tabel2"
    assert [fault.rpartition(": ")[2] for fault in wrong_calls(said)] == [
        "no flag --data-rot", "no session table99", "no command tabel2",
    ]  # fmt: skip
    assert list(wrong_calls("nox -s table2 -- --views 8 \\\n  --of-nobody 3")) == [
        "nox -s table2 -- --views 8 --of-nobody 3: no flag --of-nobody"
    ]
    assert list(unknown_flags("give --no-such-flag or --data-root")) == ["--no-such-flag"]
    assert list(strings("raise E(f'--{x} {y!r} and --z')")) == ["--{} {} and --z"]


def test_reports_that_print_how_to_measure_a_cell_have_a_session() -> None:
    assert {name for name, report in REPORTS.items() if report.has_cells} <= sessions()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_and_flags_of_the_pages_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert list(wrong_calls(text)) == []
    assert list(unknown_flags(text)) == []


@pytest.mark.parametrize("package", ["delta_core", "benchmarks", "reports"])
def test_commands_and_flags_of_messages_exist(package: str) -> None:
    found = partial(_wrong_strings, package)
    assert list(found(wrong_calls)) == []
    assert list(found(unknown_flags)) == []


def _wrong_strings(package: str, wrong: Callable[[str], Iterator[str]]) -> Iterator[str]:
    for path in SOURCES:
        if path.relative_to(ROOT).parts[0] == package:
            for text in strings(path.read_text(encoding="utf-8")):
                yield from (f"{path.relative_to(ROOT)}: {each}" for each in wrong(text))
