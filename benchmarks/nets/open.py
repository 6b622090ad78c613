"""The pre-trained net of a run, and how images must be prepared for it."""

import torch
from torch import nn

from benchmarks.env import Env
from benchmarks.nets.base_transforms import PAPER_TRANSFORM, BaseTransform, prepared
from benchmarks.nets.pretraining import load_pretrained
from benchmarks.nets.slim import PREPROCESSING, slim_backbone
from benchmarks.records.rows import SCRATCH, Scale
from benchmarks.spec import Run
from delta_core.training.identity import derive_seed
from delta_core.weights import Preprocessing, load_backbone, preprocessing_of

EMBEDDED_BASE_CLASSES = 62


def open_backbone(run: Run, env: Env) -> nn.Module:
    """The net of a run with its pre-trained weights, or with random ones, on the CPU.

    Raises:
        UserError, DeltaError: if its weights cannot be loaded.
    """
    source, _, name = run.weights.partition(":")
    if run.weights == SCRATCH:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed("scratch", run.architecture, run.seed))
            if run.scale == "embedded":
                return slim_backbone(run.architecture, num_classes=EMBEDDED_BASE_CLASSES)
            return load_backbone(run.architecture, "none")
    if source == "pretrain":
        return load_pretrained(run.architecture, name, env, num_classes=EMBEDDED_BASE_CLASSES)
    weights = str(env.weights_file) if source == "file" else run.weights
    return load_backbone(run.architecture, weights, weights_root=env.weights_root)


def preprocessings(
    scale: Scale, image_size: int, backbone: nn.Module, *, base_transform: BaseTransform | None = None
) -> tuple[Preprocessing, Preprocessing]:
    """Preprocessing of the patch task (at `image_size` pixels) and of the base task (at the weights' own size).

    `base_transform`: what the user accepted for a base of scale paper; the paper's if nothing.
    """
    if scale == "embedded":
        return PREPROCESSING, PREPROCESSING
    at_task, at_base = preprocessing_of(backbone, image_size), preprocessing_of(backbone)
    if scale == "paper":
        return prepared(at_task, PAPER_TRANSFORM), prepared(at_base, base_transform or PAPER_TRANSFORM)
    return at_task, at_base
