"""Tables of `patching_lines`: tidy frame -> page, with cell text, the best cells, footnotes and commands."""

import itertools
from collections.abc import Iterable
from typing import Any

import pandas as pd

from benchmarks.records.rows import Scale
from reports import paper
from reports.base_metric import ACCURACY, BASES, base_named
from reports.pages.commands import fill_commands, whole_table
from reports.pages.page import Page, PageBlock, cell_text, over_seeds, printed_block, usual_n, with_spread
from reports.tables.patching_lines import PaperTable, TableRow
from reports.verdicts import MATCH_POINTS, difference_blocks


def page(frame: pd.DataFrame, table: PaperTable, scale: Scale) -> Page:
    """Lay out a table frame of one scale; without lines it holds the printed numbers alone.

    The printed table stands apart; at scale `paper` a cell holds ours and (printed), and verdicts have blocks.
    """
    counts = frame["n"].where(frame["status"] != "no_base", frame["patch_top1_n"])
    usual = usual_n(counts)
    blocks = [
        _block(str(architecture), part, usual)
        for architecture, part in frame.groupby("architecture", sort=False)
        if scale == "paper" or part["selection"].notna().any()
    ]
    printed = paper.printed(table.number)
    blocks.append(_printed_block(printed, scale))
    lined = frame.assign(line=labels(frame), column=frame["task"])
    blocks += difference_blocks((str(name), part) for name, part in lined.groupby("architecture", sort=False))
    marks = set(printed["erratum"]) | set(printed["params_erratum"])
    base = base_named(frame)
    return Page(
        name=table.name,
        title=f"Table {table.number}. {table.title.format(base=base.words)}",
        caption=_caption(frame, scale, over_seeds(counts)) if usual else f"Scale {scale}: not run.",
        blocks=tuple(blocks),
        notes=(*_notes(frame), *filter(None, [base.note]), *paper.footnotes(marks)),
        commands=(
            (whole_table(table.name, scale),)
            if frame.empty
            else fill_commands(frame[frame["status"] == "missing"], table.name, scale)
        ),
    )


def labels(frame: pd.DataFrame) -> list[str]:
    """What the page calls each line of a table frame."""
    return [_label(record) for record in _records(frame)]


def _cell_text(numbers: list[dict[str, Any]], usual: int) -> str:
    """Text of one cell from its tidy lines (one per quantity): ours, then the printed value in parentheses."""
    first, n = numbers[0], usual
    match first["status"]:
        case "not_applicable":
            ours = "n/a"
        case "no_base" if pd.notna(first["patch_top1"]):
            ours, n = "top-1 " + with_spread(first["patch_top1"], first["patch_top1_sd"]), first["patch_top1_n"]
        case "measured":
            ours, n = " / ".join(with_spread(number["mean"], number["sd"]) for number in numbers), first["n"]
        case _:
            ours = ""
    printed = [number["printed"] + number["erratum"] for number in numbers if pd.notna(number["printed"])]
    return cell_text(ours, n, usual, " / ".join(printed))


def _block(architecture: str, part: pd.DataFrame, usual: int) -> PageBlock:
    """One architecture: rows are methods, columns are facts about the method, then the tasks."""
    lines = []
    best = []
    for numbers in _groups(_records(part), "row_id"):
        if all(number["status"] == "not_asked" for number in numbers):
            continue  # it joined the table by name, on other architectures
        by_task = {cell[0]["task"]: cell for cell in _groups(numbers, "task")}
        texts = {task: _cell_text(cell, usual) for task, cell in by_task.items()}
        lines.append({"method": _label(numbers[0])} | _facts(numbers) | texts)
        best.append({task: cell[0]["best"] for task, cell in by_task.items()})
    cells = pd.DataFrame(lines)
    described = cells.columns.difference(["method", *part["task"]])
    cells = cells.drop(columns=[name for name in described if (cells[name] == "").all()])
    is_best = pd.DataFrame(best).reindex(columns=cells.columns, fill_value=False)
    return PageBlock(title=architecture, cells=cells, best=is_best)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in record.items()} for record in frame.to_dict("records")]


def _groups(records: list[dict[str, Any]], name: str) -> list[list[dict[str, Any]]]:
    """Runs of neighbours that agree in one field."""
    return [list(group) for _, group in itertools.groupby(records, key=lambda record: record[name])]


def _label(record: dict[str, Any]) -> str:
    """Name of the table row that a tidy or a printed line belongs to."""
    return TableRow(
        method=record["method"],
        variant=record.get("variant", ""),
        n_delta_modules=int(record["n_delta_modules"]),
        role=record.get("role", "method"),
    ).label


