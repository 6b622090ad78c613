"""Table 7: detection and segmentation on a frozen backbone, beside the paper's printed numbers."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmarks.methods.listing import READING_LABELS
from benchmarks.records.names import FROZEN_STAGES, GATES_ALONE, LITERAL, MAPS
from benchmarks.records.rows import Scale
from reports import paper
from reports.checks import check_comparable, check_one_run_per_seed
from reports.pages.commands import fill_commands, whole_table
from reports.pages.page import Page, PageBlock, cell_text, over_seeds, printed_block, usual_n, with_spread
from reports.verdicts import beside_printed, difference_blocks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "table7"
CELL = ["task", "architecture", "method", "variant", "n_delta_modules"]
KINDS = {"detection": "mAP@0.5, VOC 11-point", "segmentation": "mIoU"}
MIN_SCORE = 0.5
"""Boxes of a lower score are not drawn."""


def is_part(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows of the suite score a class or a size of objects, and not the whole test set."""
    return rows["column"] != rows["task"]


def dense_frame(rows: pd.DataFrame, scale: Scale) -> pd.DataFrame:
    """Rows of the suite -> one line per task, architecture and arm; the paper's nets stand there before they ran.

    Returns:
        Columns `CELL`, `kind`, `row_id`, `metric`, `mean`, `sd` (ddof = 1), `n`, `frozen` (`yes`, `NO` or blank),
        `params_delta`, `params_delta_full_size`, `params_head`, `train_s`, `protocol`, `run_id` (of the first seed),
        `PRINTED` (at scale `paper`), `difference`, `verdict`.

    Raises:
        UserError: if the rows must not be averaged.
    """
    rows = rows[~is_part(rows)]
    check_comparable(rows)
    check_one_run_per_seed(rows.assign(role="method"))
    same = (rows["backbone_sha_before"] == rows["backbone_sha_after"]) & rows["base_logits_equal"].fillna(False)
    frozen = same.map({True: "yes", False: "NO"}).where(~rows["variant"].str.startswith(FROZEN_STAGES), "")
    grouped = rows.assign(frozen=frozen).sort_values("seed").groupby(CELL, sort=False)
    facts = ("metric", "params_delta", "params_delta_full_size", "params_head", "protocol", "scale", "run_id")
    lines = grouped.agg(
        mean=("value", "mean"),
        sd=("value", "std"),
        n=("value", "count"),
        frozen=("frozen", "min"),  # NO sorts before yes: one bad run spoils the cell
        train_s=("train_s", "mean"),
        **{fact: (fact, "first") for fact in facts},
    ).reset_index()
    printed = _printed()
    if scale == "local":
        printed = printed.iloc[:0]
    elif scale == "embedded":
        printed = printed.assign(printed=None, paper_value=float("nan"), erratum="")
    frame = beside_printed(lines, printed, CELL)
    kind = frame["task"].str.split(":").str[0]
    arms = frame["variant"].replace(
        {"": "baseline", MAPS: "delta4", GATES_ALONE: "delta4/gates alone", LITERAL: "delta4/paper"}
    )
    frame = frame.assign(
        kind=kind,
        row_id=kind + "/" + frame["architecture"] + "/" + arms,
        place=kind.map(list(KINDS).index),
        arm=frame["variant"].str.startswith(FROZEN_STAGES).astype(int),
        reading=frame["variant"].map({LITERAL: 0, MAPS: 1}).fillna(2),
    )
    order = ["place", "task", "architecture", "arm", "n_delta_modules", "reading"]
    return frame.sort_values(order, ignore_index=True).drop(columns=["place", "arm", "reading"])


def _printed() -> pd.DataFrame:
    printed = paper.printed(7)
    return printed.assign(variant=printed["reading"])


def dense_page(frame: pd.DataFrame, scale: Scale, parts: Iterable[PageBlock] = ()) -> Page:
    """One block for each task, with the gain over the frozen baseline; those of its parts, and the printed table."""
    measured = frame[frame["n"] > 0]
    usual = usual_n(frame["n"])
    protocols = " | ".join(measured["protocol"].unique()) or "none"
    tasks = [(str(name), part) for name, part in frame.groupby("task", sort=False)]
    cell = " Cells: ours (printed)." if scale == "paper" else ""
    blocks = [
        *(_block(name, part, scale, usual) for name, part in tasks),
        *parts,
        printed_block(_printed_cells(), scale),
        *difference_blocks((name, _lined(part)) for name, part in tasks),
    ]
    return Page(
        name=NAME,
        title="Table 7. Detection and segmentation on a frozen backbone",
        caption=(
            f"Scale {scale}; protocol {protocols}; test split, {over_seeds(frame['n'])}.{cell} "
            "Neck and heads are trained in every row; the backbone is frozen as a whole, and Delta (4) adds four "
            "Delta-modules. 'frozen_stages=1' fine-tunes the rest of it (the stock config), for reference. Bold: "
            "highest of a frozen backbone. Parameters: trained ones of the backbone."
        ),
        blocks=tuple(blocks),
        notes=_notes(frame),
        commands=(fill_commands(frame[frame["n"] == 0], NAME, scale) if len(frame) else (whole_table(NAME, scale),)),
    )


