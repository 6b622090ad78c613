"""The overview: its numbers are those of the tables, nothing is filled in, and the pictures hold them."""

import json
from pathlib import Path

import pandas as pd
import pytest
from fake_rows import fake_table2, plain_run

from benchmarks.records.rows import Row, to_frame
from reports.overview.cells import ALL_NETS, HEAD, Overview, overview
from reports.overview.charts import charts, choices
from reports.overview.files import write_overview
from reports.tables.patching_frame import table_frame
from reports.tables.patching_lines import TABLES
from reports.tables.patching_page import labels

TABLE2 = next(table for table in TABLES if table.number == 2)
NETS = ["resnet18", "convnext_tiny"]


def rows() -> list[Row]:
    return fake_table2(architectures=NETS)


def of(made: list[Row]) -> Overview:
    found = overview(to_frame(made), "embedded")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def found() -> Overview:
    return of(rows())


def in_table() -> pd.DataFrame:
    """Harmonic means of Table 2 that compete, by net, task and label."""
    frame = table_frame(to_frame(rows()), TABLE2, "embedded")
    frame = frame.assign(label=labels(frame))
    frame = frame[(frame["role"] == "method") & frame["mean"].notna()]
    return frame.set_index(["architecture", "task", "label"])


def data_of(chart: object) -> pd.DataFrame:
    """What a chart holds."""
    (values,) = json.loads(chart.to_json())["datasets"].values()
    return pd.DataFrame(values)


def test_a_cell_is_the_table_s_number_less_that_of_a_new_head(found: Overview) -> None:
    table = in_table()
    shown = data_of(charts(found)["heatmap"])
    shown = shown[shown["scope"] != ALL_NETS]
    assert len(shown) == (table.index.get_level_values("label") != HEAD).sum() > 30
    for line in shown.itertuples():
        ours, head = (table.loc[(line.net, line.task, label), "mean"] for label in (line.label, HEAD))
        assert line.value == pytest.approx(ours, abs=1e-3)
        assert line.difference == pytest.approx(ours - head, abs=1e-3)


def test_a_point_is_the_mean_over_cells_at_what_the_runs_trained(found: Overview) -> None:
    table = in_table()
    points = data_of(charts(found)["pareto"]).set_index(["scope", "label"])
    point = points.loc[("resnet18", "Delta (4)")]
    ours = [table.loc[("resnet18", task, "Delta (4)"), "mean"] for task in ("signs", "textures")]
    head = [table.loc[("resnet18", task, HEAD), "mean"] for task in ("signs", "textures")]
    assert point["mean"] == pytest.approx(sum(ours) / 2, abs=1e-3)
    assert point["gain"] == pytest.approx((sum(ours) - sum(head)) / 2, abs=1e-3)
    assert point["params"] == 4 * 30_000 + 130, "head included"
    assert (point["train_s"], point["n_cells"], point["n_seeds"]) == (1.0, 2, 3)
    assert point["sd"] > 0
    assert points.loc[("resnet18", HEAD), "params"] == 130


def test_the_front_holds_what_nothing_beats_at_its_cost(found: Overview) -> None:
    points = data_of(charts(found)["pareto"])
    net = points[points["scope"] == "resnet18"]
    for line in net.itertuples():
        beaten = (net["params"] <= line.params) & (net["mean"] > line.mean)
        equal_and_cheaper = (net["params"] < line.params) & (net["mean"] == line.mean)
        assert line.front_params == (not beaten.any() and not equal_and_cheaper.any()), line.label


def test_an_arm_that_a_net_cannot_have_is_shown_net_by_net(found: Overview) -> None:
    assert set(found.left_out[ALL_NETS]) == {"PAINT lr=0.001+bn", "PAINT lr=1e-05+bn"}
    by_scope = found.means.groupby("scope")["label"].agg(set)
    assert "PAINT lr=0.001+bn" in by_scope["resnet18"]
    assert "PAINT lr=0.001+bn" not in by_scope[ALL_NETS] | by_scope["convnext_tiny"]
    assert found.left_out["resnet18"] == ()


def test_what_is_missing_stays_missing() -> None:
    """One cell of Delta (4) was not measured: means and ranks are over the other three, for everybody."""
    made = [
        row
        for row in rows()
        if (row.architecture, row.task, row.n_delta_modules, row.variant) != ("resnet18", "signs", 4, "maps")
    ]
    found = of(made)
    assert set(found.means.set_index("scope").loc[ALL_NETS, "n_cells"]) == {3}
    assert set(found.means.set_index("scope").loc["resnet18", "n_cells"]) == {1}
    net = found.cells[(found.cells["scope"] == "resnet18") & (found.cells["task"] == "signs")]
    assert "Delta (4)" not in set(net["label"]) and "Delta (2)" in set(net["label"])
    assert (found.ranks["scope"] == "resnet18").sum() == 0, "one cell is no comparison of ranks"


