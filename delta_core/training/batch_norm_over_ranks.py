"""BatchNorm whose statistics are of the images of all processes, whatever class of module asks for it.

`torch.nn.SyncBatchNorm` has no CPU path, and takes the place of modules: of timm's BatchNorm with activation it drops
the activation, and a frozen net would no longer be the one that was proven. Here nothing is replaced.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class BatchNormOverRanks(TorchFunctionMode):
    """Inside, `F.batch_norm` in training is over all processes, which have to call it equally often."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is F.batch_norm:
            return _batch_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`F.batch_norm` of x (B, C, ...); with `training` over the images of all processes."""
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    y: Tensor
    y, mean, var, count = _BatchNorm.apply(x, weight, bias, eps)
    if running_mean is not None and running_var is not None:
        running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        running_var.lerp_((var * count / (count - 1)).to(running_var.dtype), momentum)
    return y


class _BatchNorm(torch.autograd.Function):
    """Gradients by hand: those that autograd gives weight and bias may share memory where x has one value a channel."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        wide = x.float() if x.itemsize < torch.float32.itemsize else x
        dims, shape = _over(x)
        sums = _summed(torch.cat([wide.sum(dims), wide.new_full((1,), x.numel() // x.shape[1])]))
        count = sums[-1]
        mean = sums[:-1] / count
        centred = wide - mean.view(shape)  # before it is squared: no digits are lost where the mean is large
        var = _summed(centred.square().sum(dims)) / count
        scale = torch.rsqrt(var + eps)
        normal = centred * scale.view(shape)
        ctx.save_for_backward(normal, scale, weight, count)
        ctx.mark_non_differentiable(mean, var, count)
        y = normal if weight is None else normal * weight.view(shape)
        y = y if bias is None else y + bias.view(shape)
        return y.to(x.dtype), mean, var, count

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, None]:
        normal, scale, weight, count = ctx.saved_tensors
        dims, shape = _over(normal)
        wide = gradient.to(normal.dtype)
        own = torch.stack([wide.sum(dims), (wide * normal).sum(dims)])
        # The losses of all processes hang on the statistics, and so on each image.
        of_bias, of_weight = (each.view(shape) for each in _summed(own.clone()) / count)
        factor = scale if weight is None else scale * weight
        into = factor.view(shape) * (wide - of_bias - normal * of_weight)
        _, needs_weight, needs_bias, _ = ctx.needs_input_grad
        return (
            into.to(gradient.dtype),
            own[1] if needs_weight else None,
            own[0] if needs_bias else None,
            None,
        )


def _over(x: Tensor) -> tuple[list[int], list[int]]:
    """Dimensions over which statistics are taken, and the shape of what there is of each channel."""
    return [0, *range(2, x.ndim)], [1, -1, *(1 for _ in range(2, x.ndim))]


def _summed(own: Tensor) -> Tensor:
    """Sum over all processes; the tensor may be overwritten."""
    distributed.all_reduce(own)
    return own
