"""Table 7: detection and segmentation on a frozen backbone, beside the paper's printed numbers."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from reports.checks import check_comparable, check_one_run_per_seed
from reports.layout import Block, Page
from reports.paper import TARGETS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUITE = "dense"
NAME = "table7"
CELL = ["task", "architecture", "method", "variant", "n_delta_modules"]
KINDS = {"detection": "mAP@0.5, VOC 11-point", "segmentation": "mIoU"}
MIN_SCORE = 0.5
"""Boxes of a lower score are not drawn."""


def dense_frame(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the suite -> one line per task, architecture and arm, and lines of the paper that nobody measured.

    Returns:
        Columns `CELL`, `metric`, `mean`, `sd` (ddof = 1), `n`, `frozen` (`yes`, `NO` or blank), `params_delta`,
        `params_delta_full_size`, `params_head`, `train_s`, `protocol`, `run_id` (of the first seed), `paper_value`.

    Raises:
        UserError: if the rows must not be averaged.
    """
    check_comparable(rows)
    check_one_run_per_seed(rows.assign(role="method"))
    same = (rows["backbone_sha_before"] == rows["backbone_sha_after"]) & rows["base_logits_equal"].fillna(False)
    frozen = same.map({True: "yes", False: "NO"}).where(~rows["variant"].str.startswith("frozen_stages"), "")
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
    lines["kind"] = lines["task"].str.split(":").str[0]
    printed = _printed()
    merged = lines.merge(printed, how="outer", on=["kind", "architecture", "method", "variant"])
    merged["task"] = merged["task"].fillna(merged["kind"])
    merged["n_delta_modules"] = merged["n_delta_modules"].fillna(merged["printed_modules"]).astype("Int64")
    place = {kind: index for index, kind in enumerate(KINDS)}
    merged["place"] = merged["kind"].map(place)
    merged["arm"] = merged["variant"].str.startswith("frozen_stages").astype(int)
    order = ["place", "task", "architecture", "arm", "n_delta_modules"]
    return merged.sort_values(order, ignore_index=True).drop(columns=["place", "arm", "printed_modules"])


def _printed() -> pd.DataFrame:
    frame = pd.read_csv(TARGETS / f"{NAME}.csv")
    return pd.DataFrame(
        {
            "kind": frame["task"],
            "architecture": frame["architecture"],
            "method": frame["method"],
            "variant": frame["n_delta_modules"].gt(0).map({True: "default", False: ""}),
            "printed_modules": frame["n_delta_modules"],
            "paper_value": frame["value"],
        }
    )


def dense_page(frame: pd.DataFrame, scale: str) -> Page:
    """One block for each task: ours, the gain over the frozen baseline, and the printed value."""
    measured = frame[frame["n"].notna()]
    seeds = int(measured["n"].max()) if len(measured) else 0
    protocols = " | ".join(measured["protocol"].unique()) or "none"
    tasks = list(measured["task"].unique() if scale == "local" and len(measured) else frame["task"].unique())
    blocks = [_block(str(task), frame[frame["task"] == task], scale) for task in tasks]
    lacking = frame[frame["n"].isna()]
    return Page(
        name=NAME,
        title="Table 7. Detection and segmentation on a frozen backbone",
        caption=(
            f"Scale {scale}; protocol {protocols}; test split, n = {seeds} seed(s). Neck and heads are trained in "
            "every row; the backbone is frozen as a whole, and Delta (4) adds four Delta-modules. 'frozen_stages=1' "
            "fine-tunes the rest of it (the stock config), for reference. Parameters: trained ones of the backbone."
        ),
        blocks=tuple(blocks),
        notes=_notes(frame),
        commands=(f"nox -s {NAME} -- --scale {scale}",) if len(lacking) and scale != "local" else (),
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


def _block(task: str, part: pd.DataFrame, scale: str) -> Block:
    kind = task.partition(":")[0]
    lines: list[dict[str, str]] = []
    for architecture, rows in part.groupby("architecture", sort=False):
        baseline = rows.loc[rows["variant"] == "", "mean"]
        base = float(baseline.iloc[0]) if len(baseline) else np.nan
        lines += [_line(str(architecture), row, base, scale) for row in rows.to_dict("records")]
    cells = pd.DataFrame(lines)
    if (cells["printed"] == "").all():
        cells = cells.drop(columns="printed")
    return Block(
        title=f"{task} ({KINDS[kind]})",
        cells=cells,
        best=pd.DataFrame(False, index=cells.index, columns=cells.columns),
    )


def _line(architecture: str, row: dict[Any, Any], base: float, scale: str) -> dict[str, str]:
    modules = int(row["n_delta_modules"])
    arm = f"+ Delta ({modules})" if modules else row["variant"] or "frozen"
    gain = row["mean"] - base
    params = row["params_delta_full_size"] if scale == "embedded" and modules else row["params_delta"]
    return {
        "architecture": architecture,
        "method": f"{str(row['method']).partition('+')[0]} {arm}",
        "params M": "" if pd.isna(params) else f"{params / 1e6:.2f}",
        "base frozen": row["frozen"] if isinstance(row["frozen"], str) else "",
        "value": _text(row["mean"], row["sd"]),
        "gain": f"{gain:+.2f}" if row["variant"] and pd.notna(gain) else "",
        "printed": "" if pd.isna(row["paper_value"]) else f"{row['paper_value']:.2f}",
    }


def _text(mean: float, sd: float) -> str:
    if pd.isna(mean):
        return ""
    return f"{mean:.2f}" + ("" if pd.isna(sd) else f" ±{sd:.2f}")


# --- pictures ----------------------------------------------------------------------------------------------------


def dense_figure(frame: pd.DataFrame, folder: Path) -> "Figure | None":
    """Truth, baseline and Delta side by side on the first test images of each task; None if no run kept any."""
    from matplotlib.figure import Figure  # the tables do not need it

    frozen = frame[frame["n"].notna() & ~frame["variant"].fillna("").str.startswith("frozen_stages")]
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
