"""Whatever is made of a rehearsal's rows says so: pages, tables of numbers, pictures, the HTML report."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fake_rows import fake_table2
from gate_rows import gates_of

from benchmarks.records.collected import write_rows
from benchmarks.records.gates import collect_gates, write_gates
from benchmarks.records.look_alikes import BANNER
from benchmarks.records.rows import to_frame
from delta_core.training.errors import UserError
from reports import cli as reports
from reports.figures.index import all_figures

LOOK_ALIKE_CONFIG = '{"data":"look-alike:0123456789ab"}'
Kind = Callable[[bool], Path]


@pytest.fixture
def results(tmp_path: Path) -> Kind:
    """Rows of Table 2, of a rehearsal or not."""

    def written(rehearsed: bool) -> Path:
        config = LOOK_ALIKE_CONFIG if rehearsed else '{"data":"0123456789ab"}'
        rows = fake_table2(architectures=("resnet18",), seeds=(0,), scale="paper")
        write_rows(tmp_path / "paper", to_frame(replace(row, config=config) for row in rows))
        return tmp_path

    return written


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["reports", *words])
    reports.main()


@pytest.mark.parametrize("rehearsed", [True, False])
def test_a_table_says_so_in_every_format(
    rehearsed: bool, results: Kind, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = results(rehearsed)
    call(monkeypatch, "table2", "--scale", "paper", "--results", str(root))
    texts = [(root / "paper/tables" / f"table2.{kind}").read_text() for kind in ("csv", "md", "tex")]
    assert [BANNER in text for text in (*texts, capsys.readouterr().out)] == [rehearsed] * 4


@pytest.mark.parametrize("rehearsed", [True, False])
def test_html_figures_and_reproducing_say_so(rehearsed: bool, results: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    root = results(rehearsed)
    call(monkeypatch, "html", "--scale", "paper", "--results", str(root))
    page = (root / "report/index.html").read_text()
    assert (page.index(BANNER) < page.index("<table") if BANNER in page else False) == rehearsed
    call(monkeypatch, "reproducing", "--results", str(root), "--out", str(root / "R.md"))
    assert (BANNER in (root / "R.md").read_text()) == rehearsed
    drawn, _ = all_figures(root / "paper", "paper")
    assert {any(text.get_text().startswith("REHEARSAL") for text in one.figure.texts) for one in drawn} == {rehearsed}


def test_gates_of_a_rehearsal_are_drawn_beside_its_rows_alone_and_their_numbers_say_so(results: Kind) -> None:
    folder = results(True) / "paper"
    rows = gates_of("resnext50_32x4d", "aircraft", scale="paper", rehearsal=BANNER)
    write_gates(folder, rows)
    collect_gates(folder)
    drawn, _ = all_figures(folder, "paper")
    data = [one.data for one in drawn if one.name.startswith("figure3")]
    assert data
    assert all(set(frame["rehearsal"]) == {BANNER} for frame in data if frame is not None)
    results(False)
    with pytest.raises(UserError, match="was recorded in a rehearsal and is no result"):
        all_figures(folder, "paper")


def test_claims_say_so(results: Kind, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    call(monkeypatch, "claims", "--scale", "paper", "--results", str(results(True)))
    assert BANNER in capsys.readouterr().out
