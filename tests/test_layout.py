"""The rules of the layout, read from the source: who may import whom, the same rooms in every suite, cheap imports."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.suites.execute import SUITES

ROOT = Path(__file__).parents[1]
OURS = ("delta_core", "benchmarks", "reports")
FLOORS = {"delta_core": ("delta_core",), "benchmarks": ("benchmarks", "delta_core"), "reports": OURS}
WORDS_FOR_REPORTS = (
    "benchmarks.data.shown",
    "benchmarks.records",
    "benchmarks.methods.listing",
    "benchmarks.suites.domain_adaptation.listing",
    "benchmarks.suites.transfer.methods.listing",
    "delta_core.nearest",
    "delta_core.training.interrupts",
    "delta_core.training.command_line",
    "delta_core.training.errors",
    "delta_core.training.whole_files",
    "delta_core.training.gate_figure",
)
"""What reports may import of the floors below: rows, words and single images, all of it without torch."""
BELOW_THE_SUITES = ("nets", "data", "records", "methods")
ABOVE_THEM = ("suites", "worlds", "grid")


def imported(source: str) -> Iterator[str]:
    """Full names of all that a source file imports, anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def sources(package: str) -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def ours(package: str) -> list[tuple[str, str]]:
    """(file, imported name) for each import of a package of ours."""
    return [
        (file, name)
        for file, source in sources(package)
        for name in imported(source)
        if name.partition(".")[0] in (*OURS, "tests")
    ]


def below(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def test_the_walk_sees_imports_of_every_form() -> None:
    assert list(imported("import a.b\nfrom c import d\ndef f():\n    from e.f import g, h\n")) == [
        "a.b", "c.d", "e.f.g", "e.f.h",
    ]  # fmt: skip
    assert ("benchmarks/spec.py", "benchmarks.records.rows.Scale") in ours("benchmarks")


@pytest.mark.parametrize("package", OURS)
def test_imports_point_down_the_three_floors(package: str) -> None:
    assert [found for found in ours(package) if found[1].partition(".")[0] not in FLOORS[package]] == []


def test_reports_import_rows_and_words_alone() -> None:
    others = [found for found in ours("reports") if not found[1].startswith("reports")]
    assert others
    assert [found for found in others if not below(found[1], WORDS_FOR_REPORTS)] == []


@pytest.mark.parametrize("room", BELOW_THE_SUITES)
def test_what_suites_stand_on_imports_none_of_them(room: str) -> None:
    above = tuple(f"benchmarks.{name}" for name in ABOVE_THEM)
    assert [found for found in ours(f"benchmarks/{room}") if below(found[1], above)] == []


@pytest.mark.parametrize("suite", SUITES)
def test_suites_import_each_other_in_one_place_alone(suite: str) -> None:
    others = tuple(f"benchmarks.suites.{other}" for other in SUITES if other != suite)
    if suite == "sequence":  # a task that is learnt alone is a run of the patching suite
        others = tuple(other for other in others if not other.endswith(".patching"))
    assert [found for found in ours(f"benchmarks/suites/{suite}") if below(found[1], others)] == []


def test_every_suite_has_the_same_rooms() -> None:
    folders = sorted(path.parent.name for path in (ROOT / "benchmarks" / "suites").glob("*/__init__.py"))
    assert folders == sorted(SUITES)
    for suite in SUITES:
        files = {path.name for path in (ROOT / "benchmarks" / "suites" / suite).glob("*.py")}
        assert {"__init__.py", "spec.py", "table.py", "runner.py"} <= files, suite


def test_few_files_lie_loose() -> None:
    assert len(list((ROOT / "benchmarks").glob("*.py"))) <= 12
    assert len(list((ROOT / "reports").glob("*.py"))) <= 12


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {
        file.removesuffix(".py").removesuffix("/__init__").replace("/", "."): source
        for package in OURS
        for file, source in sources(package)
    }

    def needed(module: str) -> set[str]:
        names = set(imported(graph[module]))
        modules = {name if name in graph else name.rpartition(".")[0] for name in names}
        return (modules & set(graph)) - {module, "delta_core"}  # delta_core hands its names on lazily

    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for other in sorted(needed(module)):
                visit(other, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_what_needs_mmengine_is_imported_by_configs_alone() -> None:
    needing = {file for file, source in sources("delta_core") if "mmengine" in str(list(imported(source)))}
    assert {Path(file).parent.as_posix() for file in needing} == {"delta_core/openmmlab"}
    users = {
        file
        for package in OURS
        for file, name in ours(package)
        if "delta_core.openmmlab" in name and not file.startswith("delta_core/openmmlab/")
    }
    assert users == {"benchmarks/suites/dense/slim_backbone.py"}


@pytest.mark.parametrize(
    "module",
    [
        "delta_core",
        "delta_core.config",
        "delta_core.training",
        "benchmarks.records.rows",
        "benchmarks.methods.listing",
        "benchmarks.data.shown",
        "reports.cli",
    ],
)
def test_importing_creates_no_files_prints_nothing_and_needs_no_torch(module: str, tmp_path: Path) -> None:
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {module}; print('torch' in sys.modules)"
    command = [sys.executable, "-B", "-I", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=True)
    assert done.stdout == "False\n"
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