def test_a_method_of_few_cells_takes_none_from_the_others() -> None:
    tasks = ("signs", "textures", "photos")
    made = fake_table2(architectures=["resnet18"], tasks=tasks)
    made += [row for seed in range(3) for row in plain_run(method="lora", patch=99.0, seed=seed)]
    found = of(made)
    assert found.left_out == {"resnet18": ("LoRA (ours)",)}
    assert set(found.means["n_cells"]) == {3}
    assert "LoRA (ours)" in set(found.cells["label"])


def test_ranks_are_means_over_cells(found: Overview) -> None:
    ranks = found.ranks[found.ranks["scope"] == ALL_NETS].set_index("label")
    wide = in_table()["mean"].unstack("label")[list(ranks.index)]
    assert len(wide.dropna()) == len(wide) == ranks["n_cells"].iloc[0] == 4
    assert ranks["rank"].to_dict() == pytest.approx(wide.rank(axis=1, ascending=False).mean().to_dict())
    assert ranks["rank"].is_monotonic_increasing


def test_two_bases_of_one_net_are_two_nets() -> None:
    made = fake_table2(architectures=["resnet18"], seeds=[0])
    other = to_frame(made).assign(weights="other", run_id=lambda rows: rows["run_id"] + "-other", task="photos")
    other["column"] = other["column"].replace({"signs": "photos", "textures": "photos"})
    other = other[other["run_id"].str.contains("signs")]
    found = overview(pd.concat([to_frame(made), other], ignore_index=True), "embedded")
    assert found is not None
    assert set(found.scopes) == {ALL_NETS, "resnet18 embedded-digits", "resnet18 other"}


def test_without_a_new_head_there_is_nothing_to_compare_with() -> None:
    assert overview(to_frame([]), "embedded") is None
    assert overview(to_frame([row for row in rows() if row.method != "fc_only"]), "embedded") is None
    assert overview(to_frame([row for row in rows() if row.method == "fc_only"]), "embedded") is None


def test_rows_that_no_claim_is_about_have_an_overview(tmp_path: Path) -> None:
    found = of([row for row in rows() if row.method in ("fc_only", "paint")])
    assert found.claims.empty
    assert write_overview(found, tmp_path)


def test_every_case_of_the_claims_is_a_tile(found: Overview) -> None:
    tiles = data_of(charts(found)["claims"])
    assert len(tiles) == len(found.claims) > 20
    assert (tiles["verdict"] == "holds").sum() == found.claims["holds"].astype(bool).sum()
    assert set(tiles["net"]) == set(NETS)


def test_the_reader_can_choose_nets_families_and_methods(found: Overview) -> None:
    chosen = choices(found)
    assert chosen.net == (ALL_NETS, *NETS)
    assert {"all methods", "Delta", "PAINT", "Delta (4)", "Delta (4) paper"} <= set(chosen.method)
    assert HEAD not in chosen.method
    assert len(set(chosen.method)) == len(chosen.method)
    spec = json.loads(charts(found, "own-")["ranks"].to_json())
    assert {p["name"]: p["bind"]["element"] for p in spec["params"]} == {
        "net": "#own-net", "method": "#own-method", "cost": "#own-cost",
    }  # fmt: skip


def test_pictures_for_papers_are_drawn_with_their_numbers_beside_them(found: Overview, tmp_path: Path) -> None:
    once, again = (write_overview(found, tmp_path / name) for name in ("a", "b"))
    assert [path.name for path in once] == [
        f"overview_{name}.{kind}" for name in ("pareto", "ranks", "heatmap", "claims") for kind in ("png", "pdf", "csv")
    ]
    starts = {".png": b"\x89PNG", ".pdf": b"%PDF", ".csv": b"s"}
    assert all(path.read_bytes().startswith(starts[path.suffix]) for path in once if path.stem != "overview_claims")
    same = [(path, other) for path, other in zip(once, again, strict=True) if path.suffix != ".pdf"]
    assert [path.name for path, other in same if path.read_bytes() != other.read_bytes()] == []
    assert len(pd.read_csv(once[2])) == len(found.means)
