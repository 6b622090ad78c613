"""Every report by name: which runs feed it, and how their rows become a frame, a page and perhaps a figure."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from benchmarks.records import names
from benchmarks.records.rows import Scale, to_frame
from reports.figures import adapters as adapter_figures
from reports.figures import domain_adaptation as domain_figures
from reports.findings import claims, lint
from reports.overview.cells import Overview, overview
from reports.pages.page import Page
from reports.pages.paint import paint_notes
from reports.pages.rehearsal import banner, marked_frame, marked_page, stamp
from reports.shown.one_protocol import Per, Shown, of_one_protocol
from reports.tables import (
    ablation,
    agreement,
    dense,
    domain_adaptation,
    patching_page,
    rates,
    scratch,
    table9,
    transfer,
)
from reports.tables import defaults_study as study
from reports.tables import sequence_frame as sequences
from reports.tables import sequence_page as sequence_pages
from reports.tables.adapters_costs import read_costs
from reports.tables.adapters_frame import adapters_frame
from reports.tables.adapters_page import adapters_page
from reports.tables.dense_parts import parts_blocks
from reports.tables.patching_frame import table_frame
from reports.tables.patching_lines import TABLES, PaperTable
from reports.tables.scratch import SCRATCH_TABLES, ScratchTable, scratch_frame, scratch_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a report is asked to show: rows of its suites and of one scale, and the lines and columns wanted."""

    rows: pd.DataFrame
    scale: Scale
    beside: pd.DataFrame = field(default_factory=lambda: to_frame([]))
    """Rows of the suites that the report needs beside its own, whole, whatever part is to be shown."""
    results: Path = Path("results")
    """Results folder of the scale: where runs leave arrays to be drawn, and what a report needs beside its rows."""
    architectures: tuple[str, ...] = ()
    """In this order; empty = all."""
    tasks: tuple[str, ...] = ()
    """In this order; empty = all."""
    notes: tuple[str, ...] = ()
    """What is to be said of rows that are not among these."""
    flags: tuple[str, ...] = ()
    """Options that a command needs to measure more of such rows."""


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
    shows: str
    """Which table of the paper it is, or that it is ours, and what stands in it: a sentence or two for `--help`."""
    beside: tuple[str, ...] = ()
    """Suites whose rows it needs beside those."""
    printed: bool = True
    """Whether the paper has it: then it answers without rows too, with the printed numbers alone."""
    needs_rows: bool = True
    """Whether it is empty without runs."""
    labels: Callable[[pd.DataFrame], list[str]] | None = None
    """What its page calls each line of its frame (`row_id`, `task`); None if no cell is the mean of some runs."""
    protocol_per: Per = "report"
    """What of it has one protocol."""

    @property
    def has_cells(self) -> bool:
        """Whether its frame has lines that runs measured, which `explain` can speak of."""
        return self.labels is not None

    def shown(self, rows: pd.DataFrame, protocol: str | None = None) -> Shown:
        """Its own among all rows of a scale, of one protocol."""
        return of_one_protocol(rows[rows["suite"].isin(self.suites)], protocol, self.protocol_per)

    def answer_marked(self, question: Question) -> Answer:
        """The answer to be shown: with what the question has to say, and marked if it rests on a rehearsal."""
        answer, rows = self.answer(question), (question.rows, question.beside)
        asked = shlex.join(question.flags)
        page = replace(
            answer.page,
            notes=(*answer.page.notes, *paint_notes(question.rows), *question.notes),
            commands=tuple(f"{command} {asked}".rstrip() for command in answer.page.commands),
        )
        if banner(*rows):
            for figure in (answer.figure, *answer.more_figures.values()):
                if figure is not None:
                    stamp(figure)
        return replace(answer, frame=marked_frame(answer.frame, *rows), page=marked_page(page, *rows))


def _patching(number: int, shows: str) -> Report:
    table = next(table for table in TABLES if table.number == number)
    return Report(suites=(table.suite,), answer=partial(_table, table), labels=patching_page.labels, shows=shows)


def _table(table: PaperTable, question: Question) -> Answer:
    frame = table_frame(question.rows, table, question.scale, question.architectures, question.tasks)
    return Answer(frame=frame, page=patching_page.page(frame, table, question.scale))


def _drawn(
    frame_of: Callable[[pd.DataFrame], pd.DataFrame],
    page_of: Callable[[pd.DataFrame, Scale], Page],
    figure_of: Callable[[pd.DataFrame, Scale], "Figure"],
    question: Question,
) -> Answer:
    """A table of all rows of a suite, and its picture."""
    frame = frame_of(question.rows)
    return Answer(frame=frame, page=page_of(frame, question.scale), figure=figure_of(frame, question.scale))


def _transfer(question: Question) -> Answer:
    frame = transfer.transfer_frame(question.rows, question.scale)
    return Answer(frame=frame, page=transfer.transfer_page(frame, question.scale, question.tasks))


def _scratch(table: ScratchTable, question: Question) -> Answer:
    frame = scratch_frame(question.rows, table, question.scale)
    return Answer(frame=frame, page=scratch_page(frame, table, question.scale))


def _adapters(question: Question) -> Answer:
    costs = read_costs(question.results.parent / "perf" / "adapters.csv")
    frame = adapters_frame(question.rows, question.beside, costs)
    return Answer(
        frame=frame,
        page=adapters_page(frame, question.scale),
        more_figures=adapter_figures.figures(frame),
    )


def _rates(question: Question) -> Answer:
    frame = rates.rates_frame(question.rows)
    return Answer(frame=frame, page=rates.rates_page(frame, question.scale))


def _table4(question: Question) -> Answer:
    frame = sequences.table4_frame(question.rows, question.scale)
    return Answer(frame=frame, page=sequence_pages.table4_page(frame, question.scale))


