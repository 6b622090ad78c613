"""Reports of Tables 1, 3, 4, 9 and 11, claims and lint, on rows made by arithmetic."""

import ast
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from fake_rows import ALPHAS, one_row, paint_run, plain_run, rising

from benchmarks.records.rows import Row, row_schema, to_frame
from delta_core.training.errors import UserError
from reports import paper
from reports.findings import claims, lint
from reports.tables import patching_lines as tables
from reports.tables import sequence_frame as sequences
from reports.tables import sequence_page as sequence_pages
from reports.tables import table9
from reports.tables.patching_frame import table_frame
from reports.tables.patching_page import page

ROOT = Path(__file__).parents[2]
BY_NUMBER = {table.number: table for table in tables.TABLES}


def valid(rows: list[Row]) -> pd.DataFrame:
    return row_schema().validate(to_frame(rows))


def delta(n: int = 1, **changes: object) -> list[Row]:
    run = {"method": "delta_networks", "variant": "maps", "n_delta_modules": n, "patch": 80.0}
    return plain_run(**{**run, **changes})  # type: ignore[arg-type]


# --- Tables 1 and 3 ------------------------------------------------------------------------------------------------


def test_tables_share_runs_and_take_their_own() -> None:
    rows = [
        *delta(4, task="signs", column="signs"),
        *plain_run(method="lora", patch=70.0, task="strokes", column="strokes"),
        *delta(2, task="signs+photos", column="signs+photos"),
    ]
    shown = {
        number: set(table_frame(valid(rows), BY_NUMBER[number], "embedded").dropna(subset="mean")["task"])
        for number in (1, 2, 3)
    }
    assert shown == {1: {"signs", "strokes"}, 2: {"signs"}, 3: {"signs+photos"}}


def test_a_method_that_joined_leaves_no_blanks_to_fill() -> None:
    rows = delta(4) + delta(4, architecture="resnet34") + plain_run(method="lora", patch=70.0)
    frame = table_frame(valid(rows), BY_NUMBER[2], "embedded")
    blank = frame[(frame["method"] == "lora") & (frame["architecture"] == "resnet34")]
    assert set(blank["status"]) == {"not_asked"}
    assert "LoRA (ours)" in set(page(frame, BY_NUMBER[2], "embedded").blocks[0].cells["method"])


@pytest.mark.parametrize(("number", "values"), [(1, 45), (3, 48)])
def test_printed_numbers_stand_beside_ours_at_scale_paper(number: int, values: int) -> None:
    frame = table_frame(valid([]), BY_NUMBER[number], "paper")
    once = frame.dropna(subset="printed").drop_duplicates(["architecture", "method", "n_delta_modules", "task"])
    assert len(once) == values


# --- Tables 4 and 11 -----------------------------------------------------------------------------------------------


def walked(rule: str, *, seed: int = 0, best: float = 0.4, architecture: str = "resnet18") -> list[Row]:
    """PAINT's last step: on val everything is best at `best`; on test values say their alpha."""
    rows = []
    for alpha in ALPHAS:
        for column, shift in (("glyphs62", 0.0), ("a", 10.0), ("b", 20.0)):
            at = one_row(
                suite="sequence", run_id=f"{rule}{seed}{architecture}", architecture=architecture, method="paint",
                variant=f"lr=0.001,{rule}", task="a+b", column=column, alpha=alpha, seed=seed, base_logits_equal=None,
            )  # fmt: skip
            rows.append(replace(at, split="val", value=60 - 50 * abs(alpha - best)))
            rows.append(replace(at, value=10 * alpha + shift))
    rows.append(replace(rows[1], variant=f"lr=0.001,{rule},after=1", alpha=0.7, value=1.0))
    return rows


def single(task: str, patch: float, **changes: object) -> list[Row]:
    return [
        replace(row, column="glyphs62" if row.column == "digits" else row.column)
        for row in delta(**{"task": task, "column": task, "patch": patch, "base": 90.0, **changes})
    ]


