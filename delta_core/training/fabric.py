"""Which device there is, and one Lightning Fabric per run: device, precision and deterministic kernels."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

from delta_core.training.callback import Apart, Callback
from delta_core.training.errors import UserError

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def devices_of(device: str) -> list[str]:
    """Devices behind a choice: `auto` and `cuda` are all CUDA devices, or the CPU where `auto` finds none.

    Raises:
        UserError: if the device is not there.
    """
    found = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if device in ("auto", "cuda"):
        if device == "cuda" and not found:
            raise UserError("device 'cuda' was asked for but torch sees no CUDA device; use 'cpu'.")
        return found or ["cpu"]
    known = [*found, "cpu", *(["mps"] if torch.backends.mps.is_available() else [])]
    if device not in known:
        raise UserError(f"device {device!r} is not there; torch sees {', '.join(known)}.")
    return [device]


def make_fabric(device: str, precision: str, callbacks: Iterable[Callback] = ()) -> "Fabric":
    """Fabric on one device (`cpu`, `cuda:1`, `mps`). Runs are independent, so each process uses one device.

    What `engine.train_module` trains on it the callbacks hear of.
    """
    from lightning_fabric import Fabric  # takes seconds to import, which a table that is all there need not wait for

    kind, _, index = device.partition(":")
    choose_deterministic_kernels(kind)
    devices = [int(index or 0)] if kind == "cuda" else 1
    return Fabric(accelerator=kind, devices=devices, precision=precision, callbacks=[Apart(each) for each in callbacks])  # type: ignore[arg-type]


def choose_deterministic_kernels(kind: str) -> None:
    """Make torch choose kernels that give the same bits at every call on a kind of device (`cpu`, `cuda`, `mps`).

    On CUDA a forward pass then takes the same algorithms for the same shapes, so that a base can be compared with
    itself to the bit; to be called before CUDA starts.
    """
    if kind == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it starts
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    # warn_only: a few CUDA kernels have no deterministic form; rows made on CUDA say deterministic = False.
    torch.use_deterministic_algorithms(True, warn_only=kind != "cpu")


@contextmanager
def torch_state_kept() -> Iterator[None]:
    """Whatever happens inside, random numbers and the choice of kernels go on outside as if nothing had."""
    chosen, warn_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    benchmark, deterministic = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(chosen, warn_only=warn_only)
            torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = benchmark, deterministic


def to_device(net: nn.Module, device: torch.device) -> nn.Module:
    """Move a net in place, channels last: the layout in which convolutions run fastest."""
    net.to(memory_format=torch.channels_last)
    return net.to(device)
