"""Table 9, the qualitative grid. What it says of our own method is backed by tests, named in footnotes."""

import pandas as pd

from reports import paper
from reports.pages.page import Page, plain_block

OURS = "delta_patching"

TESTS: dict[str, tuple[str, ...]] = {
    "adapt_off_the_shelf_pretrained_models": (
        "tests/delta_core/test_backbone_matrix.py::test_one_net_of_each_kind",
        "tests/delta_core/test_backbone_matrix.py::test_backbone",
    ),
    "maintain_performance_on_base_task": (
        "tests/suites/test_frozen_contract.py::test_a_run_proves_that_the_base_is_unchanged",
        "tests/suites/test_sequences.py::test_learning_a_task_leaves_base_and_earlier_tasks_bit_identical",
    ),
    "adapt_to_multiple_tasks_over_time": (
        "tests/suites/test_sequences.py::test_learning_a_task_leaves_base_and_earlier_tasks_bit_identical",
    ),
    "end_to_end_learning": ("tests/suites/test_sequences.py::test_one_loss_trains_modules_norms_and_head_together",),
}
"""Column -> tests that fail if our `yes` in it is wrong."""


def table9_frame() -> pd.DataFrame:
    """One line per cell: `method`, `column`, `value` (yes, no, in_certain_cases), `tests` (of our own method)."""
    frame = pd.read_csv(paper.TARGETS / "table9.csv", dtype=str)[["method", "column", "value"]]
    backing = frame["column"].map({column: "; ".join(tests) for column, tests in TESTS.items()})
    return frame.assign(tests=backing.where(frame["method"] == OURS, ""))


def table9_page(frame: pd.DataFrame) -> Page:
    """The grid; our own cells carry footnotes."""
    signs = {column: f"[{number}]" for number, column in enumerate(frame["column"].unique(), 1)}
    text = frame["value"].str.replace("_", " ")
    text += frame["column"].map(signs).where(frame["method"] == OURS, "")
    wide = frame.assign(text=text).pivot(index="method", columns="column", values="text")
    wide = wide.reindex(index=frame["method"].unique(), columns=list(signs))
    cells = wide.rename_axis(columns=None).reset_index().map(lambda cell: cell.replace("_", " "))
    cells.columns = [name.replace("_", " ") for name in cells.columns]
    return Page(
        name="table9",
        title="Table 9. What each setting allows",
        caption="The paper's judgements. Those of Delta-Patching are tested; each footnote names the tests.",
        blocks=(plain_block("Settings", cells, source="paper"),),
        notes=tuple(f"{sign} {', '.join(TESTS[column])}" for column, sign in signs.items()),
        commands=(),
    )
