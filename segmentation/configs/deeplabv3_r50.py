"""DeepLabV3 by mmseg's own schedule, ResNet-50 frozen as a whole: the baseline of Table 7."""

_base_ = ["_base_/deeplabv3.py"]

model = dict(
    backbone=dict(
        _delete_=True,
        type="DeltaBackbone",
        architecture="resnet50",
        weights="timm:a1_in1k",
        n_modules=0,
        out_indices=(1, 2, 3, 4),
        output_stride=8,
    ),
)
