"""Sessions of the suite. All but one share one environment, because torch alone takes gigabytes.

The environment lies in .nox/core and is rebuilt only when pyproject.toml or constraints/core.txt change. OpenMMLab's
packages need Python 3.11, an older setuptools and a compiler for mmcv, so `openmmlab` and `table7` have an environment
of their own beside it: the same versions, and those packages.
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
CACHE_HOME = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
WHEELS = Path(os.environ.get("DELTA_WHEELS", CACHE_HOME / "delta-patching" / "wheels"))  # all checkouts share it
OPENMMLAB_TESTS = (
    "tests/delta_core/test_openmmlab.py",
    "tests/suites/test_dense.py",
    "tests/suites/test_mim.py",
    "delta_core/openmmlab.py",
)
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
    sources = [ROOT / "pyproject.toml", CONSTRAINTS, OPENMMLAB, OPENMMLAB_NO_DEPS, INSTALL_MMCV]
    project = ["--constraint", str(CONSTRAINTS), "--editable", f"{ROOT}[bench,report]"]
    everything = ["--requirement", str(OPENMMLAB), *project]
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
        str(programs / "python"), "-m", "pytest", *OPENMMLAB_TESTS, *session.posargs,
        env={"OMP_NUM_THREADS": "1"}, external=True,
    )  # fmt: skip


@nox.session
def backbones(session: nox.Session) -> None:
    """Write delta_core/backbones.txt anew and prove each of its nets; takes minutes."""
    python = str(core(session) / "python")
    session.run(python, "tests/support/backbones.py", external=True)
    session.run(python, "-m", "pytest", "-m", "matrix", *session.posargs, env={"OMP_NUM_THREADS": "1"}, external=True)


def _table(session: nox.Session, name: str, *defaults: str) -> None:
    """Measure what is missing of a table, then print it beside the paper's; of a flag given twice the last counts."""
    programs = openmmlab_environment(session) if name == "table7" else core(session)
    session.run(str(programs / "delta-bench"), "run", name, *defaults, *session.posargs, external=True)
    if "--dry-run" not in session.posargs:
        session.run(str(programs / "delta-report"), name, *_report_flags(session.posargs), external=True)


def _report_flags(arguments: list[str]) -> list[str]:
    """What delta-report needs of delta-bench's arguments; a folder's name is its task's name."""
    pairs = [(flag, value) for flag, value in pairwise(arguments) if flag in REPORT_FLAGS]
    return [word for flag, value in pairs for word in (flag, _named(value) if flag == "--task" else value)]


def _named(task: str) -> str:
    """What rows call a task: the name of its folder, of each for a group."""
    return "+".join(Path(folder).name for folder in task.removeprefix("imagefolder:").split("+"))


@nox.session
def table1(session: nox.Session) -> None:
    """Table 1, adapters and their like on nine tasks; arguments after -- go to delta-bench run."""
    _table(session, "table1")


def _flags(arguments: list[str], names: tuple[str, ...]) -> list[str]:
    """Those of the arguments that are flags of these names, with their values."""
    return [word for pair in pairwise(arguments) if pair[0] in names for word in pair]


@nox.session
def table2(session: nox.Session) -> None:
    """Table 2, single-task patching; arguments after -- go to delta-bench run."""
    _table(session, "table2")


@nox.session
def table3(session: nox.Session) -> None:
    """Table 3, three tasks at once."""
    _table(session, "table3")


@nox.session
def table4(session: nox.Session) -> None:
    """Table 4, one task after the other."""
    _table(session, "table4")


@nox.session
def table5(session: nox.Session) -> None:
    """Table 5, transfer learning; arguments after -- go to delta-bench run."""
    _table(session, "table5")


@nox.session
def table6(session: nox.Session) -> None:
    """Table 6, domain adaptation of digits, three seeds unless --seeds says otherwise."""
    _table(session, "table6", "--seeds", "3")


@nox.session
def table9(session: nox.Session) -> None:
    """Table 9, the qualitative grid; needs no runs."""
    session.run(str(core(session) / "delta-report"), "table9", *_report_flags(session.posargs), external=True)


@nox.session
def table11(session: nox.Session) -> None:
    """Table 11, the runs of Table 4 at every alpha."""
    _table(session, "table11")


@nox.session
def claims(session: nox.Session) -> None:
    """The paper's sentences about patching as checks over what was measured, and lint of the numbers."""
    for name in ("claims", "lint"):
        session.run(str(core(session) / "delta-report"), name, *_report_flags(session.posargs), external=True)


@nox.session
def table7(session: nox.Session) -> None:
    """Table 7, detection and segmentation by OpenMMLab, in its environment; Python 3.11 and g++."""
    _table(session, "table7")


@nox.session
def table10(session: nox.Session) -> None:
    """Table 10, the runs of Table 2 as top-1 pairs."""
    _table(session, "table10")


@nox.session
def table8(session: nox.Session) -> None:
    """Table 8, what to do with the skips; arguments after -- go to delta-bench run."""
    _table(session, "table8")


@nox.session
def table12(session: nox.Session) -> None:
    """Table 12, fine-grained tasks from scratch."""
    _table(session, "table12")


@nox.session
def table13(session: nox.Session) -> None:
    """Table 13, common tasks from scratch."""
    _table(session, "table13")


@nox.session
def ablation(session: nox.Session) -> None:
    """Our own ablations of Delta (4), with a Pareto plot; arguments after -- go to delta-bench run."""
    _table(session, "ablation")


@nox.session
def figures(session: nox.Session) -> None:
    """Figures 1 to 6 and the variance analysis, as png and pdf; arguments after -- go to delta-bench run."""
    programs = core(session)
    session.run(str(programs / "delta-bench"), "run", "figures", *session.posargs, external=True)
    if "--dry-run" in session.posargs:
        return
    where = _flags(session.posargs, ("--results", "--cache"))
    if "embedded" in _flags(session.posargs, ("--scale",)) or "--scale" not in session.posargs:
        session.run(str(programs / "python"), "-m", "benchmarks.variance", *where, external=True)
    shown = _flags(session.posargs, ("--scale", "--results"))
    session.run(str(programs / "delta-report"), "figures", *shown, external=True)


@nox.session
def study_defaults(session: nox.Session) -> None:
    """What the defaults of DeltaConfig rest on; arguments after -- go to delta-bench run."""
    _table(session, "study_defaults")


@nox.session
def report(session: nox.Session) -> None:
    """results/report/index.html with every table and figure, and REPRODUCING.md; arguments go to delta-report html."""
    programs = core(session)
    session.run(str(programs / "delta-report"), "html", *session.posargs, external=True)
    session.run(str(programs / "delta-report"), "reproducing", external=True)


@nox.session
def reproduce(session: nox.Session) -> None:
    """Repeat a sample of the embedded runs on record, bit for bit; arguments after -- go to delta-bench reproduce."""
    session.run(str(core(session) / "delta-bench"), "reproduce", *session.posargs, external=True)


@nox.session
def perf(session: nox.Session) -> None:
    """Costs against references, side by side; arguments after -- go to benchmarks.perf."""
    programs = core(session)
    session.run(str(programs / "python"), "-m", "benchmarks.perf", *session.posargs, external=True)
