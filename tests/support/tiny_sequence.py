"""Three tiny tasks, and a sequence of them."""

from dataclasses import replace

from tiny import RECIPE, tiny_task

from benchmarks.methods.paint import Paint
from benchmarks.suites.sequence.spec import SequenceSpec

TASKS = tuple(
    tiny_task(name, classes=classes, seed=seed)
    for seed, (name, classes) in enumerate(zip("abc", (3, 4, 2), strict=True))
)


def sequence(rule: str = "mean", **changes: object) -> SequenceSpec:
    spec = SequenceSpec(
        scale="embedded",
        architecture="resnet18",
        weights="none",
        task="a+b+c",
        data="1+1+1",
        base_task="glyphs62",
        base_data="1",
        method=Paint(recipe=RECIPE),
        rule=rule,  # type: ignore[arg-type]
        image_size=16,
        seed=0,
    )
    return replace(spec, **changes)  # type: ignore[arg-type]
