"""DeepLabV3 on the same frozen EfficientNet-Lite0 with Delta (4): differs from the baseline in the backbone alone."""

_base_ = ["deeplabv3_lite0.py"]

model = dict(backbone=dict(n_modules=4))
