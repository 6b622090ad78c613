"""Faster R-CNN with FPN on VOC07+12 by mmdet's own schedule, ResNet-18 frozen as a whole: a baseline of Table 7."""

_base_ = ["mmdet::pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py"]
custom_imports = dict(imports=["delta_core.openmmlab"], allow_failed_imports=False)

model = dict(
    backbone=dict(
        _delete_=True,
        type="DeltaBackbone",
        architecture="resnet18",
        weights="timm:tv_in1k",
        n_modules=0,
        out_indices=(1, 2, 3, 4),
    ),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
optim_wrapper = dict(paramwise_cfg=dict(bypass_duplicate=True))  # leaves frozen parameters out of the optimizer
custom_hooks = [dict(type="CalibrateHook")]  # does nothing where there is no patch
