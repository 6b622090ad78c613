"""Which package may import which, read from the source; and that importing does nothing else."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"delta_core", "benchmarks", "reports", "tests"}
OF_REPORTS = {
    "benchmarks.records.gates",
    "benchmarks.records.rows",
    "benchmarks.records.files",
    "benchmarks.records.variance",
    "delta_core.training.command_line",
    "delta_core.training.errors",
    "delta_core.training.gate_figure",
}


def imported(source: str, package: str) -> Iterator[str]:
    """Full names of all modules that a source file imports, anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {package}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(package: str) -> Iterator[tuple[str, str]]:
    """(file, imported name) for each import of a package of ours from another one."""
    for path in sorted((ROOT / package).rglob("*.py")):
        for name in imported(path.read_text(encoding="utf-8"), package):
            if (top := name.partition(".")[0]) in OURS and top != package:
                yield path.relative_to(ROOT).as_posix(), name


def test_the_walk_sees_imports_of_every_form() -> None:
    source = "import a.b\nfrom c import d\ndef f():\n    from e.f import g, h\n"
    assert list(imported(source, "x")) == ["a.b", "c.d", "e.f.g", "e.f.h"]
    assert ("benchmarks/grid/pool.py", "delta_core.DeltaError") not in list(ours("delta_core"))
    assert {name.partition(".")[0] for _, name in ours("benchmarks")} == {"delta_core"}


def test_delta_core_imports_nothing_of_ours() -> None:
    assert list(ours("delta_core")) == []


def test_what_needs_mmengine_is_imported_by_configs_alone() -> None:
    sources = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "delta_core").rglob("*.py")}
    needing = {file for file, source in sources.items() if "mmengine" in str(list(imported(source, file)))}
    assert needing == {"openmmlab.py"}
    assert [found for package in sorted(OURS - {"tests"}) for found in ours(package) if "openmmlab" in found[1]] == []
    assert not any("openmmlab" in name for file, source in sources.items() for name in imported(source, file))


def test_benchmarks_imports_delta_core_alone() -> None:
    assert [found for found in ours("benchmarks") if not found[1].startswith("delta_core")] == []


def test_reports_imports_rows_and_errors_alone() -> None:
    assert [found for found in ours("reports") if found[1].rpartition(".")[0] not in OF_REPORTS] == []


@pytest.mark.parametrize("module", ["delta_core", "delta_core.config", "benchmarks.records.rows", "reports.__main__"])
def test_importing_creates_no_files_and_prints_nothing(module: str, tmp_path: Path) -> None:
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {module}; print('torch' in sys.modules)"
    command = [sys.executable, "-B", "-I", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=True)
    assert done.stdout == "False\n", "neither the library's own name, nor rows, nor reports need torch"
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
