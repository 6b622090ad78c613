"""Methods of transfer learning with two steps each, and a cell for them."""

from dataclasses import replace

from tiny import PREPROCESSING, tiny_task
from tiny_cell import tiny_cell

from benchmarks.data.images import ArrayImages
from benchmarks.methods.base import Cell
from benchmarks.suites.transfer.table import SCHEDULES, article_arms, transfer_methods
from delta_core.training.data.splits import LazySplit, TensorSplit

TINY = replace(
    SCHEDULES["embedded"],
    recipe=replace(SCHEDULES["embedded"].recipe, epochs=2, steps_per_epoch=2, batch_size=8),
    attention_recipe=replace(SCHEDULES["embedded"].attention_recipe, epochs=1, steps_per_epoch=1, batch_size=8),
    attention_batches=1,
)
ALL = [*transfer_methods(TINY), *article_arms(TINY)]


def lazy_cell() -> Cell:
    """A tiny cell whose training images come in fresh views, as `load_rate` gives them."""
    task = tiny_task()
    assert isinstance(task.train, TensorSplit)
    images = LazySplit(
        images=ArrayImages(task.train.inputs.permute(0, 2, 3, 1).numpy()),
        labels=task.train.labels,
        transform=PREPROCESSING.random_view(),
        preprocessing=PREPROCESSING,
    )
    return tiny_cell(base=False, task=replace(task, train=images))
