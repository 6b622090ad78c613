"""The patching runner: one RunSpec in, its rows out."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch
from torch import Tensor, nn

from benchmarks.bases import load_pretrained
from benchmarks.counts import full_size_params
from benchmarks.data.load import load_base_task, load_task
from benchmarks.data.splits import TaskData, eval_batches
from benchmarks.embedded_backbones import PREPROCESSING
from benchmarks.engine import predict
from benchmarks.env import Env
from benchmarks.fabric import make_fabric, to_device
from benchmarks.feature_store import FeatureStore
from benchmarks.identity import canonical_json
from benchmarks.methods import Cell, Outcome
from benchmarks.provenance import provenance
from benchmarks.record import Row
from benchmarks.spec import RunSpec
from delta_core import backbone_fingerprint
from delta_core.weights import Preprocessing, load_backbone, preprocessing_of

EMBEDDED_BASE_CLASSES = 62


def execute(spec: RunSpec, env: Env) -> list[Row]:
    """Measure one cell: load backbone and data, run the method, return rows that carry their own proof."""
    started = time.perf_counter()
    fabric = make_fabric(env.device, env.precision)
    backbone = to_device(open_backbone(spec, env), fabric.device).eval()
    at_task, at_base = preprocessings(spec, backbone)
    task = load_task(spec.task, env, at_task, views=spec.method.recipe.views)
    classes: int = backbone.num_classes  # type: ignore[assignment]
    base = load_base_task(spec.base_task, env, at_base, classes=classes) if spec.base_task else None
    sha_before = backbone_fingerprint(backbone)
    logits_before = None
    if base is not None:
        logits_before = _base_logits(
            _Untouched(sha=sha_before, data_sha=base.sha, device=fabric.device, backbone=backbone, base=base)
        )
    cell = Cell(
        new_backbone=_copies(backbone),
        task=task,
        base=base,
        base_logits=logits_before,
        store=FeatureStore(root=env.cache / "features", limit_gb=env.cache_gb),
        fabric=fabric,
        order_seed=spec.order_seed,
        init_seed=spec.init_seed,
    )
    outcome = spec.method.measure(cell)
    elapsed_s = time.perf_counter() - started
    return _rows(spec, outcome, cell, sha_before, str(at_task), elapsed_s, provenance(fabric.device, env.precision))


def open_backbone(spec: RunSpec, env: Env) -> nn.Module:
    """The pre-trained net of a run, on the CPU.

    Raises:
        UserError, DeltaError: if its weights cannot be loaded.
    """
    source, _, name = spec.weights.partition(":")
    if source == "pretrain":
        return load_pretrained(spec.architecture, name, env.cache, num_classes=EMBEDDED_BASE_CLASSES)
    return load_backbone(spec.architecture, str(env.weights_file) if source == "file" else spec.weights)


def preprocessings(spec: RunSpec, backbone: nn.Module) -> tuple[Preprocessing, Preprocessing]:
    """Preprocessing of the patch task (at the run's image size) and of the base task (at the weights' own size)."""
    if spec.scale == "embedded":
        return PREPROCESSING, PREPROCESSING
    at_task, at_base = preprocessing_of(backbone, spec.image_size), preprocessing_of(backbone)
    if spec.scale == "paper":
        # Table 10's base accuracies fit PAINT's transform: the whole short side, bicubic, whatever the weights like.
        at_task, at_base = (replace(each, crop_pct=1.0, interpolation="bicubic") for each in (at_task, at_base))
    return at_task, at_base


def _copies(backbone: nn.Module) -> Callable[[], nn.Module]:
    """A factory of fresh copies; the pristine state is kept apart, whatever happens to the first net."""
    pristine = copy.deepcopy(backbone)
    return lambda: copy.deepcopy(pristine)


@dataclass(frozen=True, kw_only=True)
class _Untouched:
    """A pristine net and its base task, equal by content."""

    sha: str
    data_sha: str
    device: torch.device
    backbone: nn.Module = field(compare=False)
    base: TaskData = field(compare=False)


# Kept in the process, never on disk: logits are comparable bit by bit only on the same kernels and batch sizes.
@lru_cache(maxsize=4)
def _base_logits(untouched: _Untouched) -> Tensor:
    """Logits of the untouched net on the base test split, computed once for all runs of this process."""
    return predict(untouched.backbone, eval_batches(untouched.base.test, untouched.device))


def _rows(
    spec: RunSpec,
    outcome: Outcome,
    cell: Cell,
    sha_before: str,
    transform: str,
    elapsed_s: float,
    origin: dict[str, object],
) -> list[Row]:
    method = spec.method
    params_backbone = sum(parameter.numel() for parameter in cell.new_backbone().parameters())
    return [
        Row(
            run_id=spec.run_id,
            suite=spec.suite,
            scale=spec.scale,
            protocol=spec.protocol,
            architecture=spec.architecture,
            weights=spec.weights,
            method=method.name,
            variant=found.variant or method.variant,
            n_delta_modules=method.n_delta_modules,
            task=spec.task,
            seed=spec.seed,
            column=found.column,
            phase=found.phase,
            split=found.split,
            alpha=found.alpha,
            metric="top1",
            value=found.value,
            n_examples=found.n_examples,
            selection="last",
            params_delta=outcome.params_delta,
            params_head=outcome.params_head,
            params_backbone=params_backbone,
            params_delta_full_size=full_size_params(spec.architecture, method),
            steps=outcome.steps,
            global_batch=method.recipe.batch_size,
            train_s=outcome.train_s,
            eval_s=elapsed_s - outcome.train_s,
            backbone_sha_before=sha_before,
            backbone_sha_after=outcome.backbone_sha_after,
            base_logits_equal=outcome.base_logits_equal,
            data_sha=cell.task.sha,
            transform=transform,
            config=canonical_json(spec),
            **origin,  # type: ignore[arg-type]
        )
        for found in outcome.measurements
    ]
