"""Sessions of the suite. Most share one environment, because torch alone takes gigabytes.

The environment lies in .nox/core and is rebuilt only when pyproject.toml or constraints/core.txt change. OpenMMLab's
packages need Python 3.11, an older setuptools and a compiler for mmcv, so `openmmlab` and `table7` have an environment
of their own beside it: the same versions, and those packages. `wheel` has one that knows nothing of the checkout,
`docs` a small one without torch.
"""

import hashlib
import os
import shutil
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

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
WHEEL_ENVIRONMENT = Path(os.environ.get("DELTA_WHEEL_ENV", ROOT / ".nox" / "wheel"))
DOCS = ROOT / "constraints" / "docs.txt"
DOCS_ENVIRONMENT = Path(os.environ.get("DELTA_DOCS_ENV", ROOT / ".nox" / "docs"))
WHEELS = Path(os.environ.get("DELTA_WHEELS", CACHE_HOME / "delta-patching" / "wheels"))  # all checkouts share it
OPENMMLAB_TESTS = (  # what takes longest first
    "tests/suites/test_openmmlab_training.py",
    "tests/suites/test_mim.py",
    "tests/delta_core/test_openmmlab.py",
    "tests/delta_core/test_openmmlab_contract.py",
    "tests/suites/test_dense.py",
    "tests/suites/test_dense_bad_inputs.py",
    "tests/suites/test_dense_shared.py",
    "tests/suites/test_dense_scores.py",
    "tests/suites/test_openmmlab_configs.py",
    "delta_core/openmmlab",
)
# The install maps delta_core alone, as the wheel does. A line in site-packages lets processes that start elsewhere
# (`cd detection && mim train`) find benchmarks and reports, too. editable_mode=compat of setuptools would write it as
# well, but is to be removed.
SEE_CHECKOUT = (
    "import pathlib, sysconfig; "
    f"pathlib.Path(sysconfig.get_path('purelib'), 'delta_patching_checkout.pth').write_text({str(ROOT)!r})"
)
INSTALL_MMCV = ROOT / "tools" / "install_mmcv.py"
REPORT_FLAGS = ("--scale", "--results", "--arch", "--task", "--protocol")


def core(session: nox.Session) -> Path:
    """Make the shared environment if it is missing or out of date; returns its folder of programs."""
    project = ["--constraint", str(CONSTRAINTS), "--editable", f"{ROOT}[dev]"]
    return _environment(session, ENVIRONMENT, [ROOT / "pyproject.toml", CONSTRAINTS], [project], SEE_CHECKOUT)


def openmmlab_environment(session: nox.Session) -> Path:
    """Make the environment of OpenMMLab if it is missing or out of date; returns its folder of programs.

    The wheel of mmcv is built once, in minutes, and kept; an mmcv that is there with its ops is left alone.
    """
    sources = [ROOT / "pyproject.toml", CONSTRAINTS, OPENMMLAB, OPENMMLAB_NO_DEPS, INSTALL_MMCV]
    project = ["--constraint", str(CONSTRAINTS), "--editable", f"{ROOT}[dev]"]
    everything = ["--requirement", str(OPENMMLAB), *project]
    no_deps = ["--no-deps", "--requirement", str(OPENMMLAB_NO_DEPS)]
    programs = _environment(session, OPENMMLAB_ENVIRONMENT, sources, [everything, no_deps], SEE_CHECKOUT)
    session.run(str(programs / "python"), str(INSTALL_MMCV), str(WHEELS), external=True)
    return programs


def docs_environment(session: nox.Session) -> Path:
    """Make the environment of the site if it is missing or out of date; returns its folder of programs.

    What the site is made of needs no torch: reports read rows, and the reference reads sources.
    """
    packages = ["--constraint", str(CONSTRAINTS), "--requirement", str(DOCS)]
    return _environment(session, DOCS_ENVIRONMENT, [CONSTRAINTS, DOCS], [packages])


def _environment(
    session: nox.Session, folder: Path, sources: list[Path], installs: list[list[str]], afterwards: str = ""
) -> Path:
    """An environment, made anew when a source changed, by pip installs one after the other and Python code at last."""
    stamp = folder / "installed-from.sha256"
    wanted = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        session.run("python", "-m", "venv", str(folder), external=True)
        for arguments in installs:
            session.run(str(programs / "python"), "-m", "pip", "install", *arguments, external=True)
        if afterwards:
            session.run(str(programs / "python"), "-c", afterwards, external=True)
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
    # One thread a process: the test processes share the cores already. A file is one process's, with its fixtures.
    session.run(
        str(programs / "python"), "-m", "pytest", "-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder",
        *session.posargs,
        env={"OMP_NUM_THREADS": "1"}, external=True,
    )  # fmt: skip


