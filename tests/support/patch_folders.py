"""Patch folders for tests: a trained-looking model, and tools that change a folder as an attacker would."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tiny import PREPROCESSING, basic_block_net
from torch import Tensor, nn

from delta_core import DeltaConfig, DeltaError, DeltaModel

FILES = ("delta.json", "patch.safetensors")


def trained(config: DeltaConfig | None, net: nn.Module | None = None) -> DeltaModel:
    """A model with a patch "task" whose tensors are all unlike fresh ones, as after training."""
    model = DeltaModel(net or basic_block_net(), architecture="tiny", weights="drawn")
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model.add_patch("task", num_classes=3, config=config, class_names=["a", "b", "ü"], preprocessing=PREPROCESSING)
        state = model.patches.state_dict()
        for tensor in state.values():
            if tensor.is_floating_point():
                tensor.uniform_(0.2, 1.2)
            elif tensor.dtype == torch.int64:
                tensor.fill_(7)
        model.patches.load_state_dict(state)  # what comes from a state dict does not wait for calibration
    return model.eval()


def state_of(model: DeltaModel) -> tuple[Any, ...]:
    """Everything that a refused folder must leave alone."""
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    return model.active_patch, list(model.patches), model.training, tensors, torch.get_rng_state()


def same(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    tensors = a[3].keys() == b[3].keys() and all(torch.equal(a[3][name], b[3][name]) for name in a[3])
    return a[:3] == b[:3] and tensors and torch.equal(a[4], b[4])


def refuse(model: DeltaModel, folder: Path, message: str, **options: Any) -> None:
    """The folder is refused in one sentence, and the model stays what it was."""
    before = state_of(model)
    with pytest.raises(DeltaError, match=message) as caught:
        model.load_patch(folder, **options)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert same(state_of(model), before)


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change delta.json, with a checksum that fits."""
    raw = json.loads((folder / "delta.json").read_text())
    change(raw)
    write_json(folder, raw)


def write_json(folder: Path, raw: dict[str, Any]) -> None:
    raw.pop("checksum", None)
    text = json.dumps(raw, sort_keys=True)
    (folder / "delta.json").write_text(json.dumps(raw | {"checksum": hashlib.sha256(text.encode()).hexdigest()}))


def rewrite(folder: Path, data: bytes) -> None:
    """Put other bytes into patch.safetensors and make delta.json agree."""
    (folder / "patch.safetensors").write_bytes(data)
    edit(folder, lambda raw: raw.update(tensors={"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}))


def retensor(folder: Path, change: Callable[[dict[str, Tensor]], Any]) -> None:
    """Change tensors, with sums that fit."""
    tensors = safetensors.torch.load((folder / "patch.safetensors").read_bytes())
    change(tensors)
    rewrite(folder, safetensors.torch.save(tensors))