def _table9(_: Question) -> Answer:
    frame = table9.table9_frame()
    return Answer(frame=frame, page=table9.table9_page(frame))


def _table11(question: Question) -> Answer:
    frame = sequences.table11_frame(question.rows, question.scale)
    return Answer(frame=frame, page=sequence_pages.table11_page(frame, question.scale))


def _claims(question: Question) -> Answer:
    frame = claims.claims_frame(question.rows, question.scale)
    return Answer(frame=frame, page=claims.claims_page(frame, question.scale))


def _lint(question: Question) -> Answer:
    frame, page = lint.lint_page(question.rows, question.scale)
    return Answer(frame=frame, page=page)


def _domain_adaptation(question: Question) -> Answer:
    frame = domain_adaptation.domain_frame(question.rows, question.scale, question.tasks)
    return Answer(
        frame=frame,
        page=domain_adaptation.domain_page(frame, question.scale),
        more_figures=domain_figures.figures(question.rows, question.results),
    )


def _dense(question: Question) -> Answer:
    frame = dense.dense_frame(question.rows, question.scale)
    return Answer(
        frame=frame,
        page=dense.dense_page(frame, question.scale, parts_blocks(question.rows, frame)),
        figure=dense.dense_figure(frame, question.results / "pictures"),
    )


REPORTS: dict[str, Report] = {
    "table1": _patching(1, "Table 1: adapters, BatchNormAdapt and Delta (4) on nine tasks of one net."),
    "table2": _patching(2, "Table 2: one patch a task, harmonic means of base and task, four nets on six tasks."),
    "table3": _patching(3, "Table 3: one patch for three tasks at once."),
    "table4": Report(
        suites=sequences.SUITES,
        answer=_table4,
        labels=sequence_pages.labels,
        shows="Table 4: three tasks one after the other, base and tasks at the end.",
    ),
    transfer.NAME: Report(
        suites=(names.TRANSFER,),
        answer=_transfer,
        labels=transfer.labels,
        shows="Table 5: transfer learning, nine methods at four shares of the training images.",
    ),
    domain_adaptation.NAME: Report(
        suites=(names.DOMAIN_ADAPTATION,),
        answer=_domain_adaptation,
        labels=domain_adaptation.labels,
        shows="Table 6: domain adaptation of digits, with curves over steps, embeddings and confusion matrices.",
    ),
    dense.NAME: Report(
        suites=(names.DENSE,),
        answer=_dense,
        labels=dense.labels,
        shows="Table 7: detection and segmentation on a frozen backbone, with pictures.",
    ),
    "table8": _patching(8, "Table 8: what to do with the skips, from none to gates that see the image."),
    "table9": Report(
        suites=(),
        answer=_table9,
        shows="Table 9: which properties each method has; needs no runs.",
        needs_rows=False,
    ),
    "table10": _patching(10, "Table 10: the runs of Table 2 as pairs of base and task top-1, with larger nets."),
    "table11": Report(
        suites=sequences.SUITES,
        answer=_table11,
        labels=sequence_pages.labels,
        shows="Table 11: the runs of Table 4 at every alpha of PAINT.",
    ),
    **{
        table.name: Report(
            suites=(table.name,),
            answer=partial(_scratch, table),
            labels=scratch.labels,
            shows=f"Table {table.number}: {table.title.lower()}, with Delta-modules and without.",
        )
        for table in SCRATCH_TABLES
    },
    "claims": Report(
        suites=sequences.SUITES,
        answer=_claims,
        shows="Sentences of the paper about patching, Tables 1 to 4: in how many cases each holds, and where not.",
        printed=False,
        needs_rows=False,
    ),
    "lint": Report(
        suites=sequences.SUITES,
        answer=_lint,
        shows="Arithmetic that tables must obey, and printed and measured numbers that do not.",
        printed=False,
        needs_rows=False,
    ),
    names.ABLATION: Report(
        suites=(names.ABLATION,),
        answer=partial(_drawn, ablation.ablation_frame, ablation.ablation_page, ablation.ablation_figure),
        shows="Ours: Delta (4) with one thing changed in each arm, and accuracy over cost.",
        printed=False,
        labels=ablation.labels,
    ),
    names.ADAPTERS: Report(
        suites=(names.ADAPTERS,),
        beside=(names.ADAPTERS_SEARCH,),
        answer=_adapters,
        shows="Ours: adapters of the literature and Delta, each as its search chose it: accuracy, parameters, cost.",
        printed=False,
        protocol_per="row",
    ),
    names.AGREEMENT: Report(
        suites=(names.AGREEMENT,),
        answer=partial(_drawn, agreement.agreement_frame, agreement.agreement_page, agreement.agreement_figure),
        shows="Ours: how well agreement with the untouched net predicts accuracy on a labelled base.",
        printed=False,
    ),
    names.RATES: Report(
        suites=(names.RATES,),
        answer=_rates,
        shows="Ours: the learning rates that scale real uses, and the validation accuracies that chose them.",
        printed=False,
        protocol_per="net",
    ),
    names.STUDY_DEFAULTS: Report(
        suites=(names.STUDY_DEFAULTS,),
        answer=partial(_drawn, study.study_frame, study.study_page, study.study_figure),
        shows="Ours: what the defaults of DeltaConfig rest on, where the paper leaves them open.",
        printed=False,
    ),
}
"""In the paper's order, then our own."""


def overview_of(rows: pd.DataFrame, scale: Scale, protocol: str | None = None) -> Overview | None:
    """The overview of the rows that the claims are judged on, among all rows of a scale."""
    return overview(REPORTS["claims"].shown(rows, protocol).rows, scale)
