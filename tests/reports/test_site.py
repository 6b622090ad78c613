"""Generated pages of the site: four parts a table, nothing of another table's rows, every link and picture there."""

import re
import sys
from pathlib import Path

import pytest
from fake_rows import fake_table2

from benchmarks.records.rows import to_frame
from reports.cli import main
from reports.html.index import OfScale
from reports.paper import ERRATA, printed
from reports.registry import REPORTS
from reports.site.index import site_files

PARTS = ["What the paper says", "What we measured", "How to run it"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    rows = to_frame(fake_table2(architectures=["resnet18"], tasks=["signs"]))
    part = OfScale(scale="embedded", rows=rows, results=tmp_path_factory.mktemp("embedded"))
    return {name: content.decode() for name, content in site_files({"embedded": part}).items()}


def headings(page: str) -> list[str]:
    return re.findall(r"^## (.*)$", page, re.M)


def test_every_table_of_the_paper_has_its_page_with_four_parts(pages: dict[str, str]) -> None:
    for name, report in REPORTS.items():
        if report.printed:
            costs = ["What it costs"] if report.needs_rows else []
            assert headings(pages[f"{name}.md"]) == [*PARTS, *costs], name
            assert f"]({name}.md)" in pages["index.md"]


@pytest.mark.parametrize("number", [2, 4, 10])
def test_printed_numbers_stand_there(pages: dict[str, str], number: int) -> None:
    section = pages[f"table{number}.md"].split("## What we measured")[0]
    assert [value for value in printed(number)["printed"] if value not in section] == []


def test_a_table_shows_what_was_measured_for_it_alone(pages: dict[str, str]) -> None:
    """Tables 2 and 3 share a suite; the rows are of single tasks."""
    assert "### Scale embedded" in pages["table2.md"]
    assert "### Scale embedded" not in pages["table3.md"]
    assert "Nothing is on record." in pages["table3.md"]
    assert "ablation.md" not in pages, "a report of our own without rows has no page"


def test_every_link_and_picture_is_there(pages: dict[str, str]) -> None:
    for name, page in pages.items():
        targets = re.findall(r"\]\(([^)#]+)\)", page) if name.endswith(".md") else []
        assert [target for target in targets if target not in pages] == [], name
    assert {f"E{erratum.number}" for erratum in ERRATA} <= set(headings(pages["errata.md"]))
    assert "21.8<sup>[E11](errata.md#e11)</sup>" in pages["table2.md"]


def test_the_command_writes_the_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results").mkdir()
    out = tmp_path / "tables"
    monkeypatch.setattr(
        sys, "argv", ["python -m reports", "site", "--results", str(tmp_path / "results"), "--out", str(out)]
    )
    main()
    assert capsys.readouterr().out.strip() == str(out)
    assert {"index.md", "table1.md", "table13.md", "figures.md", "errata.md"} <= {path.name for path in out.iterdir()}