@nox.session
def openmmlab(session: nox.Session) -> None:
    """The backbone for mmdet and mmseg in their environment; arguments after -- go to pytest. Python 3.11 and g++."""
    programs = openmmlab_environment(session)
    # A file stays in one process, whose tests share what they train on; files begin in the order above.
    session.run(
        str(programs / "python"), "-m", "pytest", "-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder",
        *OPENMMLAB_TESTS, *session.posargs,
        env={"OMP_NUM_THREADS": "1"}, external=True,
    )  # fmt: skip


@nox.session
def wheel(session: nox.Session) -> None:
    """Wheel and sdist in dist/, and the library's tests where the wheel with [train] alone is installed (6 GB)."""
    dist = ROOT / "dist"
    session.run(str(core(session) / "python"), str(ROOT / "tools" / "build.py"), str(dist), external=True)
    (built,) = dist.glob("*.whl")
    tools = ["hypothesis", "pytest", "pytest-timeout", "pytest-xdist"]
    install = ["--constraint", str(CONSTRAINTS), f"{built}[train]", *tools]
    python = _environment(session, WHEEL_ENVIRONMENT, [ROOT / "pyproject.toml", CONSTRAINTS], [install]) / "python"
    session.run(
        str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", str(built), external=True
    )
    with TemporaryDirectory() as elsewhere:
        shutil.copytree(ROOT / "tests", Path(elsewhere) / "tests")
        shutil.copy(ROOT / "pyproject.toml", elsewhere)  # options of pytest
        with session.chdir(elsewhere):
            session.run(
                str(python), "-m", "pytest", "-n", "auto", "tests/delta_core", "tests/tool", *session.posargs,
                env={"OMP_NUM_THREADS": "1", "PYTHONPATH": ""}, external=True,
            )  # fmt: skip


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation site in site/, built strictly, checked, and opened in Chromium; `-- FOLDER` for screenshots."""
    python = str(docs_environment(session) / "python")
    tables, site = ROOT / "docs" / "tables", ROOT / "site"
    shutil.rmtree(tables, ignore_errors=True)
    session.run(python, "-m", "reports", "site", "--out", str(tables), external=True)
    quiet = {"NO_MKDOCS_2_WARNING": "1"}
    session.run(python, "-m", "mkdocs", "build", "--strict", "--clean", env=quiet, external=True)
    session.run(python, "tools/site/browse.py", str(site), *session.posargs, external=True)
    session.run(python, "tools/site/check.py", str(site), external=True)


@nox.session
def backbones(session: nox.Session) -> None:
    """Write delta_core/backbones.txt anew and prove each of its nets; takes minutes."""
    python = str(core(session) / "python")
    session.run(python, "tests/support/backbones.py", external=True)
    session.run(python, "-m", "pytest", "-m", "matrix", *session.posargs, env={"OMP_NUM_THREADS": "1"}, external=True)


def _benchmarks(session: nox.Session, python: str, *arguments: str) -> None:
    """Call the suite, with time to gather its rows after Ctrl-C: nox kills what has not ended within half a second."""
    session.run(python, "-m", "benchmarks", *arguments, external=True, interrupt_timeout=10.0)


def _table(session: nox.Session, name: str, *defaults: str) -> None:
    """Measure what is missing of a table, then print it beside the paper's; of a flag given twice the last counts."""
    python = str((openmmlab_environment(session) if name == "table7" else core(session)) / "python")
    _benchmarks(session, python, "run", name, *defaults, *_run_flags(session.posargs))
    if "--dry-run" not in session.posargs:
        session.run(python, "-m", "reports", name, *_report_flags(session.posargs), external=True)


def _report_flags(arguments: list[str]) -> list[str]:
    """What reports needs of the arguments of benchmarks; a folder's name is its task's name."""
    pairs = [(flag, value) for flag, value in pairwise(_words(arguments)) if flag in REPORT_FLAGS]
    return [word for flag, value in pairs for word in (flag, _named(value) if flag == "--task" else value)]


def _run_flags(arguments: list[str]) -> list[str]:
    """What benchmarks run takes of the arguments: all but the protocol, which chooses among what was measured."""
    words = _words(arguments)
    report_alone = {place for place, word in enumerate(words) if word == "--protocol"}
    return [word for place, word in enumerate(words) if not {place, place - 1} & report_alone]


def _words(arguments: list[str]) -> list[str]:
    """The arguments with `--flag=value` as two words."""
    return [part for word in arguments for part in (word.split("=", 1) if word.startswith("--") else [word])]


def _named(task: str) -> str:
    """What rows call a task: the name of its folder, or of packaged images with their prefix; of each for a group."""
    prefix = "packaged:" if task.startswith("packaged:") else ""
    parts = task.removeprefix("imagefolder:").removeprefix(prefix).split("+")
    return "+".join(prefix + Path(part.removeprefix(prefix)).name for part in parts)


def _flags(arguments: list[str], names: tuple[str, ...]) -> list[str]:
    """Those of the arguments that are flags of these names, with their values."""
    return [word for pair in pairwise(_words(arguments)) if pair[0] in names for word in pair]


