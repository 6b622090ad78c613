"""UPerNet on the same frozen ResNet-50 with Delta (4): differs from the baseline in the backbone alone."""

_base_ = ["upernet_r50.py"]

model = dict(backbone=dict(n_modules=4))
