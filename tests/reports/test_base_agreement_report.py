"""Agreement with the untouched net is called so wherever reports show it, and never meets an accuracy."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from fake_rows import fake_table2, one_row
from synthetic import synthetic_frame

from benchmarks.records.names import AGREEMENT, PATCHING, SEQUENCE
from benchmarks.records.rows import to_frame
from delta_core.training.errors import UserError
from reports.base_metric import base_metric_of
from reports.findings.claims import claims_frame, claims_page
from reports.html.index import OfScale, index_html
from reports.pages.render import to_latex, to_markdown
from reports.registry import REPORTS, Answer, Question
from reports.tables.agreement import agreement_frame

NET = "tf_efficientnet_lite0"
DISTINCT = "no accuracy"
NAMES_OF_TABLE2 = ("table2", "embedded-table2")


def by_agreement(rows: pd.DataFrame) -> pd.DataFrame:
    """The same rows with a base that has no labels."""
    base = rows["column"] == ("digits" if (rows["column"] == "digits").any() else "glyphs62")
    changed = rows.assign(scale="real", architecture=rows["architecture"].replace({"resnet18": NET}))
    changed.loc[base, ["metric", "column"]] = ["base_agreement", "unlabelled:photographs"]
    return changed[changed["architecture"] == NET]


@pytest.fixture(scope="module")
def table2_rows() -> pd.DataFrame:
    return by_agreement(to_frame(fake_table2(architectures=["resnet18"])))


@pytest.fixture(scope="module")
def all_rows() -> pd.DataFrame:
    rows = synthetic_frame()
    return by_agreement(rows[rows["suite"].isin([PATCHING, SEQUENCE, "table8"])])


def answer(name: str, rows: pd.DataFrame) -> Answer:
    report = REPORTS[name]
    return report.answer(Question(rows=rows[rows["suite"].isin(report.suites)], scale="real"))


def test_numbers_are_those_of_accuracies_under_other_names(table2_rows: pd.DataFrame) -> None:
    accuracy = REPORTS["table2"].answer(
        Question(rows=to_frame(fake_table2(architectures=["resnet18"])), scale="embedded")
    )
    ours, theirs = answer("table2", table2_rows).frame, accuracy.frame
    measured = theirs[theirs["architecture"] == "resnet18"].reset_index(drop=True)
    assert set(ours["quantity"]) == {"harmonic_mean_agreement"}
    assert set(measured["quantity"]) == {"harmonic_mean"}
    assert ours["mean"].tolist() == pytest.approx(measured["mean"].tolist(), nan_ok=True)
    assert ours["harmonic_mean"].isna().all()
    assert measured["harmonic_mean_agreement"].isna().all()
    assert ours["harmonic_mean_agreement"].notna().any()
    assert set(ours["base_metric"]) == {"base_agreement"}


@pytest.mark.parametrize("name", ["table1", "table2", "table3", "table4", "table8", "table10", "table11", "claims"])
def test_every_page_says_what_it_is(name: str, all_rows: pd.DataFrame) -> None:
    page = answer(name, all_rows).page
    assert "base agreement" in page.title
    assert "base top-1" not in page.title
    for text in (to_markdown(page), to_latex(page)):
        assert DISTINCT in text
    headings = {str(column) for block in page.blocks if block.source == "ours" for column in block.cells.columns}
    assert not {"base before", "base after"} & headings


def test_pages_of_accuracies_stay_as_they_were() -> None:
    rows = to_frame(fake_table2(architectures=["resnet18"]))
    page = REPORTS["table2"].answer(Question(rows=rows, scale="embedded")).page
    assert page.title == "Table 2. Patching one task: harmonic mean of base top-1 and patch top-1 (%)"
    assert DISTINCT not in to_markdown(page)
    assert {"base before", "base after"} <= set(page.blocks[0].cells.columns)


def test_frames_name_the_pairs_of_table_10(all_rows: pd.DataFrame) -> None:
    assert set(answer("table10", all_rows).frame["quantity"]) == {"base_agreement", "patch_top1"}
    assert set(answer("table4", all_rows).frame["base_metric"]) == {"base_agreement"}


def test_a_base_that_agrees_with_itself_is_no_drop(all_rows: pd.DataFrame) -> None:
    frame = claims_frame(all_rows, "real")
    assert set(frame["base_metric"]) == {"base_agreement"}
    assert "by base agreement" in claims_page(frame, "real").title


@pytest.mark.parametrize("name", ["table2", "table4", "table11", "claims"])
def test_accuracy_and_agreement_are_never_put_together(name: str, all_rows: pd.DataFrame) -> None:
    runs = all_rows.loc[all_rows["method"] == "fc_only", "run_id"].unique()
    mixed = all_rows.copy()
    mixed.loc[mixed["run_id"].isin(runs) & (mixed["metric"] == "base_agreement"), "metric"] = "top1"
    with pytest.raises(UserError, match=r"mix accuracy .* and agreement .*--base and with --base-images apart") as told:
        answer(name, mixed)
    assert "\n" not in str(told.value)


def test_rows_without_a_base_are_no_mixture() -> None:
    alone = to_frame([one_row()])
    assert base_metric_of(alone).metric == "top1"


def test_the_html_report_names_it_and_keeps_the_scales_apart(table2_rows: pd.DataFrame) -> None:
    embedded = to_frame(fake_table2(architectures=["resnet18"]))
    parts = [OfScale(scale="real", rows=table2_rows, results=Path("none")),
             OfScale(scale="embedded", rows=embedded, results=Path("none"))]  # fmt: skip
    text = index_html(parts)
    real, other = (text.split(f'<section id="{name}"')[1].split("</section>")[0] for name in NAMES_OF_TABLE2)
    assert "harmonic mean of base agreement and patch top-1" in real
    assert "base top-1 and patch" not in real
    assert "harmonic mean of base top-1 and patch top-1" in other
    assert "agreement" not in other


# --- the study ----------------------------------------------------------------------------------------------------


def study(before: float = 80.0, lost: float = 0.0) -> pd.DataFrame:
    """Two tasks at two rates; agreement falls to 10 %, accuracy to the same share of `before`, less what is `lost`."""
    rows = []
    for task in ("signs", "photos"):
        for lr in ("0.001", "1e-05"):
            run = one_row(
                run_id=f"{task}-{lr}", suite=AGREEMENT, method="paint", variant=f"lr={lr}", task=task, column=task,
                base_logits_equal=None,
            )  # fmt: skip
            rows.append(replace(run, column="digits", phase="before", value=before))
            for step in range(11):
                alpha = step / 10
                share = 1 - 0.9 * alpha**2
                off = lost if 0 < alpha < 1 else 0.0
                rows += [
                    replace(run, alpha=alpha, value=50 + step),
                    replace(run, alpha=alpha, column="digits", value=before * share - off),
                    replace(run, alpha=alpha, column="digits", metric="base_agreement", value=100 * share),
                ]
    return to_frame(rows)


def test_the_study_has_a_point_for_each_task_rate_and_alpha() -> None:
    frame = agreement_frame(study())
    assert len(frame) == 2 * 2 * 11
    assert frame["predicted"].tolist() == pytest.approx(frame["base_top1"].tolist())
    at_half = frame[(frame["task"] == "photos") & (frame["alpha"] == 0.5)]
    assert at_half["base_agreement"].tolist() == pytest.approx([77.5, 77.5])
    assert set(frame["untouched"]) == {80.0}


def test_the_page_has_correlations_and_errors() -> None:
    exact = answer("agreement", study()).page.blocks[0].cells
    assert exact["task"].tolist() == ["signs", "photos", "all"]
    assert set(exact["Pearson r"]) == {"1.000"}
    assert set(exact["mean error, points"]) == {"0.00"}
    worse = answer("agreement", study(lost=4.0)).page.blocks[0].cells
    assert set(worse["largest error, points"]) == {"4.00"}
    assert set(worse["Spearman rho"]) == {"1.000"}
    assert float(worse["Pearson r"].iloc[-1]) < 1


def test_a_base_that_never_changes_has_no_correlation() -> None:
    rows = study()
    rows.loc[(rows["metric"] == "base_agreement"), "value"] = 100.0
    assert set(answer("agreement", rows).page.blocks[0].cells["Pearson r"]) == {""}


def test_the_picture_shows_every_point_and_its_correlation() -> None:
    figure = answer("agreement", study()).figure
    assert figure is not None
    (axes,) = figure.axes
    assert sum(len(points.get_offsets()) for points in axes.collections) == 44
    assert axes.get_title() == "resnet18: r = 1.000, rho = 1.000"
    assert axes.get_xlabel() == "base agreement (%)"
