"""JointDelta: everything learns, with right gradients, and the model it was made from does not notice."""

import copy
from collections.abc import Callable

import pytest
import torch
from tiny import NETS, basic_block_net, images
from torch import nn
from torch.nn import functional as F

from delta_core import DeltaConfig, DeltaModel, JointDelta, skip_sum
from delta_core.families import base_head


def model_of(net: nn.Module, config: DeltaConfig | None = None) -> DeltaModel:
    model = DeltaModel(net)
    model.add_patch("task", num_classes=5, config=config or DeltaConfig.paper(n_modules=2))
    return model


def gradients(net: JointDelta, x: torch.Tensor) -> dict[str, torch.Tensor]:
    net.zero_grad()
    F.cross_entropy(net(x), torch.arange(len(x)) % 5).backward()
    return {name: parameter.grad for name, parameter in net.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("make_net", NETS.values(), ids=NETS.keys())
def test_logits_in_eval_mode_are_those_of_the_model(make_net: Callable[[], nn.Module]) -> None:
    model = model_of(make_net()).eval()
    net = JointDelta(model).eval()
    with torch.no_grad():
        x = images()
        assert torch.equal(net(x), model(x))
        assert torch.equal(net.forward_features(x), model.forward_features(x))
        pooled = net.forward_head(net.forward_features(x), pre_logits=True)
        assert torch.equal(net.head(pooled), model(x))


@pytest.mark.parametrize("make_net", NETS.values(), ids=NETS.keys())
def test_all_but_the_base_head_learns_and_the_model_stays_frozen(make_net: Callable[[], nn.Module]) -> None:
    model = model_of(make_net())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    net = JointDelta(model)
    assert all(module.training for module in net.modules())
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    unused = {id(parameter) for parameter in base_head(net.backbone).parameters()}
    start = {name: parameter.clone() for name, parameter in net.named_parameters() if id(parameter) not in unused}
    assert start.keys() == gradients(net, images(6)).keys()
    optimizer.step()
    after = dict(net.named_parameters())
    still = [name for name, value in start.items() if torch.equal(after[name], value)]
    assert still == []
    model.assert_frozen()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_running_statistics_of_the_backbone_move_in_train_mode_alone() -> None:
    net = JointDelta(model_of(basic_block_net()))
    start = copy.deepcopy(net.backbone.layer1[0].bn1.running_mean)
    net.eval()(images())
    assert torch.equal(net.backbone.layer1[0].bn1.running_mean, start)
    net.train()(images())
    assert not torch.equal(net.backbone.layer1[0].bn1.running_mean, start)


@pytest.mark.parametrize("make_net", [NETS["basic_block"], NETS["convnext"]], ids=["basic_block", "convnext"])
def test_gradients_of_all_weights_are_those_of_plain_sums(
    make_net: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    net = JointDelta(model_of(make_net(), DeltaConfig.paper(n_modules=4))).double()
    x = images(6).double()
    stored = gradients(net, x)
    monkeypatch.setattr(
        skip_sum.SkipSums, "_sum", lambda self, gates, _, residual: skip_sum.plain_sum(gates, self.nodes, residual)
    )
    plain = gradients(net, x)
    assert stored.keys() == plain.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(stored[name], gradient, msg=name)


def test_a_calibrated_patch_is_taken_along() -> None:
    model = model_of(basic_block_net(), DeltaConfig(n_modules=2))
    model.calibrate([images(8)])
    net = JointDelta(model, "task")
    assert torch.equal(net.patch.blocks["layer4"].norm.running_var, model.patch().blocks["layer4"].norm.running_var)
