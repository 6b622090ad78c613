"""RetinaNet by mmdet's own schedule, ResNet-18 frozen as a whole."""

_base_ = ["_base_/boxes.py", "mmdet::_base_/models/retinanet_r50_fpn.py"]

from benchmarks.suites.dense.late import by_heads, of

width = by_heads(narrow=64, stock=256)
model = dict(
    data_preprocessor=dict(mean=of("mean"), std=of("std")),
    backbone=dict(
        _delete_=True,
        type="DeltaBackbone",
        architecture="resnet18",
        weights="timm:tv_in1k",
        n_modules=0,
        out_indices=(1, 2, 3, 4),
    ),
    neck=dict(in_channels=of("channels"), out_channels=width),
    bbox_head=dict(in_channels=width, feat_channels=width, num_classes=of("num_classes")),
)