def _facts(numbers: list[dict[str, Any]]) -> dict[str, str]:
    """Columns that describe a method rather than a task, for one row of the table, from its tidy lines of all tasks.

    One that is blank for every method is not shown.
    """

    def known(name: str) -> list[Any]:
        return [number[name] for number in numbers if pd.notna(number[name])]

    def mean(values: list[float]) -> str:
        return f"{sum(values) / len(values):.2f}" if values else ""

    params = known("params_delta_full_size" if numbers[0]["scale"] == "embedded" else "params_delta")
    printed = known("params_printed") if numbers[0]["role"] == "method" else []
    base = BASES[numbers[0]["base_metric"]]
    shown = "base" if base is ACCURACY else base.words
    in_cells = any(number["quantity"] == base.quantity for number in numbers)
    frozen = known("base_frozen")
    alphas = [float(alpha) for alphas in known("alpha") for alpha in alphas.split(";") if alpha]
    return {
        "params M": f"{params[0] / 1e6:.2f}" if params else "",
        "printed M": printed[0] + numbers[0]["params_erratum"] if printed else "",
        f"{shown} before": mean(known("base_before")),
        f"{shown} after": "" if in_cells else mean(known("base_after")),
        "base frozen": min(frozen, default=""),  # NO sorts before yes: one bad run spoils the row
        "alpha": "-".join(f"{alpha:g}" for alpha in sorted({min(alphas), max(alphas)})) if alphas else "",
    }


def _printed_block(printed: pd.DataFrame, scale: Scale) -> PageBlock:
    """The paper's own rows, tasks and numbers."""
    lines = []
    for numbers in _groups(_records(printed), "row_id"):
        first = numbers[0]
        names = {"architecture": first["architecture"], "method": _label(first)}
        texts = {
            cell[0]["task"]: " / ".join(number["printed"] + number["erratum"] for number in cell)
            for cell in _groups(numbers, "task")
        }
        lines.append(names | {"printed M": first["params_printed"] + first["params_erratum"]} | texts)
    cells = pd.DataFrame(lines)
    cells = cells.drop(columns=[name for name in ("printed M",) if (cells[name] == "").all()])
    return printed_block(cells, scale)


def _caption(frame: pd.DataFrame, scale: str, seeds: str) -> str:
    """Scale, protocol, base task, seeds and spread, how alpha was selected, what bold and the counts mean."""

    def names(column: str) -> str:
        return " | ".join(map(str, frame[column].dropna().unique())) or "none"

    cell = "Cells: ours (printed). " if scale == "paper" else ""
    if scale == "paper":
        cell += f"match: within {MATCH_POINTS:g} point or two of our standard deviations of the printed value. "
    paint = "PAINT: alpha chosen per seed by harmonic mean on the validation splits. "
    paint = paint if (frame["method"] == "paint").any() else ""
    return (
        f"Scale {scale}; protocol {names('protocol')}; base task {names('base_task')}; test split, {seeds}. "
        f"{cell}{paint}"
        "Bold: highest harmonic mean per architecture and task, oracle and full fine-tuning excluded. Parameters: "
        "trained ones of the full-size architecture without the head, as the paper counts them."
    )


def _notes(frame: pd.DataFrame) -> Iterable[str]:
    """Footnotes that the measured rows call for."""
    spoiled = frame.loc[frame["base_frozen"] == "NO", "row_id"].unique()
    if len(spoiled):
        yield (
            f"WARNING: base frozen = NO for {', '.join(spoiled)}: in at least one run the backbone's fingerprint or "
            "the base logits changed, or were not compared; these rows do not show patching."
        )
    ran = frame[frame["selection"].notna()]
    if (ran["role"] == "oracle").any():
        yield "oracle: alpha chosen on the test splits themselves; an upper bound, not a result."
    if ran["variant"].str.endswith("+bn").any():
        yield "+bn: BatchNorm statistics re-estimated after interpolation."
    if (ran["role"] == "reference").any():
        yield "full fine-tuning: for reference, it gives up the base task; PAINT at alpha = 1 where not run by itself."
    if (ran["method"] == "delta_networks").any():
        yield "Delta (n): n delta-modules, this library's default; 'paper' is the literal reading of the paper."
    if (frame["status"] == "not_applicable").any():
        yield "n/a: the network has no BatchNorm."
    if (frame["status"] == "no_base").any():
        yield (
            "top-1: run without base data, so there is no harmonic mean (and PAINT has no alpha to choose); shown is "
            "top-1 on the patch task alone."
        )
