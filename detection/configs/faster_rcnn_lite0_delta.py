"""Faster R-CNN on the same frozen EfficientNet-Lite0 with Delta (4): the backbone alone differs."""

_base_ = ["faster_rcnn_lite0.py"]

model = dict(backbone=dict(n_modules=4))
