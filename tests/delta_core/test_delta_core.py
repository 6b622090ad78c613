"""delta_core: counts of the paper, untouched bases, gates, calibration, errors."""

from collections.abc import Callable
from typing import get_args

import pytest
import timm
import torch
from configs import CONFIGS
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.models.resnet import BasicBlock
from tiny import NETS, basic_block_net, convnext_net, images, wake
from torch import Tensor, nn
from torch.nn import functional as F

from delta_core import DeltaConfig, DeltaError, DeltaModel, assert_frozen, backbone_fingerprint
from delta_core.config import Gating, ModuleInput, NormPlace
from delta_core.families import Block, Plain, stages_of
from delta_core.gates import DeltaModule, existing_skips, n_skips


@pytest.fixture(params=NETS.values(), ids=NETS.keys())
def make_net(request: pytest.FixtureRequest) -> Callable[[], nn.Module]:
    return request.param


def patched(net: nn.Module, **config: object) -> DeltaModel:
    """A model whose patch needs no calibration unless its config says so."""
    model = DeltaModel(net)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model.add_patch("task", num_classes=5, config=DeltaConfig(**{"norm_start": "fresh"} | config))
    return model.eval()


def sgd_steps(model: DeltaModel, steps: int = 2) -> None:
    optimizer = torch.optim.SGD(model.trainable_parameters(), lr=0.1)
    model.train()
    for step in range(steps):
        F.cross_entropy(model(images(6, seed=step)), torch.arange(6) % 5).backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()


# --- untouched base ----------------------------------------------------------------------------------------------


def test_without_active_patch_outputs_are_those_of_the_pristine_net(make_net: Callable[[], nn.Module]) -> None:
    x, pristine = images(), make_net()
    model = patched(make_net(), n_modules=2)
    with torch.no_grad():
        expected = pristine(x)
        assert not torch.equal(model(x)[:, :5], expected[:, :5])
        with model.disable_patches():
            assert torch.equal(model(x), expected)
        model.set_patch(None)
        assert torch.equal(model(x), expected)


@torch.no_grad()
def test_stages_in_order_are_the_net_up_to_its_pooling(make_net: Callable[[], nn.Module]) -> None:
    x, net = images(), make_net()
    folded = x
    for stage in stages_of(net):
        for name in stage.modules if isinstance(stage, Plain) else stage.sub_blocks:
            folded = net.get_submodule(name)(folded)
    assert torch.equal(folded, net.forward_features(x))


@torch.no_grad()
def test_existing_skips_at_weight_one_are_the_base_block(make_net: Callable[[], nn.Module]) -> None:
    net, x = make_net(), images()
    model = patched(net, n_modules=4, gating="existing-only", norm_place="none")
    model.patches["task"].head = nn.Identity()
    assert torch.equal(model(x), net.forward_head(net.forward_features(x), pre_logits=True))


@torch.no_grad()
def test_all_skips_at_weight_one_are_not_the_base(make_net: Callable[[], nn.Module]) -> None:
    net, x = make_net(), images()
    model = patched(net, n_modules=4, gating="ones", norm_place="none")
    model.patches["task"].head = nn.Identity()
    assert not torch.allclose(model(x), net.forward_head(net.forward_features(x), pre_logits=True))


@torch.no_grad()
@pytest.mark.parametrize("norm_place", get_args(NormPlace))
def test_suffix_after_prefix_is_forward(make_net: Callable[[], nn.Module], norm_place: str) -> None:
    model, x = DeltaModel(make_net()), images()
    model.add_patch("head", num_classes=5)
    for n in range(1, 5):
        model.add_patch(f"n{n}", num_classes=5, config=DeltaConfig(n_modules=n, norm_place=norm_place))
        model.calibrate([x])
    model.eval()
    for name in model.patches:
        model.set_patch(name)
        assert torch.equal(model.suffix(model.prefix(x)), model(x))


