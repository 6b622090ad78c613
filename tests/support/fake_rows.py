"""Valid result rows for a fake Table 2: deterministic numbers made by arithmetic, no training behind them."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace

from benchmarks.records.rows import Row, Scale

ALPHAS = tuple(step / 10 for step in range(11))
FAKE_TASKS = ("signs", "textures")

Curve = Callable[[float], float]
"""alpha -> top-1 in per cent."""


def one_row(**changes: object) -> Row:
    """A valid row; every field not named has a plain value."""
    row = Row(
        run_id="run",
        suite="patching",
        scale="embedded",
        protocol="epochs=6,px=32,views=1",
        architecture="resnet18",
        weights="embedded-digits",
        method="fc_only",
        variant="",
        n_delta_modules=0,
        task="signs",
        seed=0,
        column="signs",
        phase="after",
        split="test",
        alpha=None,
        metric="top1",
        value=50.0,
        n_examples=100_000,
        selection="last",
        params_delta=0,
        params_head=130,
        params_backbone=700_000,
        params_delta_full_size=0,
        steps=100,
        global_batch=64,
        world_size=1,
        train_s=1.0,
        eval_s=0.1,
        peak_mem_mb=100.0,
        backbone_sha_before="aa",
        backbone_sha_after="aa",
        base_logits_equal=True,
        data_sha="d1",
        transform="none",
        config="{}",
        git_sha="0" * 40,
        git_dirty=False,
        versions="{}",
        device="cpu",
        precision="float32",
        deterministic=True,
        measured_at="2026-01-01T00:00:00+00:00",
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def plain_run(*, base: float | None = 90.0, patch: float, before: float | None = 90.0, **identity: object) -> list[Row]:
    """All rows of a run without alpha; `base=None` is a run without base data."""
    template = one_row(**identity)
    name = f"{template.architecture}-{template.method}{template.n_delta_modules}{template.variant}"
    template = replace(template, run_id=f"{name}-{template.task}-{template.seed}-{template.protocol}")
    rows = [replace(template, value=patch), replace(template, value=patch, split="val")]
    if base is not None and before is not None:
        rows.append(replace(template, column="digits", phase="before", value=before))
        rows.append(replace(template, column="digits", value=base))
    return rows


def paint_run(
    *,
    base: tuple[Curve, Curve] | None,
    patch: tuple[Curve, Curve],
    lr: str = "0.001",
    batchnorm: bool = True,
    **identity: object,
) -> list[Row]:
    """All rows of a PAINT run: curves as (val, test), both arms unless the net has no BatchNorm."""
    template = one_row(
        **{"method": "paint", "params_delta": 700_000, "params_delta_full_size": 11_176_512, **identity},
        variant=f"lr={lr}",
        backbone_sha_after="bb",
        base_logits_equal=None,
    )
    template = replace(template, run_id=f"{template.architecture}-paint{lr}-{template.task}-{template.seed}")
    rows = [replace(template, column="digits", phase="before", value=90.0)] if base else []
    arms = (template.variant, f"{template.variant}+bn") if batchnorm else (template.variant,)
    for variant, alpha, (split, index) in itertools.product(arms, ALPHAS, (("val", 0), ("test", 1))):
        at = replace(template, variant=variant, alpha=alpha, split=split)
        rows.append(replace(at, value=patch[index](alpha)))
        if base:
            rows.append(replace(at, column="digits", value=base[index](alpha)))
    return rows


def falling(alpha: float) -> float:
    """Base accuracy along PAINT's line: kept at alpha = 0, gone at alpha = 1."""
    return 90 - 80 * alpha**2


def rising(alpha: float) -> float:
    """Patch accuracy along PAINT's line: chance at alpha = 0, fine-tuned at alpha = 1."""
    return 10 + 84 * alpha


def fake_table2(
    *,
    architectures: Iterable[str] = ("resnet18", "convnext_tiny"),
    tasks: Iterable[str] = FAKE_TASKS,
    seeds: Iterable[int] = (0, 1, 2),
    scale: Scale = "embedded",
) -> list[Row]:
    """Every method of Table 2 on every architecture and task; ConvNeXt has no BatchNorm arm."""
    rows: list[Row] = []
    for (a, architecture), (t, task), seed in itertools.product(enumerate(architectures), enumerate(tasks), seeds):
        shift = a + 2 * t + 0.5 * seed
        same = {"architecture": architecture, "task": task, "column": task, "seed": seed, "scale": scale}
        rows += plain_run(**same, patch=60 + shift)
        for n, variant in itertools.product((1, 2, 4), ("maps", "paper")):
            rows += plain_run(
                **same,
                method="delta_networks",
                variant=variant,
                n_delta_modules=n,
                patch=70 + 2 * n + shift - (8 if variant == "paper" else 0),
                params_delta=30_000 * n,
                params_delta_full_size=444_564 * n,
            )
        tuned = {"method": "finetune", "variant": "lr=0.0003", "base_logits_equal": None}
        rows += plain_run(**same, **tuned, base=20.0, patch=95.0)
        for lr, drop in (("0.001", 0.0), ("1e-05", 5.0)):
            rows += paint_run(
                **same,
                lr=lr,
                batchnorm=not architecture.startswith("convnext"),
                base=(falling, falling),
                patch=(rising, lambda alpha, less=drop + shift: rising(alpha) - less * alpha),
            )
    return rows
