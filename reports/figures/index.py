"""All figures of one scale, from what lies in its results folder."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

from benchmarks.data.shown import ShownImages
from benchmarks.records.collected import read_rows
from benchmarks.records.gates import of_rehearsal, read_gates, runs_with_gates
from benchmarks.records.look_alikes import is_rehearsal
from benchmarks.records.names import LITERAL, REAL_ARCHITECTURES
from benchmarks.records.rows import Scale
from benchmarks.records.variance import read_variances
from delta_core.training.errors import UserError
from delta_core.training.whole_files import whole_file
from reports.figures.block import draw_block
from reports.figures.gate_claims import GateClaim, gate_claims
from reports.figures.gates import SHOWN_READINGS, figure_mean_gates, figure_sample_gates, mean_gates, sample_gates
from reports.figures.settings import SETTINGS, figure_settings
from reports.figures.variance import figure_variance
from reports.pages.rehearsal import marked_frame, stamp

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEANS_OF, MEANS_TASKS = ("resnext50_32x4d", REAL_ARCHITECTURES[0]), 2
SAMPLES_OF = ("resnet18", REAL_ARCHITECTURES[0])
SAMPLE_FIGURES = ("figure4", "figure5", "figure6")
TASKS: dict[str, tuple[str, ...]] = {
    "real": ("real:solar_cells", "real:photos", "real:mnist5k"),
    "embedded": ("signs", "photos", "textures"),
    "paper": ("aircraft", "flowers", "cars"),
}
"""Tasks of Figures 4 to 6, in this order; Figure 3 shows aircraft and cars, here the first two of the others."""
MEAN_TASKS: dict[str, tuple[str, ...]] = {
    "real": ("real:solar_cells", "real:photos"),
    "embedded": ("signs", "photos"),
    "paper": ("aircraft", "cars"),
}


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One figure and the data behind it."""

    name: str
    """File stem."""
    caption: str
    figure: "Figure"
    data: pd.DataFrame | None = None


def rows_with_gates(folder: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """Those of the runs whose gates lie below `folder`, the results of one scale."""
    return rows[rows["run_id"].isin(runs_with_gates(folder))]


OpenImages = Callable[[str, list[int]], ShownImages | None]
"""Task and places in its test split -> these images, or None where they are not to be had."""


def all_figures(
    folder: Path, scale: Scale, left_out: Collection[str] = (), images: OpenImages | None = None
) -> tuple[list[Drawn], list[GateClaim]]:
    """What can be drawn from `folder` (the results of one scale), and the claims of Figure 3.

    Figures 1 and 2 need no runs; the others are left out where their data are missing. At scale local gates of the
    user's own net are shown. Gates of the runs `left_out` are not:
    those of two protocols would be averaged. Figures 4 to 6 show those of `images` that are of the data of the run.

    Raises:
        UserError: if the gates are of a rehearsal and the rows beside them are not.
    """
    gates, rows = read_gates(folder), read_rows(folder)
    if of_rehearsal(gates) and not is_rehearsal(rows):
        raise UserError(f"{folder / 'gates.csv'} was recorded in a rehearsal and is no result; delete it.")
    drawn = [
        Drawn(name="figure1", caption="Figure 1. Settings compared", figure=figure_settings(), data=SETTINGS),
        Drawn(name="figure2", caption="Figure 2. A block with its skips", figure=draw_block()),
    ]
    gates = gates[(gates["scale"] == scale) & ~gates["run_id"].isin(left_out)]
    claims: list[GateClaim] = []
    for reading, of in SHOWN_READINGS.items():
        arm = "" if reading == LITERAL else f"_{reading}"
        for net in _nets(gates, MEANS_OF, scale):
            means = _of_tasks(mean_gates(gates, net, reading), MEAN_TASKS.get(scale))
            if len(means):
                figure, caption = figure_mean_gates(means, net, reading), f"Figure 3. Mean gates{of}, {net}"
                drawn.append(Drawn(name=f"figure3{arm}", caption=caption, figure=figure, data=means))
                claims += gate_claims(means, net) if reading == LITERAL else []
        for net in _nets(gates, SAMPLES_OF, scale):
            tasks = TASKS.get(scale) or tuple(gates["task"].unique())
            for name, task in zip(SAMPLE_FIGURES, tasks, strict=False):
                part = sample_gates(gates, net, task, reading)
                if len(part):
                    caption = f"Figure {name[-1]}. Gates{of} of single images of {task}, {net}"
                    figure = figure_sample_gates(part, net, task, reading, _images_of(part, task, rows, images))
                    drawn.append(Drawn(name=name + arm, caption=caption, figure=figure, data=part))
    measured = read_variances(folder)
    if measured is not None:
        figure = figure_variance(*measured)
        drawn.append(Drawn(name="variance", caption="Variance by depth (Appendix 6)", figure=figure, data=measured[0]))
    return [_marked(one, rows) for one in drawn], claims


def _images_of(part: pd.DataFrame, task: str, rows: pd.DataFrame, images: OpenImages | None) -> ShownImages | None:
    """The sample images behind gates of one run, if they are of the data that the run recorded."""
    used = rows.loc[(rows["run_id"] == part["run_id"].iloc[0]) & (rows["column"] == task), "data_sha"]
    shown = images(task, [int(sample) for sample in part["sample"].unique()]) if images else None
    return shown if shown and (used == shown.sha).any() else None


def _marked(one: Drawn, rows: pd.DataFrame) -> Drawn:
    """Stamped, and its data with the banner, if the rows are of a rehearsal."""
    if not is_rehearsal(rows):
        return one
    stamp(one.figure)
    return one if one.data is None else replace(one, data=marked_frame(one.data, rows))


def write_figures(drawn: Iterable[Drawn], out: Path) -> list[Path]:
    """Write every figure as png and pdf, and its data as csv, the same bytes on every call."""
    paths = []
    for one in drawn:
        one.figure.draw_without_rendering()
        one.figure.set_layout_engine("none")  # laid out once, not once for each kind
        kinds: tuple[Literal["png", "pdf"], ...] = ("png", "pdf")
        for kind in kinds:
            content = BytesIO()
            dates = {"CreationDate": None} if kind == "pdf" else {}
            one.figure.savefig(content, format=kind, dpi=200, metadata=dates)
            paths.append(out / f"{one.name}.{kind}")
            _replace(paths[-1], content.getvalue())
        if one.data is not None:
            paths.append(out / f"{one.name}.csv")
            text = one.data.to_csv(index=False, lineterminator="\n", float_format="%.6g")
            _replace(paths[-1], text.encode())
    return paths


def _replace(path: Path, content: bytes) -> None:
    with whole_file(path) as partial:
        partial.write_bytes(content)


def _nets(gates: pd.DataFrame, wanted: tuple[str, ...], scale: Scale) -> list[str]:
    there = list(gates["architecture"].unique())
    return there[:1] if scale == "local" else [net for net in there if net in wanted]


def _of_tasks(means: pd.DataFrame, tasks: tuple[str, ...] | None) -> pd.DataFrame:
    if tasks is None:
        return means[means["task"].isin(means["task"].unique()[:MEANS_TASKS])]
    return means[means["task"].isin(tasks)]
