"""What all Faster R-CNN configs share: mmdet's FPN base and the data of benchmarks/suites/dense/configs.py."""

_base_ = ["mmdet::pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py"]

from benchmarks.suites.dense import configs

custom_imports = dict(
    imports=["delta_core.openmmlab", "benchmarks.suites.dense.slim_backbone"], allow_failed_imports=False
)

project = "{{ fileDirname }}/../../.."
data = configs.data_of("detection", project)
scale = configs.keep_ratio_scale(data, stock=(1000, 600))

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="Resize", scale=scale, keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=scale, keep_ratio=True),
    dict(type="LoadAnnotations", with_bbox=True),  # after the resize: boxes are scored in the image's own pixels
    dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")),
]
# mmdet's base drops what is smaller than 32 pixels, which is nothing in VOC and much in smaller images.
filter_cfg = dict(filter_empty_gt=True, min_size=32, bbox_min_size=32) if data.is_voc else dict(filter_empty_gt=True)
train_sets = [configs.boxes(data, split, train_pipeline, filter_cfg=filter_cfg) for split in data.train]
train_dataloader = dict(
    batch_size=4 if data.is_drawn else 2,
    num_workers=0 if data.is_drawn else 2,
    persistent_workers=not data.is_drawn,
    dataset=dict(
        _delete_=True,
        type="RepeatDataset",
        times=1 if data.is_drawn else 3,
        dataset=dict(type="ConcatDataset", ignore_keys=["dataset_type"], datasets=train_sets),
    ),
)
val_dataloader = dict(
    num_workers=0 if data.is_drawn else 2,
    persistent_workers=not data.is_drawn,
    dataset=dict(_delete_=True, **configs.boxes(data, data.test, test_pipeline, test_mode=True)),
)
test_dataloader = val_dataloader

model = dict(roi_head=dict(bbox_head=dict(num_classes=len(data.classes))))
if configs.heads_of(data) == "narrow":
    model = dict(
        neck=dict(out_channels=64),
        rpn_head=dict(in_channels=64, feat_channels=64),
        roi_head=dict(
            bbox_roi_extractor=dict(out_channels=64, roi_layer=dict(sampling_ratio=2)),
            bbox_head=dict(in_channels=64, fc_out_channels=256, num_classes=len(data.classes)),
        ),
        train_cfg=dict(
            rpn=dict(sampler=dict(num=128)),
            rpn_proposal=dict(nms_pre=500, max_per_img=250),
            rcnn=dict(sampler=dict(num=64)),
        ),
        test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=250)),
    )

default_hooks = dict(checkpoint=dict(max_keep_ckpts=1))
custom_hooks = [dict(type="DeltaHook")]  # calibrates a patch, proves that what is frozen stayed so
optim_wrapper = dict(
    paramwise_cfg=dict(bypass_duplicate=True),  # leaves frozen parameters out of the optimizer
    clip_grad=dict(max_norm=35),
)

is_drawn = data.is_drawn
del data  # a saved config holds plain values alone
