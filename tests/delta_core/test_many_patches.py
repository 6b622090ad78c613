"""Many patches on one backbone: in one pass for all images, and each image under its own."""

from collections.abc import Callable

import pytest
import torch
from configs import CONFIGS
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import NETS, basic_block_net, images, wake, with_patches
from torch import Tensor, nn

from delta_core import DeltaConfig, DeltaError, DeltaModel


@pytest.fixture(params=NETS.values(), ids=NETS.keys())
def make_net(request: pytest.FixtureRequest) -> Callable[[], nn.Module]:
    return request.param


def with_configs(net: nn.Module, configs: list[DeltaConfig | None]) -> DeltaModel:
    """A model with a patch of each kind, t0, t1, ..., no part of which is at zero."""
    model = DeltaModel(net)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for place, config in enumerate(configs):
            model.add_patch(f"t{place}", num_classes=3 + place, config=config)
        wake(model.patches)
        model.patches.load_state_dict(model.patches.state_dict())  # which says that they are calibrated
    return model.eval()


def alone(model: DeltaModel, x: Tensor, name: str | None) -> Tensor:
    """Logits of one patch by a pass of its own."""
    active = model.active_patch
    model.set_patch(name)
    logits: Tensor = model(x)
    model.set_patch(active)
    return logits


# --- every patch on all images -----------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    modules=st.lists(st.integers(0, 4), min_size=1, max_size=5),
    chosen=st.lists(st.integers(0, 4), max_size=6),
    scale=st.sampled_from([1.0, 0.3]),
)
def test_one_pass_equals_single_passes_bit_for_bit(modules: list[int], chosen: list[int], scale: float) -> None:
    model, x = with_patches(basic_block_net(), {f"t{i}": n for i, n in enumerate(modules)}), images()
    names = [f"t{i}" for i in chosen if i < len(modules)]
    active = model.active_patch
    with torch.no_grad(), model.scale_patch(scale):
        together = model.forward_patches(x, names)
        assert list(together) == list(dict.fromkeys(names))
        for name in names:
            assert torch.equal(alone(model, x, name), together[name])
        assert model.active_patch == active
        assert list(model.forward_patches(x)) == list(model.patches)


@settings(max_examples=60, deadline=None)
@given(configs=st.lists(st.none() | CONFIGS, min_size=2, max_size=3), gradient=st.booleans())
def test_patches_of_all_kinds_share_a_pass_and_leave_it_as_it_was(
    configs: list[DeltaConfig | None], gradient: bool
) -> None:
    model, x = with_configs(basic_block_net(), [*configs, configs[0]]), images()
    with torch.set_grad_enabled(gradient):
        together = model.forward_patches(x)
        assert all(torch.equal(alone(model, x, name), logits) for name, logits in together.items())


def test_one_pass_works_on_all_families(make_net: Callable[[], nn.Module]) -> None:
    model = with_configs(make_net(), [DeltaConfig(n_modules=1), DeltaConfig(), None, DeltaConfig.paper(n_modules=1)])
    with torch.no_grad():
        for name, logits in model.forward_patches(images()).items():
            assert torch.equal(alone(model, images(), name), logits)


def test_one_pass_runs_once_what_no_patch_touches() -> None:
    model = with_patches(basic_block_net(), {"a": 1, "b": 1, "c": 2})
    calls: list[str] = []
    for name in ("conv1", "layer1.0", "layer2.0", "layer3.0.conv1", "layer4.0.conv1", "layer4.1.conv1"):
        model.backbone.get_submodule(name).register_forward_hook(lambda *_, name=name: calls.append(name))
    model.forward_patches(images())
    # layer3 runs as it is for a and b, gated for c; layer4 is gated by all three, its input is the same for a and b.
    assert [calls.count(name) for name in ("conv1", "layer1.0", "layer2.0")] == [1, 1, 1]
    assert calls.count("layer3.0.conv1") == 2
    assert calls.count("layer4.0.conv1") == 2
    assert calls.count("layer4.1.conv1") == 3


