"""All generated pages of the site: `index.md`, one page a report, `figures.md` and `errata.md`."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path

from benchmarks.records.rows import Scale, to_frame
from reports.figures.as_svg import svg_of
from reports.figures.index import all_figures, rows_with_gates
from reports.html.index import OfScale, answers
from reports.paper import ERRATA, Erratum
from reports.registry import REPORTS
from reports.reproducing import SCALE_NEEDS
from reports.shown.one_protocol import of_one_protocol
from reports.site.report_page import Document, measured, report_page, what_it_shows

MADE = "<!-- Written by `python -m reports site` from the rows below results/; do not edit. -->"


def site_files(parts: Mapping[Scale, OfScale]) -> dict[str, bytes]:
    """File name -> content.

    A report of our own without rows has no page.

    Args:
        parts: what is on record, of the scales that have rows, in the order in which they are shown.
    """
    said = {scale: answers(part.rows, scale, part.results) for scale, part in parts.items()}
    without_rows = answers(to_frame([]), "paper", Path("results"))
    rows = {scale: part.rows for scale, part in parts.items()}
    documents, scales = dict[str, Document](), dict[str, str]()
    for name in REPORTS:
        there = {scale: measured(name, said[scale][name], rows[scale]) for scale in parts if name in said[scale]}
        found = {scale: one for scale, one in there.items() if one}
        answer = without_rows.get(name) or next((one.answer for one in found.values()), None)
        if answer:
            documents[name] = report_page(name, answer.page, found, rows)
            scales[name] = ", ".join(found)
    documents = {
        "index": Document(text=_index(scales), pictures={}),
        **documents,
        "figures": _figures(parts),
        "errata": Document(text=_errata(), pictures={}),
    }
    files = {f"{name}.md": f"{MADE}\n\n{document.text}".encode() for name, document in documents.items()}
    return files | {file: content for document in documents.values() for file, content in document.pictures.items()}


def _index(scales: Mapping[str, str]) -> str:
    lines = [
        f"| [{name.replace('table', 'Table ')}]({name}.md) | {what_it_shows(name)} | {of_scales} |"
        for name, of_scales in scales.items()
    ]
    return (
        "# Tables and figures\n\nOne page a table: what the paper says, what we measured, how to run it, what it "
        "costs. Numbers of two scales never stand in one table.\n\n"
        "| page | what it shows | on record at scale |\n|---|---|---|\n" + "\n".join(lines) + "\n"
        "| [figures](figures.md) | Figures 1 to 6 and the variance of features by depth | |\n"
        "| [errata](errata.md) | printed numbers that cannot all be right | |\n\n"
        f"What a scale needs:\n\n{SCALE_NEEDS}\n"
    )


def _figures(parts: Mapping[Scale, OfScale]) -> Document:
    """Those that need no runs stand once, above the scales."""
    captions: set[str] = set()
    pictures: dict[str, bytes] = {}
    text = ["# Figures"]
    for scale, part in parts.items():
        shown = of_one_protocol(rows_with_gates(part.results, part.rows))
        drawn, claims = all_figures(part.results, scale, shown.left_out)
        new = [one for one in drawn if one.caption not in captions]
        captions |= {one.caption for one in new}
        for one in new:
            file = f"{one.name}-{scale}.svg"
            pictures[file] = svg_of(one.figure).encode()
            of_scale = "" if one.data is None or one.name == "figure1" else f" (scale {scale})"
            text.append(f"## {one.caption}{of_scale}\n\n![{one.caption}]({file})")
        if claims:
            text.append(f"What the paper reads from Figure 3, on gates of scale {scale}:")
            text.append("\n".join(f"- {claim}" for claim in claims))
    text += ["## How to make them", "`nox -s figures` measures what is missing and writes png, pdf and the data."]
    return Document(text="\n\n".join(text) + "\n", pictures=pictures)


def _errata() -> str:
    text = ["# Printed numbers that cannot all be right", "Cells with these marks are not compared with ours."]
    for erratum in ERRATA:
        lines = "\n".join(f"- {line}" for line in _addresses(erratum))
        text.append(f"## E{erratum.number}\n\n{erratum.why}\n\n{lines}")
    return "\n\n".join(text) + "\n"


def _addresses(erratum: Erratum) -> Iterator[str]:
    """Where its cells are, one line for each printed line."""
    for (table, row_id), cells in groupby(erratum.cells, key=lambda cell: (cell.table, cell.row_id)):
        columns = ", ".join(" ".join(filter(None, [cell.task, cell.quantity])) for cell in cells)
        yield f"[Table {table}](table{table}.md), `{row_id}`: {columns}"
