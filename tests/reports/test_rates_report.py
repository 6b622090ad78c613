"""The search of learning rates: what counts as a score, and which rate a method gets."""

import json
from dataclasses import replace

import pytest
from fake_rows import falling, paint_run, plain_run, rising

from benchmarks.records.names import RATES
from benchmarks.records.rows import Row, to_frame
from reports.tables.rates import MEAN, chosen_rates, rates_frame, rates_page

SAME = {"suite": RATES, "architecture": "resnet18"}


def at(rows: list[Row], rate: float, field: str = "lr") -> list[Row]:
    """Rows of a run at a rate; the other rate of the recipe is none of those searched."""
    recipe = {"lr": 7.0, "head_lr": 7.0} | {field: rate}
    config = json.dumps({"method": {"recipe": recipe}})
    return [replace(row, config=config, run_id=f"{row.run_id}-{rate}") for row in rows]


def measured(name: str, scores: dict[float, tuple[float, ...]], field: str = "lr", **more: object) -> list[Row]:
    """Validation scores on one or two tasks by rate; test scores say the opposite."""
    found: list[Row] = []
    for rate, values in scores.items():
        for task, value in zip(("signs", "textures"), values, strict=False):
            run = plain_run(**SAME, method=name, task=task, column=task, base=None, patch=value, **more)
            found += at([replace(row, value=100 - value) if row.split == "test" else row for row in run], rate, field)
    return found


def test_the_rate_with_the_highest_mean_is_chosen() -> None:
    rows = measured("lora", {0.001: (50.0, 90.0), 0.01: (80.0, 80.0), 0.1: (99.0, 10.0)})
    frame = rates_frame(to_frame(rows))
    assert chosen_rates(frame, "resnet18") == {"lora": 0.01}
    assert frame[frame["task"] == MEAN].set_index("rate")["score"].to_dict() == {0.001: 70.0, 0.01: 80.0, 0.1: 54.5}


def test_of_equal_rates_the_lowest_is_chosen() -> None:
    rows = measured("lora", {0.01: (80.0, 80.0), 0.001: (90.0, 70.0)})
    assert chosen_rates(rates_frame(to_frame(rows)), "resnet18") == {"lora": 0.001}


def test_a_method_with_a_rate_that_missed_a_task_gets_none() -> None:
    rows = measured("lora", {0.001: (50.0, 90.0), 0.01: (80.0,)}) + measured("bitfit", {0.001: (50.0, 50.0)})
    frame = rates_frame(to_frame(rows))
    assert chosen_rates(frame, "resnet18") == {"bitfit": 0.001}
    assert frame[(frame["name"] == "lora") & (frame["rate"] == 0.01) & (frame["task"] == MEAN)]["score"].isna().all()


@pytest.mark.parametrize("name", ["fc_only", "batchnorm_adapt"])
def test_where_the_head_is_all_its_rate_is_the_one(name: str) -> None:
    rows = measured(name, {0.001: (50.0, 50.0), 0.01: (60.0, 60.0)}, field="head_lr")
    assert chosen_rates(rates_frame(to_frame(rows)), "resnet18") == {name: 0.01}


def test_readings_of_delta_are_methods_of_their_own() -> None:
    delta = {"n_delta_modules": 4}
    rows = measured("delta_networks", {0.001: (50.0, 50.0), 0.01: (60.0, 60.0)}, variant="maps", **delta)
    rows += measured("delta_networks", {0.001: (70.0, 70.0), 0.01: (60.0, 60.0)}, variant="paper", **delta)
    found = {"delta_networks:maps": 0.01, "delta_networks:paper": 0.001}
    frame = rates_frame(to_frame(rows))
    assert chosen_rates(frame, "resnet18") == found
    cells = rates_page(frame, "embedded").blocks[0].cells
    assert list(cells["method"].unique()) == ["Delta (4)", "Delta (4) paper"]


def test_paint_is_scored_by_its_best_trade_on_validation_data() -> None:
    # rising and falling cross near alpha 0.8; the second rate keeps less of the base at every alpha.
    def less(alpha: float) -> float:
        return falling(alpha) / 2

    rows: list[Row] = []
    for task in ("signs", "textures"):
        for rate, kept in ((1e-5, less), (1e-3, falling)):
            run = paint_run(
                **SAME,
                task=task,
                column=task,
                lr=f"{rate:g}",
                base=(kept, lambda _: 0.0),
                patch=(rising, lambda _: 0.0),
            )
            rows += at(run, rate)
    frame = rates_frame(to_frame(rows))
    assert chosen_rates(frame, "resnet18") == {"paint": 1e-3}
    best = max(2 * falling(a / 10) * rising(a / 10) / (falling(a / 10) + rising(a / 10)) for a in range(11))
    assert frame.loc[frame["chosen"], "score"].item() == pytest.approx(best)
