"""UPerNet by mmseg's own schedule, ResNet-50 frozen as a whole."""

_base_ = ["_base_/masks.py", "mmseg::_base_/models/upernet_r50.py"]

from benchmarks.suites.dense.late import by_heads, of

head = dict(num_classes=of("scored_classes"), norm_cfg=of("norm_of_heads"), ignore_index=of("ignore_index"))
model = dict(
    pretrained=None,
    data_preprocessor=dict(
        type="SettledSegDataPreProcessor",
        size=of("crop_size", stock=512),
        seg_pad_val=of("ignore_index"),
        mean=of("mean"),
        std=of("std"),
    ),
    backbone=dict(
        _delete_=True,
        type="DeltaBackbone",
        architecture="resnet50",
        weights="timm:a1_in1k",
        n_modules=0,
        out_indices=(1, 2, 3, 4),
    ),
    decode_head=dict(in_channels=of("channels"), channels=by_heads(narrow=64, stock=512), **head),
    auxiliary_head=dict(in_channels=of("channels_of_level", level=2), channels=by_heads(narrow=32, stock=256), **head),
)
