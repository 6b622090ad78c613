"""The HTML report: valid ids and links, what is escaped, and how it behaves in a real browser."""

import json
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
from gate_rows import write_world
from matplotlib.figure import Figure
from synthetic import synthetic_frame

from benchmarks.records.rows import to_frame
from reports.cli import main
from reports.figures.index import all_figures
from reports.html.grid import html_table
from reports.html.index import OfScale, index_html
from reports.registry import REPORTS, overview_of
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
    figures = {one.caption: one.figure for one in drawn}
    return index_html([OfScale(scale="embedded", rows=synthetic_frame(seeds=2), results=folder, figures=figures)])


MOST_BYTES = 5_000_000


def test_the_overview_stands_before_any_table_and_the_page_stays_small(report: str) -> None:
    assert report.index('<section id="overview"') < report.index("<table")
    assert re.findall(r'<figure class="chart (\w+)">', report) == ["pareto", "ranks", "heatmap", "claims"]
    assert len(report.encode()) < MOST_BYTES
    assert report.count("vegaEmbed=") == 1, "the renderer stands there once"


def test_overviews_of_all_scales_come_first_and_none_where_nothing_is_compared() -> None:
    rows = to_frame(fake_table2(architectures=["resnet18"], tasks=["signs"]))
    both = [replace(NOTHING, scale="real", rows=rows.assign(scale="real")), replace(NOTHING, rows=rows)]
    text = index_html(both)
    assert re.findall(r'<section id="([^"]+)"', text)[:2] == ["overview", "embedded-overview"]
    nothing = index_html([NOTHING])
    assert 'figure class="chart' not in nothing and "vegaEmbed" not in nothing


def test_three_questions_are_answered_in_words_from_the_rows(report: str) -> None:
    section = report[report.index('<section id="overview"') :]
    section = section[: section.index("</section>")]
    found = overview_of(synthetic_frame(seeds=2), "embedded")
    best = found.means.iloc[0]
    answers = re.findall(r"<dt>([^<]+)</dt><dd><strong>([^<]+)</strong>", section)
    assert answers[0] == ("What wins?", best["label"])
    assert answers[1] == ("By how much?", f"{best['gain']:+.1f} points")
    assert answers[2][0] == "At what cost?" and answers[2][1].endswith("parameters")


def test_a_cell_opens_the_runs_that_it_is_the_mean_of() -> None:
    rows = to_frame(fake_table2(architectures=["resnet18"], tasks=["signs", "photos"]))
    text = index_html([replace(NOTHING, rows=rows)])
    section = text[text.index('<section id="table2"') :]
    section = section[: section.index("</section>")]
    line = next(part for part in section.split("<tr>") if ">Delta (4)</th>" in part)
    number = int(re.findall(r"opens-(\d+)", line)[0])
    explained = json.loads(re.search(r'class="explained">(.*?)</script>', section, re.DOTALL).group(1))
    runs, _, command = explained["cells"][number]
    task = next(name for name in ("signs", "photos") if f"--task {name} " in command)
    shown = rows[(rows["variant"] == "maps") & (rows["n_delta_modules"] == 4) & (rows["task"] == task)]
    assert set(runs) == set(shown["run_id"]) and len(runs) == 3
    assert command.startswith("nox -s table2 -- --scale embedded --arch resnet18")
    known = json.loads(re.search(r'id="runs">(.*?)</script>', text, re.DOTALL).group(1))
    assert [known["runs"][run][0] for run in runs] == [0, 1, 2], "seeds"
    assert "opens-" not in text[text.index('<section id="cost"') :].split("</section>")[0]


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


def is_elsewhere(url: str) -> bool:
    return not url.startswith(("file:", "data:"))


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
        elsewhere: list[str] = []
        page.on("request", lambda request: elsewhere.append(request.url) if is_elsewhere(request.url) else None)
        page.goto(file.as_uri())
        page.errors, page.elsewhere, page.file = errors, elsewhere, file
        yield page
        browser.close()


def test_the_browser_reports_no_error_and_no_overflow(page: object) -> None:
    page.wait_for_function("!document.querySelector('figure.chart .drawn')")
    assert page.errors == []
    assert page.elsewhere == [], "nothing is loaded from anywhere"
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
    page.evaluate("document.querySelectorAll('details.block').forEach(block => { block.open = true; })")
    page.emulate_media(media=media)
    page.set_viewport_size({"width": width, "height": 718})
    wide = page.evaluate(
        "[...document.querySelectorAll('table')].filter(t => t.getBoundingClientRect().right > window.innerWidth)"
        ".map(t => t.closest('section').id)"
    )
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": 390, "height": 844})
    assert wide == []


def test_choices_above_the_pictures_reach_all_of_them(page: object) -> None:
    page.wait_for_function("!document.querySelector('figure.chart .drawn')")
    nets = page.locator("#overview-net option").all_inner_texts()
    net = nets[-1]

    def named() -> list[str]:
        return page.locator("figure.ranks svg .mark-text.role-axis-label text").all_text_contents()

    page.locator("#overview-method").select_option("Delta")
    page.wait_for_function("document.querySelectorAll('figure.ranks .mark-symbol.role-mark path').length == 4")
    assert {"FC-only", "Delta (1)", "Delta (2)", "Delta (4)"} <= set(named())
    page.locator("#overview-net").select_option(net)
    headers = "[...document.querySelectorAll('figure.pareto .role-column-title text, figure.pareto .role-title text')]"
    page.wait_for_function(f"{headers}.map(text => text.textContent).filter(text => {nets}.includes(text)) == '{net}'")
    page.locator("#overview-net").select_option(nets[0])
    page.locator("#overview-method").select_option("all methods")


def test_pictures_are_there_without_script(page: object) -> None:
    context = page.context.browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844})
    plain = context.new_page()
    plain.goto(page.file.as_uri())
    pictures = plain.locator("figure.chart svg")
    assert [picture.is_visible() for picture in pictures.all()] == [True] * 4
    assert not plain.locator(".choosers").is_visible()
    context.close()


def test_a_click_on_a_cell_opens_its_runs_and_the_command(page: object) -> None:
    table = page.locator("section#table2 table").first
    table.locator("td button").first.click()
    dialog = page.locator("dialog")
    assert dialog.is_visible()
    assert dialog.locator("thead th").all_inner_texts()[:3] == ["run", "seed", "weights"]
    assert dialog.locator("tbody tr").count() >= 1
    assert dialog.locator("pre").inner_text().startswith("nox -s table2 -- ")
    dialog.locator("button").click()
    assert not dialog.is_visible()


def test_columns_can_be_chosen(page: object) -> None:
    block = page.locator("section#table2 details.block").first
    heading = block.locator("thead th", has_text="params M")
    block.locator("details.columns summary").click()
    box = block.locator("details.columns label", has_text="params M").locator("input")
    box.uncheck()
    assert not heading.is_visible()
    box.check()
    assert heading.is_visible()


def test_dark_is_dark(page: object) -> None:
    def background() -> str:
        return page.evaluate("getComputedStyle(document.documentElement).backgroundColor")

    page.emulate_media(color_scheme="light")
    light = background()
    page.emulate_media(color_scheme="dark")
    assert background() != light