def test_alpha_of_the_last_step_follows_the_rule_on_val_and_alpha_one_stands_beside() -> None:
    frame = sequences.table4_frame(valid(walked("mean") + walked("harmonic_mean", best=0.2)), "embedded")
    found = {line.rule: (line.mean, line.alpha) for line in frame.rename(columns={"mean": "mean"}).itertuples()}
    assert found == {"mean": (14.0, "0.4"), "harmonic_mean": (12.0, "0.2"), "end": (20.0, "1")}


def test_delta_is_a_mean_over_single_task_runs_and_needs_all_of_them() -> None:
    rows = walked("mean") + single("a", 60.0)
    assert set(sequences.table4_frame(valid(rows), "embedded")["method"]) == {"paint"}
    frame = sequences.table4_frame(valid(rows + single("b", 30.0)), "embedded")
    line = frame[frame["method"] == "delta_networks"].iloc[0]
    assert (line["mean"], line["base"], line["first"]) == (60.0, 90.0, 60.0)


def test_the_base_is_that_of_the_weights_that_learned_the_tasks() -> None:
    table1 = single("decathlon_a", 99.0, weights="of Table 1", base=50.0, before=50.0)
    frame = sequences.table4_frame(valid(table1 + walked("mean") + single("a", 60.0) + single("b", 30.0)), "embedded")
    line = frame[frame["method"] == "delta_networks"].iloc[0]
    assert (line["mean"], line["base"]) == (60.0, 90.0)


def test_a_cell_of_fewer_seeds_than_the_others_says_so() -> None:
    rows = valid(walked("mean") + walked("mean", seed=1) + single("a", 60.0) + single("b", 30.0))
    page4 = sequence_pages.table4_page(sequences.table4_frame(rows, "embedded"), "embedded")
    page11 = sequence_pages.table11_page(sequences.table11_frame(rows, "embedded"), "embedded")
    texts4 = page4.blocks[0].cells.set_index("method")["a+b"]
    assert texts4["PAINT lr=0.001, alpha by mean"] == "14.00 ±0.00 (4.0 / 14.0)"
    assert texts4["Delta (1)"] == "60.00 [n=1] (90.0 / 60.0)"
    assert "60.00 [n=1]" in set(page11.blocks[0].cells["mean"])
    for shown in (page4, page11):
        assert "over n = 2 seeds, unless a cell says [n=...]" in shown.caption


def test_nets_stand_in_the_order_of_each_printed_table() -> None:
    rows = valid([row for net in ("convnext_tiny", "own", "resnet18") for row in walked("mean", architecture=net)])
    frames = (sequences.table4_frame(rows, "embedded"), sequences.table11_frame(rows, "embedded"))
    assert [list(frame["architecture"].unique()) for frame in frames] == [
        ["resnet18", "convnext_tiny", "own"],
        ["convnext_tiny", "resnet18", "own"],
    ]


def test_a_method_whose_base_moved_has_no_mean() -> None:
    rows = walked("mean") + single("a", 60.0) + single("b", 30.0, base_logits_equal=False)
    assert set(sequences.table4_frame(valid(rows), "embedded")["method"]) == {"paint"}


def test_table11_has_every_alpha_and_delta() -> None:
    frame = sequences.table11_frame(valid(walked("mean") + single("a", 60.0) + single("b", 30.0)), "embedded")
    paint = frame[frame["method"] == "paint"]
    assert sorted(paint["alpha"].unique()) == list(ALPHAS)
    assert list(paint["column"].unique()) == ["glyphs62", "a", "b", "mean"]
    block = sequence_pages.table11_page(frame, "embedded").blocks[0].cells
    assert block.iloc[-1].tolist() == ["Delta (1)", "", "90.00", "60.00", "30.00", "60.00"]