@torch.no_grad()
def test_prefix_of_a_head_alone_is_pooled_and_of_modules_is_not() -> None:
    model, x = DeltaModel(basic_block_net()), images()
    model.add_patch("head", num_classes=5)
    assert model.prefix(x).shape == (4, 16)
    model.add_patch("one", num_classes=5, config=DeltaConfig(n_modules=1))
    assert model.prefix(x).ndim == 4


@torch.no_grad()
def test_gated_block_is_the_weighted_sum_of_the_paper() -> None:
    """Written out for a block of two: every gate has its own value, so a mixed-up order shows."""
    net, x = basic_block_net(), images(size=64)
    model = patched(net, n_modules=1, gating="random", norm_place="none")
    part = model.patches["task"].blocks["layer4"]
    first, second = net.layer4
    x = model.prefix(x)

    def residual(unit: BasicBlock, x: Tensor) -> Tensor:
        return unit.bn2(unit.conv2(unit.act1(unit.bn1(unit.conv1(x)))))

    g01, g02, g12 = part.gates.gates
    node0 = first.downsample(x)
    node1 = torch.relu(residual(first, x) + g01 * node0)
    node2 = torch.relu(residual(second, node1) + g02 * node0 + g12 * node1)
    assert torch.allclose(part(net, x), node2, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(config=CONFIGS, calibrated=st.booleans())
def test_training_any_patch_leaves_the_base_bit_identical(config: DeltaConfig, calibrated: bool) -> None:
    model, x = DeltaModel(basic_block_net()), images()
    before = model(x)
    model.add_patch("task", num_classes=5, config=config)
    if calibrated or model.patch().waits_for_calibration:
        model.calibrate([x])
    start = [parameter.clone() for parameter in model.trainable_parameters()]
    sgd_steps(model)
    assert any(not torch.equal(*pair) for pair in zip(start, model.trainable_parameters(), strict=True))
    with model.disable_patches():
        assert torch.equal(model(x), before)
    model.assert_frozen()


def test_training_one_patch_leaves_the_other_bit_identical() -> None:
    model, x = DeltaModel(basic_block_net()), images()
    model.add_patch("first", num_classes=5, config=DeltaConfig.paper(n_modules=2))
    sgd_steps(model)
    first = model(x)
    model.add_patch("second", num_classes=5, config=DeltaConfig.paper(n_modules=4))
    second = model(x)
    sgd_steps(model)
    assert not torch.equal(model(x), second)
    model.set_patch("first")
    assert torch.equal(model(x), first)


def test_gradient_checkpointing_takes_the_same_steps_to_the_same_bits(make_net: Callable[[], nn.Module]) -> None:
    states = []
    for checkpointing in (False, True):
        model = patched(make_net(), n_modules=3)
        model.gradient_checkpointing = checkpointing
        sgd_steps(model, steps=3)
        states.append(model.patches.state_dict())
        model.assert_frozen()
    plain, checkpointed = states
    assert [name for name, tensor in plain.items() if not torch.equal(tensor, checkpointed[name])] == []


def test_gradient_checkpointing_keeps_nothing_between_the_ends_of_a_block() -> None:
    def kept(checkpointing: bool) -> int:
        model = patched(basic_block_net(), n_modules=4).train()
        model.gradient_checkpointing = checkpointing
        saved: list[Tensor] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x) or x, lambda x: x):
            model(images(8, size=64))
        return sum(tensor.numel() for tensor in saved)

    assert kept(True) < kept(False) / 5


# --- gates -------------------------------------------------------------------------------------------------------


def test_skips_are_ordered_by_target_then_source() -> None:
    assert existing_skips(1).tolist() == [True]
    assert existing_skips(3).tolist() == [True, False, True, False, False, True]
    assert all(existing_skips(k).sum() == k and len(existing_skips(k)) == n_skips(k) for k in range(1, 8))


def test_delta_gates_depend_on_the_input_and_stay_between_zero_and_one() -> None:
    module = DeltaModule(8, existing_skips(3).tolist(), DeltaConfig.gates_alone()).eval()
    nn.init.normal_(module.fc.weight)
    gates = module(torch.randn(5, 8, 9, 9))
    assert gates.shape == (5, 6)
    assert ((gates > 0) & (gates < 1)).all()
    assert not torch.allclose(gates[0], gates[1])


