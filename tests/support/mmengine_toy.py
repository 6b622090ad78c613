"""A classifier in the shape of a detector on a DeltaBackbone, and a Runner that trains it: mmengine alone."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import timm
import torch
from mmengine.model import BaseAveragedModel, BaseModel, MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.registry import MODEL_WRAPPERS, MODELS
from mmengine.runner import Runner
from torch import Tensor, nn

import delta_core.openmmlab  # noqa: F401 - registers
from delta_core.openmmlab import DeltaBackbone

SLIM = {"stem_type": "deep", "stem_width": 4, "channels": (8, 8, 16, 16)}
STAGES = (1, 2, 3, 4)


def weights_file(folder: Path, architecture: str = "resnet18", **options: Any) -> str:
    """Weights of a net in which no layer is the identity."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = timm.create_model(architecture, **options)
        for tensor in net.state_dict().values():
            if tensor.is_floating_point() and tensor.ndim == 1:
                tensor.uniform_(0.5, 1.5)
    path = folder / f"{architecture}.pt"
    torch.save(net.state_dict(), path)
    return str(path)


def slim_config(folder: Path) -> dict[str, Any]:
    """Config of a small backbone without patch, its weights in a folder."""
    return {
        "type": "DeltaBackbone",
        "architecture": "resnet18",
        "weights": weights_file(folder, **SLIM),
        "options": SLIM,
        "out_indices": STAGES,
        "n_modules": 0,
    }


def images(count: int = 4, size: int = 64, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def build(config: dict[str, Any], /, **changes: Any) -> DeltaBackbone:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MODELS.build(config | changes)


class Labelled(torch.utils.data.Dataset[dict[str, Any]]):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"inputs": images(1, 32, seed=index)[0], "labels": index % 2}


class Toy(BaseModel):
    """A classifier in the shape of a detector: backbone, neck and head."""

    def __init__(self, backbone: dict[str, Any], init_cfg: dict[str, Any] | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.backbone = MODELS.build(backbone)
            self.neck = nn.ModuleList(nn.Conv2d(channels, 4, 1) for channels in self.backbone.out_channels)
            self.head = nn.Linear(4, 2)

    def forward(self, inputs: Tensor, labels: Tensor | None = None, mode: str = "tensor") -> Any:
        levels = zip(self.neck, self.backbone(inputs), strict=True)
        logits = self.head(sum(neck(level).mean((2, 3)) for neck, level in levels))
        return {"loss": nn.functional.cross_entropy(logits.float(), labels)} if mode == "loss" else logits


@MODEL_WRAPPERS.register_module()
class CpuDistributed(MMDistributedDataParallel):
    """mmengine names a GPU to the one of its own, also where there is none."""

    def __init__(self, module: nn.Module, device_ids: object = None, **options: Any) -> None:  # noqa: ARG002
        super().__init__(module=module, **options)


@MODELS.register_module()
class WeightedSum(BaseAveragedModel):
    """An average as mmdet's ExpMomentumEMA takes it: that of equal numbers differs from them in its last bits."""

    def avg_func(self, averaged_param: Tensor, source_param: Tensor, steps: int) -> None:  # noqa: ARG002
        averaged_param.mul_(0.95).add_(source_param, alpha=0.05)


class CpuAmpWrapper(OptimWrapper):
    """mmengine's own AmpOptimWrapper wants a GPU."""

    def optim_context(self, model: nn.Module) -> Any:  # noqa: ARG002
        return torch.autocast("cpu", torch.bfloat16)


def runner_of(
    backbone: dict[str, Any],
    folder: Path,
    epochs: int = 1,
    wrapper: Any = "OptimWrapper",
    accumulative_counts: int = 1,
    **options: Any,
) -> Runner:
    """Trains the toy on eight images; checkpoints lie in the folder, one an epoch."""
    return Runner(
        model=Toy(backbone),
        work_dir=str(folder),
        train_dataloader={
            "batch_size": 4,
            "num_workers": 0,
            "dataset": Labelled(),
            "sampler": {"type": "DefaultSampler", "shuffle": True},
            "collate_fn": {"type": "default_collate"},
        },
        train_cfg={"by_epoch": True, "max_epochs": epochs},
        optim_wrapper={
            "type": wrapper,
            "accumulative_counts": accumulative_counts,
            "optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.1},
            "constructor": "TrainableOptimWrapperConstructor",
        },
        default_hooks={"checkpoint": {"type": "CheckpointHook", "interval": 1}},
        custom_hooks=options.pop("custom_hooks", [{"type": "DeltaHook", "batches": 2}]),
        experiment_name=uuid.uuid4().hex,
        randomness={"seed": 0},
        log_level="ERROR",
        default_scope="mmengine",
        **options,
    )


@contextmanager
def process_group_of_one(folder: Path) -> Iterator[None]:
    """What a distributed training is run in, with this process alone."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=0, world_size=1)
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
