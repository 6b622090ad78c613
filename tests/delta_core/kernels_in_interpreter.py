"""Skip sums by Triton's kernels, in its interpreter: `test_skip_sum_triton.py` runs this file with TRITON_INTERPRET=1.

The variable must be there before Triton is imported first, so these tests need a process of their own.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_skip_sum import assert_as_plain, block, inputs
from tiny import NETS, images, with_patches
from torch import Tensor

from delta_core import DeltaConfig, skip_sum, skip_sum_triton
from delta_core.plain_sum import plain_sum


@pytest.fixture(autouse=True, scope="module")
def kernels_everywhere() -> object:
    """Sums on CPU are made by the kernels, too."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(skip_sum, "fused_kernels", lambda _: skip_sum_triton)
        yield


def test_the_check_passes_and_sees_wrong_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.device("meta"):
        skip_sum_triton.check(torch.device("cpu"))
    monkeypatch.setattr(skip_sum_triton, "TERMS", 3)  # several launches a sum
    skip_sum_triton.check(torch.device("cpu"))
    products = skip_sum_triton.products
    monkeypatch.setattr(skip_sum_triton, "products", lambda *given: products(*given) * 1.1)
    with pytest.raises(ArithmeticError, match="differ"):
        skip_sum_triton.check(torch.device("cpu"))


@settings(max_examples=30, deadline=None)
@given(
    k=st.integers(1, 10),
    batch=st.integers(1, 3),
    shared=st.booleans(),
    channels_last=st.booleans(),
    needs=st.sampled_from([(True, True), (True, False), (False, True)]),
)
def test_values_and_gradients_are_those_of_plain_sums(
    k: int, batch: int, shared: bool, channels_last: bool, needs: tuple[bool, bool]
) -> None:
    assert_as_plain(k, batch, shared, channels_last, needs)


def test_a_second_pass_and_one_from_the_middle_are_right() -> None:
    found = []
    for plain in (True, False):
        gates, x = inputs(5, 2, shared=False, channels_last=False)
        nodes = block(gates.requires_grad_(), x, 5, plain=plain)
        nodes[3].sum().backward(retain_graph=True)
        nodes[5].sum().backward()
        found.append(gates.grad)
    assert torch.allclose(*found)


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("size", [1, 2047, 2048, 4097])
def test_blocks_that_do_not_divide_a_sample_are_whole(samples: int, size: int) -> None:
    nodes = [torch.randn(samples, 1, 1, size) for _ in range(9)]
    gates, residual = torch.randn(samples, 9), torch.randn(samples, 1, 1, size)
    assert torch.allclose(skip_sum_triton.sum_of(gates, nodes, residual), plain_sum(gates, nodes, residual), atol=1e-5)
    expected = torch.stack([(nodes[0] * node).sum((1, 2, 3)) for node in nodes], dim=1)
    assert torch.allclose(skip_sum_triton.products(nodes[0], nodes), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_short_types_are_summed_in_float32_and_rounded_once(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    nodes = [torch.randn(2, 3, 4, 5).to(dtype) for _ in range(4)]
    gates = torch.rand(2, 4).to(dtype)
    exact = plain_sum(gates.double(), [node.double() for node in nodes])
    found = skip_sum_triton.sum_of(gates, nodes)
    assert found.dtype == dtype
    assert torch.allclose(found.double(), exact, rtol=torch.finfo(dtype).eps, atol=1e-6)


def test_nodes_of_two_types_give_a_sum_of_the_first() -> None:
    gates, x = torch.rand(2, 3), torch.randn(2, 3, 4, 5)
    found = []
    for first in (x, x.bfloat16()):
        sums = skip_sum.SkipSums(gates.clone().requires_grad_(), 2)
        total = sums(first) + sums(x)
        total.float().sum().backward()
        found.append(total)
    assert found[1].dtype == torch.bfloat16
    assert torch.allclose(found[0], found[1].float(), rtol=0.02, atol=0.02)


def test_a_node_that_is_changed_after_it_was_read_is_refused() -> None:
    gates, x = inputs(2, 2, shared=False, channels_last=False)
    x = x.requires_grad_() * 1
    total = skip_sum.SkipSums(gates.requires_grad_(), 2)(x)
    x.mul_(2)
    with pytest.raises(RuntimeError, match="changed in place"):
        total.sum().backward()


@pytest.mark.parametrize(
    ("net", "reading", "recomputed"),
    [
        ("basic_block", DeltaConfig, False),
        ("basic_block", DeltaConfig.paper, True),
        ("bottleneck", DeltaConfig.paper, False),
        ("convnext", DeltaConfig, True),
    ],
)
def test_a_training_step_is_that_of_the_plain_path(net: str, reading: type[DeltaConfig], recomputed: bool) -> None:
    found: list[list[Tensor]] = []
    for kernels in (skip_sum_triton, None):
        model = with_patches(NETS[net](), {"a": 2}, reading).double().train()
        model.gradient_checkpointing = recomputed
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(skip_sum, "fused_kernels", lambda _, kernels=kernels: kernels)
            logits = model(images().double())
            logits.square().sum().backward()
            with torch.no_grad():
                answers = model.eval()(images().double())
        gradients = [parameter.grad for parameter in model.patch().parameters()]
        found.append([logits.detach(), answers, *(gradient for gradient in gradients if gradient is not None)])
    assert len(found[0]) == len(found[1]) > 4
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, rtol=1e-7, atol=1e-10 * float(other.abs().max()))
