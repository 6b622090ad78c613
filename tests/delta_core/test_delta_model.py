"""DeltaModel as a library: strengths, features, calibration, status."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from tiny import NETS, basic_block_net, images, with_patches
from torch import nn

from delta_core import DeltaConfig, DeltaError, DeltaModel, JointDelta


@pytest.fixture(params=NETS.values(), ids=NETS.keys())
def make_net(request: pytest.FixtureRequest) -> Callable[[], nn.Module]:
    return request.param


# --- strength ----------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_strength_zero_is_the_base_and_one_is_the_patch(make_net: Callable[[], nn.Module]) -> None:
    model, x = with_patches(make_net(), {"task": 4}), images()
    patched = model.forward_features(x)
    with model.disable_patches():
        base = model.forward_features(x)
    with model.scale_patch(0):
        assert torch.allclose(model.forward_features(x), base, rtol=1e-4, atol=1e-4)
    with model.scale_patch(1):
        assert torch.equal(model.forward_features(x), patched)
    with model.scale_patch(0.5):
        half = model.forward_features(x)
    assert not torch.allclose(half, base, rtol=1e-3)
    assert not torch.allclose(half, patched, rtol=1e-3)
    assert torch.equal(model.forward_features(x), patched)


def test_strength_is_restored_after_an_exception() -> None:
    model = with_patches(basic_block_net(), {"task": 1})
    with pytest.raises(ZeroDivisionError), model.scale_patch(0.5):
        assert model.status().scale == 0.5
        raise ZeroDivisionError
    assert model.scale == 1


# --- patches come and go -----------------------------------------------------------------------------------------


def test_deleting_the_active_patch_gives_the_base_and_another_stays() -> None:
    model, x = with_patches(basic_block_net(), {"a": 1, "b": 2}), images()
    model.set_patch("a")
    a = model(x)
    model.delete_patch("b")
    assert list(model.patches) == ["a"]
    assert torch.equal(model(x), a)
    model.delete_patch("a")
    assert model.active_patch is None
    assert torch.equal(model(x), basic_block_net()(x))
    with pytest.raises(DeltaError, match="'a' is not there"):
        model.delete_patch("a")


def test_a_new_patch_takes_over_the_mode_of_the_model() -> None:
    model = DeltaModel(basic_block_net()).eval()
    model.add_patch("a", num_classes=2, config=DeltaConfig())
    assert not any(module.training for module in model.patches.modules() if module is not model.patches)


def test_a_patch_takes_over_the_layout_of_the_net(make_net: Callable[[], nn.Module], tmp_path: Path) -> None:
    for memory_format in (torch.contiguous_format, torch.channels_last):
        model = DeltaModel(make_net().to(memory_format=memory_format))
        model.add_patch("a", num_classes=2, config=DeltaConfig.paper(n_modules=1))
        model.load_patch(model.save_patch(tmp_path / str(memory_format)), "b")
        for name in ("a", "b"):
            kernels = [parameter for parameter in model.trainable_parameters(name) if parameter.ndim == 4]
            assert kernels
            assert all(kernel.is_contiguous(memory_format=memory_format) for kernel in kernels)


def test_class_names_must_be_as_many_as_classes() -> None:
    model = DeltaModel(basic_block_net())
    with pytest.raises(DeltaError, match="1 class names were given for 2 classes"):
        model.add_patch("a", num_classes=2, class_names=["ant"])
    assert list(model.patches) == []


def test_a_patch_cannot_be_merged() -> None:
    with pytest.raises(DeltaError, match="depends on the input"):
        DeltaModel(basic_block_net()).merge()


@torch.no_grad()
def test_split_keeps_to_its_patch() -> None:
    model, x = with_patches(basic_block_net(), {"a": 1, "b": 2}), images()
    model.set_patch("a")
    expected = model(x)
    prefix, suffix = model.split_at_first_patch()
    model.set_patch("b")
    assert torch.equal(suffix(prefix(x)), expected)
    suffix.train()
    assert not any(module.training for module in model.backbone.modules())
    with pytest.raises(DeltaError, match="'c' is not there"):
        model.split_at_first_patch("c")


# --- features ----------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_levels_without_patch_are_those_of_timm_bit_for_bit(make_net: Callable[[], nn.Module]) -> None:
    model, x = DeltaModel(make_net()), images(size=64)
    expected = make_net().forward_intermediates(x, intermediates_only=True)
    found = model.forward_intermediates(x)
    assert len(found) == len(expected) == len(model.feature_info)
    for level, ours, theirs in zip(model.feature_info, found, expected, strict=True):
        assert torch.equal(ours, theirs)
        assert ours.shape[1] == level.num_chs


@torch.no_grad()
def test_levels_with_patch_differ_behind_its_first_block_only() -> None:
    model, x = with_patches(basic_block_net(), {"task": 1}), images(size=64)
    patched = model.forward_intermediates(x)
    with model.disable_patches():
        base = model.forward_intermediates(x)
    assert [torch.equal(*pair) for pair in zip(patched, base, strict=True)] == [True, True, True, True, False]
    assert torch.equal(patched[-1], model.forward_features(x))


@torch.no_grad()
def test_levels_can_be_chosen_and_nothing_behind_the_last_is_computed() -> None:
    model, x = DeltaModel(basic_block_net()), images(size=64)
    every = model.forward_intermediates(x)
    model.backbone.layer4[0].register_forward_hook(lambda *_: pytest.fail("layer4 was not asked for"))
    assert all(
        torch.equal(a, b) for a, b in zip(model.forward_intermediates(x, [3, 1]), [every[3], every[1]], strict=True)
    )
    with pytest.raises(DeltaError, match="choose from 0 to 4"):
        model.forward_intermediates(x, [5])


@torch.no_grad()
def test_a_patch_without_head_serves_features(tmp_path: Path) -> None:
    model, x = with_patches(basic_block_net(), {"task": 2}), images(size=64)
    model.add_patch("dense", num_classes=None, config=DeltaConfig.paper(n_modules=2))
    model.patch("dense").load_state_dict(model.patch("task").state_dict(), strict=False)
    features, pooled = model.forward_features(x), model(x)
    counts = model.count_parameters()
    status = model.status().patches[-1]
    model.save_patch(tmp_path / "dense")
    model.load_patch(tmp_path / "dense", name="again")
    assert torch.equal(features, model.forward_features(x))
    model.set_patch("task")
    assert torch.equal(features, model.forward_features(x))
    assert torch.equal(pooled, features.mean((2, 3)))
    assert (counts.head, status.num_classes, status.trainable) == (0, 0, True)


# --- calibration -------------------------------------------------------------------------------------------------


def waiting(**config: object) -> DeltaModel:
    """A model with a patch "birds" that nobody has calibrated yet."""
    model = DeltaModel(basic_block_net())
    model.add_patch("birds", num_classes=3, config=DeltaConfig(n_modules=2, **config))
    return model


WAITS = r"Patch 'birds' waits .*; call calibrate\(batches\)"


@pytest.mark.parametrize("training", [True, False])
def test_a_patch_that_waits_for_calibration_refuses_to_answer(training: bool, tmp_path: Path) -> None:
    model, x = waiting().train(training), images()
    prefix, suffix = model.split_at_first_patch()
    entering = prefix(x)
    acts: list[Callable[[], object]] = [
        lambda: model(x),
        lambda: suffix(entering),
        lambda: model.forward_features(x),
        lambda: model.forward_intermediates(x),
        lambda: model.forward_patches(x),
        lambda: model.save_patch(tmp_path / "birds"),
        lambda: JointDelta(model),
    ]
    for act in acts:
        with pytest.raises(DeltaError, match=WAITS):
            act()
    assert list(tmp_path.iterdir()) == []
    with model.disable_patches():
        assert torch.equal(model(x), basic_block_net()(x))
    model.calibrate([x])
    assert model(x).shape == (4, 3)


def test_only_norms_that_start_as_the_identity_wait() -> None:
    assert waiting().patch().waits_for_calibration
    assert waiting(norm_place="skip_sum").patch().waits_for_calibration
    assert not waiting(norm_start="fresh").patch().waits_for_calibration
    assert not waiting(norm_place="none").patch().waits_for_calibration
    model = waiting()
    model.add_patch("head", num_classes=2)
    assert model(images()).shape == (4, 2)
    with pytest.raises(DeltaError, match=WAITS):
        model.forward_patches(images())
    assert list(model.forward_patches(images(), ["head"])) == ["head"]


@torch.no_grad()
def test_calibration_survives_copies_files_and_state_dicts(tmp_path: Path) -> None:
    model, x = waiting().eval(), images()
    with pytest.raises(DeltaError, match=WAITS):
        copy.deepcopy(model)(x)
    model.calibrate([x])
    from_file, from_state = DeltaModel(basic_block_net()).eval(), waiting().eval()
    from_file.load_patch(model.save_patch(tmp_path / "birds"))
    from_state.load_state_dict(model.state_dict())
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), from_file, from_state):
        assert torch.equal(twin(x), model(x))


def test_a_state_dict_without_the_patch_leaves_it_waiting() -> None:
    model = waiting()
    backbone = {name: tensor for name, tensor in model.state_dict().items() if name.startswith("backbone.")}
    model.load_state_dict(backbone, strict=False)
    with pytest.raises(DeltaError, match=WAITS):
        model(images())


@pytest.mark.parametrize(
    ("batches", "said"),
    [
        ([], "calibrate got no batch"),
        ([None], "calibrate got a batch of NoneType; give normalised float images"),
        ([{"image": images()}], "calibrate got a batch of dict"),
        ([images().byte()], r"calibrate got a batch of \(4, 3, 32, 32\) torch.uint8"),
        ([images(), images() * torch.nan], "base features of layer3 are not finite"),
    ],
    ids=["nothing", "none", "a dictionary", "pixels", "not a number"],
)
def test_batches_that_cannot_calibrate_leave_the_patch_as_it_was(batches: list[Any], said: str) -> None:
    model = waiting()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(DeltaError, match=said):
        model.calibrate(batches)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.patch().waits_for_calibration


def test_batches_with_labels_calibrate_as_images_alone_do() -> None:
    model, x = waiting(), images()
    twin = copy.deepcopy(model)
    model.calibrate([x, x + 1])
    twin.calibrate([(x, torch.zeros(4)), [x + 1, torch.zeros(4)]])
    assert all(torch.equal(tensor, twin.state_dict()[name]) for name, tensor in model.state_dict().items())
    assert not twin.patch().waits_for_calibration


# --- nonsense that torch would compute with --------------------------------------------------------------------------


def test_a_strength_that_is_no_number_is_refused() -> None:
    model = with_patches(basic_block_net(), {"a": 1})
    for alpha in (float("nan"), float("inf")):
        with pytest.raises(DeltaError, match=f"strength of a patch is {alpha}"), model.scale_patch(alpha):
            pytest.fail("the context was entered")
    assert model.scale == 1


def test_a_text_is_no_list_of_class_names() -> None:
    model = DeltaModel(basic_block_net())
    with pytest.raises(DeltaError, match="class_names is the text 'ant'; give a list"):
        model.add_patch("a", num_classes=3, class_names="ant")
    assert list(model.patches) == []


# --- status, copies ----------------------------------------------------------------------------------------------


def test_status_tells_what_is_there() -> None:
    model = DeltaModel(timm.create_model("resnet10t"), weights="none")
    model.add_patch("one", num_classes=3, config=DeltaConfig(n_modules=1))
    model.add_patch("head", num_classes=2)
    model.patches["head"].head.bias.requires_grad_(False)
    status = model.status()
    assert (status.architecture, status.weights, status.active_patch) == ("resnet10t", "none", "head")
    one, head = status.patches
    assert (one.gated_blocks, one.num_classes, one.trainable) == (("layer4",), 3, True)
    assert (head.gated_blocks, head.params.delta, head.trainable) == ((), 0, None)
    assert status.frozen
    model.backbone.conv1[0].weight.data[0] += 1
    status = model.status()
    assert not status.frozen
    assert "bytes changed" in status.broken_contract


@torch.no_grad()
def test_copies_and_pickles_are_the_same_model(make_net: Callable[[], nn.Module]) -> None:
    model, x = with_patches(make_net(), {"a": 1, "b": 2}), images()
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin(x), model(x))
        twin.assert_frozen()
        assert twin.status() == model.status()


@torch.no_grad()
def test_state_dict_of_the_wrapper_round_trips(make_net: Callable[[], nn.Module]) -> None:
    model, x = with_patches(make_net(), {"a": 1, "b": 0}), images()
    other = DeltaModel(make_net())
    other.add_patch("a", num_classes=4, config=DeltaConfig.paper(n_modules=1))
    other.add_patch("b", num_classes=3)
    other.eval().load_state_dict(model.state_dict())
    for name, logits in model.forward_patches(x).items():
        assert torch.equal(other.forward_patches(x)[name], logits)
    other.assert_frozen()
