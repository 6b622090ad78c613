"""Frozen backbones with patches as citizens of OpenMMLab: for mmdet, mmseg and whatever else uses mmengine.

A config names this package, and nothing else of the library imports it; it needs mmengine alone:

    custom_imports = dict(imports=["delta_core.openmmlab"], allow_failed_imports=False)
    model = dict(backbone=dict(type="DeltaBackbone", architecture="resnet18", out_indices=(1, 2, 3, 4)), ...)
    custom_hooks = [dict(type="DeltaHook")]
    optim_wrapper = dict(constructor="TrainableOptimWrapperConstructor", ...)

The last line leaves frozen parameters out of the optimizer; without it they are listed there, but get neither a
gradient nor a state. To import the package is to register what it holds, as mmengine has it.
"""

from delta_core.openmmlab.backbone import PATCH, DeltaBackbone
from delta_core.openmmlab.checkpoints import load_checkpoint_file
from delta_core.openmmlab.hook import DeltaHook
from delta_core.openmmlab.optimizer import TrainableOptimWrapperConstructor

__all__ = ["PATCH", "DeltaBackbone", "DeltaHook", "TrainableOptimWrapperConstructor", "load_checkpoint_file"]
