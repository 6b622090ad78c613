"""Where PAINT as it was measured leaves its authors' code (mlfoundations/patching): a footnote from the rows' configs.

Rows cannot say it in `protocol`, which all methods of a table share.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmarks.methods.listing import PAINT
from reports.protocol import flat


@dataclass(frozen=True, kw_only=True)
class CodeSetting:
    """A setting of PAINT's code."""

    name: str
    """As in a row's configuration, flat."""
    value: object
    """None where no value of ours is the code's."""
    code: str
    """What the code does, in words."""
    ours: str
    """What a row did, in words, with `{}` for its value."""
    shown: Callable[[Any], str] = "{:g}".format
    unsaid: object = None
    """What a recipe has where its configuration leaves the setting out: it is newer than recorded rows."""


def _views(number: int) -> str:
    return {0: "fresh views", 1: "one fixed view"}.get(number, f"{number} fixed views")


SETTINGS = (
    CodeSetting(name="image_size", value=224, code="224", ours="images of {} px"),
    CodeSetting(name="method.recipe.epochs", value=None, code="about 2,000 steps on each data set", ours="{} epochs"),
    CodeSetting(name="method.recipe.batch_size", value=128, code="128", ours="batches of {}"),
    CodeSetting(
        name="method.recipe.views",
        value=0,
        code="a fresh crop of 90 to 100 % in every epoch, no flip",
        ours="{} of each image",
        shown=_views,
    ),
    CodeSetting(name="method.recipe.weight_decay", value=0.1, code="0.1", ours="a weight decay of {}"),
    CodeSetting(
        name="method.recipe.decay_all",
        value=True,
        code="all parameters are decayed",
        ours="no decay of biases and normalisation",
    ),
    CodeSetting(name="method.recipe.warmup_steps", value=500, code="500", ours="{} warm-up steps"),
    CodeSetting(
        name="method.recipe.warmup_share",
        value=1.0,
        code="500 steps on all data sets",
        ours="a warm-up of at most {} of all steps",
        shown=lambda share: f"{100 * share:g} %",
        unsaid=0.1,
    ),
    CodeSetting(name="method.recipe.clip_norm", value=1.0, code="1", ours="gradients clipped to {}", shown=str),
    CodeSetting(
        name="method.recipe.head_lr", value=None, code="CLIP's text head, fixed", ours="a new head, trained at {}"
    ),
)
"""mlfoundations/patching: src/args.py, src/finetune.py, src/heads.py, clip/clip.py. Learning rates name the arms."""


def paint_notes(rows: pd.DataFrame) -> tuple[str, ...]:
    """The footnote where some of the rows are PAINT's.

    >>> from benchmarks.records.rows import to_frame
    >>> paint_notes(to_frame([]))
    ()
    """
    configs = map(json.loads, rows.loc[rows["method"] == PAINT.name, "config"].unique())  # one has dozens of rows
    runs = [flat(config) for config in configs if "method" in config]
    if not runs:
        return ()
    said = "; ".join(_said(runs))
    return (f"PAINT leaves its code (mlfoundations/patching, in parentheses) in this: {said}.",)


def _said(runs: list[dict[str, Any]]) -> Iterable[str]:
    for setting in SETTINGS:
        found = sorted({run.get(setting.name, setting.unsaid) for run in runs}, key=str)
        ours = [setting.shown(value) for value in found if value != setting.value]
        if ours:
            yield f"{setting.ours.format(' or '.join(ours))} ({setting.code})"
