"""FCOS with the normalised head of its mmdet configs, ResNet-18 frozen as a whole."""

_base_ = ["_base_/boxes.py"]

from benchmarks.suites.dense.late import by_heads, of

width = by_heads(narrow=64, stock=256)
model = dict(
    type="FCOS",
    data_preprocessor=dict(
        type="DetDataPreprocessor", mean=of("mean"), std=of("std"), bgr_to_rgb=True, pad_size_divisor=32
    ),
    backbone=dict(
        type="DeltaBackbone",
        architecture="resnet18",
        weights="timm:tv_in1k",
        n_modules=0,
        out_indices=(1, 2, 3, 4),
    ),
    neck=dict(
        type="FPN",
        in_channels=of("channels"),
        out_channels=width,
        start_level=1,
        add_extra_convs="on_output",
        num_outs=5,
        relu_before_extra_convs=True,
    ),
    bbox_head=dict(
        type="FCOSHead",
        in_channels=width,
        feat_channels=width,
        strides=[8, 16, 32, 64, 128],
        num_classes=of("num_classes"),
    ),
    test_cfg=dict(nms_pre=1000, score_thr=0.05, nms=dict(type="nms", iou_threshold=0.5), max_per_img=100),
)
