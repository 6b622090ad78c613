"""Which device there is, and one Lightning Fabric per run: device, precision and deterministic kernels."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

from delta_core.training.callback import Apart, Callback
from delta_core.training.errors import UserError
from delta_core.training.ranks import Rank, unsynced_buffers

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy


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


def make_fabric(
    device: str, precision: str, callbacks: Iterable[Callback] = (), *, rank: Rank | None = None
) -> "Fabric":
    """Fabric on one device (`cpu`, `cuda:1`, `mps`): each process uses one.

    Args:
        device: of this process.
        precision: as Fabric names it.
        callbacks: hear of what `engine.train_module` trains on it.
        rank: of this process among those that share a run, which wait for each other here.
    """
    from lightning_fabric import Fabric  # takes seconds to import, which a table that is all there need not wait for
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment

    kind, _, index = device.partition(":")
    choose_deterministic_kernels(kind)
    told = [Apart(each) for each in callbacks]
    fabric = Fabric(
        accelerator=kind,
        strategy="auto" if rank is None else _strategy(rank, torch.device(device)),
        devices=[int(index or 0)] if kind == "cuda" and rank is None else 1,
        precision=precision,  # type: ignore[arg-type]
        # Else a job of Slurm would be taken for processes that train together, as many as it has tasks.
        plugins=LightningEnvironment() if rank is None else None,
        callbacks=told,
    )
    if rank is not None:
        fabric.launch()
    return fabric


def meet(rank: Rank, device: torch.device) -> None:
    """Wait for the other processes of a run, unless this one has met them already."""
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
            init_method=rank.meeting,
            rank=rank.number,
            world_size=rank.world_size,
            device_id=device if device.type == "cuda" else None,
        )


def _strategy(rank: Rank, device: torch.device) -> "DDPStrategy":
    """Gradients averaged over all processes, on a device each; buffers are equal by themselves."""
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
    from lightning_fabric.strategies.ddp import DDPStrategy

    class Given(TorchElasticEnvironment):
        """Processes that were started by somebody else, who told them their numbers."""

        def world_size(self) -> int:
            return rank.world_size

        def global_rank(self) -> int:
            return rank.number

        def local_rank(self) -> int:
            return 0  # the strategy knows of one device

        def validate_settings(self, num_devices: int, num_nodes: int) -> None:
            """Fabric counts the devices of this process alone."""

    meet(rank, device)
    return DDPStrategy(parallel_devices=[device], cluster_environment=Given(), **unsynced_buffers())


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
