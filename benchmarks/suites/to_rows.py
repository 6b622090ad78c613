"""What a run measured -> its rows."""

from benchmarks.methods.base import Outcome
from benchmarks.records.rows import Row
from benchmarks.spec import Run
from delta_core.training.identity import canonical_json


def rows_of(
    run: Run,
    outcome: Outcome,
    *,
    backbone_sha_before: str,
    params_backbone: int,
    data_sha: str,
    transform: str,
    elapsed_s: float,
    origin: dict[str, object],
) -> list[Row]:
    """One row per measurement of the outcome.

    Args:
        run: what was run.
        outcome: what it measured.
        backbone_sha_before: fingerprint of the backbone before the method touched it.
        params_backbone: all parameters of the backbone, its own head included.
        data_sha: identity of the task's data as they were read.
        transform: preprocessing of the task's images.
        elapsed_s: whole run; what is not training counts as evaluation.
        origin: columns of `delta_core.training.provenance.provenance`.
    """
    method = run.method
    return [
        Row(
            run_id=run.run_id,
            suite=run.suite,
            scale=run.scale,
            protocol=run.protocol,
            architecture=run.architecture,
            weights=run.weights,
            method=method.name,
            variant=found.variant or method.variant,
            n_delta_modules=method.n_delta_modules,
            task=run.task,
            seed=run.seed,
            column=found.column,
            phase=found.phase,
            split=found.split,
            alpha=found.alpha,
            metric=found.metric,
            value=found.value,
            n_examples=found.n_examples,
            selection=found.selection,
            params_delta=outcome.params_delta,
            params_head=outcome.params_head,
            params_backbone=params_backbone,
            params_delta_full_size=method.full_size_params(run.architecture),
            steps=outcome.steps,
            global_batch=method.recipe.batch_size,
            train_s=outcome.train_s,
            eval_s=elapsed_s - outcome.train_s,
            backbone_sha_before=backbone_sha_before,
            backbone_sha_after=outcome.backbone_sha_after,
            base_logits_equal=outcome.base_logits_equal,
            data_sha=data_sha,
            transform=transform,
            config=canonical_json(run),
            **origin,  # type: ignore[arg-type]
        )
        for found in outcome.measurements
    ]
