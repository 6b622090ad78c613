"""One run of Table 7 by mmengine's Runner, from the same configs that `mim train` takes, and its rows."""

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dist import broadcast_object_list
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from PIL import Image
from torch import Tensor, nn

from benchmarks.env import Env
from benchmarks.methods.base import Measurement, Outcome
from benchmarks.records.rows import Row
from benchmarks.run_log import callbacks_of
from benchmarks.suites.dense.chosen import SCENES
from benchmarks.suites.dense.log_hook import LogHook
from benchmarks.suites.dense.progress import ProgressHook
from benchmarks.suites.dense.settled import PROJECT, settled
from benchmarks.suites.dense.shared import share
from benchmarks.suites.dense.spec import DenseRun
from benchmarks.suites.to_rows import rows_of
from delta_core import backbone_fingerprint
from delta_core.training.data.folders import folder_identity
from delta_core.training.fabric import meet
from delta_core.training.provenance import provenance
from delta_core.training.ranks import Ranks

METRICS = {"detection": ("mAP", "pascal_voc/mAP", 100.0), "segmentation": ("mIoU", "mIoU", 1.0)}
"""Metric of the rows, its name in OpenMMLab, and the factor that makes it per cent (mmseg rounds to two digits)."""
OF_PARTS = {"detection": "AP", "segmentation": "IoU"}
"""Metric of a class or a size."""
PICTURES = 4
"""Test images whose predictions are kept."""
WRAPPERS = {
    "32-true": {},
    "bf16-mixed": {"type": "AmpOptimWrapper", "dtype": "bfloat16"},
    "16-mixed": {"type": "AmpOptimWrapper", "loss_scale": "dynamic"},
}


def execute(run: DenseRun, env: Env) -> list[Row]:
    """Train, test and record one run; a run that was killed goes on from its last checkpoint.

    Raises:
        UserError, DeltaError: naming the field of the config that cannot be met.
    """
    started = time.perf_counter()
    if env.device.startswith("cuda"):
        torch.cuda.set_device(env.device)
    if env.rank is not None:
        meet(env.rank, torch.device(env.device))
    ranks = Ranks.of(env.rank)
    config = config_of(run, env)
    runner = Runner.from_cfg(config)
    runner.register_hook(ProgressHook(f"{run.architecture} {run.task} {run.method.name} seed {run.seed}"))
    logs = [LogHook(callback) for callback in callbacks_of(run, env)]
    for hook in logs:
        runner.register_hook(hook)
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    backbone = model.backbone
    sha_before = backbone_fingerprint(backbone.model.backbone)
    levels_before = _levels(backbone)
    trained = time.perf_counter()
    try:
        with ranks.batch_norm():
            runner.train()
    finally:
        for hook in logs:
            hook.end()
    train_s = time.perf_counter() - trained
    metric, key, factor = METRICS[run.kind]
    value = factor * float(runner.test()[key])
    (evaluator,) = runner.test_loop.evaluator.metrics
    shared = [evaluator.parts]
    broadcast_object_list(shared)  # the first process alone has evaluated
    (parts,) = shared
    frozen = run.method.frozen_stages is None
    sha_after = backbone_fingerprint(backbone.model.backbone)
    if ranks.is_first:
        _keep_pictures(runner, run, env)
    equal = all(torch.equal(*pair) for pair in zip(levels_before, _levels(backbone), strict=True))
    tested = _test_set(config)
    outcome = Outcome(
        measurements=(
            Measurement(
                column=run.task,
                split="test",
                metric=metric,
                value=value,
                n_examples=len(runner.test_dataloader.dataset),
            ),
            *(
                Measurement(
                    column=part.column(run.task),
                    split="test",
                    metric=OF_PARTS[run.kind],
                    value=part.value,
                    n_examples=part.n_examples,
                )
                for part in parts
            ),
        ),
        params_delta=sum(p.numel() for p in backbone.parameters() if p.requires_grad),
        params_head=_count(model) - _count(backbone),
        steps=runner.max_iters,
        train_s=train_s,
        backbone_sha_after=sha_after,
        base_logits_equal=equal if frozen else None,
    )
    return rows_of(
        run,
        outcome,
        backbone_sha_before=sha_before,
        params_backbone=_count(backbone.model.backbone),
        data_sha=folder_identity(Path(tested.data_root)),
        transform=" ".join(str(step) for step in tested.pipeline if step["type"] == "Resize"),
        elapsed_s=time.perf_counter() - started,
        origin=provenance(next(model.parameters()).device, env.precision, world_size=ranks.world_size),
    )


