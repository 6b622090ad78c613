"""Skip sums as Triton kernels for CUDA: every node is read where it lies, once for a sum and once for its gradients.

torch's own products want all nodes in one buffer, so that each is copied into it, and one row times a matrix fills no
kernel. Written on CPU, where `TRITON_INTERPRET=1` runs them: no GPU has timed them yet.

Shape legend: B batch, C channels, H W size, D = C * H * W values of a node.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
import triton
import triton.language as tl
from torch import Tensor

from delta_core.plain_sum import plain_sum

TERMS = 8
"""Most nodes of one launch, which bounds how many kernels are compiled; more are summed in several, each of which reads
and writes the sum once more."""
BLOCK = 2048
"""Values of a sample that one program works on."""


@triton.jit  # type: ignore[untyped-decorator]
def _weighted_kernel(  # type: ignore[no-untyped-def]
    out, start, terms, weights, size, sample_stride, term_stride, has_start: tl.constexpr, accumulator: tl.constexpr,
    block: tl.constexpr,
):  # fmt: skip
    """A block of one sample of start + sum_i weights_i * terms_i."""
    sample = tl.program_id(0).to(tl.int64)
    place = tl.program_id(1) * block + tl.arange(0, block)
    inside = place < size
    at = sample * size + place
    total = tl.zeros((block,), dtype=accumulator)
    if has_start:
        total += tl.load(start + at, mask=inside).to(accumulator)
    for i in tl.static_range(len(terms)):
        weight = tl.load(weights + sample * sample_stride + i * term_stride).to(accumulator)
        total += weight * tl.load(terms[i] + at, mask=inside).to(accumulator)
    tl.store(out + at, total.to(out.dtype.element_ty), mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _products_kernel(  # type: ignore[no-untyped-def]
    out, values, terms, size, blocks, accumulator: tl.constexpr, block: tl.constexpr
):
    """Inner products of a block of one sample with the same block of each term."""
    sample = tl.program_id(0).to(tl.int64)
    place = tl.program_id(1) * block + tl.arange(0, block)
    inside = place < size
    at = sample * size + place
    value = tl.load(values + at, mask=inside, other=0.0).to(accumulator)
    first = (sample * blocks + tl.program_id(1)) * len(terms)
    for i in tl.static_range(len(terms)):
        term = tl.load(terms[i] + at, mask=inside, other=0.0).to(accumulator)
        tl.store(out + first + i, tl.sum(value * term, axis=0))


def weighted(terms: Sequence[Tensor], weights: Tensor, start: Tensor | None, dtype: torch.dtype) -> Tensor:
    """`start`, or 0, plus the terms weighted by (B or 1, terms), each (B, C, H, W) and dense in one memory order."""
    out = torch.empty_like(terms[0], dtype=dtype)
    weights = weights.expand(len(out), len(terms))
    for first, some in _launches(terms):
        part = weights[:, first:]
        with _on(out):
            _weighted_kernel[_grid(out)](
                out, out if start is None else start, some, part, out[0].numel(), part.stride(0), part.stride(1),
                has_start=start is not None, accumulator=_accumulator(dtype), block=BLOCK,
            )  # fmt: skip
        start = out
    return out


def products(values: Tensor, terms: Sequence[Tensor]) -> Tensor:
    """Inner products (B, terms) of values with each term, (B, C, H, W) and dense in one memory order."""
    found = []
    batch, blocks = _grid(values)
    for _, some in _launches(terms):
        # Parts are summed by torch: additions in an order of their own would give other bits each time.
        parts = torch.empty(batch, blocks, len(some), dtype=_sum_dtype(values.dtype), device=values.device)
        with _on(values):
            _products_kernel[batch, blocks](
                parts, values, some, values[0].numel(), blocks, accumulator=_accumulator(values.dtype), block=BLOCK
            )
        found.append(parts.sum(1))
    return torch.cat(found, dim=1).to(values.dtype)


def sum_of(gates: Tensor, nodes: list[Tensor], residual: Tensor | None = None) -> Tensor:
    """`plain_sum`, of scalar gates, where no gradient is needed."""
    given = [gates, nodes[0]] if residual is None else [gates, nodes[0], residual]
    dtype = given[0].dtype
    for each in given[1:]:
        dtype = torch.promote_types(dtype, each.dtype)
    like = nodes[0]
    start = None if residual is None else _laid_out(residual, like)
    return weighted([_laid_out(node, like) for node in nodes], gates, start, dtype)


class NodesInPlace:
    """As `BufferedNodes`, without buffers: nodes and gradients are kept as they came."""

    def __init__(self, node: Tensor) -> None:
        self.like = torch.empty_like(node, device="meta")
        self.dtype = node.dtype
        self.gates: list[Tensor] = []
        self.nodes: list[Tensor] = []
        self.versions: list[int] = []
        self.grads: dict[int, Tensor] = {}

    def put(self, place: int, node: Tensor) -> None:
        """Take a node (B, C, H, W)."""
        self.nodes[place:] = [_laid_out(node.detach(), self.like)]
        self.versions[place:] = [_version(self.nodes[place])]

    def total(self, gates: Tensor, residual: Tensor | None) -> Tensor:
        """The residual, or 0, and the first nodes, weighted by gates (B, nodes): (B, C, H, W)."""
        start = None if residual is None else _laid_out(residual, self.like)
        return weighted(self.nodes[: gates.shape[1]], gates, start, self.dtype)

    def start_backward(self) -> None:
        """Forget the gradients of another pass."""
        self.grads = {}

    def put_gradient(self, place: int, grad: Tensor) -> None:
        """Take the gradient (B, C, H, W) of the sum of all nodes up to this place."""
        self.grads[place] = _laid_out(grad, self.like)

    def gates_gradient(self, grad: Tensor, count: int) -> Tensor:
        """Inner products (B, count) of the gradient of a sum with the first nodes.

        Raises:
            RuntimeError: if one of them was changed since, as autograd would.
        """
        if [_version(node) for node in self.nodes] != self.versions:
            raise RuntimeError("A node of a block was changed in place after its skips had read it.")
        return products(_laid_out(grad, self.like), self.nodes[:count])

    def node_gradient(self, weights: Tensor, place: int) -> Tensor:
        """Gradients of sums from this place on, weighted by (B, sums): (B, C, H, W)."""
        grads = [self.grads[place + i] for i in range(weights.shape[1])]
        return weighted(grads, weights, None, grads[0].dtype)

    def end_backward(self) -> None:
        """Drop the gradients."""
        self.grads = {}


def check(device: torch.device) -> None:
    """Compile the kernels, run them and compare what they give with the plain sums.

    Raises:
        ArithmeticError: if it differs.
        Exception: whatever Triton, its compiler or the driver raises.
    """
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device="cpu").to(device)  # whatever the user's default device is

    terms = [drawn(2, 3, 29, 31) for _ in range(TERMS + 1)]
    weights = drawn(2, len(terms))
    expected = torch.stack([(terms[0] * term).sum((1, 2, 3)) for term in terms], dim=1)
    for found, plain in (
        (sum_of(weights, terms), plain_sum(weights, terms)),
        (sum_of(weights, terms, terms[1]), plain_sum(weights, terms, terms[1])),
        (products(terms[0], terms), expected),
    ):
        if not torch.allclose(found, plain, rtol=1e-3, atol=1e-3):
            raise ArithmeticError("their sums differ from torch's.")


def _laid_out(x: Tensor, like: Tensor) -> Tensor:
    """X (B, C, H, W), dense in the memory order of another tensor of its shape."""
    last = like.is_contiguous(memory_format=torch.channels_last)
    return x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def _version(x: Tensor) -> int:
    """How often a tensor was changed in place; those of inference mode do not count."""
    return 0 if x.is_inference() else x._version


def _launches(terms: Sequence[Tensor]) -> Iterator[tuple[int, tuple[Tensor, ...]]]:
    for first in range(0, len(terms), TERMS):
        yield first, tuple(terms[first : first + TERMS])


def _grid(x: Tensor) -> tuple[int, int]:
    return len(x), triton.cdiv(x[0].numel(), BLOCK)


def _sum_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _accumulator(dtype: torch.dtype) -> tl.dtype:
    return tl.float64 if dtype == torch.float64 else tl.float32


def _on(x: Tensor) -> AbstractContextManager[object]:
    """Triton launches on the current device, which need not be that of its arguments."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()
