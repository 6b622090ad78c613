"""Backbones of the embedded scale: pre-trained once by the suite itself, cached by content, measured like a run."""

import json
import time
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import nn

from benchmarks.data.embedded import BASE_TASK, data_version
from benchmarks.data.load import load_task
from benchmarks.env import Env
from benchmarks.nets.slim import PREPROCESSING, slim_backbone
from benchmarks.records.names import BASE
from benchmarks.records.record_files import is_whole, read_record, record_path
from benchmarks.records.rows import Row
from benchmarks.stages import stages_of
from delta_core import backbone_fingerprint
from delta_core.errors import DeltaError
from delta_core.families import base_head
from delta_core.freeze import state_fingerprint
from delta_core.state_file import SEAL, State, read_safetensors
from delta_core.training.data.splits import TaskData, eval_batches
from delta_core.training.engine import predict, top1, train_module
from delta_core.training.errors import UserError
from delta_core.training.fabric import make_fabric, to_device
from delta_core.training.identity import canonical_json, content_id, derive_seed
from delta_core.training.lock import locked
from delta_core.training.provenance import provenance
from delta_core.training.recipe import Recipe
from delta_core.training.sealed_state import write_sealed

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True, kw_only=True)
class BaseSpec:
    """Pre-training of one slim net on the drawn base task."""

    architecture: str
    task: str = BASE_TASK
    data: str = f"v{data_version(BASE_TASK)}"
    recipe: Recipe
    image_size: int = 32
    seed: int = 0

    @cached_property
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
    """Whether a base is there and whole, with the record of what it came to."""
    return is_whole(record_path(env.results, base.run_id)) and is_whole_base(base, env)


def pretrain(spec: BaseSpec, env: Env) -> list[Row]:
    """Train the slim net on the base task and store the checkpoint, or take one that is whole; return measured rows.

    Two processes that want the same base train it once: the second waits for the first.
    """
    fabric = make_fabric(env.device, env.precision)
    data = load_task(spec.task, env, PREPROCESSING)
    path = checkpoint_path(env.cache, spec.run_id)
    if not _says_all(spec, env):  # one that does needs no lock: the cache may be for reading alone
        with locked(path.with_suffix(".lock"), waiting_for=f"the pre-training of {spec.architecture}"):
            if not _says_all(spec, env):  # else another process trained it in the meantime
                _train(spec, data, fabric, env)
    state, notes = read_safetensors(path)[0], _training_notes(path)
    net = slim_backbone(spec.architecture, num_classes=data.classes)
    net.load_state_dict(state)
    to_device(net, fabric.device).eval()
    started = time.perf_counter()
    values = {
        split: (top1(predict(net, eval_batches(part, fabric.device)), part.labels), len(part.labels))
        for split, part in (("val", data.val), ("test", data.test))
    }
    eval_s = time.perf_counter() - started
    sha = backbone_fingerprint(net)
    if _recorded_fingerprint(spec.run_id, env) not in (None, sha):
        warnings.warn(
            f"The slim {spec.architecture} is not, bit for bit, the one that rows in {str(env.results)!r} stand on: "
            "another machine or version of torch trained that.",
            stacklevel=2,
        )
    head_params = sum(parameter.numel() for parameter in base_head(net).parameters())
    params = sum(parameter.numel() for parameter in net.parameters())
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
            steps=notes["steps"],
            global_batch=spec.recipe.batch_size,
            train_s=notes["train_s"],
            eval_s=eval_s,
            backbone_sha_before=sha,
            backbone_sha_after=sha,
            base_logits_equal=None,
            data_sha=data.sha,
            transform=str(PREPROCESSING),
            config=canonical_json(spec),
            **notes["origin"],
        )
        for split, (value, count) in values.items()
    ]


def _train(spec: BaseSpec, data: TaskData, fabric: "Fabric", env: Env) -> None:
    stages = stages_of(spec.run_id, env, fabric)
    torch.manual_seed(derive_seed("init", spec.architecture, spec.task, spec.seed))
    net = to_device(slim_backbone(spec.architecture, num_classes=data.classes), fabric.device)
    seed = derive_seed("order", spec.task, spec.seed)
    checkpoint = stages.training("pre-training")
    steps = train_module(net, base_head(net), data.train, spec.recipe, fabric, seed=seed, checkpoint=checkpoint)
    train_s = stages.clock.seconds()
    origin = provenance(fabric.device, env.precision)  # one moment for all rows of the run
    notes = json.dumps({"steps": steps, "train_s": train_s, "origin": origin})
    write_sealed(checkpoint_path(env.cache, spec.run_id), net.state_dict(), training=notes)


def _says_all(spec: BaseSpec, env: Env) -> bool:
    """Whether a checkpoint is whole and tells what a record has to say of its training."""
    return is_whole_base(spec, env) and bool(_training_notes(checkpoint_path(env.cache, spec.run_id)))


def _training_notes(path: Path) -> dict[str, Any]:
    """What a checkpoint says of its training; empty for one of an older version."""
    found: dict[str, Any] = json.loads(read_safetensors(path)[1].get("training", "{}"))
    return found


def fault_of(spec: BaseSpec, env: Env) -> str | None:
    """Why the checkpoint of a base is not to be used, in a sentence, or "" if there is none; None if it is whole."""
    if not checkpoint_path(env.cache, spec.run_id).exists():
        return ""
    try:
        _checked_state(spec.run_id, env)
    except DeltaError as error:
        return str(error)
    return None


def is_whole_base(spec: BaseSpec, env: Env) -> bool:
    """Whether the checkpoint of a base is there and is what was trained; a warning says so where it is another."""
    fault = fault_of(spec, env)
    if fault:
        warnings.warn(
            f"{fault} The slim {spec.architecture} is pre-trained anew.", stacklevel=1
        )  # one place: told once
    return fault is None


def load_pretrained(architecture: str, run_id: str, env: Env, *, num_classes: int) -> nn.Module:
    """The slim net with its pre-trained weights.

    Raises:
        UserError: if the checkpoint is missing, damaged or of another net.
    """
    net = slim_backbone(architecture, num_classes=num_classes)
    try:
        net.load_state_dict(_checked_state(run_id, env))
    except (DeltaError, OSError, RuntimeError) as error:
        told = str(error) if isinstance(error, DeltaError) else f"{type(error).__name__}."
        raise UserError(
            f"Base checkpoint {str(checkpoint_path(env.cache, run_id))!r} cannot be loaded: {told} Run again to "
            "pre-train it anew."
        ) from error
    return net


def _checked_state(run_id: str, env: Env) -> State:
    """Tensors of a checkpoint, compared with its own checksum and with its record.

    Raises:
        DeltaError: if it is damaged, is not what its record is of, or nothing can tell.
        OSError: if it is not there or may not be read.
    """
    path, recorded = checkpoint_path(env.cache, run_id), _recorded_fingerprint(run_id, env)
    try:
        state, notes = read_safetensors(path)
    except SafetensorError as error:
        raise DeltaError(f"Weights file {str(path)!r} is damaged ({error}).") from error
    if recorded is None and SEAL not in notes:
        raise DeltaError(f"Weights file {str(path)!r} is of an older version, without a checksum.")
    if recorded not in (None, state_fingerprint(state)):
        raise DeltaError(f"Weights file {str(path)!r} is not the one that its record was measured on.")
    return state


def _recorded_fingerprint(run_id: str, env: Env) -> str | None:
    record = record_path(env.results, run_id)
    return read_record(record)[0].backbone_sha_after if is_whole(record) else None
