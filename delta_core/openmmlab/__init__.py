"""Frozen backbones with patches as citizens of OpenMMLab: for mmdet, mmseg and whatever else uses mmengine.

A config names this package, and nothing else of the library imports it; it needs mmengine alone:

    custom_imports = dict(imports=["delta_core.openmmlab"], allow_failed_imports=False)
    model = dict(backbone=dict(type="DeltaBackbone", architecture="resnet18", out_indices=(1, 2, 3, 4)), ...)
    custom_hooks = [dict(type="DeltaHook")]
    optim_wrapper = dict(paramwise_cfg=dict(bypass_duplicate=True), ...)

The last line lets mmengine leave frozen parameters out of the optimizer; without it they are listed there, but get
neither a gradient nor a state. To import the package is to register what it holds, as mmengine has it.
"""

from delta_core.openmmlab.backbone import PATCH, DeltaBackbone
from delta_core.openmmlab.checkpoints import load_checkpoint_file
from delta_core.openmmlab.hook import DeltaHook

__all__ = ["PATCH", "DeltaBackbone", "DeltaHook", "load_checkpoint_file"]
