"""Faster R-CNN with FPN by mmdet's own schedule, ResNet-34 frozen as a whole: a baseline of Table 7."""

_base_ = ["_base_/faster_rcnn.py"]

from benchmarks.suites.dense import configs

backbone = configs.backbone("resnet34", "timm:bt_in1k", _base_.is_drawn, _base_.project)

model = dict(
    data_preprocessor=configs.normalisation(backbone),
    backbone=dict(_delete_=True, **backbone, n_modules=0, out_indices=configs.STAGES),
    neck=dict(in_channels=configs.channels(backbone)),
)
