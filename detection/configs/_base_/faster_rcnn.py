"""What all Faster R-CNN configs share: mmdet's FPN base, on data that are named here and read when training begins."""

_base_ = ["mmdet::pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py"]

from benchmarks.suites.dense.late import by_data, by_heads, of

custom_imports = dict(
    imports=[
        "delta_core.openmmlab",
        "benchmarks.suites.dense.boxes",
        "benchmarks.suites.dense.slim_backbone",
        "benchmarks.suites.dense.dense_runner",
    ],
    allow_failed_imports=False,
)
runner_type = "DenseRunner"  # settles by_data, by_heads and of

# root: a folder in VOC's or COCO's layout, or "scenes"; empty: data/VOCdevkit if it is there, else drawn scenes.
data = dict(task="detection", root="", format="auto", classes="auto")
heads = "auto"  # stock, or narrow: a quarter of the channels, for CPUs and drawn scenes

train_pipeline = [
    dict(type="LoadPicture"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="Resize", scale=of("keep_ratio_scale", stock=(1000, 600)), keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadPicture"),
    dict(type="Resize", scale=of("keep_ratio_scale", stock=(1000, 600)), keep_ratio=True),
    dict(type="LoadAnnotations", with_bbox=True),  # after the resize: boxes are scored in the image's own pixels
    dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")),
]
train_dataloader = dict(
    batch_size=by_data(drawn=4, folder=2),
    num_workers=by_data(drawn=0, folder=2),
    persistent_workers=by_data(drawn=False, folder=True),
    dataset=dict(
        _delete_=True,
        type="RepeatDataset",
        times=by_data(drawn=1, folder=3),
        dataset=dict(
            type="ConcatDataset",
            ignore_keys=["dataset_type"],
            datasets=of("boxes_to_train_on", pipeline=train_pipeline),
        ),
    ),
)
val_dataloader = dict(
    num_workers=by_data(drawn=0, folder=2),
    persistent_workers=by_data(drawn=False, folder=True),
    dataset=of("boxes_to_test", pipeline=test_pipeline),
)
test_dataloader = val_dataloader

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

default_hooks = dict(checkpoint=dict(max_keep_ckpts=1))
custom_hooks = [dict(type="DeltaHook"), dict(type="SameDataHook")]
optim_wrapper = dict(
    paramwise_cfg=dict(bypass_duplicate=True),  # leaves frozen parameters out of the optimizer
    clip_grad=dict(max_norm=35),
)
