"""Floating-point operations of a call, products in place among them, which torch's counter does not know."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


def _in_product(_: Any, left: tuple[int, ...], right: tuple[int, ...], **__: Any) -> int:
    """Shapes (..., M, K) and (..., K, N) -> operations."""
    return 2 * math.prod(left) * right[-1]


IN_PLACE = {torch.ops.aten.addmm_: _in_product, torch.ops.aten.baddbmm_: _in_product}


def flops_of(run: Callable[[], object]) -> int:
    """Operations in convolutions and matrix products of one call; element by element ones are not counted.

    >>> flops_of(lambda: torch.zeros(2, 3).addmm_(torch.ones(2, 5), torch.ones(5, 3)))
    60
    >>> flops_of(lambda: torch.zeros(4, 2, 3).baddbmm_(torch.ones(4, 2, 5), torch.ones(4, 5, 3)))
    240
    """
    with FlopCounterMode(display=False, custom_mapping=IN_PLACE) as counter:
        run()
    return int(counter.get_total_flops())
