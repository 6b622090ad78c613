"""Words of the listings are those of the classes that measure."""

import pytest

from benchmarks.methods.delta import DeltaNetworks
from benchmarks.methods.fc_only import FcOnly
from benchmarks.methods.finetune import FineTune
from benchmarks.methods.listing import DELTA, FC_ONLY, FINETUNE, JOINING, PAINT, PEERS, SCRATCH_LABELS, SKIPS, Joining
from benchmarks.methods.paint import Paint
from benchmarks.methods.scratch import Scratch, ScratchDelta
from benchmarks.methods.skips import table8_policies
from delta_core.training.recipe import Recipe


@pytest.mark.parametrize("joining", JOINING + PEERS, ids=lambda joining: joining.name)
def test_a_method_that_joins_is_the_class_of_that_name(joining: Joining) -> None:
    assert joining.load().name == joining.name


def test_names_are_those_of_the_classes_in_the_order_of_the_tables() -> None:
    assert [each.name for each in (FC_ONLY, PAINT, FINETUNE, DELTA)] == [
        kind.name for kind in (FcOnly, Paint, FineTune, DeltaNetworks)
    ]
    assert [each.name for each in SKIPS] == list(dict.fromkeys(policy.name for policy in table8_policies(Recipe())))
    with_norm = {policy.name for policy in table8_policies(Recipe()) if policy.config.norm_place != "none"}
    assert {each.name for each in SKIPS if each.has_norm} == with_norm
    assert list(SCRATCH_LABELS) == [Scratch.name, ScratchDelta.name]
