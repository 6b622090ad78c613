"""Faster R-CNN on the same frozen ResNet-34 with Delta (4): differs from the baseline in the backbone alone."""

_base_ = ["faster_rcnn_r34.py"]

model = dict(backbone=dict(n_modules=4))
