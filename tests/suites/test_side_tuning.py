"""Side tuning: the ladder's published sums on features of an untouched net, and that no gradient enters that net."""

import pytest
import timm
import torch
from peer_arms import adapted, randomised
from tiny import NETS, RECIPE, images
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.methods.side_tuning import Rung, SideTuning
from delta_core.training.errors import UserError

STAGES = {
    "basic_block": ["layer1", "layer2", "layer3", "layer4"],
    "convnext": ["stages.0", "stages.1", "stages.2", "stages.3"],
    "efficientnet_lite": [f"blocks.{place}" for place in range(7)],
}


@pytest.mark.parametrize("name", STAGES)
@torch.no_grad()
def test_the_side_net_computes_the_ladder_of_the_paper(name: str) -> None:
    """Sung et al. 2022, Section 3.2: gate * side + (1 - gate) * down(frozen), then the block; temperature 0.1."""
    backbone, model = adapted(SideTuning(recipe=RECIPE, width=6), NETS[name])
    net = randomised(model).net
    x = images(count=2, size=36)
    seen: dict[str, Tensor] = {}
    for stage in STAGES[name]:
        backbone.get_submodule(stage).register_forward_hook(lambda _, __, y, key=stage: seen.update({key: y.clone()}))
    backbone.forward_features(x)
    side = None
    for stage in STAGES[name]:
        rung, y = net.get_submodule(stage), seen[stage]
        read = F.conv2d(y, rung.down.weight, rung.down.bias)
        if side is not None:
            gate = 1 / (1 + torch.exp(-10 * rung.gate))
            read = gate * F.adaptive_avg_pool2d(side, y.shape[-2:]) + (1 - gate) * read
        normed = F.conv2d(read, rung.conv.weight, padding=1) / (1 + rung.norm.eps) ** 0.5  # fresh statistics
        side = read + F.relu(normed * rung.norm.weight[:, None, None] + rung.norm.bias[:, None, None])
    wanted = seen[STAGES[name][-1]] + F.conv2d(side, rung.up.weight, rung.up.bias)
    found: list[Tensor] = []
    net.get_submodule(STAGES[name][-1]).register_forward_hook(lambda _, __, y: found.append(y.clone()))
    net.forward_features(x)
    assert torch.allclose(found[0], wanted, rtol=1e-3, atol=1e-3)


def test_no_gradient_enters_a_frozen_stage() -> None:
    _, model = adapted(SideTuning(recipe=RECIPE, width=6), NETS["bottleneck"])
    entered: list[bool] = []
    for module in model.net.modules():
        if isinstance(module, Rung):
            module.stage.register_forward_pre_hook(lambda _, args: entered.append(args[0].requires_grad))
    model.train()(images(size=32)).sum().backward()
    assert entered == [False] * 4


@pytest.mark.parametrize(
    ("architecture", "channels"),
    [("resnet50", (256, 512, 1024, 2048)), ("tf_efficientnet_lite0", (16, 24, 40, 80, 112, 192, 320))],
)
def test_counts_follow_from_the_widths_of_the_stages(architecture: str, channels: tuple[int, ...]) -> None:
    width, rungs = 32, len(channels)
    blocks = rungs * (9 * width * width + 2 * width) + rungs - 1
    wanted = sum(width * (count + 1) for count in channels) + blocks + channels[-1] * (width + 1)
    assert SideTuning(recipe=RECIPE, width=width).full_size_params(architecture) == wanted


def test_a_net_with_something_between_its_stages_is_an_error() -> None:
    net: nn.Module = timm.create_model("densenet121")
    with pytest.raises(UserError, match=r"cannot pass features\.transition1"):
        SideTuning(recipe=RECIPE).adapt(net)
