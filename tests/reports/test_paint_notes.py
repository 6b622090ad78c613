"""Below every table with rows of PAINT stands where those leave its code, whatever they were measured with."""

from dataclasses import replace
from pathlib import Path

import pytest
from fake_rows import falling, one_row, paint_run, rising

from benchmarks.methods.fc_only import FcOnly
from benchmarks.methods.paint import Paint
from benchmarks.records.rows import Row, to_frame
from benchmarks.suites.patching.spec import RunSpec
from benchmarks.worlds.options import Options
from benchmarks.worlds.recipes import paper_recipes, recipes_of
from delta_core.training.identity import canonical_json
from delta_core.training.recipe import Recipe
from reports.measured import read_measured
from reports.pages.paint import SETTINGS, paint_notes
from reports.protocol import flat
from reports.registry import REPORTS, Question

SPEC = RunSpec(
    scale="embedded", architecture="resnet18", weights="w", task="signs", data="1", base_task="digits", base_data="1",
    method=FcOnly(recipe=Recipe()), image_size=224, seed=0,
)  # fmt: skip


def paints(recipe: Recipe, image_size: int = 224) -> list[Row]:
    spec = replace(SPEC, method=Paint(recipe=recipe), image_size=image_size)
    rows = paint_run(base=(falling, falling), patch=(rising, rising), task="signs")
    return [replace(row, config=canonical_json(spec)) for row in rows]


def test_rows_of_scale_paper_leave_the_code_in_length_warm_up_and_head_alone() -> None:
    """The paper takes 50 epochs and trains a head; the cap on warm-up is for data sets of few steps."""
    recipes = paper_recipes(Options(table="table2", scale="paper")).paint
    (note,) = paint_notes(to_frame(row for recipe in recipes for row in paints(recipe)))
    said = note.partition("in this: ")[2].split("; ")
    assert said == [
        "50 epochs (about 2,000 steps on each data set)",
        "a warm-up of at most 50 % of all steps (500 steps on all data sets)",
        "a new head, trained at 0.001 or 0.003 (CLIP's text head, fixed).",
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"weight_decay": 0.01}, "a weight decay of 0.01 (0.1)"),
        ({"decay_all": False}, "no decay of biases and normalisation (all parameters are decayed)"),
        ({"warmup_share": 0.1}, "a warm-up of at most 10 % of all steps"),
        ({"warmup_steps": 20}, "20 warm-up steps (500)"),
        ({"batch_size": 32}, "batches of 32 (128)"),
        ({"views": 1}, "one fixed view of each image"),
        ({"clip_norm": None}, "gradients clipped to None (1)"),
    ],
)
def test_each_setting_that_differs_is_said(changes: dict[str, object], said: str) -> None:
    as_paper = paper_recipes(Options(table="table2", scale="paper")).paint[0]
    (usual,), (note,) = (paint_notes(to_frame(paints(recipe))) for recipe in (as_paper, replace(as_paper, **changes)))  # type: ignore[arg-type]
    assert said in note
    assert said not in usual


def test_a_setting_of_no_recipe_would_say_nothing() -> None:
    """A field that is renamed must be renamed here too."""
    known = set(flat({"image_size": 1, "method": {"recipe": vars(Recipe())}}))
    assert {setting.name for setting in SETTINGS} <= known
    unsaid = {setting.name.rpartition(".")[2]: setting.unsaid for setting in SETTINGS if setting.unsaid is not None}
    assert unsaid == {"warmup_share": Recipe().warmup_share}


def test_recorded_rows_say_that_they_were_not_decayed_and_warmed_up_as_in_the_code() -> None:
    """They keep their identity: what recipes got since they were recorded is as it was then."""
    (note,) = paint_notes(read_measured(Path(__file__).parents[2] / "results/embedded"))
    assert "no decay of biases and normalisation" in note
    assert "a warm-up of at most 10 % of all steps" in note


@pytest.mark.parametrize("table", ["table1", "table2", "table10", "claims"])
def test_the_note_stands_below_tables_that_show_paint_and_no_others(table: str) -> None:
    recipe = recipes_of(epochs=6, views=1, batch_size=64, weight_decay=0.01).paint[0]
    rows = to_frame(paints(recipe))
    notes = REPORTS[table].answer_marked(Question(rows=rows, scale="embedded")).page.notes
    assert paint_notes(rows)[0] in notes
    others = to_frame([one_row(config=canonical_json(SPEC))])
    assert not any("PAINT leaves" in note for note in REPORTS[table].answer_marked(
        Question(rows=others, scale="embedded")
    ).page.notes)  # fmt: skip