def test_training_all_patches_in_one_pass_gives_each_its_own_gradients() -> None:
    model, x = with_configs(basic_block_net(), [DeltaConfig(n_modules=1), DeltaConfig.paper(n_modules=2)]), images()
    for checkpointing in (False, True):
        model.gradient_checkpointing = checkpointing
        sum(logits.square().sum() for logits in model.forward_patches(x).values()).backward()
        together = {name: parameter.grad.clone() for name, parameter in model.patches.named_parameters()}
        model.zero_grad()
        for name in model.patches:
            alone(model, x, name).square().sum().backward()
        assert all(torch.equal(each.grad, together[name]) for name, each in model.patches.named_parameters())
        model.zero_grad()


def test_no_patches_asked_for_is_no_work() -> None:
    model = with_patches(basic_block_net(), {"a": 1})
    model.backbone.conv1.register_forward_hook(lambda *_: pytest.fail("nothing was asked for"))
    assert model.forward_patches(images(), []) == {}
    assert model.forward_each(images(0), []) == []


# --- every image under its own -----------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    configs=st.lists(st.none() | CONFIGS, min_size=1, max_size=3),
    chosen=st.lists(st.none() | st.integers(0, 2), min_size=1, max_size=7),
)
def test_each_image_is_answered_by_its_patch(configs: list[DeltaConfig | None], chosen: list[int | None]) -> None:
    model = with_configs(basic_block_net(), configs)
    x = images(len(chosen)).contiguous(memory_format=torch.channels_last)
    names = [None if place is None else f"t{place % len(configs)}" for place in chosen]
    with torch.no_grad():
        found = model.forward_each(x, names)
        assert len(found) == len(x)
        for row, name in enumerate(names):
            torch.testing.assert_close(found[row], alone(model, x, name)[row], rtol=1e-4, atol=1e-4)


def test_each_image_under_its_own_works_on_all_families(make_net: Callable[[], nn.Module]) -> None:
    model, x = with_configs(make_net(), [DeltaConfig(n_modules=1), DeltaConfig(), None]), images(6)
    names = ["t1", None, "t0", "t2", "t0", None]
    with torch.no_grad():
        for row, logits in enumerate(model.forward_each(x, names)):
            torch.testing.assert_close(logits, alone(model, x, names[row])[row], rtol=1e-3, atol=1e-3)


def test_the_base_answers_as_it_does_alone_where_all_images_are_its_own() -> None:
    model, x = with_patches(basic_block_net(), {"a": 1}), images()
    with torch.no_grad():
        assert torch.equal(torch.stack(model.forward_each(x, [None] * len(x))), alone(model, x, None))


def test_each_image_runs_what_no_patch_touches_once() -> None:
    model = with_patches(basic_block_net(), {"a": 1, "b": 1, "c": 4})
    sizes: list[tuple[str, int]] = []
    for name in ("conv1", "layer1.0.conv1", "layer4.0.conv1", "layer4.1.conv1"):
        model.backbone.get_submodule(name).register_forward_hook(
            lambda _, given, __, name=name: sizes.append((name, len(given[0])))
        )
    model.forward_each(images(6), ["a", "b", "c", "a", "a", "c"])
    assert [size for name, size in sizes if name == "conv1"] == [6]
    assert sorted(size for name, size in sizes if name == "layer1.0.conv1") == [2, 4]
    assert sorted(size for name, size in sizes if name == "layer4.0.conv1") == [2, 4], "a and b share it"
    assert sorted(size for name, size in sizes if name == "layer4.1.conv1") == [1, 2, 3]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a"], "1 names of patches were given for 4 images; give one an image."),
        (["a", "a", "b", None], "Patch 'b' is not there; loaded are a."),
    ],
)
def test_wrong_names_are_refused_in_one_sentence(names: list[str | None], said: str) -> None:
    model = with_patches(basic_block_net(), {"a": 1})
    model.backbone.conv1.register_forward_hook(lambda *_: pytest.fail("nothing should run"))
    with pytest.raises(DeltaError) as caught:
        model.forward_each(images(), names)
    assert str(caught.value) == said
