"""All printed numbers of the paper: its tables, rendered from the CSVs alone, are the printed ones number by number."""

import csv
import itertools
import re
from dataclasses import replace

import pytest
from fake_rows import one_row
from synthetic import synthetic_frame

from benchmarks.records.rows import Scale, to_frame
from reports import paper
from reports.pages.page import Page
from reports.registry import REPORTS, Question

COUNTS = {1: 45, 2: 96, 3: 48, 4: 24, 5: 90, 6: 27, 7: 6, 8: 64, 9: 28, 10: 192, 11: 288, 12: 8, 13: 10}
"""Values by table, counted in the paper's text."""

NAMES = {"architecture", "method", "setting", "alpha", "printed M"}
"""Columns that say what a line is."""


def targets(number: int) -> list[dict[str, str]]:
    with (paper.TARGETS / f"table{number}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def without_rows(number: int, scale: Scale) -> Page:
    return REPORTS[f"table{number}"].answer(Question(rows=to_frame([]), scale=scale)).page


def test_there_are_926_numbers() -> None:
    assert {number: len(targets(number)) for number in COUNTS} == COUNTS
    assert sum(COUNTS.values()) == 926


@pytest.mark.parametrize("scale", ["embedded", "paper"])
@pytest.mark.parametrize("number", COUNTS)
def test_a_table_is_the_printed_one_number_by_number(number: int, scale: Scale) -> None:
    """Line by line in the paper's order, each number as it is printed, beside the name of what it belongs to."""
    expected = [list(lines) for _, lines in itertools.groupby(targets(number), key=lambda line: line["row_id"])]
    blocks = [block for block in without_rows(number, scale).blocks if block.source == "paper"]
    found = [(block.title, line) for block in blocks for line in block.cells.to_dict("records")]
    if number == 11:  # printed as three sequences side by side; here they stand below each other
        expected = [
            list(part)
            for architecture in ("convnext_tiny", "resnet18")
            for task in dict.fromkeys(line["task"] for line in targets(11))
            for lines in expected
            if lines[0]["architecture"] == architecture
            for key, part in itertools.groupby(lines, key=lambda line: line["task"])
            if key == task
        ]
    assert len(found) == len(expected)
    for (title, line), printed in zip(found, expected, strict=True):
        texts = [str(text) for name, text in line.items() if name not in NAMES]
        numbers = [re.sub(r"\[E?\d+\]", "", part) for text in texts for part in text.split(" / ") if part]
        assert [part.replace(" ", "_") for part in numbers] == [cell["value"] for cell in printed]
        first = printed[0]
        modules = first.get("n_delta_modules", "0")
        assert re.findall(r"\((\d)\)", line["method"]) == ([] if modules == "0" else [modules])
        assert ("PAINT" in line["method"]) == (first["method"] == "paint")
        if number == 11 or {"architecture"} <= line.keys() & first.keys():
            assert first["architecture"] in line.get("architecture", title)
        if number == 11:
            assert line["alpha"] == first["split"]
            assert title.endswith(first["task"].replace("-", ", then ")) or scale == "embedded"


@pytest.mark.parametrize("number", [number for number in COUNTS if number != 9])
def test_every_printed_number_has_a_verdict_at_scale_paper(number: int) -> None:
    blocks = [block for block in without_rows(number, "paper").blocks if block.source == "difference"]
    cells = [block.cells.drop(columns="method").to_numpy().ravel() for block in blocks]
    verdicts = [part for texts in cells for text in texts for part in text.split(" / ") if part]
    assert len(verdicts) >= COUNTS[number]
    assert {re.sub(r"\[.*", "", verdict) for verdict in verdicts} <= {"not run", "untrusted"}
    marked = {cell.table for erratum in paper.ERRATA for cell in erratum.cells if cell.quantity != "params"}
    assert any(verdict.startswith("untrusted[E") for verdict in verdicts) == (number in marked)
    assert not [block for block in without_rows(number, "embedded").blocks if block.source == "difference"]


def test_a_table_whose_runs_are_all_there_asks_for_no_more() -> None:
    rows = synthetic_frame()
    for name, report in REPORTS.items():
        own = rows[rows["suite"].isin(report.suites)]
        page = report.answer(Question(rows=own, scale="embedded")).page
        assert page.commands == (), name


@pytest.mark.parametrize(
    ("number", "row", "column", "verdict"),
    [
        (6, {"method": "vanilla", "variant": "zero-shot", "task": "mnist->usps", "column": "usps"}, "mnist->usps", 49),
        (7, {"method": "faster_rcnn", "task": "detection", "column": "detection", "metric": "mAP"}, "value", 59.72),
        (12, {"method": "standard", "task": "cars", "column": "cars"}, "cars", 53.47),
    ],
)
@pytest.mark.parametrize("difference", [0.5, -3.0])
def test_what_was_measured_is_held_against_the_printed_number(
    number: int, row: dict[str, str], column: str, verdict: float, difference: float
) -> None:
    report = REPORTS[f"table{number}"]
    measured = replace(one_row(scale="paper", suite=report.suites[0]), **row, value=verdict + difference)
    page = report.answer(Question(rows=to_frame([measured]), scale="paper")).page
    texts = [text for b in page.blocks if b.source == "difference" and column in b.cells for text in b.cells[column]]
    assert ("match (+0.50)" if difference > 0 else "off by -3.00") in texts
