"""Every report by name: which runs feed it, and how their rows become a frame, a page and perhaps a figure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from benchmarks.record import Scale
from reports import domain_adaptation, domain_figures, study
from reports.layout import Page, page
from reports.reduce import table_frame
from reports.tables import TABLES, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a report is asked to show: rows of its suites and of one scale, and the lines and columns wanted."""

    rows: pd.DataFrame
    scale: Scale
    results: Path = Path("results")
    """Results folder of the scale, where runs leave arrays to be drawn."""
    architectures: tuple[str, ...] = ()
    """In this order; empty = all."""
    tasks: tuple[str, ...] = ()
    """In this order; empty = all."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One report, laid out."""

    frame: pd.DataFrame
    """Tidy: what the page shows, as numbers."""
    page: Page
    figure: "Figure | None" = None
    more_figures: "Mapping[str, Figure]" = field(default_factory=dict)
    """By name, beside the table's own."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """One report of the suite."""

    suites: tuple[str, ...]
    """Which runs feed it (`Row.suite`)."""
    answer: Callable[[Question], Answer]


def _table(table: Table, question: Question) -> Answer:
    frame = table_frame(question.rows, table, question.scale, question.architectures, question.tasks)
    return Answer(frame=frame, page=page(frame, table))


def _study(question: Question) -> Answer:
    frame = study.study_frame(question.rows)
    return Answer(
        frame=frame,
        page=study.study_page(frame, question.scale),
        figure=study.study_figure(frame, question.scale),
    )


def _domain_adaptation(question: Question) -> Answer:
    frame = domain_adaptation.transfer_frame(question.rows, question.scale, question.tasks)
    return Answer(
        frame=frame,
        page=domain_adaptation.transfer_page(frame, question.scale),
        more_figures=domain_figures.figures(question.rows, question.results),
    )


REPORTS: dict[str, Report] = {
    **{table.name: Report(suites=(table.suite,), answer=partial(_table, table)) for table in TABLES},
    domain_adaptation.NAME: Report(suites=(domain_adaptation.SUITE,), answer=_domain_adaptation),
    study.SUITE: Report(suites=(study.SUITE,), answer=_study),
}
