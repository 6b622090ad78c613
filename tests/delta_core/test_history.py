"""Early stopping and class weights, for any course of a training and any labels."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from delta_core.training.class_weights import balanced_weights
from delta_core.training.history import History


def run(accuracies: list[float], patience: int | None, *, break_after: int = 0) -> tuple[History, nn.Linear]:
    """A training whose weight is the number of the epoch; perhaps interrupted and resumed."""
    module = nn.Linear(1, 1, bias=False)
    course = iter(accuracies)

    def new() -> History:
        return History(module, epochs=len(accuracies), measure=lambda: next(course), patience=patience)

    history = new()
    for number in range(1, len(accuracies) + 1):
        if history.is_over:
            break
        nn.init.constant_(module.weight, number)
        history.add(number, train_loss=1.0, train_s=0.1)
        if number == break_after:
            state = history.state_dict()
            history = new()
            history.load_state_dict(state)
    history.restore_best()
    return history, module


ACCURACIES = st.lists(st.sampled_from([10.0, 20.0, 30.0, 40.0]), min_size=1, max_size=12)


@given(ACCURACIES, st.integers(1, 5))
def test_of_equal_epochs_the_last_is_kept_and_patience_counts_from_the_first(
    accuracies: list[float], patience: int
) -> None:
    history, module = run(accuracies, patience)
    seen = [epoch.val_top1 for epoch in history.epochs]
    first = seen.index(max(seen)) + 1
    last = len(seen) - seen[::-1].index(max(seen))
    assert seen == accuracies[: len(seen)]
    assert history.kept == module.weight.item() == last
    assert len(seen) == len(accuracies) or len(seen) == first + patience
    assert len(seen) <= first + patience


@given(ACCURACIES)
def test_without_patience_the_last_epoch_is_kept(accuracies: list[float]) -> None:
    history, module = run(accuracies, None)
    assert history.kept == module.weight.item() == len(history.epochs) == len(accuracies)


@given(ACCURACIES, st.integers(1, 5), st.integers(1, 12))
def test_an_interruption_changes_nothing(accuracies: list[float], patience: int, break_after: int) -> None:
    whole, resumed = run(accuracies, patience), run(accuracies, patience, break_after=break_after)
    assert whole[0].epochs == resumed[0].epochs
    assert whole[1].weight.item() == resumed[1].weight.item()


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.integers(5, 7))
def test_classes_weigh_alike_and_images_one_on_average(labels: list[int], classes: int) -> None:
    found = torch.tensor(labels)
    weights = balanced_weights(found, classes)
    by_class = torch.bincount(found, minlength=classes) * weights
    present = by_class[found.unique()]
    assert weights.shape == (classes,)
    assert torch.allclose(present, present[:1].expand_as(present))
    assert torch.allclose(weights[found].mean(), torch.tensor(1.0))
    assert (weights == 0).sum() == classes - len(present)
