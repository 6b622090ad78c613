"""Images that show the same thing: frames of one film, crops of one photograph, copies saved again.

Where one is trained on and another measured on, accuracy says how well images are remembered.
"""

from collections.abc import Iterable
from pathlib import Path

import imagehash
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from delta_core.training.data.image_files import read_image

SIDE = 16
"""Of a perceptual hash, which has SIDE² bits."""
AT_MOST = 48
"""Bits of 256 in which the hashes of near-duplicates differ. A copy saved again, brightened, turned by 2 degrees,
shifted by 3 % or cut by 5 % differs in 0 to 48. The nearest other photograph of a class differs in 88 or more (flowers,
insects, objects), drawn digits in 50 to 70."""
ROWS = 4096
"""Hashes that are compared with all others at once."""

Hashes = NDArray[np.float32]
"""(N, SIDE²) of -1 and 1."""


def perceptual_hashes(files: Iterable[Path]) -> Hashes:
    """Hashes by the low frequencies of each image (pHash, see imagehash).

    Raises:
        UserError: if an image cannot be read.
    """
    bits = [imagehash.phash(read_image(file), hash_size=SIDE).hash.ravel() for file in files]
    return np.array(bits, dtype=np.float32).reshape(-1, SIDE**2) * 2 - 1


def groups_of(hashes: Hashes, labels: Tensor) -> Tensor:
    """Group (N,) of each image: near-duplicates of one class share theirs, over any number of steps between them."""
    groups, count = torch.zeros(len(labels), dtype=torch.long), 0
    for label in labels.unique():
        members = torch.nonzero(labels == label)[:, 0]
        of_class = hashes[members.numpy()]
        pairs = _pairs(of_class, of_class)
        links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(members), len(members)))
        found, index = connected_components(links, directed=False)
        groups[members] = torch.from_numpy(index).long() + count
        count += found
    return groups


def first_look_alikes(measured: Hashes, trained: Hashes) -> dict[int, int]:
    """Place of each measured image that has a near-duplicate among those trained on -> place of the first of them."""
    pairs = _pairs(measured, trained)
    return {int(one): int(other) for one, other in reversed(pairs.tolist())}


def _pairs(ones: Hashes, others: Hashes) -> NDArray[np.int64]:
    """(K, 2) places of hashes that differ in `AT_MOST` bits, in order."""
    found = [np.zeros((0, 2), dtype=np.int64)]
    for start in range(0, len(ones), ROWS):
        alike = ones[start : start + ROWS] @ others.T >= SIDE**2 - 2 * AT_MOST
        found.append(np.argwhere(alike) + np.array([start, 0]))
    return np.concatenate(found)
