"""Sessions of the suite. All but one share one environment, because torch alone takes gigabytes.

The environment lies in .nox/core and is rebuilt only when pyproject.toml or constraints/core.txt change. OpenMMLab's
packages need an older numpy and pandas, so `openmmlab` has an environment of its own beside it.
"""

import hashlib
import os
import shutil
from itertools import pairwise
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "tests"]

ROOT = Path(__file__).parent
CONSTRAINTS = ROOT / "constraints" / "core.txt"
ENVIRONMENT = Path(os.environ.get("DELTA_ENV", ROOT / ".nox" / "core"))
OPENMMLAB = ROOT / "constraints" / "openmmlab.txt"
OPENMMLAB_NO_DEPS = ROOT / "constraints" / "openmmlab_no_deps.txt"
OPENMMLAB_ENVIRONMENT = Path(os.environ.get("DELTA_OPENMMLAB_ENV", ROOT / ".nox" / "openmmlab"))
WHEELS = Path(os.environ.get("DELTA_WHEELS", ROOT / ".cache" / "wheels"))
INSTALL_MMCV = ROOT / "tools" / "install_mmcv.py"
REPORT_FLAGS = ("--scale", "--results", "--arch", "--task", "--protocol")


def core(session: nox.Session) -> Path:
    """Make the shared environment if it is missing or out of date; returns its folder of programs."""
    project = ["--constraint", str(CONSTRAINTS), "--editable", f"{ROOT}[bench,report,dev]"]
    return _environment(session, ENVIRONMENT, [ROOT / "pyproject.toml", CONSTRAINTS], [project])


def openmmlab_environment(session: nox.Session) -> Path:
    """Make the environment of OpenMMLab if it is missing or out of date; returns its folder of programs.

    The wheel of mmcv is built once, in minutes, and kept; an mmcv that is there with its ops is left alone.
    """
    sources = [ROOT / "pyproject.toml", OPENMMLAB, OPENMMLAB_NO_DEPS, INSTALL_MMCV]
    everything = ["--requirement", str(OPENMMLAB), "--editable", str(ROOT)]
    no_deps = ["--no-deps", "--requirement", str(OPENMMLAB_NO_DEPS)]
    programs = _environment(session, OPENMMLAB_ENVIRONMENT, sources, [everything, no_deps])
    session.run(str(programs / "python"), str(INSTALL_MMCV), str(WHEELS), external=True)
    return programs


def _environment(session: nox.Session, folder: Path, sources: list[Path], installs: list[list[str]]) -> Path:
    """An environment, made anew when a source changed, by pip installs one after the other."""
    stamp = folder / "installed-from.sha256"
    wanted = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        session.run("python", "-m", "venv", str(folder), external=True)
        for arguments in installs:
            session.run(str(programs / "python"), "-m", "pip", "install", *arguments, external=True)
        stamp.write_text(wanted)
    return programs


@nox.session
def lint(session: nox.Session) -> None:
    """Format, style and types."""
    programs = core(session)
    session.run(str(programs / "ruff"), "format", "--check", ".", external=True)
    session.run(str(programs / "ruff"), "check", ".", external=True)
    session.run(str(programs / "mypy"), external=True)


@nox.session
def tests(session: nox.Session) -> None:
    """All tests on tiny models; arguments after -- go to pytest."""
    programs = core(session)
    # One thread a process: the test processes share the cores already.
    session.run(
        str(programs / "python"), "-m", "pytest", "-n", "auto", *session.posargs,
        env={"OMP_NUM_THREADS": "1"}, external=True,
    )  # fmt: skip


@nox.session
def openmmlab(session: nox.Session) -> None:
    """The backbone for mmdet and mmseg in their environment; arguments after -- go to pytest. Python 3.11 and g++."""
    programs = openmmlab_environment(session)
    session.run(
        str(programs / "python"), "-m", "pytest", "tests/test_openmmlab.py", "delta_core/openmmlab.py",
        *session.posargs, env={"OMP_NUM_THREADS": "1"}, external=True,
    )  # fmt: skip


@nox.session
def backbones(session: nox.Session) -> None:
    """Write delta_core/backbones.txt anew and prove each of its nets; takes minutes."""
    python = str(core(session) / "python")
    session.run(python, "tests/backbones.py", external=True)
    session.run(python, "-m", "pytest", "-m", "matrix", *session.posargs, env={"OMP_NUM_THREADS": "1"}, external=True)


def _table(session: nox.Session, name: str, *defaults: str) -> None:
    """Measure what is missing of a table, then print it beside the paper's; of a flag given twice the last counts."""
    programs = core(session)
    session.run(str(programs / "delta-bench"), "run", name, *defaults, *session.posargs, external=True)
    if "--dry-run" not in session.posargs:
        session.run(str(programs / "delta-report"), name, *_report_flags(session.posargs), external=True)


def _report_flags(arguments: list[str]) -> list[str]:
    """What delta-report needs of delta-bench's arguments; a folder's name is its task's name."""
    pairs = [(flag, value) for flag, value in pairwise(arguments) if flag in REPORT_FLAGS]
    return [word for flag, value in pairs for word in (flag, Path(value.removeprefix("imagefolder:")).name)]


@nox.session
def table2(session: nox.Session) -> None:
    """Table 2, single-task patching; arguments after -- go to delta-bench run."""
    _table(session, "table2")


@nox.session
def table6(session: nox.Session) -> None:
    """Table 6, domain adaptation of digits, three seeds unless --seeds says otherwise."""
    _table(session, "table6", "--seeds", "3")


@nox.session
def table10(session: nox.Session) -> None:
    """Table 10, the runs of Table 2 as top-1 pairs."""
    _table(session, "table10")


@nox.session
def study_defaults(session: nox.Session) -> None:
    """What the defaults of DeltaConfig rest on; arguments after -- go to delta-bench run."""
    _table(session, "study_defaults")


@nox.session
def perf(session: nox.Session) -> None:
    """Costs against references, side by side; arguments after -- go to benchmarks.perf."""
    programs = core(session)
    session.run(str(programs / "python"), "-m", "benchmarks.perf", *session.posargs, external=True)
