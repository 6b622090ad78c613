"""Modules that read the image (Algorithm 1 of the paper) instead of what enters their block."""

import copy
from pathlib import Path

import pytest
import torch
from tiny import basic_block_net, images

from delta_core import DeltaConfig, DeltaModel, JointDelta
from delta_core.families import Block


def reading_images(**options: object) -> DeltaModel:
    """A model whose modules read the image."""
    model = DeltaModel(basic_block_net())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = DeltaConfig.gates_alone(module_reads="image", norm_start="fresh", module_input="full", **options)
        model.add_patch("task", num_classes=5, config=config)
    return model.eval()


@torch.no_grad()
def test_every_module_gets_the_image() -> None:
    model, x = reading_images(n_modules=2), images()
    seen = []
    for part in model.patch().blocks.values():
        part.gates.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    model(x)
    assert len(seen) == 2
    assert all(torch.equal(read, x) for read in seen)


@torch.no_grad()
def test_every_way_through_the_net_gives_the_same_answer() -> None:
    model, x = reading_images(n_modules=2), images()
    logits = model(x)
    prefix, suffix = model.split_at_first_patch()
    assert torch.equal(prefix(x), x)
    assert torch.equal(suffix(prefix(x)), logits)
    assert torch.equal(model.forward_patches(x)["task"], logits)
    assert torch.equal(JointDelta(model).eval()(x), logits)
    assert torch.equal(model.forward_intermediates(x)[-1], model.forward_features(x))
    with model.scale_patch(0):
        assert torch.allclose(model.forward_features(x), model.backbone.forward_features(x), atol=1e-5)


def test_gradient_checkpointing_takes_the_same_step() -> None:
    plain, x = reading_images(), images()
    kept = copy.deepcopy(plain)
    kept.gradient_checkpointing = True
    for model in (plain, kept):
        model.train()(x).square().sum().backward()
    pairs = zip(plain.trainable_parameters(), kept.trainable_parameters(), strict=True)
    assert all(torch.equal(one.grad, other.grad) for one, other in pairs if one.grad is not None)


def test_the_module_has_three_channels_to_read() -> None:
    model = reading_images()
    of_blocks = DeltaModel(basic_block_net())
    of_blocks.add_patch("task", num_classes=5, config=DeltaConfig.paper())
    gated = [block for block in model.blocks if isinstance(block, Block)]
    fewer = sum(9 * (block.in_channels - 3) * max(1, block.in_channels // 2) for block in gated)
    assert of_blocks.count_parameters().delta - model.count_parameters().delta == fewer


@torch.no_grad()
def test_a_saved_patch_reads_the_image_again(tmp_path: Path) -> None:
    model, x = reading_images(), images()
    model.save_patch(tmp_path / "patch")
    again = DeltaModel(copy.deepcopy(model.backbone))
    again.load_patch(tmp_path / "patch")
    assert torch.equal(again.eval()(x), model(x))


@pytest.mark.parametrize("option", [{}, {"module_reads": "block"}])
def test_a_file_without_the_option_reads_blocks(option: dict[str, str]) -> None:
    values = {name: value for name, value in DeltaConfig().to_dict().items() if name != "module_reads"}
    assert DeltaConfig.from_dict(values | option).module_reads == "block"
