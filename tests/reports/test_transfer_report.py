"""Table 5's report: seeds and rates averaged, printed beside measured, blanks with their command."""

import itertools
from dataclasses import replace

import pandas as pd
import pytest
from fake_rows import one_row

from benchmarks.records.rows import Row, Scale, to_frame
from benchmarks.suites.transfer.methods.listing import LABELS
from delta_core.training.errors import UserError
from reports.findings.explain import explain
from reports.pages.render import to_latex, to_markdown
from reports.tables.transfer import RATES, transfer_frame, transfer_page


def fake(scale: str = "embedded", seeds: int = 2, tasks: tuple[str, ...] = ("planes", "autos")) -> list[Row]:
    """Rows of nine methods: the value says method, rate, seed and selection."""
    rows = []
    for (m, method), (t, task), (r, rate), seed in itertools.product(
        enumerate(LABELS), enumerate(tasks), enumerate(RATES), range(seeds)
    ):
        template = one_row(
            run_id=f"{method}-{task}-{rate}-{seed}",
            suite="transfer",
            scale=scale,
            architecture="resnet50",
            method=method,
            n_delta_modules=4 if method.endswith("delta_networks") else 0,
            task=task,
            column=task,
            seed=seed,
            protocol=f"px=32,crop=0.6,steps=5x30,train={rate}%",
            data_sha=task,
            base_logits_equal=None,
            value=10.0 * r + m + 30 * t + 2 * seed,
        )
        oracle = replace(template, selection="oracle", value=template.value + 0.5)
        rows += [template, oracle, replace(template, split="val", value=99.0)]
    return rows


def value(frame: pd.DataFrame, method: str, task: str, rate: str, selection: str = "last") -> pd.Series:
    wanted = {"method": method, "task": task, "rate": rate, "selection": selection}
    found = frame[(frame[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    assert len(found) == 1
    return found.iloc[0]


def test_report_averages_seeds_and_rates() -> None:
    frame = transfer_frame(to_frame(fake()), "embedded")
    cell = value(frame, "bss", "autos", "30")
    assert (cell["mean"], cell["n"]) == (10 + 2 + 30 + 1, 2)
    assert cell["sd"] == pytest.approx(2**0.5)
    average = value(frame, "bss", "autos", "avg")
    assert (average["mean"], average["n"]) == (15 + 2 + 30 + 1, 2)
    assert average["sd"] == pytest.approx(2**0.5), "taken seed by seed"
    assert value(frame, "bss", "autos", "30", "oracle")["mean"] == cell["mean"] + 0.5
    assert set(frame.loc[frame["best"], "method"]) == {"bi_tuning+delta_networks"}


def test_report_leaves_out_the_average_of_a_seed_that_lacks_a_rate() -> None:
    rows = [row for row in fake() if (row.method, row.task, row.seed) != ("lwf", "planes", 1) or "=15%" in row.protocol]
    frame = transfer_frame(to_frame(rows), "embedded")
    assert value(frame, "lwf", "planes", "avg")["n"] == 1
    assert value(frame, "lwf", "planes", "15")["n"] == 2


def test_page_has_the_papers_layout_in_every_format() -> None:
    page = transfer_page(transfer_frame(to_frame(fake()), "embedded"), "embedded")
    assert [block.title.partition(":")[0] for block in page.blocks[:2]] == ["resnet50", "resnet50"]
    assert "oracle" in page.blocks[1].title
    for block in page.blocks:
        assert list(block.cells["method"])[:2] == ["Vanilla", "LWF"]
        assert (
            list(block.cells["method"])[-1]
            == f"Bi-Tuning + Delta (4) {'gates alone' if block.source == 'ours' else 'paper'}"
        )
        assert len(block.cells) == 9
    assert list(page.blocks[0].cells.columns)[1:6] == [
        f"autos {rate}" for rate in ("15 %", "30 %", "50 %", "100 %", "avg")
    ]
    printed = page.blocks[2].cells.set_index("method")
    assert printed.loc["Vanilla", "aircraft 15 %"] == "41.6"
    assert printed.loc["StochNorm", "cars 50 %"] == "79.1[E19]"
    assert page.commands == ()
    assert "Li and Hoiem" in to_markdown(page)
    assert "[E19]" in to_latex(page)


def test_at_paper_scale_printed_numbers_stand_beside_ours_and_blanks_name_their_command() -> None:
    rows = [row for row in fake("paper", 1, ("aircraft",)) if row.method == "vanilla"]
    frame = transfer_frame(to_frame(rows), "paper")
    page = transfer_page(frame, "paper")
    last, _, printed, verdicts, _ = page.blocks
    assert printed.cells.set_index("method").loc["LWF", "aircraft 15 %"] == "44.1"
    assert verdicts.cells.set_index("method").loc["Vanilla", "aircraft 15 %"] == "off by -41.60"
    cells = last.cells.set_index("method")
    assert cells.loc["Vanilla", "aircraft 15 %"] == "0.00 (41.6)"
    assert cells.loc["LWF", "aircraft 15 %"] == "(44.1)"
    assert page.commands == ("nox -s table5 -- --scale paper --task aircraft --task cars",)


def test_a_missing_cell_names_its_command() -> None:
    rows = [row for row in fake() if (row.method, row.task) != ("lwf", "autos") or "=30%" not in row.protocol]
    page = transfer_page(transfer_frame(to_frame(rows), "embedded"), "embedded")
    assert page.commands == ("nox -s table5 -- --scale embedded --task autos",)
    rows = [row for row in rows if "=30%" not in row.protocol and "=50%" not in row.protocol]
    rows = [row for row in rows if row.method != "bss" or row.task != "planes"]
    page = transfer_page(transfer_frame(to_frame(rows), "embedded"), "embedded")
    rates = "--train-percent 15 --train-percent 100"
    assert page.commands == (f"nox -s table5 -- --scale embedded --task planes {rates}",)


@pytest.mark.parametrize(("scale", "blocks"), [("embedded", 1), ("paper", 5)])
def test_without_rows_the_printed_numbers_stand_alone(scale: Scale, blocks: int) -> None:
    page = transfer_page(transfer_frame(to_frame([]), scale), scale)
    assert len(page.blocks) == blocks
    assert all(len(block.cells) == 9 for block in page.blocks)
    assert "41.6" in page.blocks[0].cells.set_index("method").loc["Vanilla", "aircraft 15 %"]


def test_a_cell_can_be_explained() -> None:
    rows = to_frame(fake())
    frame = transfer_frame(rows, "embedded")
    found = explain(frame, rows, "table5", "embedded", "resnet50/delta_networks4", "planes")
    assert len(found.runs) == 8
    assert found.knows_protocol


def test_rows_of_other_data_are_refused() -> None:
    rows = fake()
    rows[0] = replace(rows[0], data_sha="other")
    with pytest.raises(UserError, match="data_sha"):
        transfer_frame(to_frame(rows), "embedded")
