"""All answers of the registry -> index.html."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from jinja2 import Environment
from markupsafe import Markup

from benchmarks.records.rows import Scale
from reports import paper
from reports.figures.as_svg import svg_of
from reports.html.cells import Opened, opened_page, runs_json
from reports.html.cost import cost_blocks, provenance_blocks
from reports.html.grid import html_table
from reports.html.overview import OverviewHtml, chart_script, overview_caption, overview_html
from reports.pages.page import Page, PageBlock
from reports.pages.rehearsal import banner
from reports.registry import REPORTS, Answer, Question, Report, overview_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VIEWS = (("all", "all"), ("ours", "ours"), ("paper", "the paper's"), ("difference", "difference"))


@dataclass(frozen=True, kw_only=True)
class HtmlBlock:
    """One table of a section, as HTML."""

    title: str
    source: str
    table: str
    is_open: bool
    """Whether it is shown unasked: the first of its section."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One figure of a section, as SVG without a document around it."""

    svg: str
    caption: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """One section of the report; `name` is its anchor."""

    name: str
    short: str
    title: str
    caption: str = ""
    overview: OverviewHtml | None = None
    blocks: tuple[HtmlBlock, ...] = ()
    explained: str = ""
    """JSON of what cells of the blocks open."""
    pictures: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    measured: bool = True
    is_table: bool = False

    @property
    def has_difference(self) -> bool:
        """Whether the switch has differences to show here."""
        return any(block.source == "difference" for block in self.blocks)


@dataclass(frozen=True, kw_only=True)
class OfScale:
    """What the report shows of one scale."""

    scale: Scale
    rows: pd.DataFrame
    """All of the scale; may be empty, then the paper's numbers stand alone."""
    results: Path
    """Results folder of the scale, where runs leave arrays to be drawn."""
    figures: Mapping[str, "Figure"] = field(default_factory=dict)
    """Caption -> figure, shown after the tables."""
    findings: Sequence[str] = ()
    """Sentences on what the figures show, below them."""
    protocol: str | None = None
    """Shown where it was measured; elsewhere, and if not given, what each report shows unasked."""

    def measured(self, report: Report) -> bool:
        """Whether a report has rows here."""
        return bool(self.rows["suite"].isin(report.suites).any())


def answers(rows: pd.DataFrame, scale: Scale, results: Path, protocol: str | None = None) -> dict[str, Answer]:
    """What every report of the registry says of the rows (of one scale); one of our own without rows says nothing."""

    def question(report: Report) -> Question:
        shown, beside = report.shown(rows, protocol), rows[rows["suite"].isin(report.beside)]
        return Question(
            rows=shown.rows, scale=scale, beside=beside, results=results, notes=shown.notes, flags=shown.flags
        )

    found = {name: (report, question(report)) for name, report in REPORTS.items()}
    return {
        name: report.answer_marked(asked)
        for name, (report, asked) in found.items()
        if len(asked.rows) or report.printed or not report.needs_rows
    }


def index_html(parts: Sequence[OfScale]) -> str:
    """The whole report as one HTML document.

    Args:
        parts: one or more scales, in the order in which they are shown. A table that one of them measured does not
            stand empty at another; what needs no rows, and the paper's own numbers, stand once.
    """
    overviews = [section for part in parts for section in _overview_section(part, parts)]
    tables = [section for place, part in enumerate(parts) for section in _sections(part, parts, first=not place)]
    sections = [*overviews, *tables]
    sections.append(
        Section(
            name="errata",
            short="Errata",
            title="Printed numbers that cannot all be right",
            caption="Cells with these marks are not compared.",
            notes=tuple(paper.footnotes(erratum.mark for erratum in paper.ERRATA)),
        )
    )
    counts = [
        f"Scale {part.scale}: {len(part.rows)} values from {part.rows['run_id'].nunique()} runs." for part in parts
    ]
    assets = files("reports.html")
    template = Environment(autoescape=True, trim_blocks=True).from_string(
        assets.joinpath("report.html.j2").read_text(encoding="utf-8")
    )
    return template.render(
        title="Delta-Patching: measured beside printed",
        subtitle=banner(*(part.rows for part in parts)) + " ".join(counts),
        views=VIEWS,
        sections=sections,
        runs=Markup(runs_json(part.rows for part in parts)),
        footer="Made by python -m reports html from rows; every number is what a run measured or the paper printed.",
        css=Markup(assets.joinpath("style.css").read_text(encoding="utf-8")),
        scripts=[
            Markup(script)
            for script in (
                *((chart_script(), assets.joinpath("charts.js").read_text(encoding="utf-8")) if overviews else ()),
                assets.joinpath("script.js").read_text(encoding="utf-8"),
            )
        ],
    )


