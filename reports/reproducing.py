"""REPRODUCING.md: table by table the command, what it needs, what it took, and how far it is."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from benchmarks.records.rows import SCALES, Scale, to_frame
from reports.findings.explain import rows_behind
from reports.pages.commands import whole_table
from reports.pages.rehearsal import banner
from reports.registry import REPORTS, Question, Report


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a table asks for at scale paper, one seed."""

    data: str
    nets: str
    gpu_hours: str
    """Estimate for one H100, computation alone: published speeds of timm's nets times images and epochs."""
    at_real: bool = True
    """Whether scale real has the table."""


PATCHING_DATA = "ImageNet validation, STL-10, RESISC45, GTSRB, Flowers102, Stanford Cars, FGVC-Aircraft"

NEEDS: Mapping[str, Needs] = {
    "table1": Needs(data="ImageNet validation, nine Visual Decathlon sets", nets="ResNet-18", gpu_hours="1.4-2"),
    "table2": Needs(data=PATCHING_DATA, nets="ResNet-18/34/50, ConvNeXt-T", gpu_hours="3.2"),
    "table3": Needs(data=PATCHING_DATA, nets="ResNet-18/34/50, ConvNeXt-T", gpu_hours="4"),
    "table4": Needs(data=PATCHING_DATA, nets="ResNet-18, ConvNeXt-T", gpu_hours="1.1"),
    "table5": Needs(data="FGVC-Aircraft, Stanford Cars", nets="ResNet-50", gpu_hours="4-6"),
    "table6": Needs(data="MNIST, USPS, SVHN", nets="ResNet-18", gpu_hours="1-2", at_real=False),
    "table7": Needs(data="PASCAL VOC 2007 and 2012, SBD", nets="ResNet-18/34/50", gpu_hours="6-8", at_real=False),
    "table8": Needs(
        data="ImageNet validation, FGVC-Aircraft, Stanford Cars",
        nets="ResNet-18/34, ResNeXt-50, WideResNet-50",
        gpu_hours="1.5",
    ),
    "table9": Needs(data="none: made of the other tables and tests", nets="-", gpu_hours="0"),
    "table10": Needs(data=PATCHING_DATA, nets="Table 2's, ResNet-101, ConvNeXt-S/B/L", gpu_hours="7.8 beyond Table 2"),
    "table11": Needs(data="Table 4's", nets="Table 4's", gpu_hours="0 beyond Table 4"),
    "table12": Needs(data="FGVC-Aircraft, Stanford Cars", nets="ResNet-18/34", gpu_hours="0.5", at_real=False),
    "table13": Needs(
        data="CIFAR-10/100, ImageNet with its training images", nets="ResNet-18/34", gpu_hours="4.5-5.5", at_real=False
    ),
}

SCALE_NEEDS = (
    "| scale | needs |\n|---|---|\n"
    "| real | nothing: weights and images come with pip packages; it has no tables of nets without pre-training, "
    "and no Table 7 |\n"
    "| embedded | nothing: nets and data come with the suite |\n"
    "| local | `--arch`, `--weights`, `--data-root` and `--task imagefolder:DIR` of your own |\n"
    "| paper | the data sets below `--data-root` (`python -m benchmarks fetch`), weights from the Hugging Face "
    "Hub, a GPU |"
)
"""What each scale needs, as a Markdown table."""


def reproducing(rows_by_scale: Mapping[Scale, pd.DataFrame], protocol: str | None = None) -> str:
    """The whole document as Markdown.

    Args:
        rows_by_scale: rows of every scale that has some.
        protocol: whose runs are counted, where there are some.
    """
    parts = [
        "# Reproducing the tables",
        f"{banner(*rows_by_scale.values())}Written by `python -m reports reproducing` from the rows below `results/`; "
        "do not edit. Every command goes on where it was stopped and measures only what is missing. Hours are what the "
        "runs on record took together, on the devices that the rows name; a run that feeds several tables counts in "
        "each.",
        SCALE_NEEDS,
    ]
    for name, report in REPORTS.items():
        if report.printed:
            table = commands_text(name, report, rows_by_scale, protocol)
            parts.append(f"## Table {name.removeprefix('table')}\n\n{needs_text(name)}\n\n{table}")
    return "\n\n".join(parts) + "\n"


def needs_text(name: str) -> str:
    """What a table of the paper asks for at scale paper, in a sentence.

    >>> needs_text("table8")[:42]
    'At scale paper: ImageNet validation, FGVC-'
    """
    needs = NEEDS[name]
    return f"At scale paper: {needs.data}; {needs.nets}; about {needs.gpu_hours} H100-hours a seed (estimate)."


def commands_text(
    name: str, report: Report, rows_by_scale: Mapping[Scale, pd.DataFrame], protocol: str | None = None
) -> str:
    """The command of each scale that has the table, how far it is and the hours behind it, as Markdown."""
    lines: list[str] = []
    notes: list[str] = []
    for scale in SCALES:
        if scale == "real" and name in NEEDS and not NEEDS[name].at_real:
            continue
        shown = report.shown(rows_by_scale.get(scale, to_frame([])), protocol)
        state, hours, seeds = _record(report, shown.rows, scale)
        options = [*(["--seeds", str(seeds)] if seeds > 1 else []), *shown.flags]
        command = " ".join([whole_table(name, scale), *options])
        notes += [f"\n\nScale {scale}: {note}" for note in shown.notes]
        lines.append(f"| {scale} | `{command}` | {state} | {hours} |")
    return "| scale | command | on record | hours |\n|---|---|---|---|\n" + "\n".join(lines) + "".join(notes)


def _record(report: Report, rows: pd.DataFrame, scale: Scale) -> tuple[str, str, int]:
    """How far a table is, the hours behind it, and `--seeds` of the command that measures as much.

    Of the runs that its cells show, not of all that its suites hold.
    """
    if not report.needs_rows:
        return "needs no runs", "", 0
    if rows.empty:
        return "not run", "", 0
    frame = report.answer(Question(rows=rows, scale=scale)).frame
    runs = rows_behind(frame, rows).drop_duplicates("run_id")
    if runs.empty:
        return "not run", "", 0
    blanks = int((frame["status"] == "missing").sum()) if "status" in frame else 0
    state = _counted(len(runs), "run") + ", " + _counted(runs["seed"].nunique(), "seed")
    state += ", " + _counted(blanks, "blank") if blanks else ""
    return state, f"{(runs['train_s'] + runs['eval_s']).sum() / 3600:.2f}", int(runs["seed"].max()) + 1


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
