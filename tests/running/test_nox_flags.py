"""What nox hands to the runner and to the report: the protocol chooses among what was measured, so the report alone."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

NOXFILE = Path(__file__).parents[2] / "noxfile.py"


@pytest.fixture
def noxfile(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The sessions' file with a stand-in for nox, which is not installed where tests run."""
    nox = ModuleType("nox")

    def session(function: Callable[..., None] | None = None, **_: object) -> object:
        return function or session

    nox.__dict__.update(session=session, options=SimpleNamespace(), Session=object)
    monkeypatch.setitem(sys.modules, "nox", nox)
    spec = importlib.util.spec_from_file_location("noxfile", NOXFILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("protocol", [["--protocol", "px=32,views=8,epochs=6"], ["--protocol=px=32,views=8,epochs=6"]])
def test_the_protocol_reaches_the_report_and_not_the_runner(protocol: list[str], noxfile: ModuleType) -> None:
    calls: list[tuple[str, ...]] = []
    noxfile.core = lambda _: Path("programs")
    session = SimpleNamespace(
        posargs=["--views", "8", *protocol, "--scale=real"], run=lambda *words, **_: calls.append(words)
    )
    noxfile._table(session, "table2")
    measured, shown = (words[2:] for words in calls)
    assert measured == ("benchmarks", "run", "table2", "--views", "8", "--scale", "real")
    assert shown == ("reports", "table2", "--protocol", "px=32,views=8,epochs=6", "--scale", "real")


def test_an_interrupted_grid_has_time_to_gather_its_rows(noxfile: ModuleType) -> None:
    """Nox kills what has not ended within half a second."""
    given: list[dict[str, float]] = []
    noxfile.core = lambda _: Path("programs")
    session = SimpleNamespace(posargs=[], run=lambda *words, **options: given.append(options if "run" in words else {}))
    noxfile._table(session, "table2")
    noxfile.adapters(session)
    noxfile.figures(session)
    assert [options["interrupt_timeout"] for options in given if options] == 5 * [10.0]
