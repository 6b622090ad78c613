"""Faster R-CNN with FPN as in mmdet's config for PASCAL VOC."""

_base_ = ["boxes.py", "mmdet::_base_/models/faster-rcnn_r50_fpn.py"]

from benchmarks.suites.dense.late import by_heads, of

model = dict(
    data_preprocessor=dict(mean=of("mean"), std=of("std")),
    neck=dict(in_channels=of("channels"), out_channels=by_heads(narrow=64, stock=256)),
    rpn_head=dict(in_channels=by_heads(narrow=64, stock=256), feat_channels=by_heads(narrow=64, stock=256)),
    roi_head=dict(
        bbox_roi_extractor=dict(
            out_channels=by_heads(narrow=64, stock=256), roi_layer=dict(sampling_ratio=by_heads(narrow=2, stock=0))
        ),
        bbox_head=dict(
            in_channels=by_heads(narrow=64, stock=256),
            fc_out_channels=by_heads(narrow=256, stock=1024),
            num_classes=of("num_classes"),
        ),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=by_heads(narrow=128, stock=256))),
        rpn_proposal=dict(nms_pre=by_heads(narrow=500, stock=2000), max_per_img=by_heads(narrow=250, stock=1000)),
        rcnn=dict(sampler=dict(num=by_heads(narrow=64, stock=512))),
    ),
    test_cfg=dict(rpn=dict(nms_pre=by_heads(narrow=500, stock=1000), max_per_img=by_heads(narrow=250, stock=1000))),
)
