"""Figures: the numbers behind each one, nothing that overlaps, and claims that can fail."""

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_rows import plain_run
from gate_rows import frame_of, gates_of, write_world
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.text import Text
from synthetic import synthetic_frame

from benchmarks.data.shown import ShownImages
from benchmarks.records.collected import write_rows
from benchmarks.records.rows import Row, to_frame
from benchmarks.records.variance import (
    correlation_path,
    variance_path,
)
from delta_core.training.gate_figure import draw_gates
from reports import paper
from reports.figures.gate_claims import gate_claims
from reports.figures.gates import difference_of_means, figure_mean_gates, mean_gates, sample_gates
from reports.figures.index import all_figures, write_figures
from reports.figures.settings import SETTINGS, figure_settings
from reports.figures.variance import figure_variance
from reports.tables.ablation import ablation_figure, ablation_frame, ablation_page, pareto
from reports.tables.scratch import SCRATCH_TABLES, ScratchTable, scratch_frame, scratch_page


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts that cover each other; numbers on axes, which matplotlib thins out itself, left out."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    sides = [side for axes in figure.findobj(Axes) for side in (axes.xaxis, axes.yaxis)]
    ticks = [tick for side in sides for tick in (*side.get_major_ticks(), *side.get_minor_ticks())]
    numbers = {id(label) for tick in ticks for label in (tick.label1, tick.label2)}
    found = {id(text): text for text in figure.findobj(Text) if text.get_text() and id(text) not in numbers}
    boxes = [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in found.values()]
    return [(a, b) for (a, one), (b, other) in combinations(boxes, 2) if one.overlaps(other)]


# --- data behind the figures -------------------------------------------------------------------------------------


def test_mean_gates_average_runs_and_leave_single_images_out(tmp_path: Path) -> None:
    second = gates_of("resnet18", "signs", 0.6, run_id="second", seed=1)
    single = gates_of("resnet18", "signs", 0.9, sample=3, label=1)
    found = mean_gates(frame_of([*gates_of("resnet18", "signs", 0.2), *single, *second], tmp_path), "resnet18")
    assert len(found) == 4 * 3
    assert found["value"].tolist() == pytest.approx([0.4] * 12)
    assert set(found["n_seeds"]) == {2} and set(found["n_examples"]) == {800}


def test_readings_are_never_averaged(tmp_path: Path) -> None:
    """Table 8 leaves gates of two readings of the paper for one net, task and seed."""
    literal = gates_of("resnet18", "signs", 0.2) + gates_of("resnet18", "signs", 0.3, sample=3, label=1)
    ours = [replace(row, value=0.9, run_id="0ours", variant="maps") for row in literal]
    gates = frame_of([*ours, *literal], tmp_path)
    assert mean_gates(gates, "resnet18")["value"].tolist() == pytest.approx([0.2] * 12)
    assert set(mean_gates(gates, "resnet18")["n_seeds"]) == {1}
    assert mean_gates(gates, "resnet18", "maps")["value"].tolist() == pytest.approx([0.9] * 12)
    assert sample_gates(gates, "resnet18", "signs")["value"].tolist() == pytest.approx([0.3] * 12)


def test_samples_are_those_of_one_run(tmp_path: Path) -> None:
    rows = [
        row
        for seed in (0, 1)
        for row in gates_of("resnet18", "signs", 0.1 * seed, run_id=f"r{seed}", seed=seed, sample=2, label=1)
    ]
    found = sample_gates(frame_of(rows, tmp_path), "resnet18", "signs")
    assert set(found["run_id"]) == {"r0"} and len(found) == 12


def test_cells_of_figure_3_hold_the_mean_gates(tmp_path: Path) -> None:
    rows = gates_of("resnext50_32x4d", "signs", 0.25)
    rows = [replace(row, value=0.75) if (row.block, row.source, row.target) == (2, 0, 3) else row for row in rows]
    figure = figure_mean_gates(mean_gates(frame_of(rows, tmp_path), "resnext50_32x4d"), "resnext50_32x4d")
    panels = list(figure.findobj(lambda found: isinstance(found, Axes) and found.get_xlabel() == "from node"))
    assert [int((~panel.collections[0].get_array().mask).sum()) for panel in panels] == [6, 10, 21, 6]
    second = panels[1].collections[0].get_array()
    assert second[2, 0] == 0.75 and second[2, 1] == second[2, 2] == 0.25, "row = target - 1, column = source"
    bold = [text.get_text() for text in panels[1].texts if text.get_fontweight() == "bold"]
    assert bold == ["0.75"]


