"""Checkpoints of OpenMMLab <-> patch folders, in the environment of `nox -s openmmlab`.

    python tools/convert.py to-patch CONFIG CHECKPOINT FOLDER        # a patch folder, as delta-patch info shows it
    python tools/convert.py to-checkpoint CONFIG FOLDER CHECKPOINT   # `load_from` for a detector or segmentor

Neck and heads are no part of a patch, so they lie beside it in the folder, in a file of their own. A checkpoint made
from a folder without them holds the backbone and its patch, and the rest of the model starts anew; --rest names a
checkpoint to take it from instead.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from benchmarks.suites.dense.settled import settled
from delta_core import DeltaError
from delta_core.openmmlab import PATCH, DeltaBackbone, load_checkpoint_file
from delta_core.training.command_line import told_in_one_sentence
from delta_core.training.errors import UserError
from delta_core.training.sealed_state import read_sealed, write_sealed

PREFIX = "backbone."
HEADS = "heads.safetensors"
"""Beside a patch: what else a detector or segmentor has learnt, and the names and colours of its classes."""


def to_patch(config: Path, checkpoint: Path, folder: Path) -> Path:
    """Write the patch of a checkpoint to a folder.

    Raises:
        DeltaError: if the checkpoint holds no patch, or is of another backbone than the config.
    """
    backbone = _backbone(config)
    state, meta = _read(checkpoint)
    own = {name.removeprefix(PREFIX): tensor for name, tensor in state.items() if name.startswith(PREFIX)}
    if not any(name.startswith("model.patches.") for name in own):
        raise DeltaError(f"{checkpoint} holds no patch; give one that was trained with backbone.n_modules above 0.")
    backbone.load_state_dict(own)
    saved = backbone.model.save_patch(folder, PATCH)
    rest = {name: tensor for name, tensor in state.items() if not name.startswith(PREFIX)}
    write_sealed(saved / HEADS, rest, dataset_meta=json.dumps(meta))
    return saved


def to_checkpoint(config: Path, folder: Path, checkpoint: Path, rest: Path | None = None) -> Path:
    """Write a checkpoint with the backbone of a config and the patch of a folder.

    Raises:
        DeltaError: if the patch is of another backbone than the config, or was saved with other options.
    """
    backbone = _backbone(config)
    expected = backbone.model.patch().state_dict()
    loaded = backbone.model.patches[backbone.model.load_patch(folder, f"{PATCH}_loaded")].state_dict()
    shapes, wanted = ({name: tensor.shape for name, tensor in state.items()} for state in (loaded, expected))
    if shapes != wanted:
        raise DeltaError(f"{folder} does not fit backbone.n_modules or backbone.config of {config}.")
    state, meta = _read(rest) if rest else _read_heads(folder)
    own = {name: tensor for name, tensor in backbone.state_dict().items() if f"patches.{PATCH}" not in name}
    own |= {f"model.patches.{PATCH}.{name}": tensor for name, tensor in loaded.items()}
    whole = state | {PREFIX + name: tensor for name, tensor in own.items()}
    torch.save({"state_dict": whole, "meta": {"dataset_meta": meta}}, checkpoint)
    return checkpoint


def _backbone(config: Path) -> DeltaBackbone:
    if not config.is_file():
        raise DeltaError(f"{config} is not a file; give a config of mmengine.")
    try:
        settings = settled(Config.fromfile(config)).model.backbone
    except (SyntaxError, ValueError, KeyError, AttributeError, TypeError, OSError) as error:
        raise DeltaError(
            f"{config} cannot be read as a config with model.backbone ({type(error).__name__})."
        ) from error
    kind = MODELS.get(settings.get("type"))
    if kind is None or not issubclass(kind, DeltaBackbone) or not settings.get("n_modules", 4):
        raise DeltaError(f"{config} has no DeltaBackbone with backbone.n_modules above 0; give the config of a patch.")
    return MODELS.build(settings)


def _read_heads(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """As `_read`, of what lies beside a patch; nothing where there is no such file."""
    state, notes = read_sealed(folder / HEADS) or ({}, {"dataset_meta": "{}"})
    return dict(state), json.loads(notes["dataset_meta"])


def _read(checkpoint: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tensors of a checkpoint by name, and names and colours of the classes it was trained on, as plain lists."""
    loaded = load_checkpoint_file(str(checkpoint), map_location="cpu")
    state = loaded.get("state_dict", loaded)
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise DeltaError(f"{checkpoint} holds no named tensors; give a checkpoint of mmengine.")
    meta = (loaded.get("meta") or {}).get("dataset_meta") or {}
    kept = {name: meta[name] for name in ("classes", "palette") if meta.get(name) is not None}
    lists = {name: [list(each) if isinstance(each, tuple) else each for each in value] for name, value in kept.items()}
    return dict(state), lists


def main() -> None:
    """Bad input gives one sentence and exit code 2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, sources in (("to-patch", ("checkpoint", "folder")), ("to-checkpoint", ("folder", "checkpoint"))):
        command = commands.add_parser(name)
        for argument in ("config", *sources):
            command.add_argument(argument, type=Path)
    commands.choices["to-checkpoint"].add_argument("--rest", type=Path)
    given = parser.parse_args()
    with told_in_one_sentence(
        "convert", interrupted="nothing was written.", refusals=(UserError, DeltaError, FileNotFoundError)
    ):
        if given.command == "to-patch":
            print(to_patch(given.config, given.checkpoint, given.folder))
        else:
            print(to_checkpoint(given.config, given.folder, given.checkpoint, given.rest))


if __name__ == "__main__":
    main()
