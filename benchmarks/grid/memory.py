"""What a run at paper scale takes of a device's memory, estimated by one training step on the meta device.

The step is the method's own: it gets a net and images without data, and a stand-in for Fabric that watches what the
first step allocates and ends the training there. Batches of evaluation are larger than those of training, so that a
forward pass of one counts too. What libraries of kernels take for themselves (the CUDA context,
workspaces of cuDNN, what the allocator leaves between blocks) comes on top: allow a tenth and one GB.
"""

import weakref
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import timm
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.weak import WeakIdKeyDictionary

from benchmarks.methods.base import Cell, Method
from benchmarks.spec import Run
from delta_core.training.data.splits import EVAL_BATCH, TaskData, batch_size_for, channels_last
from delta_core.training.tensor_store import TensorStore
from delta_core.weights import Preprocessing, preprocessing_of

if TYPE_CHECKING:
    from lightning_fabric import Fabric

META = torch.device("meta")
CLASSES = 100
"""Of the task: a head of other width changes little."""

COPIES = 2
"""Of the pre-trained net beside the one that trains: to copy from for each method, and to compare with."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes on the device at the peak of a run in float32; mixed precision takes less."""

    states: int
    """Weights, their gradients, what the optimiser keeps, and copies of the pre-trained net."""
    activations: int
    """What lies between input and loss until the backward pass has used it, and what the pass itself makes."""

    @property
    def total(self) -> int:  # noqa: D102
        return self.states + self.activations

    def __str__(self) -> str:
        parts = f"{self.states / 10**9:.1f} states, {self.activations / 10**9:.1f} activations"
        return f"{self.total / 10**9:.1f} GB ({parts})"


def memory_of(run: Run) -> Memory | None:
    """Estimate for a run at paper scale; None where a step cannot be made without data, or is OpenMMLab's."""
    if not isinstance(run.method, Method) or run.method.prepares_on_data:
        return None
    recipe = replace(run.method.recipe, epochs=1, lr=1.0, head_lr=1.0, views=0, feature_dtype="float32")
    method = replace(run.method, recipe=recipe)
    config = getattr(method, "config", None)
    if config is not None:  # an identity would need images, and takes as much
        method = replace(method, config=replace(config, norm_start="fresh"))  # type: ignore[call-arg]
    if getattr(method, "augmentation", None) is not None:  # any view of an image takes as much
        method = replace(method, augmentation=None)  # type: ignore[call-arg]
    size: int = run.image_size  # type: ignore[attr-defined]
    found = step_memory(method, run.architecture, size)
    if found is None:
        return None
    return replace(found, activations=max(found.activations, evaluation_bytes(run.architecture, size)))


@cache
def evaluation_bytes(architecture: str, image_size: int) -> int:
    """Activations at the peak of a forward pass of a net of timm, with a batch of evaluation on a GPU."""
    batch_size = batch_size_for(image_size, torch.device("cuda"), at_most=EVAL_BATCH)
    with META:
        backbone = timm.create_model(architecture).to(memory_format=torch.channels_last).eval()
    with torch.no_grad(), LiveBytes() as live:
        backbone(channels_last(torch.empty(batch_size, 3, image_size, image_size, device=META)))
    return int(live.peak)


@cache
def step_memory(method: Method, architecture: str, image_size: int) -> Memory | None:
    """Memory of a training step of a method on a net of timm."""
    with META:
        backbone = timm.create_model(architecture).to(memory_format=torch.channels_last)
    fabric = OneStep()
    images = ImagesWithoutData(
        labels=torch.arange(4 * method.recipe.batch_size) % CLASSES,
        preprocessing=preprocessing_of(backbone, image_size),
    )
    cell = Cell(
        architecture=architecture,
        new_backbone=lambda: backbone,
        task=TaskData(name="images", classes=CLASSES, sha="", train=images, val=images, test=images),
        base=None,
        base_logits=None,
        store=TensorStore(root=Path(), limit_gb=0),
        fabric=cast("Fabric", fabric),
        order_seed=0,
        init_seed=0,
    )
    with suppress(StepDone):
        method.measure(cell)
    if fabric.found is None:
        return None
    copies = COPIES * _bytes(chain(backbone.parameters(), backbone.buffers()))
    return replace(fabric.found, states=fabric.found.states + copies)


class StepDone(Exception):  # noqa: N818 - nothing went wrong
    """Ends a training after its first step."""


class OneStep:
    """Stands in for Fabric in `train_module`: measures the first step and ends there."""

    device = META
    global_rank = 0
    world_size = 1
    strategy = SimpleNamespace(precision=None)

    def __init__(self) -> None:
        self.found: Memory | None = None
        self._states: list[Tensor] = []
        self._trainable = 0
        self._live = LiveBytes()

    def setup(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Where a training begins: the optimiser makes its states, and then everything counts that is allocated."""
        trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
        for parameter in trainable:
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        kept = (value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor))
        self._states = [*module.parameters(), *module.buffers(), *kept]
        self._trainable = _bytes(trainable)
        self._live.leave_out(self._states)
        self._live.__enter__()  # type: ignore[no-untyped-call]
        return module, optimizer

    def call(self, hook: str, *given: object) -> None:
        """Nobody listens to this training."""

    def backward(self, loss: Tensor) -> None:
        """Where a forward pass has ended: the backward pass, and the end."""
        loss.backward()
        self._live.__exit__(None, None, None)  # type: ignore[no-untyped-call]
        states = _bytes(self._states) + self._trainable  # as many gradients
        self.found = Memory(states=states, activations=self._live.peak - self._trainable)
        raise StepDone


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of tensors that operations make on the meta device, while they live."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._now = 0
        self._known = WeakIdKeyDictionary()

    def leave_out(self, tensors: Iterable[Tensor]) -> None:
        """Tensors that are there already, whatever operations return them."""
        for tensor in tensors:
            self._known[tensor.untyped_storage()] = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        tree_map_only(Tensor, self._count, made)
        return made

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if tensor.is_meta and storage not in self._known:
            size = storage.nbytes()
            self._known[storage] = size
            self._now += size
            self.peak = max(self.peak, self._now)
            weakref.finalize(storage, self._forget, size)

    def _forget(self, size: int) -> None:
        self._now -= size


@dataclass(frozen=True, kw_only=True)
class ImagesWithoutData:
    """A split of images on the meta device."""

    labels: Tensor
    preprocessing: Preprocessing

    def batches(self, batch_size: int, *, device: torch.device, order: Tensor | None = None) -> Iterator[Tensor]:
        """Inputs (B, 3, S, S) float32 without data."""
        size = self.preprocessing.image_size
        places = torch.arange(len(self.labels)) if order is None else order
        for index in places.split(batch_size):
            yield channels_last(torch.empty(len(index), 3, size, size, device=device))


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