def test_a_sequence_that_lacks_an_arm_is_named_exactly() -> None:
    """One of five arms is missing on the second sequence of one net: no share of the cells is too small to count."""

    def of(net: str, sequence: str, *methods: str) -> list[Row]:
        tasks = sequence.split("+")
        rows = [row for rule in ("mean", "harmonic_mean") for row in walked(rule)]
        names = dict(zip(("a", "b"), tasks, strict=True))
        rows = [
            replace(row, run_id=f"{row.run_id}{net}{sequence}", architecture=net, task=sequence,
                    column=names.get(row.column, row.column))
            for row in rows
        ]  # fmt: skip
        alone = [(m, t) for m in methods for t in tasks]
        return rows + [row for m, t in alone for row in single(t, 60.0, method=m, variant="maps", architecture=net)]

    rows = of("resnet18", "a+b", "delta_networks") + of("resnet18", "c+d", "delta_networks")
    rows += of("convnext_tiny", "a+b", "delta_networks") + of("convnext_tiny", "c+d")
    rows += single("a", 1.0, architecture="resnet18", method="lora", variant="")
    rows += single("b", 1.0, architecture="resnet18", method="lora", variant="")
    for number in (4, 11):
        frame = getattr(sequences, f"table{number}_frame")(valid(rows), "embedded")
        laid = getattr(sequence_pages, f"table{number}_page")(frame, "embedded")
        assert laid.commands == (f"nox -s table{number} -- --scale embedded --arch convnext_tiny --task c+d",)
        assert (frame["method"] == "lora").any(), "it joined by name, and is asked for nowhere else"


def test_sequences_of_two_protocols_are_refused() -> None:
    other = [replace(row, run_id="other", protocol="epochs=9", seed=1) for row in walked("mean")]
    for number in (4, 11):
        with pytest.raises(UserError, match="mixes the protocols"):
            getattr(sequences, f"table{number}_frame")(valid(walked("mean") + other), "embedded")
    again = [replace(row, run_id="again") for row in walked("mean")]
    with pytest.raises(UserError, match="same cell with the same seed"):
        sequences.table4_frame(valid(walked("mean") + again), "embedded")
    mixed = [row for seed in (0, 1) for row in delta(seed=seed, protocol=f"epochs={seed}")]
    with pytest.raises(UserError, match="mixes the protocols"):
        claims.claims_frame(valid(mixed), "embedded")


def test_delta_rows_of_the_papers_table11_give_its_table4_but_for_the_errata() -> None:
    found = list(lint.sequence_means(paper.printed(4), paper.printed(11)))
    assert len(found) == 5, "three cells of PAINT, two of Delta (1)"


# --- Table 9 -------------------------------------------------------------------------------------------------------


