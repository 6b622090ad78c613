"""The devices that tests run on: those that are there; the others are skipped and say why."""

import pytest
import torch

CUDA = pytest.param(
    "cuda:0", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here")
)
DEVICES = pytest.mark.parametrize("device", ["cpu", CUDA])
DEVICES_AND_PRECISIONS = pytest.mark.parametrize(
    ("device", "precision"),
    [
        ("cpu", "32-true"),
        ("cpu", "bf16-mixed"),
        *(pytest.param("cuda:0", precision, marks=CUDA.marks) for precision in ("32-true", "bf16-mixed", "16-mixed")),
    ],
)
