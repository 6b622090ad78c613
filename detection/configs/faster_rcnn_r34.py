"""Faster R-CNN with FPN by mmdet's own schedule, ResNet-34 frozen as a whole: a baseline of Table 7."""

_base_ = ["_base_/faster_rcnn.py"]

model = dict(
    backbone=dict(
        _delete_=True,
        type="DeltaBackbone",
        architecture="resnet34",
        weights="timm:bt_in1k",
        n_modules=0,
        out_indices=(1, 2, 3, 4),
    ),
)
