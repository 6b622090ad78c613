"""One Lightning Fabric per run: device, precision and deterministic kernels."""

import torch
from lightning_fabric import Fabric
from torch import nn

from benchmarks.env import Env


def make_fabric(env: Env) -> Fabric:
    """Fabric on one device (`cpu`, `cuda:1`, `mps`). Runs are independent, so each process uses one device."""
    kind, _, index = env.device.partition(":")
    # warn_only: a few CUDA kernels have no deterministic form; rows made on CUDA say deterministic = False.
    torch.use_deterministic_algorithms(True, warn_only=kind != "cpu")
    devices = [int(index or 0)] if kind == "cuda" else 1
    return Fabric(accelerator=kind, devices=devices, precision=env.precision)  # type: ignore[arg-type]


def to_device(net: nn.Module, device: torch.device) -> nn.Module:
    """Move a net in place, channels last: the layout in which convolutions run fastest."""
    net.to(memory_format=torch.channels_last)
    return net.to(device)
