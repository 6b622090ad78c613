"""What tests run in spawned processes; imports little, for a new process imports it all again."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed import destroy_process_group, init_process_group
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from delta_core import DeltaModel


def spawned(processes: int) -> ProcessPoolExecutor:
    """Workers that inherit nothing: what they know came through pickle."""
    return ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))


@torch.no_grad()
def answer(model: DeltaModel, x: Tensor, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """Patched and base logits of a model that came from another process."""
    torch.set_num_threads(threads)
    model.assert_frozen()
    with model.disable_patches():
        base = model(x)
    return model(x).numpy(), base.numpy()


def train_one_rank(rank: int, store: str, model: DeltaModel, x: Tensor) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Trained parameters and base logits of one of two processes that train on batches of their own."""
    torch.set_num_threads(1)
    init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    try:
        train_two_steps(DistributedDataParallel(model).train(), list(model.trainable_parameters()), x + rank)
    finally:
        destroy_process_group()
    model.eval().assert_frozen()
    with torch.no_grad(), model.disable_patches():
        base = model(x)
    return {name: tensor.detach().numpy() for name, tensor in model.patches.named_parameters()}, base.numpy()


def train_two_steps(model: nn.Module, parameters: list[nn.Parameter], x: Tensor, *, autocast: bool = False) -> None:
    """Two steps of SGD on random labels."""
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = F.cross_entropy(model(x), torch.arange(len(x)) % 3)
        loss.backward()
        optimizer.step()
