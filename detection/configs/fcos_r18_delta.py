"""FCOS on the same frozen ResNet-18 with Delta (4): differs from the baseline in the backbone alone."""

_base_ = ["fcos_r18.py"]

model = dict(backbone=dict(n_modules=4))
