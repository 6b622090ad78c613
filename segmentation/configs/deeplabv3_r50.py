"""DeepLabV3 by mmseg's own schedule, ResNet-50 frozen as a whole: the baseline of Table 7."""

_base_ = ["_base_/deeplabv3.py"]

from benchmarks.suites.dense import configs

backbone = configs.backbone("resnet50", "timm:a1_in1k", _base_.is_drawn, _base_.project)
in_channels = configs.channels(backbone)

model = dict(
    data_preprocessor=dict(size=_base_.crop_size, seg_pad_val=_base_.ignore_index, **configs.normalisation(backbone)),
    backbone=dict(_delete_=True, **backbone, n_modules=0, out_indices=configs.STAGES, output_stride=8),
    decode_head=configs.decoder_input(in_channels, _base_.is_drawn),
    auxiliary_head=dict(in_channels=in_channels[2]),
)
