"""`python -m reports table2` prints a table and writes it as csv, md and tex; `html` writes all of them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import tyro
from rich.console import Console

from benchmarks.data.shown import ShownImages, shown_images
from benchmarks.records.rows import SCALES, Scale
from delta_core.nearest import unknown
from delta_core.training.command_line import dispatch, told_in_one_sentence
from delta_core.training.errors import UserError
from delta_core.training.whole_files import whole_text
from reports.figures.as_svg import svg_of
from reports.findings.explain import explain
from reports.findings.row_names import find_row
from reports.measured import read_measured
from reports.pages.rehearsal import banner
from reports.pages.render import to_latex, to_markdown, to_terminal
from reports.registry import REPORTS, Question, overview_of
from reports.reproducing import reproducing
from reports.shown.one_protocol import check_protocol, of_one_protocol

if TYPE_CHECKING:
    pass

PROG = "python -m reports"
IN_ONE_REPORT: tuple[Scale, ...] = ("real", "embedded")
"""Scales whose data everybody has, in the order in which the HTML report shows them."""

RESULTS = Path("results")
DRAWN = Path(".cache") / "data"
"""Where `python -m benchmarks` keeps drawn images, and figures that show some look for them."""

Names = tyro.conf.UseAppendAction[tuple[str, ...]]


def report(
    table: str,
    *,
    scale: Scale = "embedded",
    results: Path = RESULTS,
    arch: Names = (),
    task: Names = (),
    protocol: str | None = None,
    out: Path | None = None,
) -> None:
    """Print it from finished runs, and write it as csv, md and tex.

    Args:
        table: name of a report.
        scale: which runs to show; a table never mixes scales.
        results: folder that holds <scale>/runs.csv and values.csv.
        arch: architecture to show, may be repeated; all if not given.
        task: patch task to show, may be repeated; all if not given.
        protocol: show the runs of this protocol; the scale's own if not given, or else that with most runs.
        out: where the files go; <results>/<scale>/tables if not given.
    """
    chosen = REPORTS[table]
    source = results / scale
    out = out or results / scale / "tables"
    found = _measured(results, scale)
    rows = found[found["suite"].isin(chosen.suites)]
    beside = found[found["suite"].isin(chosen.beside)]
    if len(rows) or chosen.needs_rows:
        rows = _select(rows, source, table, scale, arch, task, protocol)
    shown = chosen.shown(rows, protocol)
    question = Question(
        rows=shown.rows,
        scale=scale,
        beside=beside,
        results=results / scale,
        architectures=arch,
        tasks=task,
        notes=shown.notes,
        flags=shown.flags,
    )
    answer = chosen.answer_marked(question)
    texts = {
        out / f"{table}.csv": answer.frame.to_csv(index=False, lineterminator="\n", float_format="%.10g"),
        out / f"{table}.md": to_markdown(answer.page),
        out / f"{table}.tex": to_latex(answer.page),
    }
    if answer.figure is not None:
        texts[out / f"{table}.svg"] = svg_of(answer.figure)
    texts |= {out / f"{table}_{name}.svg": svg_of(figure) for name, figure in answer.more_figures.items()}
    for path, text in texts.items():
        _write(path, text)
    to_terminal(answer.page, Console())
    print(*texts, sep="\n")


def html(
    *,
    scale: Scale | None = None,
    results: Path = RESULTS,
    protocol: str | None = None,
    out: Path | None = None,
) -> None:
    """Write an overview in pictures, every table and every figure into one HTML file.

    Args:
        scale: which runs to show. If not given those of scale real, then those of scale embedded.
        results: folder that holds <scale>/runs.csv and values.csv; without rows the paper's numbers stand alone.
        protocol: show the runs of this protocol where there are some.
        out: the file; <results>/report/index.html if not given.
    """
    from reports.figures.index import all_figures, rows_with_gates  # a table needs neither
    from reports.html.index import OfScale, index_html

    rows = {name: _measured(results, name) for name in ((scale,) if scale else IN_ONE_REPORT)}
    check_protocol(pd.concat(list(rows.values())), protocol)
    parts: list[OfScale] = []
    for name in [name for name in rows if len(rows[name])] or list(rows)[-1:]:
        _check_scale(rows[name], results / name, name)
        shown = of_one_protocol(rows_with_gates(results / name, rows[name]), protocol)
        drawn, claims = all_figures(results / name, name, shown.left_out, _images)
        there = {caption for part in parts for caption in part.figures}  # those that need no runs stand once
        part = OfScale(
            scale=name,
            rows=rows[name],
            results=results / name,
            figures={one.caption: one.figure for one in drawn if one.caption not in there},
            findings=[*map(str, claims), *shown.notes],
            protocol=protocol,
        )
        parts.append(part)
    path = out or results / "report" / "index.html"
    _write(path, index_html(parts))
    print(path)


def site(*, results: Path = RESULTS, out: Path = Path("docs/tables")) -> None:
    """Write pages of the documentation site: one a table, in Markdown, figures and errata.

    Args:
        results: folder that holds <scale>/runs.csv and values.csv.
        out: the folder; pages that it holds already are replaced.
    """
    from reports.html.index import OfScale
    from reports.site.index import site_files

    rows: dict[Scale, pd.DataFrame] = {scale: _measured(results, scale) for scale in SCALES}
    parts = {
        scale: OfScale(scale=scale, rows=found, results=results / scale) for scale, found in rows.items() if len(found)
    }
    for name, content in site_files(parts).items():
        _write(out / name, content.decode())
    print(out)


def figures(
    *,
    scale: Scale = "embedded",
    results: Path = RESULTS,
    protocol: str | None = None,
    out: Path | None = None,
) -> None:
    """Draw the overview, Figures 1 to 6 and the variance of features as png, pdf and csv, and judge claims on gates.

    Args:
        scale: whose runs to show.
        results: folder that holds <scale>/runs.csv, values.csv, gates.csv and variance.csv.
        protocol: show the runs of this protocol where there are some; the scale's own if not given, or else that with
            most runs.
        out: where the files go; <results>/<scale>/figures if not given.
    """
    from reports.figures.index import all_figures, rows_with_gates, write_figures  # a table needs no figures
    from reports.overview.files import write_overview

    measured = _measured(results, scale)
    rows = rows_with_gates(results / scale, measured)
    check_protocol(measured, protocol, of=" of the figures")
    found = overview_of(measured, scale, protocol)
    shown = of_one_protocol(rows, protocol)
    drawn, claims = all_figures(results / scale, scale, shown.left_out, _images)
    out = out or results / scale / "figures"
    try:
        paths = [*(write_overview(found, out) if found else []), *write_figures(drawn, out)]
    except OSError as error:
        raise UserError(f"Cannot write {out}: {error.strerror}; choose another folder with --out.") from error
    mark = banner(rows) if claims else ""
    for claim in claims:
        print(f"{mark}{claim}")
    print(*shown.notes, *paths, sep="\n")


def explain_cell(
    table: tyro.conf.Positional[str],
    row: tyro.conf.Positional[str],
    column: tyro.conf.Positional[str],
    *,
    scale: Scale = "embedded",
    results: Path = RESULTS,
    protocol: str | None = None,
) -> None:
    """Say where the number in a cell comes from: runs, seeds, commits, departures from the paper, and a command.

    Args:
        table: name of a report.
        row: row of the cell: its name in the table, with the net before it where several have it, or `row_id` of the
            table's csv.
        column: column of the cell: a task.
        scale: which runs to look at.
        results: folder that holds <scale>/runs.csv and values.csv.
        protocol: look at runs of this protocol; at those that the table shows if not given.
    """
    explained = [name for name, report in REPORTS.items() if report.has_cells]
    if table not in REPORTS:
        raise UserError(unknown("Table", table, explained, f"{PROG} --help"))
    labels = REPORTS[table].labels
    if labels is None:
        raise UserError(f"{table} has no cell that is the mean of some runs; choose one of {', '.join(explained)}.")
    source = results / scale
    rows = _measured(results, scale)
    rows = _select(rows[rows["suite"].isin(REPORTS[table].suites)], source, table, scale, (), (), protocol)
    rows = REPORTS[table].shown(rows, protocol).rows
    frame = REPORTS[table].answer(Question(rows=rows, scale=scale, results=results / scale)).frame
    found = explain(frame, rows, table, scale, find_row(frame, labels(frame), row), column)
    measured = found.cell.dropna(axis="columns", how="all").T
    parts = [
        measured.to_markdown(headers=["cell", *[""] * (measured.shape[1])]),
        found.runs.to_markdown(index=False, disable_numparse=True),
        "Settings that differ from the paper's:" if found.knows_protocol else "The paper's settings are not on record.",
        found.departures.to_markdown(index=False) if len(found.departures) else "",
        f"Measure it again:\n  {found.command}" if found.command else found.why_none,
    ]
    print("\n\n".join(part for part in parts if part))


def write_reproducing(
    *, results: Path = RESULTS, protocol: str | None = None, out: Path = Path("REPRODUCING.md")
) -> None:
    """Write table by table what to run, what it needs and how far it is.

    Args:
        results: folder that holds <scale>/runs.csv and values.csv.
        protocol: count the runs of this protocol where there are some.
        out: the file.
    """
    rows: dict[Scale, pd.DataFrame] = {scale: _measured(results, scale) for scale in SCALES}
    check_protocol(pd.concat(list(rows.values())), protocol)
    _write(out, reproducing(rows, protocol))
    print(out)


COMMANDS: dict[str, Callable[..., None]] = {
    **{name: partial(report, name) for name in REPORTS},
    "explain": explain_cell,
    "figures": figures,
    "html": html,
    "reproducing": write_reproducing,
    "site": site,
}


def main() -> None:
    """Entry point of `python -m reports`: a user's mistake is one sentence on stderr and exit code 2."""
    with told_in_one_sentence(PROG, interrupted="start again; rows are only read."):
        shows = {name: report.shows for name, report in REPORTS.items()}
        dispatch(COMMANDS, prog=PROG, description=__doc__, shows=shows)


