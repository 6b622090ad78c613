"""One report as a page: what the paper says, what was measured, how to run it, what it costs."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from benchmarks.records.rows import Scale
from reports.figures.as_svg import svg_of
from reports.findings.explain import rows_behind
from reports.html.cost import cost_blocks
from reports.pages.page import Page, PageBlock
from reports.pages.render import markdown_grid
from reports.paper import ERRATA
from reports.protocol import PROTOCOLS
from reports.registry import REPORTS, Answer
from reports.reproducing import commands_text, needs_text

COSTS = ("by architecture", "by method")
"""Blocks of `cost_blocks` that a page shows; its suites are what the page is about."""
ERRATUM = re.compile(r"\[E\d+\]")


@dataclass(frozen=True, kw_only=True)
class Document:
    """A page in Markdown, and the pictures that it shows, by file name."""

    text: str
    pictures: Mapping[str, bytes]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a report says at one scale, and the rows that its numbers come from."""

    answer: Answer
    rows: pd.DataFrame


def measured(name: str, answer: Answer, rows: pd.DataFrame) -> Measured | None:
    """What a report says of all rows of a scale; None if it shows nothing that was measured.

    Tables share suites, so that there may be rows of its suites and none of its own.
    """
    report = REPORTS[name]
    shown = report.shown(rows).rows
    behind = rows_behind(answer.frame, shown) if report.has_cells and len(shown) else shown
    return Measured(answer=answer, rows=behind) if len(behind) else None


def report_page(name: str, page: Page, found: Mapping[Scale, Measured], rows: Mapping[Scale, pd.DataFrame]) -> Document:
    """The page of one report.

    Args:
        name: of a report of the registry.
        page: its title; of a table of the paper the printed numbers, too.
        found: what was measured at each scale, in the order in which they are shown.
        rows: all rows of each scale.
    """
    report, pictures = REPORTS[name], dict[str, bytes]()
    text = [f"# {page.title}", what_it_shows(name)]
    if report.printed:
        text += ["## What the paper says", *_paper(name, page), "## What we measured"]
    for scale, of_scale in found.items():
        answer = of_scale.answer
        text += [
            f"{'###' if report.printed else '##'} Scale {scale}",
            *(part for part in _ours(answer.page) if part not in text),
        ]
        for drawn, figure in {"": answer.figure, **answer.more_figures}.items():
            if figure is not None:
                file = "-".join(filter(None, [name, scale, drawn])) + ".svg"
                pictures[file] = svg_of(figure).encode()
                text.append(f"![{answer.page.title}, scale {scale} {drawn}]({file})".replace(" ]", "]"))
    if not found:
        text.append("Nothing is on record." if report.needs_rows else "Nothing is to be measured for it.")
    text += ["## How to run it", *_commands(name, rows)]
    if report.needs_rows:
        text += ["## What it costs", *_costs(name, found)]
    return Document(text=linked_errata("\n\n".join(text)) + "\n", pictures=pictures)


def what_it_shows(name: str) -> str:
    """The sentence of a report without the number of its table.

    >>> what_it_shows("table3"), what_it_shows("rates")[:12]
    ('One patch for three tasks at once.', 'Ours: the le')
    """
    return re.sub(r"^Table \d+: (.)", lambda match: match[1].upper(), REPORTS[name].shows)


def linked_errata(text: str) -> str:
    """The text with every footnote sign of an erratum as a link to it.

    >>> linked_errata("55.41[E1]")
    '55.41<sup>[E1](errata.md#e1)</sup>'
    """
    return ERRATUM.sub(lambda match: f"<sup>{match[0]}(errata.md#{match[0][1:-1].lower()})</sup>", text)


def _paper(name: str, printed: Page) -> Iterator[str]:
    for block in _shown(printed, "paper"):
        yield f"**{block.title}**"
        yield markdown_grid(block)
    number = int(name.removeprefix("table"))
    if not REPORTS[name].needs_rows:
        yield _notes(printed)
    marks = [f"- {e.mark} {e.why}" for e in ERRATA if any(cell.table == number for cell in e.cells)]
    if marks:
        yield "Printed numbers that are not to be trusted:"
        yield "\n".join(marks)
    for suite in REPORTS[name].suites:
        if suite in PROTOCOLS:
            yield "Settings of the paper's runs, as far as it or the code that it follows says:"
            settings = {key.removeprefix("method.recipe."): value for key, value in PROTOCOLS[suite].items()}
            yield "| setting | paper |\n|---|---|\n" + "\n".join(f"| `{k}` | {v} |" for k, v in settings.items())


def _ours(page: Page) -> Iterator[str]:
    yield page.caption
    for block in _shown(page, "ours"):
        yield f"**{block.title}**"
        yield markdown_grid(block)
    yield _notes(page)


def _commands(name: str, rows: Mapping[Scale, pd.DataFrame]) -> Iterator[str]:
    report = REPORTS[name]
    if report.has_cells:
        yield commands_text(name, report, rows)
        yield (
            f"Hours are of the runs on record. `python -m reports {name}` prints the table; "
            f"`python -m reports explain {name} ROW COLUMN` says where a number comes from."
        )
    else:
        yield f"`python -m reports {name} --scale SCALE` prints it from the rows on record."


def _costs(name: str, found: Mapping[Scale, Measured]) -> Iterator[str]:
    if REPORTS[name].printed:
        yield needs_text(name)
    for scale, of_scale in found.items():
        yield f"Runs on record at scale {scale}:"
        yield from (markdown_grid(block) for block in cost_blocks(of_scale.rows) if block.title in COSTS)


def _notes(page: Page) -> str:
    """What is said below the page's tables, without the errata: they stand with the printed numbers."""
    return "\n".join(f"- {note}" for note in page.notes if not ERRATUM.match(note))


def _shown(page: Page, source: str) -> list[PageBlock]:
    return [block for block in page.blocks if block.source == source]
