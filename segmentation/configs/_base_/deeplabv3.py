"""What all DeepLabV3 configs share: mmseg's base, on data that are there (benchmarks/suites/dense/configs.py)."""

_base_ = ["mmseg::deeplabv3/deeplabv3_r50-d8_4xb4-20k_voc12aug-512x512.py"]

import os

from benchmarks.suites.dense import configs
from benchmarks.suites.dense.data import count_images

custom_imports = dict(
    imports=["delta_core.openmmlab", "benchmarks.suites.dense.slim_backbone"], allow_failed_imports=False
)

project = "{{ fileDirname }}/../../.."
data = configs.data_of("segmentation", project)
short_side = configs.short_side(data, stock=512)
scale = (4 * short_side, short_side)
crop_size = (short_side, short_side)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="RandomResize", scale=scale, ratio_range=(0.9, 1.1) if data.is_drawn else (0.5, 2.0), keep_ratio=True),
    dict(type="RandomCrop", crop_size=crop_size, cat_max_ratio=0.75, ignore_index=data.ignore_index),
    dict(type="RandomFlip", prob=0.5),
    *([] if data.is_drawn else [dict(type="PhotoMetricDistortion")]),  # a slim frozen net does not see through it
    dict(type="PackSegInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=scale, keep_ratio=True),
    dict(type="LoadAnnotations"),  # after the resize: masks are scored in the image's own pixels
    dict(type="PackSegInputs"),
]
train_dataloader = dict(
    num_workers=0 if data.is_drawn else 2,
    persistent_workers=not data.is_drawn,
    dataset=dict(
        _delete_=True,
        type="ConcatDataset",
        datasets=[configs.masks(data, split, train_pipeline) for split in data.train],
    ),
)
val_dataloader = dict(
    num_workers=0 if data.is_drawn else 2,
    persistent_workers=not data.is_drawn,
    dataset=dict(_delete_=True, **configs.masks(data, data.test, test_pipeline)),
)
test_dataloader = val_dataloader
val_evaluator = dict(ignore_index=data.ignore_index)
test_evaluator = val_evaluator

norm_cfg = dict(type="SyncBN" if int(os.environ.get("WORLD_SIZE", "1")) > 1 else "BN", requires_grad=True)
head = dict(num_classes=len(configs.scored_classes(data)), norm_cfg=norm_cfg, ignore_index=data.ignore_index)
model = dict(pretrained=None, decode_head=head, auxiliary_head=head)
if configs.heads_of(data) == "narrow":
    model = dict(
        pretrained=None,
        decode_head=dict(channels=64, dilations=(1, 3, 6, 9), **head),  # the stock ones look out of a small image
        auxiliary_head=dict(channels=32, **head),
    )

optim_wrapper = dict()
if data.is_drawn:  # SGD at mmseg's rate needs thousands of steps
    train_cfg = dict(max_iters=400, val_interval=200)
    param_scheduler = [dict(type="PolyLR", eta_min=1e-5, power=0.9, begin=0, end=400, by_epoch=False)]
    default_hooks = dict(checkpoint=dict(interval=100, max_keep_ckpts=1))
    optim_wrapper = dict(optimizer=dict(_delete_=True, type="AdamW", lr=1e-2, weight_decay=0.01))
optim_wrapper["paramwise_cfg"] = dict(bypass_duplicate=True)  # leaves frozen parameters out of the optimizer
custom_hooks = [dict(type="DeltaHook")]  # calibrates a patch, proves that what is frozen stayed so

is_drawn = data.is_drawn
train_images = count_images(data)
ignore_index = data.ignore_index
del data  # a saved config holds plain values alone
