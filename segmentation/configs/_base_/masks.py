"""What all segmentors share: data that are named here and read when training begins, and mmseg's schedule for VOC."""

_base_ = [
    "mmseg::_base_/datasets/pascal_voc12_aug.py",
    "mmseg::_base_/default_runtime.py",
    "mmseg::_base_/schedules/schedule_20k.py",
]

from benchmarks.suites.dense.late import by_data, of

custom_imports = dict(
    imports=[
        "delta_core.openmmlab",
        "benchmarks.suites.dense.masks",
        "benchmarks.suites.dense.mask_preprocessor",
        "benchmarks.suites.dense.mask_scores",
        "benchmarks.suites.dense.slim_backbone",
        "benchmarks.suites.dense.dense_runner",
    ],
    allow_failed_imports=False,
)
runner_type = "DenseRunner"  # settles by_data, by_heads and of

# root: a folder in VOC's, SegNet's or COCO's layout, or "scenes"; empty: data/VOCdevkit if it is there, else scenes.
data = dict(task="segmentation", root="", format="auto", classes="auto")
heads = "auto"  # stock, or narrow: fewer channels, and dilations that stay inside small images

train_pipeline = [
    dict(type="LoadImageFromFile"),
    of("load_masks"),
    dict(
        type="RandomResize",
        scale=of("scale_to_short_side", stock=512),
        ratio_range=by_data(drawn=(0.9, 1.1), folder=(0.5, 2.0)),
        keep_ratio=True,
    ),
    dict(type="RandomCrop", crop_size=of("crop_size", stock=512), cat_max_ratio=0.75, ignore_index=of("ignore_index")),
    dict(type="RandomFlip", prob=0.5),
    # A slim frozen net does not see through distorted colours.
    by_data(drawn=None, folder=dict(type="PhotoMetricDistortion")),
    dict(type="PackSegInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=of("scale_to_short_side", stock=512), keep_ratio=True),
    of("load_masks"),  # after the resize: masks are scored in the image's own pixels
    dict(type="PackSegInputs"),
]
train_dataloader = dict(
    num_workers=by_data(drawn=0, folder=2),
    persistent_workers=by_data(drawn=False, folder=True),
    dataset=dict(_delete_=True, type="ConcatDataset", datasets=of("masks_to_train_on", pipeline=train_pipeline)),
)
val_dataloader = dict(
    num_workers=by_data(drawn=0, folder=2),
    persistent_workers=by_data(drawn=False, folder=True),
    dataset=of("masks_to_test", pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="MaskScores", ignore_index=of("ignore_index"))
test_evaluator = val_evaluator

# On drawn scenes a short schedule, and AdamW: SGD at mmseg's rate needs thousands of steps.
train_cfg = dict(max_iters=by_data(drawn=400, folder=20000), val_interval=by_data(drawn=200, folder=2000))
param_scheduler = [
    dict(
        type="PolyLR",
        eta_min=by_data(drawn=1e-5, folder=1e-4),
        power=0.9,
        begin=0,
        end=by_data(drawn=400, folder=20000),
        by_epoch=False,
    )
]
default_hooks = dict(
    checkpoint=dict(interval=by_data(drawn=100, folder=2000), max_keep_ckpts=by_data(drawn=1, folder=-1)),
    logger=dict(interval=by_data(drawn=10, folder=50)),
    visualization=dict(interval=1),  # --show-dir draws every test image, as in mmdet; mmseg's own is every 50th
)
optim_wrapper = dict(
    optimizer=by_data(
        drawn=dict(type="AdamW", lr=1e-2, weight_decay=0.01),
        folder=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=0.0005),
    ),
    constructor="TrainableOptimWrapperConstructor",  # leaves out what is frozen
    # At AdamW's rate for the heads a fresh patch overshoots; docs/dense.md has what was tried.
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=by_data(drawn=0.3, folder=1.0)))),
)
custom_hooks = [dict(type="DeltaHook"), dict(type="SameDataHook")]
