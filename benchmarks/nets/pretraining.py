"""Backbones of the embedded scale: pre-trained once by the suite itself, cached by content, measured like a run."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from benchmarks.data.embedded import BASE_TASK, data_version
from benchmarks.data.load import load_task
from benchmarks.env import Env
from benchmarks.nets.slim import PREPROCESSING, slim_backbone
from benchmarks.records.names import BASE
from benchmarks.records.record_files import record_path
from benchmarks.records.rows import Row
from delta_core import backbone_fingerprint
from delta_core.families import base_head
from delta_core.training.data.splits import eval_batches
from delta_core.training.engine import predict, top1, train_module
from delta_core.training.errors import UserError
from delta_core.training.fabric import make_fabric, to_device
from delta_core.training.identity import canonical_json, content_id, derive_seed
from delta_core.training.provenance import provenance
from delta_core.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class BaseSpec:
    """Pre-training of one slim net on the drawn base task."""

    architecture: str
    task: str = BASE_TASK
    data: str = f"v{data_version(BASE_TASK)}"
    recipe: Recipe
    image_size: int = 32
    seed: int = 0

    @property
    def run_id(self) -> str:
        """Identity of the checkpoint and of its record."""
        return content_id(self)

    @property
    def weights(self) -> str:
        """How a RunSpec names these weights."""
        return f"pretrain:{self.run_id}"


def checkpoint_path(cache: Path, run_id: str) -> Path:
    """Where the checkpoint of a pre-training lies below the cache folder."""
    return cache / "bases" / f"{run_id}.safetensors"


def is_trained(base: BaseSpec, env: Env) -> bool:
    """Whether a base is there, with the record of what it came to."""
    return checkpoint_path(env.cache, base.run_id).exists() and record_path(env.results, base.run_id).exists()


def pretrain(spec: BaseSpec, env: Env) -> list[Row]:
    """Train the slim net on the base task, store the checkpoint atomically, return its measured rows."""
    started = time.perf_counter()
    fabric = make_fabric(env.device, env.precision)
    data = load_task(spec.task, env, PREPROCESSING)
    torch.manual_seed(derive_seed("init", spec.architecture, spec.task, spec.seed))
    net = slim_backbone(spec.architecture, num_classes=data.classes)
    net = to_device(net, fabric.device)
    head = base_head(net)
    steps = train_module(net, head, data.train, spec.recipe, fabric, seed=derive_seed("order", spec.task, spec.seed))
    net.eval()
    train_s = time.perf_counter() - started
    values = {
        split: (top1(predict(net, eval_batches(part, fabric.device)), part.labels), len(part.labels))
        for split, part in (("val", data.val), ("test", data.test))
    }
    eval_s = time.perf_counter() - started - train_s
    path = checkpoint_path(env.cache, spec.run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.tmp")
    save_file({name: tensor.cpu().contiguous() for name, tensor in net.state_dict().items()}, partial)
    partial.replace(path)
    sha = backbone_fingerprint(net)
    head_params = sum(parameter.numel() for parameter in head.parameters())
    params = sum(parameter.numel() for parameter in net.parameters())
    origin = provenance(fabric.device, env.precision)  # one moment for all rows of the run
    return [
        Row(
            run_id=spec.run_id,
            suite=BASE,
            scale="embedded",
            protocol=f"px={spec.image_size},views=1,epochs={spec.recipe.epochs}",
            architecture=spec.architecture,
            weights=spec.weights,
            method="pretrain",
            variant="",
            n_delta_modules=0,
            task=spec.task,
            seed=spec.seed,
            column=spec.task,
            phase="before",
            split=split,  # type: ignore[arg-type]
            alpha=None,
            metric="top1",
            value=value,
            n_examples=count,
            selection="last",
            params_delta=params - head_params,
            params_head=head_params,
            params_backbone=params,
            params_delta_full_size=None,
            steps=steps,
            global_batch=spec.recipe.batch_size,
            train_s=train_s,
            eval_s=eval_s,
            backbone_sha_before=sha,
            backbone_sha_after=sha,
            base_logits_equal=None,
            data_sha=data.sha,
            transform=str(PREPROCESSING),
            config=canonical_json(spec),
            **origin,
        )
        for split, (value, count) in values.items()
    ]


def load_pretrained(architecture: str, run_id: str, cache: Path, *, num_classes: int) -> nn.Module:
    """The slim net with its pre-trained weights.

    Raises:
        UserError: if the checkpoint is missing, unreadable or of another net.
    """
    path = checkpoint_path(cache, run_id)
    net = slim_backbone(architecture, num_classes=num_classes)
    try:
        net.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UserError(
            f"Base checkpoint {str(path)!r} cannot be loaded ({type(error).__name__}); delete it and run again to "
            "pre-train it anew."
        ) from error
    return net
