"""The net below a patch: opened by name for training, and again with patches on it for use."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from delta_core import DeltaModel, PatchFile, load_patch, read_patch
from delta_core.exchange import interrupted
from delta_core.patch_io import JSON_NAME
from delta_core.training.errors import UserError
from delta_core.weights import FILE, check_named_architecture, check_named_weights, load_backbone, weights_name


def open_net(architecture: str, weights: str) -> nn.Module:
    """A net by the names of `--arch` and `--weights`, on the CPU, in eval mode.

    Raises:
        DeltaError: for a name that does not exist or weights that do not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # with `none` the same random net whenever a patch is opened again
        return load_backbone(architecture, weights).eval()


def find_patches(folders: Sequence[Path]) -> list[Path]:
    """Patch folders among the given ones: each itself, or all that lie directly inside.

    Raises:
        UserError: if there is none in one of them.
    """
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            wrong = "is a file" if folder.exists() else "does not exist"
            raise UserError(
                f"Patch folder {str(folder)!r} {wrong}; give what delta-patch fit wrote.{interrupted(folder)}"
            )
        inside = (
            [folder] if (folder / JSON_NAME).is_file() else sorted(at.parent for at in folder.glob(f"*/{JSON_NAME}"))
        )
        if not inside:
            raise UserError(f"{str(folder)!r} is not a patch folder and holds none; give what delta-patch fit wrote.")
        found += inside
    return found


def open_files(folders: Sequence[Path], architecture: str | None, weights: str | None) -> tuple[nn.Module, str, str]:
    """The net that some patches share, with the names of its architecture and weights.

    Args:
        folders: patch folders.
        architecture: overrides what they say.
        weights: overrides what they say; needed where the weights were a file.

    Raises:
        UserError: if the patches belong to different nets, one has no head, or the weights were a file and none is
            given.
        DeltaError: if a folder is no undamaged patch, or the net cannot be opened.
    """
    files = [read_patch(folder) for folder in folders]
    for folder, file in zip(folders, files, strict=True):
        if file.fingerprint != files[0].fingerprint:
            raise UserError(
                f"{folder} belongs to {_net(file)}, but {folders[0]} belongs to {_net(files[0])}; "
                "use patches of one net at a time."
            )
        if not file.num_classes:
            raise UserError(
                f"{folder} has no head and so no classes; it belongs in a detector or segmentor (delta_core.openmmlab)."
            )
    names = [file.name for file in files]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"Two of the patches are called {twice!r}; use one of them at a time.")
    if architecture is None:
        architecture = files[0].architecture
        check_named_architecture(architecture, by=folders[0])
    if weights is None:
        weights = files[0].weights
        if weights.startswith(FILE) or not weights:
            raise UserError(
                f"{folders[0]} belongs to {architecture} with weights from the file {weights.removeprefix(FILE)!r}; "
                "say where it is with --weights FILE."
            )
        if weights != "none":  # random numbers, the same every time
            check_named_weights(weights, by=folders[0], option="--weights")
    return open_net(architecture, weights), architecture, weights


def put_on(net: nn.Module, folders: Sequence[Path], *, architecture: str, weights: str) -> DeltaModel:
    """A model that carries the patches of some folders.

    Raises:
        DeltaError: if a patch belongs to another net.
    """
    model = DeltaModel(net, architecture=architecture, weights=weights_name(weights))
    for folder in folders:
        load_patch(model, folder)
    return model.eval()


def _net(file: PatchFile) -> str:
    return f"{file.architecture} with weights {file.weights!r} ({file.fingerprint[:12]})"