def test_gates_around_the_base_are_coloured_by_their_distance_from_it() -> None:
    lines = [
        {"row": "a", "block": 1, "source": s, "target": t, "existing": s == t - 1} for s, t in ((0, 1), (0, 2), (1, 2))
    ]
    values = (1.4, -0.3, 1.0)
    figure = draw_gates(
        pd.DataFrame([line | {"value": v} for line, v in zip(lines, values, strict=True)]), title="", around="base"
    )
    mesh = next(axes for axes in figure.findobj(Axes) if axes.get_xlabel() == "from node").collections[0]
    assert mesh.get_array().compressed().tolist() == pytest.approx([0.4, -0.3, 0.0])
    assert mesh.get_clim() == (-1, 1)
    shown = [text.get_text() for text in figure.findobj(Text) if text.get_text() in ("1.40", "-0.30", "1.00")]
    assert sorted(shown) == ["-0.30", "1.00", "1.40"]


def test_figure_3_ends_with_what_differs_between_two_tasks(tmp_path: Path) -> None:
    rows = gates_of("resnet18", "signs", 0.5) + gates_of("resnet18", "photos", 0.6)
    means = mean_gates(frame_of(rows, tmp_path), "resnet18")
    first = means["task"].iloc[0]
    expected = 0.1 if first == "photos" else -0.1
    assert difference_of_means(means)["value"].tolist() == pytest.approx([expected] * 12)
    assert difference_of_means(means[means["task"] == "signs"]).empty
    figure = figure_mean_gates(means, "resnet18")
    panels = [axes for axes in figure.findobj(Axes) if axes.get_xlabel() == "from node"]
    assert len(panels) == 3 * 4
    last = panels[-1].collections[0]
    assert last.get_array().compressed().tolist() == pytest.approx([expected] * 3)
    assert last.get_clim() == (-0.25, 0.25)
    assert overlapping(figure) == []


def shown(*places: int, sha: str = "d1") -> ShownImages:
    images = {place: np.full((32, 32, 3), place, dtype=np.uint8) for place in places}
    return ShownImages(images=images, class_names=tuple("abcdefgh"), sha=sha)


@pytest.mark.parametrize(("sha", "is_shown"), [("d1", True), ("other data", False)])
def test_figures_4_to_6_show_the_image_and_its_class_where_they_are_those_of_the_run(
    sha: str, is_shown: bool, tmp_path: Path
) -> None:
    write_world(tmp_path)
    rows = [replace(plain_run(patch=80.0, task="signs", column="signs")[0], run_id="resnet18-signs-0")]
    write_rows(tmp_path, to_frame(rows))
    asked: list[tuple[str, list[int]]] = []

    def images(task: str, places: list[int]) -> ShownImages:
        asked.append((task, places))
        return shown(*places, sha=sha)

    drawn, _ = all_figures(tmp_path, "embedded", images=images)
    figure = next(one.figure for one in drawn if one.name == "figure4")
    assert ("signs", [0, 7]) in asked
    pixels = [image.get_array()[0, 0, 0] for image in figure.findobj(AxesImage)]
    headings = {text.get_text() for text in figure.findobj(Text)}
    assert pixels == ([0, 7] if is_shown else [])
    assert ("test image 7, class 7: h" in headings) == is_shown
    assert ("test image 7, class 7" in headings) != is_shown
    assert any("not on this machine" in heading for heading in headings) != is_shown
    assert overlapping(figure) == []


# --- claims ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "last", "expected"),
    [(0.05, 0.95, [True, True]), (0.11, 0.95, [False, True]), (0.05, 0.85, [True, False])],
)
def test_claims_hold_or_fail_on_measured_gates(low: float, last: float, expected: list[bool], tmp_path: Path) -> None:
    rows = [replace(row, value=last) if row.block == 4 else row for row in gates_of("resnet18", "signs", 0.5)]
    rows[0] = replace(rows[0], value=low)
    claims = gate_claims(mean_gates(frame_of(rows, tmp_path), "resnet18"), "resnet18")
    assert [claim.name for claim in claims] == ["some-gates-near-zero", "last-block-near-one"]
    assert [claim.holds for claim in claims] == expected
    assert f"{last:.2f}" in claims[1].measured


# --- pictures ----------------------------------------------------------------------------------------------------


def test_everything_is_drawn_without_overlaps(tmp_path: Path) -> None:
    write_world(tmp_path)
    drawn, claims = all_figures(tmp_path, "embedded")
    assert [one.name for one in drawn] == [
        *(f"figure{n}" for n in range(1, 7)),
        *(f"figure{n}_maps" for n in range(3, 7)),
        "variance",
    ]
    assert len(claims) == 4
    for one in drawn:
        assert overlapping(one.figure) == [], one.name