def _overview_section(part: OfScale, parts: Sequence[OfScale]) -> list[Section]:
    """The overview of a scale, where there is something to compare."""
    found = overview_of(part.rows, part.scale, part.protocol)
    if found is None:
        return []
    prefix = "" if part is parts[0] else f"{part.scale}-"
    return [
        Section(
            name=f"{prefix}overview",
            short="Overview" + (f" ({part.scale})" if len(parts) > 1 else ""),
            title=f"What wins, by how much, at what cost (scale {part.scale})",
            caption=banner(part.rows) + overview_caption(found),
            overview=overview_html(found, f"{prefix}overview-"),
        )
    ]


def _sections(part: OfScale, parts: Sequence[OfScale], *, first: bool) -> list[Section]:
    """What is shown of a scale; behind the first one, names and headings of sections say whose they are."""
    found = {
        name: answer
        for name, answer in answers(part.rows, part.scale, part.results, part.protocol).items()
        if part.measured(REPORTS[name]) or (first and not any(other.measured(REPORTS[name]) for other in parts))
    }
    if "claims" in found:
        found = {"claims": found["claims"]} | found  # the overview comes first
    prefix = "" if first else f"{part.scale}-"
    sections = [
        *(_of_page(answer.page, answer, part, prefix) for answer in found.values()),
        *_figure_section(part.figures, part.findings, prefix),
        _of_blocks(f"{prefix}cost", "Cost", "What the runs cost", cost_blocks(part.rows)),
        _of_blocks(f"{prefix}provenance", "Provenance", "Where the numbers come from", provenance_blocks(part.rows)),
    ]
    if len(parts) == 1:
        return sections
    return [replace(one, short=f"{one.short} ({part.scale})", title=f"{one.title} ({part.scale})") for one in sections]


def _inline_svg(figure: "Figure") -> str:
    """SVG of a figure to stand inside HTML."""
    svg = svg_of(figure, words_as_text=True)
    return svg[svg.index("<svg") :]


def _of_page(page: Page, answer: Answer, part: OfScale, prefix: str) -> Section:
    report = REPORTS[page.name]
    anchor = prefix + page.name
    figures = {"": answer.figure} if answer.figure is not None else {}
    figures |= answer.more_figures
    opened = opened_page(page.name, report, answer, report.shown(part.rows, part.protocol).rows, part.scale)
    return Section(
        name=anchor,
        short=_short(page),
        title=page.title,
        caption=page.caption,
        blocks=_html_blocks(anchor, opened.blocks),
        explained=opened.explained,
        pictures=tuple(
            Picture(svg=_own_ids(_inline_svg(figure), f"{anchor}-{place}"), caption=f"{_short(page)} {name}".rstrip())
            for place, (name, figure) in enumerate(figures.items())
        ),
        notes=page.notes,
        commands=page.commands,
        measured=not report.needs_rows or part.measured(report),
        is_table=report.printed,
    )


def _figure_section(figures: Mapping[str, "Figure"], findings: Sequence[str], prefix: str) -> list[Section]:
    if not figures:
        return []
    pictures = [
        Picture(svg=_own_ids(_inline_svg(figure), f"{prefix}figure{place}"), caption=caption)
        for place, (caption, figure) in enumerate(figures.items())
    ]
    name = f"{prefix}figures"
    return [Section(name=name, short="Figures", title="Figures", pictures=tuple(pictures), notes=tuple(findings))]


def _of_blocks(name: str, short: str, title: str, blocks: Iterable[PageBlock]) -> Section:
    opened = [Opened(block=block, places=block.cells.map(lambda _: pd.NA)) for block in blocks]
    return Section(name=name, short=short, title=title, blocks=_html_blocks(name, opened))


def _html_blocks(name: str, opened: Iterable[Opened]) -> tuple[HtmlBlock, ...]:
    return tuple(
        HtmlBlock(
            title=one.block.title,
            source=one.block.source,
            table=html_table(one.block, name=f"{name}-{place}", places=one.places),
            is_open=not place,
        )
        for place, one in enumerate(opened)
    )


def _short(page: Page) -> str:
    """`Table 2. Patching one task`: the title up to its first colon or comma."""
    return re.split(r"[:,]", page.title)[0]


def _own_ids(svg: str, prefix: str) -> str:
    """Ids of one picture must not meet those of another in the same document."""
    svg = re.sub(r'id="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', svg)
    return re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