def test_every_yes_of_ours_names_a_test_that_is_there() -> None:
    frame = table9.table9_frame()
    ours = frame[frame["method"] == table9.OURS]
    assert set(ours["value"]) == {"yes"} and set(ours["column"]) == set(table9.TESTS)
    for name in (name for tests in table9.TESTS.values() for name in tests):
        file, test = name.split("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name
    laid = table9.table9_page(frame)
    assert laid.blocks[0].cells.shape == (7, 5)
    assert laid.blocks[0].cells.iloc[-1].tolist() == ["delta patching", "yes[1]", "yes[2]", "yes[3]", "yes[4]"]


# --- lint ----------------------------------------------------------------------------------------------------------


def test_lint_finds_the_sure_errata_and_accuses_nothing_else() -> None:
    findings = lint.paper_findings()
    cells = {cell for finding in findings for cell in finding.cells}
    for erratum in paper.ERRATA:
        if erratum.number <= 7 or erratum.number == 10:
            assert set(erratum.cells) <= cells, erratum.number
    known = {cell for erratum in paper.ERRATA for cell in erratum.cells}
    assert all(set(finding.cells) & known for finding in findings)


def test_lint_reads_no_list_of_errata() -> None:
    source = (ROOT / "reports" / "findings" / "lint.py").read_text(encoding="utf-8")
    checks = source[: source.index("def lint_page")]
    assert "ERRATA" not in re.sub(r'""".*?"""', "", checks, flags=re.DOTALL)


def test_lint_of_our_rows_sees_a_base_that_moved() -> None:
    sound = delta() + paint_run(base=(lambda _: 90.0,) * 2, patch=(rising, rising))
    assert lint.row_findings(valid(sound)) == []
    moved = [replace(r, value=89.0) if r.phase == "after" and r.column == "digits" else r for r in delta()]
    assert lint.row_findings(valid(moved)) == [
        "resnet18 signs delta_networks maps seed 0: 89.00 on the base, but 90.00 untouched."
    ]
    drift = delta() + delta(2, before=91.0, base=91.0)
    assert "2 accuracies" in lint.row_findings(valid(drift))[0]


# --- claims --------------------------------------------------------------------------------------------------------


def counts(rows: list[Row], name: str) -> tuple[int, int]:
    frame = claims.claims_frame(valid(rows), "embedded")
    cases = frame[(frame["claim"] == name) & (frame["reading"] == "maps")]
    return int(cases["holds"].sum()), len(cases)


def flat(alpha: float) -> float:
    return 50.0 + 0 * alpha


def test_a_claim_counts_where_it_holds_and_names_where_not() -> None:
    rows = paint_run(base=(flat, flat), patch=(flat, flat)) + delta(1) + delta(2, patch=20.0) + delta(4, patch=40.0)
    name = "Delta (n) beats PAINT in every cell"
    assert counts(rows, name) == (2, 3)
    frame = claims.claims_frame(valid(rows), "embedded")
    laid = claims.claims_page(frame, "embedded")
    assert any(note.startswith(f"{name}, default, counterexamples: resnet18 signs (2) (-") for note in laid.notes)
    assert counts(rows, "more modules help") == (1, 2)
    assert counts(rows, "zero drop on the base") == (3, 3)


def test_readings_are_judged_apart_and_the_papers_comes_first() -> None:
    rows = paint_run(base=(flat, flat), patch=(flat, flat)) + delta(1) + delta(1, variant="paper", patch=20.0)
    laid = claims.claims_page(claims.claims_frame(valid(rows), "embedded"), "embedded")
    line = laid.blocks[0].cells.set_index("claim").loc["Delta (n) beats PAINT in every cell"]
    assert list(line.index[1:]) == ["paper's reading", "paper's reading, p < 0.05", "default", "default, p < 0.05"]
    assert (line["paper's reading"], line["default"]) == ("0 of 1", "1 of 1")


def test_one_point_of_drop_breaks_the_claim_of_none() -> None:
    rows = delta(1) + delta(2, base=89.0)
    assert counts(rows, "zero drop on the base") == (1, 2)


def test_three_seeds_are_tested_in_pairs() -> None:
    rows = []
    for seed, (ours, theirs) in enumerate([(80.0, 70.0), (82.0, 71.0), (81.0, 71.5)]):
        rows += delta(4, seed=seed, patch=ours)
        rows += plain_run(method="parallel_adapters", seed=seed, patch=theirs)
    name = "Delta (4) beats adapters and BatchNormAdapt"
    frame = claims.claims_frame(valid(rows), "embedded")
    line = frame[frame["claim"] == name].iloc[0]
    assert line["n"] == 3 and line["p"] < 0.05
    two = claims.claims_frame(valid([row for row in rows if row.seed < 2]), "embedded")
    assert pd.isna(two[two["claim"] == name].iloc[0]["p"]), "two seeds are too few"


def test_claims_without_runs_say_so() -> None:
    laid = claims.claims_page(claims.claims_frame(valid([]), "embedded"), "embedded")
    cells = laid.blocks[0].cells
    assert set(cells["paper's reading"]) == set(cells["default"]) == {"not measured"}
