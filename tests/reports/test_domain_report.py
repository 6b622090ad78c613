"""Table 6's report: nine lines in the paper's order, settings, spread, orderings, pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_rows import one_row

from benchmarks.records.collected import collect
from benchmarks.records.names import DOMAIN_ADAPTATION
from benchmarks.records.record_files import diagnostics_path, write_record
from benchmarks.records.rows import Row, to_frame
from delta_core.training.errors import UserError
from reports import cli as command
from reports.figures.domain_adaptation import curves_figure, methods_of
from reports.tables.domain_adaptation import domain_frame, domain_page

TOP1 = {"vanilla": 40.0, "vanilla+delta_networks": 45.0, "adda": 70.0, "target_only": 95.0}
SETTING = {"vanilla": "zero-shot", "adda": "unsupervised DA", "target_only": "target labels"}


def rows(task: str = "a->b", **top1: float) -> list[Row]:
    """Three seeds of four methods; validated weights are one point better, the source's accuracy is far off."""
    source, target = task.split("->")
    found = []
    for method, value in (TOP1 | top1).items():
        setting = SETTING[method.partition("+")[0]]
        for seed in range(3):
            row = one_row(
                run_id=f"{method}-{task}-{seed}",
                suite=DOMAIN_ADAPTATION,
                method=method,
                variant=setting,
                n_delta_modules=4 * ("delta" in method),
                task=task,
                column=target,
                seed=seed,
                value=value + seed,
                weights="scratch",
            )
            picked = replace(row, variant=f"{setting}, validated", value=value + seed + 1, selection="val")
            found += [row, picked, replace(row, column=source, value=1.0)]
    return found


def test_last_and_validated_weights_stand_apart() -> None:
    frame = domain_frame(to_frame(rows()), "embedded").set_index(["picked", "method"])
    for picked, more in (("last", 0.0), ("validated", 1.0)):
        line = frame.loc[(picked, "adda")]
        assert (line["mean"], line["sd"], line["n"], line["setting"]) == (71.0 + more, 1.0, 3, "unsupervised DA")


def test_lines_are_the_papers_and_what_is_missing_is_blank_with_a_command() -> None:
    page = domain_page(domain_frame(to_frame(rows()), "embedded"), "embedded")
    last = page.blocks[0].cells
    assert list(last["method"]) == [
        "Vanilla",
        "Vanilla + Delta (4)",
        "Vanilla + uniform prior",
        "Vanilla + uniform prior + Delta (4)",
        "ADDA",
        "ADDA + Delta (4)",
        "ADDA + uniform prior",
        "ADDA + uniform prior + Delta (4)",
        "Target only",
    ]
    assert list(last["setting"]) == ["zero-shot"] * 4 + ["unsupervised DA"] * 4 + ["target labels"]
    assert last["a->b"].tolist() == ["41.00 ±1.00", "46.00 ±1.00", "", "", "71.00 ±1.00", "", "", "", "96.00 ±1.00"]
    assert page.commands == ("nox -s table6 -- --scale embedded --task 'a->b'",)
    assert page.blocks[0].best["a->b"].tolist() == [False] * 4 + [True] + [False] * 4
    assert page.blocks[2].cells.loc[4, "mnist->usps"] == "88.2"


def test_at_scale_paper_the_printed_number_stands_beside_ours() -> None:
    frame = domain_frame(to_frame([replace(row, scale="paper") for row in rows("mnist->usps")]), "paper")
    page = domain_page(frame, "paper")
    assert list(page.blocks[0].cells.columns) == ["method", "setting", "mnist->usps", "usps->mnist", "svhn->mnist"]
    assert page.blocks[0].cells.loc[0].tolist() == ["Vanilla", "zero-shot", "41.00 ±1.00 (49.0)", "(42.81)", "(69.7)"]
    assert page.blocks[3].cells["mnist->usps"].tolist()[:3] == ["off by -8.00", "off by -10.50", "not run"]
    assert [block.source for block in page.blocks] == ["ours", "ours", "paper", "difference", "difference"]


@pytest.mark.parametrize(("adda", "verdict"), [(70.0, "a->b: holds"), (39.0, "a->b: DOES NOT HOLD")])
def test_the_ordering_is_told(adda: float, verdict: str) -> None:
    page = domain_page(domain_frame(to_frame(rows(adda=adda)), "embedded"), "embedded")
    assert page.notes[0] == f"Source-only < ADDA < target only: {verdict}."


def test_a_seed_that_failed_shows_in_its_cell() -> None:
    short = [row for row in rows() if row.run_id != "adda-a->b-2"]
    page = domain_page(domain_frame(to_frame(short), "embedded"), "embedded")
    assert page.blocks[0].cells.loc[4, "a->b"] == "70.50 ±0.71 [n=2]"


def test_two_protocols_do_not_meet() -> None:
    mixed = [replace(row, protocol=f"steps={row.seed}") for row in rows()]
    with pytest.raises(UserError, match="mixes the protocols"):
        domain_frame(to_frame(mixed), "embedded")


def arrays() -> dict[str, np.ndarray]:
    curve = np.array([1.0, 2.0])
    return {
        **{f"curve_{name}": curve for name in ("step", "target_top1", "score")},
        "curve_discriminator_top1": np.array([np.nan, np.nan]),
        "confusion": np.eye(10, dtype=np.int64),
        "plane": np.zeros((20, 2), dtype=np.float32),
        "labels": np.arange(20) % 10,
        "is_target": np.arange(20) >= 10,
    }


def test_command_writes_tables_and_the_pictures_of_runs_that_left_arrays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "embedded"
    found = rows()
    for run_id in {row.run_id for row in found}:
        write_record(results, [row for row in found if row.run_id == run_id])
    collect(results)
    monkeypatch.setattr("sys.argv", ["python -m reports", "table6", "--results", str(tmp_path)])
    command.main()
    assert {path.name for path in (results / "tables").iterdir()} == {"table6.csv", "table6.md", "table6.tex"}
    for run_id in ("vanilla-a->b-0", "adda-a->b-1"):
        np.savez(diagnostics_path(results, run_id), **arrays())
    command.main()
    pictures = {path.name for path in (results / "tables").glob("*.svg")}
    assert pictures == {"table6_curves.svg", "table6_embeddings.svg", "table6_confusion.svg"}


def test_a_method_looks_the_same_in_every_panel_and_stands_in_the_tables_order() -> None:
    curves = arrays() | {"curve_discriminator_top1": np.array([60.0, 55.0])}
    methods = ("adda", "target_only", "vanilla+delta_networks", "vanilla")
    found = {(task, method): curves for task in ("a->b", "b->a") for method in methods}
    assert methods_of(found) == ["vanilla", "vanilla+delta_networks", "adda", "target_only"]
    figure = curves_figure(found)
    looks: dict[str, set[tuple[str, str]]] = {method: set() for method in methods}
    for axes in figure.axes:
        for line in axes.lines:
            looks[str(line.get_label())].add((line.get_color(), line.get_linestyle()))
    assert all(len(look) == 1 for look in looks.values())
    assert len(set().union(*looks.values())) == len(methods)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == methods_of(found)