def test_gates_around_the_base_start_as_the_net_has_them_and_stay_within_one_of_it() -> None:
    existing = existing_skips(3)
    module = DeltaModule(8, existing.tolist(), DeltaConfig(reduction=1)).eval()
    x = torch.randn(5, 8, 9, 9)
    assert torch.equal(module(x), existing.float().expand(5, 6))
    nn.init.normal_(module.fc.weight)
    gates = module(x)
    assert ((gates - existing.float()).abs() <= 1).all()
    assert not torch.allclose(gates[0], gates[1])
    nn.init.constant_(module.fc.bias, 1000.0)
    assert torch.equal(module(x), existing.float().expand(5, 6) + 1)
    nn.init.constant_(module.fc.bias, -1000.0)
    assert torch.equal(module(x), existing.float().expand(5, 6) - 1)


@pytest.mark.parametrize("module_input", get_args(ModuleInput))
@pytest.mark.parametrize("logit", [1.0, 2.5])
def test_identity_start_opens_existing_skips_and_closes_new_ones(module_input: ModuleInput, logit: float) -> None:
    config = DeltaConfig.gates_alone(module_input=module_input, gate_start="identity", gate_start_logit=logit)
    gates = DeltaModule(8, existing_skips(3).tolist(), config)(torch.randn(5, 8, 9, 9))
    logits = torch.where(existing_skips(3), logit, -logit)
    assert torch.allclose(gates, torch.sigmoid(logits).expand(5, 6))