def test_scale_real_shows_its_first_net_on_its_own_tasks(tmp_path: Path) -> None:
    tasks = [f"real:{name}" for name in ("mnist5k", "solar_cells", "photos", "optdigits")]
    rows = []
    for net in ("tf_efficientnet_lite0", "tf_efficientnet_lite1"):
        for task in tasks:
            run = {"run_id": f"{net}-{task}", "architecture": net, "scale": "real"}
            rows += gates_of("resnet18", task, **run)
            rows += gates_of("resnet18", task, **run, sample=0, label=0, sd=None, n_examples=1)
    frame_of(rows, tmp_path)
    drawn, _ = all_figures(tmp_path, "real")
    of_gates = {one.name: one for one in drawn[2:]}
    assert list(of_gates) == ["figure3", "figure4", "figure5", "figure6"]
    assert all("tf_efficientnet_lite0" in one.caption for one in of_gates.values())
    data = of_gates["figure3"].data
    assert data is not None
    assert set(data["task"]) == {"real:solar_cells", "real:photos"}
    assert [of_gates[f"figure{n}"].caption.split(" of ")[-1].split(",")[0] for n in (4, 5, 6)] == [
        "real:solar_cells", "real:photos", "real:mnist5k",
    ]  # fmt: skip


def test_files_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    write_world(tmp_path)
    once, again = (write_figures(all_figures(tmp_path, "embedded")[0][3:4], tmp_path / name) for name in ("a", "b"))
    assert [path.name for path in once] == ["figure4.png", "figure4.pdf", "figure4.csv"]
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]


def test_without_runs_only_the_drawn_figures_are_there(tmp_path: Path) -> None:
    assert [one.name for one in all_figures(tmp_path, "paper")[0]] == ["figure1", "figure2"]


def test_figure_1_says_what_its_frame_says() -> None:
    texts = {text.get_text() for text in figure_settings().axes[0].texts}
    assert set(SETTINGS["setting"]) | set(SETTINGS["storage"]) | set(SETTINGS["base accuracy"]) <= texts
    assert SETTINGS.set_index("setting").loc["Delta-Patching", "backbone"] == "frozen"


def test_variance_figure_has_a_point_and_a_line_for_every_arm(tmp_path: Path) -> None:
    write_world(tmp_path)
    variances = pd.read_csv(variance_path(tmp_path))
    figure = figure_variance(variances, pd.read_csv(correlation_path(tmp_path)))
    first = figure.axes[0]
    assert [len(line.get_xdata()) for line in first.lines if len(line.get_xdata())] == [9, 9, 9, 9]
    assert first.get_yscale() == "log"


# --- ablation ----------------------------------------------------------------------------------------------------


def ablation_rows() -> list[Row]:
    rows: list[Row] = []
    for task, shift in (("signs", 0.0), ("photos", 10.0)):
        for seed in (0, 1):
            same = {"suite": "ablation", "task": task, "column": task, "seed": seed, "base": None}
            rows += plain_run(**same, patch=40 + shift + 5 * seed)
            for arm, gain, params, gmac in (
                ("default", 6.0, 600_000, 0.1),
                ("BN: none", 2.0, 600_000, 0.2),
                ("modules: last 1", 3.0, 400_000, 0.05),
            ):
                run = plain_run(
                    **same,
                    method="delta_networks",
                    n_delta_modules=4,
                    variant=arm,
                    patch=40 + shift + 5 * seed + gain + seed,
                    params_delta_full_size=params,
                )
                rows += [*run, replace(run[0], split="val", metric="added_gmac", value=gmac)]
    return rows


def test_ablation_gains_are_paired_and_averaged_over_tasks() -> None:
    found = ablation_frame(to_frame(ablation_rows())).set_index("arm")
    assert found["gain"].to_dict() == pytest.approx({"default": 6.5, "BN: none": 2.5, "modules: last 1": 3.5})
    assert found.loc["default", ["n", "params", "gmac"]].tolist() == [2, 600_000, 0.1]
    partial = to_frame([row for row in ablation_rows() if (row.task, row.variant) != ("signs", "BN: none")])
    assert "BN: none" not in set(ablation_frame(partial)["arm"]), "not measured on every task"


def test_pareto_front_holds_what_nothing_beats() -> None:
    frame = ablation_frame(to_frame(ablation_rows()))
    assert pareto(frame, "params")["arm"].tolist() == ["modules: last 1", "default"]
    assert overlapping(ablation_figure(frame, "embedded")) == []
    assert ablation_page(frame, "embedded").blocks[0].cells["method"].tolist() == [
        "default",
        "modules: last 1",
        "BN: none",
    ]


def test_an_arm_of_fewer_seeds_says_so() -> None:
    rows = [row for row in ablation_rows() if (row.variant, row.seed) != ("BN: none", 1)]
    page = ablation_page(ablation_frame(to_frame(rows)), "embedded")
    gains = dict(zip(page.blocks[0].cells["method"], page.blocks[0].cells["gain"], strict=True))
    assert gains["BN: none"] == "+2.00 [n=1]"
    assert "[n=" not in gains["default"]
    assert "unless a cell says [n=...]" in page.caption


