"""What theory says of the variance of features through depth; see docs/variance.md for the derivation.

A block has nodes x_0..x_k and x_j = r_j + sum_{i<j} g_ij x_i, where the residual r_j keeps the variance of x_{j-1} and
is uncorrelated with all nodes before it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def node_variances(gates: Sequence[float], k: int) -> list[float]:
    """Variances of x_0..x_k in units of that of x_0.

    Args:
        gates: g_ij of the k(k+1)/2 skips, ordered by target j, then source i.
        k: number of sub-blocks.

    >>> node_variances([1, 0, 1], 2)  # the net's own skips: doubled by every sub-block
    [1.0, 2.0, 4.0]
    >>> node_variances([1, 1, 1], 2)  # all skips
    [1.0, 2.0, 7.0]
    """
    covariance: NDArray[np.float64] = np.zeros((k + 1, k + 1))
    covariance[0, 0] = 1
    first = 0
    for target in range(1, k + 1):
        weights = np.asarray(gates[first : first + target], dtype=float)
        known = covariance[:target, :target]
        covariance[target, :target] = covariance[:target, target] = known @ weights
        covariance[target, target] = known[-1, -1] + weights @ known @ weights
        first += target
    return [float(variance) for variance in np.diag(covariance)]


def net_variances(gates: Sequence[float], k: int, blocks: int, *, norm: bool) -> list[float]:
    """Variances behind the input and every sub-block of a chain of equal blocks; a norm sets block outputs to 1.

    >>> net_variances([1, 1, 1], 2, 2, norm=False)
    [1.0, 2.0, 7.0, 14.0, 49.0]
    >>> net_variances([1, 1, 1], 2, 2, norm=True)
    [1.0, 2.0, 1.0, 2.0, 1.0]
    """
    within = node_variances(gates, k)[1:]
    found = [1.0]
    for _ in range(blocks):
        entering = found[-1]
        found += [entering * variance for variance in within]
        if norm:
            found[-1] = 1.0
    return found


def growth_per_sub_block(gate: float) -> float:
    """Factor per sub-block, in a long block, when all skips have the same gate: 2 without new skips, 4.30 at gate 1.

    The largest eigenvalue of (S, v) -> ((1 + g)^2 S + v, g^2 S + v), S the variance of the sum of all nodes.

    >>> round(growth_per_sub_block(1.0), 4)
    4.3028
    >>> growth_per_sub_block(0.0)
    1.0
    """
    step = np.array([[(1 + gate) ** 2, 1.0], [gate**2, 1.0]])
    return float(np.abs(np.linalg.eigvals(step)).max()) if gate else 1.0


def rms_correlation(d: int) -> float:
    """Root mean square of the correlation of a coordinate of x with the same one of Wx, w_ij ~ N(0, 1/d), x in R^d.

    >>> rms_correlation(100)
    0.1
    """
    return float(d**-0.5)
