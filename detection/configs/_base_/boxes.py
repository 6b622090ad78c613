"""What all detectors share: data that are named here and read when training begins, and mmdet's schedule for VOC."""

_base_ = ["mmdet::_base_/datasets/voc0712.py", "mmdet::_base_/default_runtime.py"]

from benchmarks.suites.dense.late import by_data, of

custom_imports = dict(
    imports=[
        "delta_core.openmmlab",
        "benchmarks.suites.dense.boxes",
        "benchmarks.suites.dense.box_scores",
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
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="Resize", scale=of("keep_ratio_scale", stock=(1000, 600)), keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
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
val_evaluator = dict(type="BoxScores")
test_evaluator = val_evaluator

# mmdet's configs of pascal_voc: images three times an epoch, so 4 epochs are 12; the rate falls before the last one.
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=4, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
param_scheduler = [dict(type="MultiStepLR", begin=0, end=4, by_epoch=True, milestones=[3], gamma=0.1)]
auto_scale_lr = dict(enable=False, base_batch_size=16)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=0.0001),
    constructor="TrainableOptimWrapperConstructor",  # leaves out what is frozen
    clip_grad=dict(max_norm=35),
)

default_hooks = dict(checkpoint=dict(max_keep_ckpts=1), logger=dict(interval=by_data(drawn=10, folder=50)))
custom_hooks = [dict(type="DeltaHook"), dict(type="SameDataHook")]