def _images(task: str, places: list[int]) -> ShownImages | None:
    return shown_images(task, places, cache=DRAWN)


def _write(path: Path, text: str) -> None:
    try:
        with whole_text(path) as stream:
            stream.write(text)
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}; choose another folder with --out.") from error


def _check_scale(rows: pd.DataFrame, source: Path, scale: Scale) -> None:
    foreign = sorted(set(rows["scale"]) - {scale})
    if foreign:
        raise UserError(
            f"{source} holds rows of scale {foreign[0]!r} beside {scale!r}; a table shows one scale: move them."
        )


def _measured(results: Path, scale: Scale) -> pd.DataFrame:
    """All rows of a scale; none where nothing was measured yet. Raises UserError if a folder was named that is none."""
    if results != RESULTS and not results.is_dir():
        raise UserError(f"--results {str(results)!r} is no folder; name one that holds {scale}/runs.csv.")
    return read_measured(results / scale)


def _select(
    rows: pd.DataFrame,
    source: Path,
    table: str,
    scale: Scale,
    arch: tuple[str, ...],
    task: tuple[str, ...],
    protocol: str | None,
) -> pd.DataFrame:
    """Keep the rows of the nets and tasks asked for.

    Raises:
        UserError: if none are left, none is of `protocol`, or the file holds another scale than the folder says.
    """
    _check_scale(rows, source, scale)
    if rows.empty:
        raise UserError(
            f"{source} has no rows for {table}; make some: python -m benchmarks run {table} --scale {scale}"
        )
    filters = (("architecture", "--arch", arch), ("task", "--task", task))
    for column, flag, wanted in filters:
        if wanted:
            kept = rows[rows[column].isin(wanted)]
            if kept.empty:
                known = ", ".join(map(repr, rows[column].unique()))
                raise UserError(f"No rows of {table} match {flag} {' '.join(map(str, wanted))}; there are {known}.")
            rows = kept
    check_protocol(rows, protocol, of=f" of {table}")
    return rows