def config_of(run: DenseRun, env: Env) -> Config:
    """The config of a run, as `mim train` would read it, with seed, schedule, work folder and resumption.

    Raises:
        UserError: if several devices are to share a batch that they cannot share evenly.
    """
    config = Config.fromfile(PROJECT / run.config)
    config.data.root = str(env.folders.get(run.task, SCENES))
    config.data.cache = str(env.cache.absolute())
    config.heads = run.heads
    config = settled(config, environment={})
    backbone = config.model.backbone
    if run.weights.startswith("file:"):
        backbone.weights = str(env.weights_file)
    elif not run.weights.startswith("pretrain:"):
        backbone.weights = run.weights
        if env.weights_root is not None:
            backbone.options = {"weights_root": str(env.weights_root.absolute())}  # a saved config holds plain values
    if run.method.delta is not None:
        options = run.method.delta.to_dict()
        backbone.n_modules = options.pop("n_modules")
        backbone.config = options
    if run.method.frozen_stages is not None:
        backbone.frozen_stages = run.method.frozen_stages
    # The config's own is for a patch: what the stock reading fine-tunes learns at the rate of the heads.
    factor = run.method.recipe.patch_lr_factor
    config.optim_wrapper.paramwise_cfg = {"custom_keys": {"backbone": {"lr_mult": factor}}} if factor != 1 else None
    if run.epochs is not None:
        _set_epochs(config, run.epochs)
    config.train_dataloader.batch_size = run.method.recipe.batch_size
    if env.rank is not None:
        share(config, env.rank)
    config.optim_wrapper.update(WRAPPERS[env.precision])
    config.val_cfg = config.val_dataloader = config.val_evaluator = None  # the test split is read once, at the end
    config.work_dir = str(work_folder(env.results, run.run_id))
    config.resume = True
    config.randomness = {"seed": run.seed}
    config.log_level = "WARNING"
    return config


def work_folder(results: Path, run_id: str) -> Path:
    """Checkpoints and logs of a run."""
    return results / "work" / run_id


def _set_epochs(config: Config, epochs: int) -> None:
    """Passes over the training images; learning rates fall at the same share of the schedule, in whole passes."""
    if "max_epochs" in config.train_cfg:
        stock = config.train_cfg.max_epochs
        config.train_dataloader.dataset.times = math.ceil(epochs / stock)
        config.train_cfg.max_epochs = min(epochs, stock)
        for schedule in config.param_scheduler:
            if "milestones" in schedule and epochs < stock:
                schedule.end = epochs
                schedule.milestones = [math.ceil(epochs * epoch / stock) for epoch in schedule.milestones]
        return
    steps = math.ceil(epochs * config.train_images / config.train_dataloader.batch_size)
    config.train_cfg.max_iters = steps
    config.default_hooks.checkpoint.interval = math.ceil(steps / 4)
    for schedule in config.param_scheduler:
        schedule.end = steps


def _test_set(config: Config) -> Any:
    return config.test_dataloader.dataset


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@torch.no_grad()
def _levels(backbone: Any) -> tuple[Tensor, ...]:
    """Features of a fixed image without patch, in eval mode."""
    image = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    was_training = backbone.training
    backbone.eval()
    with backbone.model.disable_patches():
        levels = tuple(level.cpu() for level in backbone(image.to(next(backbone.parameters()).device)))
    backbone.train(was_training)
    return levels


def pictures_path(results: Path, run_id: str) -> Path:
    """Predictions of a run on a few test images."""
    return results / "pictures" / f"{run_id}.npz"


@torch.no_grad()
def _keep_pictures(runner: Runner, run: DenseRun, env: Env) -> None:
    """Write images (H, W, 3) uint8 with predicted boxes (N, 6: x0, y0, x1, y1, score, class) or mask (H, W)."""
    runner.model.eval()
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for index in range(min(PICTURES, len(runner.test_dataloader.dataset))):
        data = runner.test_dataloader.collate_fn([runner.test_dataloader.dataset[index]])
        found = runner.model.test_step(data)[0]
        with Image.open(found.img_path) as image:
            arrays[f"image_{index}"] = np.asarray(image.convert("RGB"))
        if run.kind == "segmentation":
            arrays[f"mask_{index}"] = found.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8)
            arrays[f"truth_{index}"] = found.gt_sem_seg.data[0].cpu().numpy().astype(np.uint8)
        else:
            boxes = found.pred_instances
            columns = [boxes.bboxes, boxes.scores[:, None], boxes.labels[:, None]]
            arrays[f"boxes_{index}"] = torch.cat([column.float().cpu() for column in columns], dim=1).numpy()
            truth = found.gt_instances
            arrays[f"truth_{index}"] = torch.cat([truth.bboxes, truth.labels[:, None].float()], dim=1).cpu().numpy()
    path = pictures_path(env.results, run.run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