def test_no_two_arms_look_the_same() -> None:
    frame = ablation_frame(synthetic_frame().query("suite == 'ablation'"))
    left = ablation_figure(frame, "embedded").axes[0]
    looks = {(str(dots.get_facecolor()), str(dots.get_paths()[0].vertices)) for dots in left.collections}
    assert len(looks) == len(left.collections) == len(frame) > 10


# --- from scratch ------------------------------------------------------------------------------------------------


def test_scratch_table_pairs_seeds_and_shows_the_large_task_in_top5() -> None:
    rows: list[Row] = []
    for seed in (0, 1):
        for method, more in (("standard", 0.0), ("delta_networks", 2.0 + seed)):
            same = {
                "suite": "table13",
                "weights": "scratch",
                "method": method,
                "seed": seed,
                "base": None,
                "n_delta_modules": 4 if more else 0,
            }
            rows += plain_run(**same, task="shapes", column="shapes", patch=50 + more)
            large = plain_run(**same, task="glyphs62", column="glyphs62", patch=30 + more)
            rows += [*large, *(replace(row, metric="top5", value=row.value + 40) for row in large)]
    table = SCRATCH_TABLES[1]
    frame = scratch_frame(to_frame(rows), table, "embedded")
    found = frame.set_index(["method", "task"])
    assert found.loc[("delta_networks", "shapes"), ["mean", "gain", "gain_sd"]].tolist() == pytest.approx(
        [52.5, 2.5, 0.5**0.5]
    )
    assert found.loc[("standard", "glyphs62"), ["metric", "mean"]].tolist() == ["top5", 70.0]
    page = scratch_page(frame, table, "embedded")
    assert sorted(page.blocks[0].cells.columns) == ["glyphs62 top-5", "method", "shapes"]
    assert page.blocks[0].cells["shapes"].tolist() == ["50.00 ±0.00", "52.50 ±0.71", "+2.50 ±0.71"]
    assert page.blocks[0].best["shapes"].tolist() == [False, True, False]
    assert page.blocks[-1].cells.shape == (4, 5)
    assert page.commands == ()


@pytest.mark.parametrize("table", SCRATCH_TABLES, ids=lambda table: table.name)
def test_from_scratch_every_task_but_imagenet_stands_in_top1_beside_the_printed_number(table: ScratchTable) -> None:
    """CIFAR-100, Aircraft and Cars have many classes too; their printed numbers are top-1, and rows may hold both."""
    printed = paper.printed(table.number)
    cells = printed[["architecture", "method", "n_delta_modules", "task"]].drop_duplicates()
    rows = [
        replace(row, metric=metric)
        for net, method, n, task in cells.itertuples(index=False, name=None)
        for metric in ("top1", "top5")
        for row in plain_run(
            suite=table.name, scale="paper", architecture=net, method=method, n_delta_modules=int(n), task=task,
            column=task, weights="scratch", base=None, patch=50.0 if metric == "top1" else 80.0,
        )
    ]  # fmt: skip
    frame = scratch_frame(to_frame(rows), table, "paper")
    assert len(frame) == len(cells)
    assert frame["mean"].notna().all() and frame["printed"].notna().all()
    assert (frame["metric"] == "top5").tolist() == (frame["task"] == "imagenet").tolist()
    assert (frame["mean"] == frame["metric"].map({"top1": 50.0, "top5": 80.0})).all()
    assert scratch_page(frame, table, "paper").commands == ()


def test_scratch_gains_are_of_the_seeds_that_have_both_ways() -> None:
    same = {"suite": "table12", "weights": "scratch", "base": None, "task": "a", "column": "a"}
    rows = [row for seed in (0, 1) for row in plain_run(**same, method="standard", seed=seed, patch=5)]
    rows += plain_run(**same, method="delta_networks", n_delta_modules=4, patch=6)
    page = scratch_page(scratch_frame(to_frame(rows), SCRATCH_TABLES[0], "embedded"), SCRATCH_TABLES[0], "embedded")
    assert page.blocks[0].cells["a"].tolist() == ["5.00 ±0.00", "6.00 [n=1]", "+1.00 [n=1]"]


def test_scratch_table_names_what_was_measured_in_one_way_alone() -> None:
    same = {"suite": "table12", "weights": "scratch", "base": None}
    rows = [row for task in ("a", "b") for row in plain_run(**same, method="standard", task=task, column=task, patch=5)]
    rows += plain_run(**same, method="delta_networks", n_delta_modules=4, task="a", column="a", patch=6)
    page = scratch_page(scratch_frame(to_frame(rows), SCRATCH_TABLES[0], "embedded"), SCRATCH_TABLES[0], "embedded")
    assert page.commands == ("nox -s table12 -- --scale embedded --arch resnet18 --task b",)
