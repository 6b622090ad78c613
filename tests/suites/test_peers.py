"""The peers of the study of adapters: how they start, that the base cannot notice them, and on which nets they run."""

import copy
import io

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peer_arms import DRAWN, STARTING_AS_THE_BASE, adapted, arm, randomised
from tiny import NETS, RECIPE, basic_block_net, images
from tiny_cell import tiny_cell

from benchmarks.methods.adapted import AdaptedMethod
from benchmarks.methods.last_stage import LastStage
from benchmarks.nets.slim import slim_backbone
from delta_core import backbone_fingerprint
from delta_core.training.errors import UserError

by_arm = pytest.mark.parametrize("method", STARTING_AS_THE_BASE + DRAWN, ids=arm)


@pytest.mark.parametrize("method", STARTING_AS_THE_BASE, ids=arm)
@pytest.mark.parametrize("name", NETS)
@settings(max_examples=2, deadline=None)
@given(size=st.integers(17, 40), seed=st.integers(0, 9))
def test_the_net_starts_as_the_base_and_can_leave_it(method: AdaptedMethod, name: str, size: int, seed: int) -> None:
    backbone, model = adapted(method, NETS[name])
    x = images(count=2, size=size, seed=seed)
    with torch.no_grad():
        before = backbone(x)
        assert torch.allclose(model.net(x), before, rtol=1e-4, atol=1e-5)
        assert not torch.equal(randomised(model).net(x), before)
        assert torch.equal(backbone(x), before)


@pytest.mark.parametrize("method", DRAWN, ids=arm)
@torch.no_grad()
def test_drawn_adapters_start_beside_the_base(method: AdaptedMethod) -> None:
    backbone, model = adapted(method, basic_block_net)
    assert not torch.allclose(model.net(images(size=16)), backbone(images(size=16)), rtol=1e-2)


@by_arm
def test_training_never_reaches_the_base(method: AdaptedMethod) -> None:
    cell = tiny_cell()
    outcome = method.measure(cell)
    assert outcome.base_logits_equal
    assert outcome.backbone_sha_after == backbone_fingerprint(cell.new_backbone())
    assert outcome.params_delta > 0


@by_arm
@pytest.mark.parametrize("name", NETS)
def test_gradients_reach_the_tasks_own_tensors_alone(method: AdaptedMethod, name: str) -> None:
    backbone, model = adapted(method, NETS[name])
    before = backbone_fingerprint(backbone)
    model.train()
    model(images(size=32)).square().sum().backward()
    shared = {id(parameter) for parameter in backbone.parameters()}
    assert backbone_fingerprint(backbone) == before, "running statistics of the base moved"
    for key, parameter in model.named_parameters():
        own = id(parameter) not in shared
        assert own == parameter.requires_grad == (parameter.grad is not None), key


@by_arm
def test_a_copy_and_a_saved_state_answer_alike(method: AdaptedMethod) -> None:
    model = randomised(adapted(method, basic_block_net)[1])
    x = images(size=16)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    fresh = adapted(method, basic_block_net)[1]
    file.seek(0)
    fresh.load_state_dict(torch.load(file))
    with torch.no_grad():
        assert torch.equal(copy.deepcopy(model)(x), model(x))
        assert torch.equal(fresh(x), model(x))


@by_arm
@pytest.mark.parametrize("architecture", ["resnet18", "resnext50_32x4d", "convnext_tiny"])
def test_a_step_on_slim_nets(method: AdaptedMethod, architecture: str) -> None:
    _, model = adapted(method, lambda: slim_backbone(architecture, num_classes=7))
    model.train()
    x = images(size=32).contiguous(memory_format=torch.channels_last)
    model(x).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("architecture", ["resnet50", "tf_efficientnet_lite0"])
def test_last_stage_counts_the_modules_behind_its_first(architecture: str) -> None:
    net = timm.create_model(architecture)
    behind = [net.layer4] if architecture == "resnet50" else [net.blocks[6], net.conv_head, net.bn2]
    sizes = [sum(parameter.numel() for module in behind for parameter in module.parameters())]
    sizes.append(
        sizes[0] + sum(p.numel() for p in (net.layer3 if architecture == "resnet50" else net.blocks[5]).parameters())
    )
    assert [LastStage(recipe=RECIPE, stages=n).full_size_params(architecture) for n in (1, 2)] == sizes


def test_more_stages_than_there_are_is_an_error() -> None:
    with pytest.raises(UserError, match="ResNet has 4 stages, so stages=5"):
        LastStage(recipe=RECIPE, stages=5).adapt(basic_block_net())


def test_the_last_stages_train_as_in_full_fine_tuning_of_a_net_frozen_below() -> None:
    """Against plain torch: a net whose other parameters are frozen, in eval mode below."""
    reference = basic_block_net().requires_grad_(False)
    reference.layer4.requires_grad_(True).train()
    _, model = adapted(LastStage(recipe=RECIPE), basic_block_net)
    model.train()
    for net in (reference, model.net):
        net.forward_features(images(size=16)).square().sum().backward()
    for found, wanted in zip(model.net.layer4.parameters(), reference.layer4.parameters(), strict=True):
        assert torch.equal(found.grad, wanted.grad)
    assert torch.equal(model.net.layer4[0].bn1.running_mean, reference.layer4[0].bn1.running_mean)
