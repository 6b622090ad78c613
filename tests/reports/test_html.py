"""The HTML report: valid ids and links, what is escaped, and how it behaves in a real browser."""

import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from fake_rows import fake_table2
from matplotlib.figure import Figure
from test_figures import write_world

from benchmarks.perf.synthetic_rows import synthetic_rows
from benchmarks.records.rows import to_frame
from reports.cli import main
from reports.figures.index import all_figures
from reports.html.grid import html_table
from reports.html.index import OfScale, index_html
from reports.registry import REPORTS
from reports.tables.patching_page import PageBlock

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")


NOTHING = OfScale(scale="embedded", rows=to_frame([]), results=Path("nothing"))


class Seen(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))

    def all(self, name: str) -> list[str]:
        return [value for _, attributes in self.attributes if (value := attributes.get(name)) is not None]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Every table with rows of two seeds, all figures."""
    folder = tmp_path_factory.mktemp("embedded")
    write_world(folder)
    drawn, _ = all_figures(folder, "embedded")
    rows = synthetic_rows(len(synthetic_rows(1)) + 1)
    figures = {one.caption: one.figure for one in drawn}
    return index_html([OfScale(scale="embedded", rows=to_frame(rows), results=folder, figures=figures)])


def test_what_the_figures_show_stands_below_them() -> None:
    shown = {"figures": {"Figure 1": Figure()}, "findings": ["some gates: 0 of 43"]}
    text = index_html([replace(NOTHING, **shown)])
    section = text[text.index('<section id="figures"') :]
    assert "<li>some gates: 0 of 43</li>" in section[: section.index("</section>")]


def test_all_tables_and_figures_are_there(report: str) -> None:
    assert "not run</span>" not in report
    assert [name for name in REPORTS if f'<section id="{name}"' not in report] == []
    captions = re.findall(r"<figcaption>(Figure \d)\.", report)
    assert captions == [f"Figure {number}" for number in (*range(1, 7), *range(3, 7))], "in both readings"
    assert report.count("<figcaption>Variance by depth") == 1
    for name in list(REPORTS)[:13]:
        section = report[report.index(f'<section id="{name}"') :]
        assert 'data-source="paper"' in section[: section.index("</section>")], name


def test_every_id_is_unique_and_every_link_resolves(report: str) -> None:
    seen = Seen(report)
    ids = Counter(seen.all("id"))
    assert [name for name, count in ids.items() if count > 1] == []
    links = [*seen.all("href"), *seen.all("xlink:href")]
    assert {"#table2", "#table10", "#cost", "#errata"} <= set(links)
    assert [link for link in links if link.startswith("#") and link[1:] not in ids] == []
    assert [link for link in links if not link.startswith(("#", "data:"))] == [], "nothing is loaded from anywhere"
    named = [*seen.all("aria-labelledby")]
    assert [name for name in named if name not in ids] == []


def test_all_tables_of_the_paper_stand_there_without_a_single_row() -> None:
    text = index_html([NOTHING])
    for name, one in REPORTS.items():
        assert (f'<section id="{name}"' in text) == (one.printed or not one.needs_rows)
    assert text.count("not run</span>") == sum(one.printed and one.needs_rows for one in REPORTS.values())
    assert list(REPORTS)[:13] == [f"table{number}" for number in range(1, 14)]


def test_differences_stand_at_scale_paper_alone(report: str) -> None:
    def sources(text: str) -> Counter[str]:
        return Counter(Seen(text).all("data-source"))

    rows = to_frame(fake_table2(scale="paper", architectures=["resnet18"], tasks=["stl10", "cars"]))
    at_paper = index_html([replace(NOTHING, scale="paper", rows=rows)])
    assert 'data-source="difference">\n    <h3>' not in report
    assert "ours minus printed" in at_paper
    assert sources(report)["paper"] >= 2


def test_real_rows_stand_before_embedded_ones_and_nothing_stands_empty_twice() -> None:
    rows = to_frame(fake_table2(architectures=["resnet18"], tasks=["signs"]))
    both = [replace(NOTHING, scale="real", rows=rows.assign(scale="real")), replace(NOTHING, rows=rows)]
    text = index_html(both)
    sections = re.findall(r'<section id="([^"]+)"', text)
    assert sections.index("table2") < sections.index("cost") < sections.index("embedded-table2") < len(sections) - 1
    assert sections[-1] == "errata"
    assert "embedded-table5" not in sections, "nobody measured it: its printed numbers stand once"
    assert sections.count("table5") == sections.count("table9") == 1
    ids = Counter(Seen(text).all("id"))
    assert [name for name, count in ids.items() if count > 1] == []
    embedded_alone = index_html([both[0], replace(both[1], rows=rows.assign(suite="transfer"))])
    assert re.findall(r'<section id="([^"]*table5)"', embedded_alone) == ["embedded-table5"]


def test_text_is_escaped() -> None:
    cells = pd.DataFrame({"method": ["<a>", "<a>"], "x&y": ["<b>", "1"]})
    best = pd.DataFrame({"method": [False, False], "x&y": [False, True]})
    text = html_table(PageBlock(title='"q" <c>', cells=cells, best=best), name="t")
    assert not {"<a>", "<b>", "<c>"} & set(text.split())
    assert text.count("&lt;a&gt;") == 2
    assert "x&amp;y" in text
    assert text.count(" best") == 1


def test_the_command_writes_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["python -m reports", "html", "--results", str(tmp_path)])
    main()
    assert capsys.readouterr().out.strip() == str(tmp_path / "report" / "index.html")
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["index.html"]


# --- in a browser ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(report: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium on the PATH (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    file = tmp_path_factory.mktemp("report") / "index.html"
    file.write_text(report, encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 844})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("requestfailed", lambda request: errors.append(request.url))
        page.goto(file.as_uri())
        page.errors = errors
        yield page
        browser.close()


def test_the_browser_reports_no_error_and_no_overflow(page: object) -> None:
    assert page.errors == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (
        "tables scroll, the page does not"
    )


def test_a_click_sorts_by_number_and_blanks_come_last(page: object) -> None:
    table = page.locator("section#table2 table").first
    heading = table.locator("thead th", has_text="signs")
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    column = heading.evaluate("cell => cell.cellIndex")

    def values() -> list[str]:
        return [
            row.split("±")[0].strip() for row in table.locator(f"tbody tr > :nth-child({column + 1})").all_inner_texts()
        ]

    numbers = [float(value) for value in values() if value]
    assert numbers == sorted(numbers, reverse=True)
    heading.locator("button").press("Enter")
    assert [float(value) for value in values() if value] == sorted(numbers)
    printed = table.locator("thead th", has_text="printed M")
    printed.locator("button").click()
    shown = table.locator("tbody tr > :nth-child(3)").all_inner_texts()
    assert shown == sorted(shown, key=lambda text: (text == "", -float(text or 0)))


def test_the_switch_shows_one_kind_of_numbers(page: object) -> None:
    def visible() -> set[str]:
        return set(
            page.evaluate(
                "[...document.querySelectorAll('.block')].filter(b => b.offsetParent).map(b => b.dataset.source)"
            )
        )

    assert visible() == {"ours", "paper"}
    for value in ("ours", "paper", "difference"):
        page.locator(f"input[value={value}]").check()
        assert visible() == {value}
    page.locator("input[value=all]").check()


@pytest.mark.parametrize(
    ("media", "width"),
    [("screen", 1400), ("print", 1047)],  # A4 across, less the margins: 277 mm, in pixels of 1/96 inch
)
def test_every_table_fits_on_a_desktop_and_on_a_printed_page(page: object, media: str, width: int) -> None:
    page.emulate_media(media=media)
    page.set_viewport_size({"width": width, "height": 718})
    wide = page.evaluate(
        "[...document.querySelectorAll('table')].filter(t => t.getBoundingClientRect().right > window.innerWidth)"
        ".map(t => t.closest('section').id)"
    )
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": 390, "height": 844})
    assert wide == []


def test_dark_is_dark(page: object) -> None:
    def background() -> str:
        return page.evaluate("getComputedStyle(document.documentElement).backgroundColor")

    page.emulate_media(color_scheme="light")
    light = background()
    page.emulate_media(color_scheme="dark")
    assert background() != light