@pytest.mark.parametrize("gating", get_args(Gating))
@pytest.mark.parametrize("make", [basic_block_net, convnext_net], ids=["basic_block", "convnext"])
def test_every_trainable_parameter_receives_a_gradient(gating: Gating, make: Callable[[], nn.Module]) -> None:
    model = patched(make(), gating=gating).train()
    wake(model.patches)
    x = images(8, size=64)
    F.cross_entropy(model(x), torch.arange(8) % 5).backward()
    without = [n for n, p in model.patches.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []
    assert all(parameter.grad is None for parameter in model.backbone.parameters())


@pytest.mark.parametrize("gating", ["ones", "random"])
def test_fixed_gates_do_not_learn_and_are_kept_with_the_patch(gating: Gating) -> None:
    model = patched(basic_block_net(), gating=gating)
    gates = {name: part.gates for name, part in model.patches["task"].blocks.items()}
    assert [list(part.parameters()) for part in gates.values()] == [[]] * 4
    state = model.patches.state_dict()
    for name, part in gates.items():
        assert torch.equal(state[f"task.blocks.{name}.gates.gates"], part.gates)
    if gating == "random":
        other = DeltaModel(basic_block_net())
        other.add_patch("task", num_classes=5, config=DeltaConfig(gating=gating))
        other.patches.load_state_dict(state)
        assert torch.equal(other.eval()(images()), model(images()))


# --- calibration -------------------------------------------------------------------------------------------------


def base_features(model: DeltaModel, x: Tensor) -> dict[str, Tensor]:
    found = {}
    for stage in model.stages:
        x = model.run_stage(stage, x, None)
        if isinstance(stage, Block):
            found[stage.name.replace(".", "_")] = x
    return found


@torch.no_grad()
@pytest.mark.parametrize("norm_place", ["output", "skip_sum"])
def test_calibrated_norm_is_the_identity_on_base_features(
    make_net: Callable[[], nn.Module], norm_place: NormPlace
) -> None:
    model = patched(make_net(), n_modules=3, norm_place=norm_place)
    batches = [images(seed=1), images(6, seed=2)]
    model.calibrate(batches)
    features = base_features(model, torch.cat(batches))
    assert len(model.patches["task"].blocks) == 3
    for name, part in model.patches["task"].blocks.items():
        mean, variance = features[name].mean((0, 2, 3)), features[name].var((0, 2, 3), correction=0)
        assert torch.allclose(part.norm.running_mean, mean, rtol=1e-3, atol=1e-4)
        assert torch.allclose(part.norm.running_var, variance, rtol=1e-3, atol=1e-4)
        assert torch.allclose(part.norm(features[name]), features[name], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_calibration_from_prefix_is_calibration_from_images(make_net: Callable[[], nn.Module]) -> None:
    batches = [images(seed=1), images(seed=2)]
    from_images, from_prefix = (patched(make_net(), n_modules=2) for _ in range(2))
    from_images.calibrate(batches)
    from_prefix.calibrate([from_prefix.prefix(x) for x in batches], from_prefix=True)
    states = (model.patches.state_dict() for model in (from_images, from_prefix))
    assert all(torch.equal(*pair) for pair in zip(*(state.values() for state in states), strict=True))


# --- contexts and errors -----------------------------------------------------------------------------------------


def test_disable_patches_restores_the_active_patch_after_an_exception() -> None:
    model = patched(basic_block_net(), n_modules=1)
    with pytest.raises(ZeroDivisionError), model.disable_patches():
        assert model.active_patch is None
        raise ZeroDivisionError
    assert model.active_patch == "task"


def refuse(message: str, act: Callable[[], object]) -> None:
    with pytest.raises(DeltaError, match=message) as caught:
        act()
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_unknown_and_taken_patch_names_are_refused() -> None:
    model = patched(basic_block_net(), n_modules=1)
    refuse("'tsk' is not there; loaded are task", lambda: model.set_patch("tsk"))
    assert model.active_patch == "task"
    refuse("'task' is taken", lambda: model.add_patch("task", num_classes=2))
    for name in ("", "a.b", "../a", "a/b", "keys", "training", "a\n", "x" * 101):
        refuse("empty, reserved, too long or holds more", lambda name=name: model.add_patch(name, num_classes=2))
    refuse("num_classes is 0", lambda: model.add_patch("new", num_classes=0))
    refuse("nothing to train", lambda: model.add_patch("new", num_classes=None))
    refuse("4 blocks", lambda: model.add_patch("new", num_classes=2, config=DeltaConfig(n_modules=5)))
    assert list(model.patches) == ["task"]


def test_without_a_patch_there_is_nothing_to_train() -> None:
    model = DeltaModel(basic_block_net())
    refuse("No patch is active", lambda: list(model.trainable_parameters()))
    refuse("loaded are none", lambda: model.set_patch("task"))


def test_nets_of_other_families_are_refused() -> None:
    with torch.device("meta"):
        vgg = timm.create_model("vgg11")
    refuse("VGG cannot be patched yet; supported families are", lambda: DeltaModel(vgg))
    refuse("Sequential cannot be patched yet", lambda: DeltaModel(nn.Sequential(nn.Linear(1, 1))))


def test_an_unknown_sub_block_is_refused_by_name() -> None:
    class OddBlock(BasicBlock):
        pass

    net = basic_block_net()
    net.layer3[1].__class__ = OddBlock
    refuse("layer3 of ResNet has sub-blocks of type OddBlock", lambda: DeltaModel(net))


@pytest.mark.parametrize(
    "field", ["gating", "gate_start", "norm_place", "norm_start", "module_input", "skips", "gate_per"]
)
def test_a_value_outside_the_choices_names_them(field: str) -> None:
    refuse(f"DeltaConfig.{field} is 'odd'; choose one of", lambda: DeltaConfig(**{field: "odd"}))


@pytest.mark.parametrize("field", ["n_modules", "reduction"])
def test_numbers_below_one_are_refused(field: str) -> None:
    refuse(f"DeltaConfig.{field} is 0", lambda: DeltaConfig(**{field: 0}))
    refuse("DeltaConfig.blocks_after is -1", lambda: DeltaConfig(blocks_after=-1))


def test_fingerprint_names_what_it_covers() -> None:
    net = basic_block_net()
    before = backbone_fingerprint(net)
    assert before == backbone_fingerprint(basic_block_net())
    net.bn1.num_batches_tracked += 1
    assert backbone_fingerprint(net) != before
    with pytest.raises(RuntimeError):
        assert_frozen(net, before)
