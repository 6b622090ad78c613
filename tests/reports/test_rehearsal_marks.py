"""Whatever is made of a rehearsal's rows says so: pages, tables of numbers, pictures, the HTML report."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fake_rows import fake_table2

from benchmarks.records.collected import write_rows
from benchmarks.records.look_alikes import BANNER
from benchmarks.records.rows import to_frame
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


def test_claims_say_so(results: Kind, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    call(monkeypatch, "claims", "--scale", "paper", "--results", str(results(True)))
    assert BANNER in capsys.readouterr().out