def _add_table_session(name: str, shown: str) -> None:
    def measure_and_print(session: nox.Session) -> None:
        _table(session, name, *DEFAULTS.get(name, ()))

    measure_and_print.__doc__ = f"{shown}; arguments after -- go to benchmarks run."
    nox.session(measure_and_print, name=name)


TABLES = {
    "table1": "Table 1, adapters and their like on nine tasks",
    "table2": "Table 2, single-task patching",
    "table3": "Table 3, three tasks at once",
    "table4": "Table 4, one task after the other",
    "table5": "Table 5, transfer learning",
    "table6": "Table 6, domain adaptation of digits, three seeds unless --seeds says otherwise",
    "table7": "Table 7, detection and segmentation by OpenMMLab, in its environment; Python 3.11 and g++",
    "table8": "Table 8, what to do with the skips",
    "table10": "Table 10, the runs of Table 2 as top-1 pairs",
    "table11": "Table 11, the runs of Table 4 at every alpha",
    "table12": "Table 12, fine-grained tasks from scratch",
    "table13": "Table 13, common tasks from scratch",
    "ablation": "Our own ablations of Delta (4), with a Pareto plot",
    "agreement": "How well agreement with the untouched net predicts accuracy on a labelled base",
    "study_defaults": "What the defaults of DeltaConfig rest on",
}
DEFAULTS = {"table6": ("--seeds", "3")}
for _name, _shown in TABLES.items():
    _add_table_session(_name, _shown)


@nox.session
def adapters(session: nox.Session) -> None:
    """The adapter study: search, runs of three seeds, the best for longer, report; arguments go to benchmarks run."""
    python = str(core(session) / "python")
    for name in ("adapters_search", "adapters", "adapters_long"):
        _benchmarks(session, python, "run", name, "--seeds", "3", *_run_flags(session.posargs))
    if "--dry-run" not in session.posargs:
        _report(session, "adapters", *_report_flags(session.posargs))


@nox.session
def table9(session: nox.Session) -> None:
    """Table 9, the qualitative grid; needs no runs."""
    _report(session, "table9", *_report_flags(session.posargs))


@nox.session
def claims(session: nox.Session) -> None:
    """The paper's sentences about patching as checks over what was measured, and lint of the numbers."""
    for name in ("claims", "lint"):
        _report(session, name, *_report_flags(session.posargs))


@nox.session
def figures(session: nox.Session) -> None:
    """Figures 1 to 6 and the variance analysis, as png and pdf; arguments after -- go to benchmarks run."""
    python = str(core(session) / "python")
    _benchmarks(session, python, "run", "figures", *_run_flags(session.posargs))
    if "--dry-run" in session.posargs:
        return
    where = _flags(session.posargs, ("--results", "--cache"))
    scale = _flags(session.posargs, ("--scale",))
    if not scale or "embedded" in scale:
        session.run(python, "-m", "benchmarks.variance", *where, external=True)
    _report(session, "figures", *_flags(session.posargs, ("--scale", "--results", "--protocol")))


@nox.session
def report(session: nox.Session) -> None:
    """results/report/index.html with every table and figure, and REPRODUCING.md; arguments go to reports html."""
    _report(session, "html", *session.posargs)
    _report(session, "reproducing", *_flags(session.posargs, ("--protocol",)))


def _report(session: nox.Session, *arguments: str) -> None:
    session.run(str(core(session) / "python"), "-m", "reports", *arguments, external=True)


@nox.session
def reproduce(session: nox.Session) -> None:
    """Repeat a sample of the runs on record, bit for bit; arguments after -- go to benchmarks reproduce."""
    _benchmarks(session, str(core(session) / "python"), "reproduce", *session.posargs)


@nox.session
def forget(session: nox.Session) -> None:
    """Take runs off the record, asked before; arguments after -- go to benchmarks forget."""
    session.run(str(core(session) / "python"), "-m", "benchmarks", "forget", *session.posargs, external=True)


@nox.session
def rehearse(session: nox.Session) -> None:
    """All tables at scale paper on look-alikes, a few steps long, in OpenMMLab's environment; arguments after --.

    `-- table2` rehearses one table, `-- all --part` a part of each that has every suite, method and report once.
    """
    python = str(openmmlab_environment(session) / "python")
    _benchmarks(session, python, "rehearse", *(session.posargs or ["all"]))


@nox.session
def faults(session: nox.Session) -> None:
    """Faults put in on purpose, within an hour on two cores; writes docs/robustness.md. Goes on where it was killed.

    Arguments after -- go to tests.faults, e.g. `-- --kinds kills --trials 5`.
    """
    page = [] if session.posargs else ["--write", "docs/robustness.md"]
    session.run(str(core(session) / "python"), "-m", "tests.faults", *page, *session.posargs, external=True)


@nox.session
def perf(session: nox.Session) -> None:
    """Costs against references, side by side; arguments after -- go to benchmarks.perf."""
    programs = core(session)
    session.run(str(programs / "python"), "-m", "benchmarks.perf", *session.posargs, external=True)
