"""BatchNorms that do not learn: the same outputs and gradients as torch's own, and none of what it keeps for them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import basic_block_net, images
from torch import Tensor, nn

from delta_core import DeltaConfig, DeltaModel
from delta_core.frozen_norm import FrozenNorms


def norm(channels: int, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.BatchNorm2d:
    made = nn.BatchNorm2d(channels, dtype=dtype).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for tensor in (made.weight, made.bias, made.running_mean, made.running_var):
        tensor.data.copy_(torch.rand(channels, generator=generator) + 0.5)
    return made


def gradient(module: nn.Module, x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    x = x.detach().requires_grad_()
    y = module(x)
    (y * weights).sum().backward()
    assert x.grad is not None
    return y.detach(), x.grad


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 4), st.booleans(), st.integers(0, 99))
def test_outputs_are_the_same_bits_and_gradients_the_same(
    batch: int, channels: int, size: int, last: bool, seed: int
) -> None:
    layout = torch.channels_last if last else torch.contiguous_format
    x = torch.randn(batch, channels, size, size).contiguous(memory_format=layout)
    weights = torch.randn_like(x)
    module = norm(channels, seed=seed)
    expected = gradient(module, x, weights)
    with FrozenNorms():
        found = gradient(module, x, weights)
    assert torch.equal(found[0], expected[0])
    assert torch.allclose(found[1], expected[1], rtol=1e-6, atol=1e-7)
    assert found[1].stride() == expected[1].stride()


def test_numbers_agree_with_finite_differences() -> None:
    module = norm(3, dtype=torch.float64)
    x = torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    with FrozenNorms():
        assert torch.autograd.gradcheck(module, x)


def test_short_types_keep_their_type() -> None:
    x = torch.randn(2, 3, 4, 4, dtype=torch.bfloat16)
    with FrozenNorms():
        _, grad = gradient(norm(3), x, torch.ones_like(x))
    assert grad.dtype == torch.bfloat16


@pytest.mark.parametrize("learns", ["weight", "statistics"])
def test_norms_that_learn_are_left_to_torch(learns: str) -> None:
    x, weights = torch.randn(4, 3, 4, 4), torch.randn(4, 3, 4, 4)

    def trained() -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        module = norm(3).train(learns == "statistics").requires_grad_(learns == "weight")
        return *gradient(module, x, weights), module.weight.grad, module.running_mean

    expected = trained()
    with FrozenNorms():
        found = trained()
    for one, other in zip(found, expected, strict=True):
        assert (one is None and other is None) or torch.equal(one, other)  # type: ignore[arg-type]


def test_in_a_training_step_torch_differentiates_the_norms_of_the_patch_alone() -> None:
    model = DeltaModel(basic_block_net())
    model.add_patch("a", num_classes=3, config=DeltaConfig(n_modules=4, norm_start="fresh"))
    nodes, seen = [model.train()(images()).grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is not None and node not in seen:
            seen.add(node)
            nodes += [following for following, _ in node.next_functions]
    names = [node.name() for node in seen]
    assert sum("BatchNormBackward" in name for name in names) == sum(
        isinstance(module, nn.BatchNorm2d) for module in model.patches.modules()
    )
    assert sum("FixedScale" in name for name in names) > 8
