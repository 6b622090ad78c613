"""Make timm's SKNets patchable: their class is ResNet, but their units are of a type that has no adapter yet."""

# %%
import timm
import torch
from timm.models.sknet import SelectiveKernelBasic

from delta_core import DeltaConfig, register_sub_block, wrap
from delta_core.families import SubBlockAdapter

# %% [markdown]
# The unit's `forward`, taken apart at its addition.

# %%
ADAPTER = SubBlockAdapter(
    residual=lambda unit, x: unit.conv2(unit.conv1(x)),
    channels=lambda unit: (unit.conv1.in_channels, unit.conv2.conv.out_channels),
    shortcut=lambda unit, x: x if unit.downsample is None else unit.downsample(x),
    activation=lambda unit, x: unit.act(x),
)

# %% [markdown]
# Existing skips at weight 1: the adapter is right if the features are those of the net.

# %%
if __name__ == "__main__":
    register_sub_block(SelectiveKernelBasic, ADAPTER)
    net, x = timm.create_model("skresnet18").eval(), torch.rand(2, 3, 64, 64)
    model = wrap(net, DeltaConfig(gating="existing-only", norm_place="none"), num_classes=5).eval()
    with torch.no_grad():
        torch.testing.assert_close(model.forward_features(x), net.forward_features(x))
    model.add_patch("gated", num_classes=5, config=DeltaConfig())
    model.calibrate([x])
    print(model(x).shape)
