"""Faster R-CNN with FPN by mmdet's own schedule, ResNet-18 frozen as a whole: a baseline of Table 7."""

_base_ = ["_base_/faster_rcnn.py"]

model = dict(
    backbone=dict(
        _delete_=True,
        type="DeltaBackbone",
        architecture="resnet18",
        weights="timm:tv_in1k",
        n_modules=0,
        out_indices=(1, 2, 3, 4),
    ),
)
