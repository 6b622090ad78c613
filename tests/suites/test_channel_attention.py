"""DELTA's channel attention: which layers, how far the loss rises, and that the useful filter comes first."""

import math

import pytest
import torch
from tiny import basic_block_net, bottleneck_net, convnext_net, efficientnet_lite_net, images
from torch import nn
from torch.nn import functional as F

from benchmarks.suites.transfer.methods import channel_attention
from delta_core import DeltaModel, JointDelta
from delta_core.training.errors import UserError

CLASSES = 3


def joint(net: nn.Module | None = None) -> JointDelta:
    """Without modules, as attention is measured; deterministic."""
    model = DeltaModel(net or basic_block_net())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model.add_patch("task", num_classes=CLASSES)
    return JointDelta(model)


def test_layers_are_the_last_convolution_of_each_stage() -> None:
    assert channel_attention.last_convolutions(joint(bottleneck_net())) == (
        "layer1.2.conv3",
        "layer2.3.conv3",
        "layer3.5.conv3",
        "layer4.2.conv3",
    )
    assert channel_attention.last_convolutions(joint(efficientnet_lite_net()))[-1].endswith("conv_pwl")
    assert channel_attention.last_convolutions(joint(convnext_net()))[0].endswith("conv_dw")


def test_a_net_whose_convolutions_are_out_of_reach_is_refused() -> None:
    from torchvision.models import mobilenet_v3_small

    with pytest.raises(UserError, match="leave this method out"):
        channel_attention.last_convolutions(joint(mobilenet_v3_small()))


def test_loss_rises_equal_whole_passes_and_leave_the_net_as_it_was() -> None:
    net, labels = joint(), torch.arange(6) % CLASSES
    x, before = images(6), {name: tensor.clone() for name, tensor in net.state_dict().items()}
    name = channel_attention.last_convolutions(net)[2]
    rises = channel_attention.loss_rises(net, name, x, labels)
    assert net.training
    assert all(torch.equal(tensor, before[key]) for key, tensor in net.state_dict().items())
    net.eval()
    with torch.no_grad():
        whole = F.cross_entropy(net(x), labels)
        net.backbone.get_submodule(name).weight[5] = 0  # type: ignore[index, operator]
        assert rises[5].item() == pytest.approx((F.cross_entropy(net(x), labels) - whole).item(), abs=1e-5)


def test_attention_is_highest_on_the_one_useful_filter() -> None:
    net, useful = joint(), 5
    name = channel_attention.last_convolutions(net)[-1]
    convolution = net.backbone.get_submodule(name)
    unit = net.backbone.get_submodule(name.rpartition(".")[0])
    with torch.no_grad():
        for parameter in [*unit.bn2.parameters(), *unit.conv1.parameters()]:  # type: ignore[union-attr]
            parameter.abs_()
        convolution.weight.abs_()  # type: ignore[operator, union-attr]
        net.head.weight.zero_()  # type: ignore[operator, union-attr]
        net.head.weight[0, useful] = 3.0  # type: ignore[index, operator]
    labels = torch.zeros(6, dtype=torch.long)  # class 0 needs the useful filter and nothing else
    attention = channel_attention.channel_attention(net, [(images(6), labels), (images(6, seed=1), labels)])
    assert attention[-1].argmax().item() == useful
    assert all(weights.sum().item() == pytest.approx(1) for weights in attention)
    others = torch.cat([attention[-1][:useful], attention[-1][useful + 1 :]])
    assert (others.max() - others.min()).item() == pytest.approx(0, abs=1e-6), "the others are equally useless"
    # One standard score of (n - 1) / sqrt(n - 1) against all others of -1 / sqrt(n - 1).
    n = len(attention[-1])
    ratio = math.exp((math.sqrt(n - 1) + 1 / math.sqrt(n - 1)) / 5)
    assert (attention[-1][useful] / others[0]).item() == pytest.approx(ratio, rel=1e-3)
