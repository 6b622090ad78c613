"""Sums over a buffer of nodes: values and gradients are those of the plain sums."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from delta_core.plain_sum import plain_sum
from delta_core.skip_sum import SkipSums


def block(gates: Tensor, x: Tensor, k: int, *, plain: bool) -> list[Tensor]:
    """A block whose residual is tanh; returns its nodes."""
    sums = SkipSums(gates, k)
    nodes = [x]
    for target in range(1, k + 1):
        first = target * (target - 1) // 2
        residual = torch.tanh(nodes[-1] * 1.5)
        if plain:
            nodes.append(residual + plain_sum(gates[:, first : first + target], nodes))
        elif target % 2:
            nodes.append(residual + sums(nodes[-1]))
        else:
            nodes.append(sums(nodes[-1], residual=residual))
    return nodes


def inputs(k: int, batch: int, shared: bool, channels_last: bool, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    gates = torch.rand(1 if shared else batch, k * (k + 1) // 2, generator=generator, dtype=torch.double)
    x = torch.randn(batch, 3, 4, 5, generator=generator, dtype=torch.double)
    return gates, x.contiguous(memory_format=torch.channels_last) if channels_last else x


def assert_as_plain(k: int, batch: int, shared: bool, channels_last: bool, needs: tuple[bool, bool]) -> None:
    """Nodes, gradients of gates and of x, of which those that `needs` says are asked for, are the plain sums'."""
    found = []
    for plain in (True, False):
        gates, x = inputs(k, batch, shared, channels_last)
        gates.requires_grad_(needs[0])
        x.requires_grad_(needs[1])
        out = block(gates, x, k, plain=plain)[-1]
        (out * torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)).sum().backward()
        found.append((out, gates.grad, x.grad))
    for expected, got in zip(*found, strict=True):
        assert (expected is None) == (got is None)
        assert expected is None or torch.allclose(expected, got, rtol=1e-9, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    k=st.integers(1, 7),
    batch=st.integers(1, 3),
    shared=st.booleans(),
    channels_last=st.booleans(),
    needs=st.sampled_from([(True, True), (True, False), (False, True)]),
)
def test_values_and_gradients_are_those_of_plain_sums(
    k: int, batch: int, shared: bool, channels_last: bool, needs: tuple[bool, bool]
) -> None:
    assert_as_plain(k, batch, shared, channels_last, needs)


def test_gradients_agree_with_finite_differences() -> None:
    gates, x = inputs(3, 2, shared=False, channels_last=True)
    arguments = (gates.requires_grad_(), x.requires_grad_())
    assert torch.autograd.gradcheck(lambda gates, x: block(gates, x, 3, plain=False)[-1], arguments)


def test_without_gradients_the_sums_are_the_plain_ones() -> None:
    gates, x = inputs(4, 2, shared=False, channels_last=True)
    with torch.no_grad():
        assert torch.allclose(block(gates, x, 4, plain=False)[-1], block(gates, x, 4, plain=True)[-1], rtol=1e-12)


def test_backward_from_the_middle_of_a_block_is_right() -> None:
    found = []
    for plain in (True, False):
        gates, x = inputs(5, 2, shared=False, channels_last=False)
        gates.requires_grad_()
        block(gates, x, 5, plain=plain)[3].sum().backward()
        found.append(gates.grad)
    assert torch.allclose(*found)


@pytest.mark.parametrize("first", [1, 2, 4])
def test_a_graph_that_is_kept_can_be_walked_again_from_anywhere(first: int) -> None:
    found = []
    for plain in (True, False):
        gates, x = inputs(4, 2, shared=False, channels_last=False)
        nodes = block(gates.requires_grad_(), x, 4, plain=plain)
        nodes[first].sum().backward(retain_graph=True)
        (late,) = torch.autograd.grad(nodes[4].sum(), nodes[3], retain_graph=True)
        nodes[3].sum().backward(retain_graph=True)
        nodes[4].square().sum().backward()
        found.append((late, gates.grad))
    for expected, got in zip(*found, strict=True):
        assert torch.allclose(expected, got)


@pytest.mark.parametrize("grad", [True, False])
def test_the_last_skip_may_carry_something_of_its_own(grad: bool) -> None:
    gates, x = inputs(2, 2, shared=False, channels_last=True)
    gates.requires_grad_(grad)
    sums = SkipSums(gates, 2)
    second, own = torch.tanh(x), torch.exp(x)
    sums(x)
    got = sums(second, own)
    weights = gates[..., None, None, None]
    assert torch.allclose(got, weights[:, 1] * x + weights[:, 2] * own)
    if grad:
        (found,) = torch.autograd.grad(got.sum(), gates)
        assert torch.allclose(found[:, 1:], torch.stack([x.sum((1, 2, 3)), own.sum((1, 2, 3))], dim=1))


def test_mixed_precision_keeps_the_type_of_the_nodes() -> None:
    gates, x = inputs(3, 2, shared=False, channels_last=True)
    gates, x = gates.float().requires_grad_(), x.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = block(gates, x, 3, plain=False)[-1]
    out.float().sum().backward()
    assert out.dtype == torch.bfloat16
    assert gates.grad is not None
    assert gates.grad.dtype == torch.float32


def test_nodes_of_two_types_are_summed_in_that_of_the_first() -> None:
    """As in a ConvNeXt under autocast, whose layer scales are float32."""
    gates, x = inputs(2, 2, shared=False, channels_last=True)
    gates, x = gates.float(), x.float()

    def with_gradients(store: bool) -> list[Tensor]:
        leaves = [gates.clone().requires_grad_(), x.bfloat16().requires_grad_(), torch.tanh(x).requires_grad_()]
        typed = leaves[0].bfloat16()
        with torch.autocast("cpu", torch.bfloat16):
            if store:
                sums = SkipSums(typed, 2)
                sums(leaves[1])
                out = sums(leaves[2])
            else:
                out = plain_sum(typed[:, 1:], leaves[1:])
        return [out, *torch.autograd.grad(out.float().square().sum(), leaves)]

    for ours, plain in zip(with_gradients(True), with_gradients(False), strict=True):
        assert ours.dtype == plain.dtype
        assert torch.allclose(ours, plain, rtol=0.02, atol=0.02 * plain.abs().max().item())


def test_shapes_can_be_asked_for_without_memory() -> None:
    gates, x = inputs(3, 2, shared=False, channels_last=True)
    assert block(gates.to("meta").requires_grad_(), x.to("meta"), 3, plain=False)[-1].shape == x.shape