def _notes(frame: pd.DataFrame) -> tuple[str, ...]:
    spoiled = frame[frame["frozen"] == "NO"]
    notes = [
        "mAP@0.5 over 11 recalls as mmdet's VOCMetric takes it; mIoU as mmseg's IoUMetric takes it, rounded there.",
        "The paper names no code base; it writes DeepLab-V3 and cites V3+.",
    ]
    if len(spoiled):
        notes.insert(0, f"WARNING: the backbone changed in {', '.join(spoiled['architecture'].unique())}.")
    return tuple(notes)


def _block(task: str, part: pd.DataFrame, scale: Scale, usual: int) -> PageBlock:
    lines: list[dict[str, str]] = []
    best: list[bool] = []
    for architecture, rows in part.groupby("architecture", sort=False):
        baseline = rows.loc[rows["variant"] == "", "mean"]
        base = float(baseline.iloc[0]) if len(baseline) else np.nan
        lines += [_line(str(architecture), row, base, scale, usual) for row in rows.to_dict("records")]
        contest = rows["mean"].where(~rows["variant"].str.startswith(FROZEN_STAGES))
        best += list(contest == contest.max())
    cells = pd.DataFrame(lines)
    is_best = pd.DataFrame({name: best if name == "value" else False for name in cells.columns}, index=cells.index)
    return PageBlock(title=f"{task} ({KINDS[task.partition(':')[0]]})", cells=cells, best=is_best)


def _line(architecture: str, row: dict[Any, Any], base: float, scale: Scale, usual: int) -> dict[str, str]:
    gain = row["mean"] - base
    params = row["params_delta_full_size"] if scale == "embedded" and row["n_delta_modules"] else row["params_delta"]
    return {
        "architecture": architecture,
        "method": _label(row),
        "params M": "" if pd.isna(params) else f"{params / 1e6:.2f}",
        "base frozen": row["frozen"] if isinstance(row["frozen"], str) else "",
        "value": cell_text(with_spread(row["mean"], row["sd"]), row["n"], usual, row["printed"]),
        "gain": f"{gain:+.2f}" if row["variant"] and pd.notna(gain) else "",
    }


def labels(frame: pd.DataFrame) -> list[str]:
    """What the page calls each line of the frame."""
    return [_label(line) for line in frame.to_dict("records")]


def _label(row: dict[Any, Any]) -> str:
    modules = int(row["n_delta_modules"])
    arm = f"+ Delta ({modules}) {READING_LABELS[row['variant']]}" if modules else row["variant"] or "frozen"
    return f"{str(row['method']).partition('+')[0]} {arm}".rstrip()


def _printed_cells() -> pd.DataFrame:
    printed = _printed()
    return pd.DataFrame(
        {
            "architecture": printed["architecture"],
            "method": labels(printed),
            **{kind: printed["printed"].where(printed["task"] == kind, "") for kind in KINDS},
        }
    )


def _lined(part: pd.DataFrame) -> pd.DataFrame:
    return part.assign(line=part["architecture"] + ": " + pd.Series(labels(part), index=part.index), column="value")


# --- pictures ----------------------------------------------------------------------------------------------------


def dense_figure(frame: pd.DataFrame, folder: Path) -> "Figure | None":
    """Truth, baseline and Delta side by side on the first test images of each task; None if no run kept any."""
    from matplotlib.figure import Figure  # the tables do not need it

    frozen = frame[(frame["n"] > 0) & frame["variant"].isin(["", MAPS])]
    cases: list[tuple[str, list[tuple[str, Any]]]] = []
    for (task, architecture), rows in frozen.groupby(["task", "architecture"], sort=False):
        arms = [
            ("Delta" if row["variant"] else "baseline", folder / f"{row['run_id']}.npz")
            for row in rows.to_dict("records")
        ]
        kept = [(name, np.load(path)) for name, path in arms if path.exists()]
        if kept:
            cases.append((f"{task}, {architecture}", kept))
    if not cases:
        return None
    images = 2
    figure = Figure(figsize=(2.1 * 3 * images, 2.3 * len(cases)), layout="constrained")
    grid = figure.subplots(len(cases), 3 * images, squeeze=False)
    for axes, (title, kept) in zip(grid, cases, strict=True):
        for axis in axes:
            axis.set_axis_off()
        for index in range(images):
            if f"image_{index}" not in kept[0][1]:  # the test split has but one
                continue
            shown = [("truth", kept[0][1], "truth"), *((name, arrays, "found") for name, arrays in kept)]
            for axis, (name, arrays, what) in zip(axes[3 * index :], shown, strict=False):
                axis.set_title(f"{title}\n{name}" if (index, name) == (0, "truth") else name, fontsize=7)
                _draw(axis, arrays, index, what)
    return figure


def _draw(axis: "Axes", arrays: Any, index: int, what: str) -> None:
    from matplotlib.patches import Rectangle

    image = arrays[f"image_{index}"]
    axis.imshow(image)
    if f"mask_{index}" in arrays:
        mask = arrays[f"{'truth' if what == 'truth' else 'mask'}_{index}"]
        axis.imshow(np.ma.masked_where(mask == 0, mask), cmap="tab10", alpha=0.6, vmin=0, vmax=10)
        return
    boxes = arrays[f"{'truth' if what == 'truth' else 'boxes'}_{index}"]
    for box in boxes:
        if len(box) == 6 and box[4] < MIN_SCORE:
            continue
        x0, y0, x1, y1 = box[:4]
        colour = f"C{int(box[-1])}"
        axis.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linewidth=1.5))
