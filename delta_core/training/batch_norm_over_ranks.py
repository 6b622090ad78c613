"""BatchNorm whose statistics are of the images of all processes.

`torch.nn.SyncBatchNorm` has no CPU path, and takes the place of modules: of timm's BatchNorm with activation it drops
the activation, and a frozen net would no longer be the one that was proven.
"""

from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn import functional as F

from delta_core.batch_norm_mode import BatchNormCall, BatchNormMode


class BatchNormOverRanks(BatchNormMode):
    """Inside, `F.batch_norm` in training is over all processes, which have to call it equally often."""

    def batch_norm(self, call: BatchNormCall) -> Tensor:  # noqa: D102 - as of `BatchNormMode`
        if not call.training:
            return F.batch_norm(*call)
        y: Tensor
        y, mean, var, count = _BatchNorm.apply(call.input, call.weight, call.bias, call.eps)
        if call.running_mean is not None and call.running_var is not None:
            call.running_mean.lerp_(mean.to(call.running_mean.dtype), call.momentum)
            call.running_var.lerp_((var * count / (count - 1)).to(call.running_var.dtype), call.momentum)
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
