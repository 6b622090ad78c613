"""Command line: `delta-report table2 --scale embedded` prints a table and writes it as csv, md and tex."""

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import tyro
from rich.console import Console

from benchmarks.errors import UserError
from benchmarks.record import Scale, atomic_text, read_rows
from reports.registry import REPORTS, Question, Report
from reports.render import to_latex, to_markdown, to_terminal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Names = tyro.conf.UseAppendAction[tuple[str, ...]]


def report(
    table: tyro.conf.Positional[str],
    *,
    scale: Scale = "embedded",
    results: Path = Path("results"),
    arch: Names = (),
    task: Names = (),
    protocol: str | None = None,
    out: Path | None = None,
) -> None:
    """Print one table of the paper from finished runs, and write it as csv, md and tex.

    Args:
        table: name of a table, e.g. table2, or of a study.
        scale: which runs to show; a table never mixes scales.
        results: folder that holds <scale>/runs.csv.
        arch: architecture to show, may be repeated; all if not given.
        task: patch task to show, may be repeated; all if not given.
        protocol: keep the runs of this protocol only.
        out: where the files go; <results>/<scale>/tables if not given.
    """
    chosen = _report(table)
    source = results / scale / "runs.csv"
    out = out or results / scale / "tables"
    rows = read_rows(source)
    rows = _select(rows[rows["suite"].isin(chosen.suites)], source, table, scale, arch, task, protocol)
    answer = chosen.answer(Question(rows=rows, scale=scale, results=results / scale, architectures=arch, tasks=task))
    texts = {
        out / f"{table}.csv": answer.frame.to_csv(index=False, lineterminator="\n", float_format="%.10g"),
        out / f"{table}.md": to_markdown(answer.page),
        out / f"{table}.tex": to_latex(answer.page),
    }
    if answer.figure is not None:
        texts[out / f"{table}.svg"] = _svg(answer.figure)
    texts |= {out / f"{table}_{name}.svg": _svg(figure) for name, figure in answer.more_figures.items()}
    for path, text in texts.items():
        try:
            with atomic_text(path) as stream:
                stream.write(text)
        except OSError as error:
            raise UserError(f"Cannot write {path}: {error.strerror}; choose another folder with --out.") from error
    to_terminal(answer.page, Console())
    print(*texts, sep="\n")


def main() -> None:
    """Entry point of `delta-report`: a user's mistake is one sentence on stderr and exit code 2."""
    try:
        tyro.cli(report, prog="delta-report")
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def _svg(figure: "Figure") -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg")
    return text.getvalue()


def _report(name: str) -> Report:
    if name not in REPORTS:
        raise UserError(f"There is no table {name!r}; choose one of {', '.join(REPORTS)}.")
    return REPORTS[name]


def _select(
    rows: pd.DataFrame,
    source: Path,
    table: str,
    scale: Scale,
    arch: tuple[str, ...],
    task: tuple[str, ...],
    protocol: str | None,
) -> pd.DataFrame:
    """Keep the rows asked for.

    Raises:
        UserError: if none are left, or if the file holds another scale than the folder says.
    """
    foreign = sorted(set(rows["scale"]) - {scale})
    if foreign:
        raise UserError(
            f"{source} holds rows of scale {foreign[0]!r} beside {scale!r}; a table shows one scale: move them."
        )
    if rows.empty:
        raise UserError(f"{source} has no rows for {table}; make some: nox -s {table} -- --scale {scale}")
    filters = (("architecture", "--arch", arch), ("task", "--task", task), ("protocol", "--protocol", (protocol,)))
    for column, flag, wanted in filters:
        if any(wanted):
            kept = rows[rows[column].isin(wanted)]
            if kept.empty:
                known = ", ".join(map(repr, rows[column].unique()))
                raise UserError(f"No rows of {table} match {flag} {' '.join(map(str, wanted))}; there are {known}.")
            rows = kept
    return rows


if __name__ == "__main__":
    main()
