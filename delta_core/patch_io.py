"""Patches as folders: `delta.json` says what the patch is, `patch.safetensors` holds its tensors; no pickle.

A folder may come from anybody. Loading checks everything before it touches the model; saving replaces a folder as a
whole or not at all.
"""

import hashlib
import os
import reprlib
import stat
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from delta_core.errors import DeltaError
from delta_core.exchange import interrupted, only_writer, put_in_place, start_new
from delta_core.families import Block, feature_size
from delta_core.gates import DeltaModule, ExistingGates, existing_skips
from delta_core.patch import Patch, check_patch_name, memory_format_of
from delta_core.patch_file import MAX_JSON_BYTES, MatrixDtype, PatchFile
from delta_core.version import __version__

JSON_NAME = "delta.json"
TENSORS_NAME = "patch.safetensors"
MAX_BESIDE_BYTES = 64 * 2**20
"""Of a file beside the two of a patch."""
MAX_HEADER_BYTES = 2**20
"""Of `patch.safetensors`: a patch has some hundred tensors of about 100 header bytes each."""


class PatchHolder(Protocol):
    """What this file needs of a `DeltaModel`, which imports it."""

    architecture: str
    weights: str
    fingerprint: str
    backbone: nn.Module
    blocks: tuple[Block, ...]
    patches: nn.ModuleDict
    active_patch: str | None
    training: bool

    def ready_patch(self, name: str | None = None) -> Patch:
        """A patch by name, else the active one, that does not wait for `calibrate`."""

    def assert_frozen(self) -> None:
        """Raise FrozenError if the backbone changed."""


def save_patch(
    model: PatchHolder,
    folder: str | Path,
    name: str | None = None,
    *,
    metrics: Mapping[str, float] | None = None,
    matrix_dtype: MatrixDtype | None = None,
) -> Path:
    """Write a patch (by name, else the active one) to a folder; returns the folder.

    The folder is written next to its place and exchanged, so it holds the old patch or the new one, never parts of
    both. Other files in the folder of an older patch (a model card, a figure) are kept. A process that is killed may
    leave a hidden sibling `.FOLDER.partial` behind, which the next one to write there puts right.

    Args:
        model: the model that carries the patch.
        folder: new, empty, or the folder of an older patch.
        name: of the patch; it is saved with it.
        metrics: what to remember about it, such as `{"accuracy": 0.93}`.
        matrix_dtype: what to round matrices and kernels to, for half the bytes; None = as they are. Vectors stay as
            they are, and whoever loads the patch computes as before.

    Raises:
        DeltaError: if there is no such patch, it waits for `calibrate`, a value is not finite or too large for
            `matrix_dtype`, the folder holds something else, or it cannot be written.
        FrozenError: if the backbone changed: its fingerprint would be a lie.

    Example:
        >>> import tempfile, timm
        >>> from delta_core import DeltaModel
        >>> model = DeltaModel(timm.create_model("resnet10t"))
        >>> model.add_patch("flowers", num_classes=2, class_names=["daisy", "tulip"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sorted(path.name for path in save_patch(model, folder, metrics={"accuracy": 0.93}).iterdir())
        ['delta.json', 'patch.safetensors']
    """
    model.assert_frozen()
    name = model.active_patch if name is None else name
    patch = model.ready_patch(name)
    tensors = {
        key: _rounded(tensor, matrix_dtype).detach().cpu().contiguous() for key, tensor in patch.state_dict().items()
    }
    data = safetensors.torch.save(tensors)
    file = PatchFile(
        name=str(name),
        config=patch.config,
        num_classes=patch.num_classes,
        class_names=patch.class_names,
        architecture=model.architecture,
        weights=model.weights,
        fingerprint=model.fingerprint,
        preprocessing=patch.preprocessing,
        metrics={key: float(value) for key, value in (metrics or {}).items()},
        library_version=__version__,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        matrix_dtype=matrix_dtype,
    )
    text = file.to_json()
    with _told_of(f"Patch {name!r} cannot be saved"):  # nor is what loading would refuse
        PatchFile.from_json(text)
        _check_tensors(tensors, _blank(model, file), matrix_dtype)
    write_folder(Path(folder), {JSON_NAME: text, TENSORS_NAME: data})
    return Path(folder)


def load_patch(
    model: PatchHolder, folder: str | Path, name: str | None = None, *, strict: bool = True, mapped: bool = False
) -> str:
    """Add the patch of a folder to a model and make it active; returns its name.

    Nothing is unpickled or executed, and a refused folder leaves the model as it was.

    Args:
        model: a model on the backbone that the patch was trained on.
        folder: written by `save_patch`.
        name: for the patch in this model; default: the one it was saved with.
        strict: refuse another backbone, by fingerprint. False warns instead; shapes and dtypes must still agree.
        mapped: leave the tensors in the file and map it, where the model is on the CPU in the file's precision and
            layout: processes that load one folder share its memory, which is given up when others need it. The file
            must then not be written to while the patch is in use; `save_patch` never does, it puts a new one there.

    Raises:
        DeltaError: if the folder is not a whole, undamaged patch for this model, or the name is taken.

    Example:
        >>> import tempfile, timm
        >>> from delta_core import DeltaModel
        >>> model = DeltaModel(timm.create_model("resnet10t"))
        >>> model.add_patch("flowers", num_classes=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     load_patch(model, save_patch(model, folder), "copy")
        'copy'
        >>> model.active_patch
        'copy'
    """
    folder = Path(folder)
    file = _read_json(folder)
    name = file.name if name is None else name
    check_patch_name(name, taken=model.patches)
    if file.fingerprint != model.fingerprint:
        message = (
            f"{folder} was trained on another backbone: {file.architecture} with weights {file.weights!r}, fingerprint "
            f"{file.fingerprint[:12]}, but this one is {model.architecture} with {model.weights!r}, "
            f"{model.fingerprint[:12]}; load that backbone, or pass strict=False to try it all the same."
        )
        if strict:
            raise DeltaError(message)
        warnings.warn(message, stacklevel=2)
    with _told_of(f"{folder} cannot be loaded"):
        patch = _blank(model, file)
        expected_bytes = sum(tensor.nbytes for tensor in patch.state_dict().values())
        if file.size_bytes > expected_bytes + MAX_HEADER_BYTES:
            raise DeltaError(f"{TENSORS_NAME} has {file.size_bytes} bytes, expected about {expected_bytes}.")
    tensors = _read_tensors(folder, file)
    with _told_of(f"{folder} cannot be loaded"):
        _check_tensors(tensors, patch, file.matrix_dtype)
    device, layout = next(model.backbone.parameters()).device, memory_format_of(model.backbone)
    if mapped and device.type == "cpu":
        kinds = {key: tensor.dtype for key, tensor in patch.state_dict().items()}
        tensors = {key: tensor.to(kinds[key]) for key, tensor in _mapped(folder, tensors).items()}
        kernels = {key for key, tensor in tensors.items() if tensor.ndim == 4}
        tensors |= {key: tensors[key].contiguous(memory_format=layout) for key in kernels}
        patch.load_state_dict(tensors, assign=True)
    else:
        patch.to_empty(device=device).to(memory_format=layout).load_state_dict(tensors)
    model.patches[name] = patch.train(model.training)
    model.active_patch = name
    return name


def read_patch(folder: str | Path) -> PatchFile:
    """What a patch folder holds, without a model; its files are checked against their sums.

    Raises:
        DeltaError: if the folder is not a whole, undamaged patch.

    Example:
        >>> import tempfile, timm
        >>> from delta_core import DeltaModel
        >>> model = DeltaModel(timm.create_model("resnet10t"))
        >>> model.add_patch("flowers", num_classes=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = read_patch(save_patch(model, folder))
        >>> file.architecture, dict(file.tensor_bytes)
        ('resnet10t', {'head.bias': 8, 'head.weight': 4096})
    """
    folder = Path(folder)
    file = _read_json(folder)
    tensors = _read_tensors(folder, file)
    return replace(file, tensor_bytes={key: tensors[key].nbytes for key in sorted(tensors)})


@contextmanager
def _told_of(subject: str) -> Iterator[None]:
    """Say in an error what it is about."""
    try:
        yield
    except DeltaError as error:
        raise DeltaError(f"{subject}: {error}") from error


# --- reading -----------------------------------------------------------------------------------------------------


def _read_json(folder: Path) -> PatchFile:
    if not folder.is_dir():
        found = interrupted(folder)
        raise DeltaError(f"{str(folder)!r} is not a folder; give one that save_patch wrote.{found}")
    path = folder / JSON_NAME
    data = read_file(path, at_most=MAX_JSON_BYTES)
    with _told_of(str(path)):
        return PatchFile.from_json(data)


def _read_tensors(folder: Path, file: PatchFile) -> dict[str, Tensor]:
    path = folder / TENSORS_NAME
    data = read_file(path, at_most=file.size_bytes)
    if len(data) != file.size_bytes or hashlib.sha256(data).hexdigest() != file.sha256:
        raise DeltaError(f"{path} is not the file that {JSON_NAME} tells of (size or SHA-256); copy both again.")
    if int.from_bytes(data[:8], "little") > MAX_HEADER_BYTES:
        raise DeltaError(f"{path} has a header of more than {MAX_HEADER_BYTES} bytes; save the patch again.")
    try:
        return safetensors.torch.load(data)
    except (SafetensorError, KeyError, TypeError) as error:  # the last two: a dtype that torch does not have
        reason = reprlib.repr(str(error))  # it quotes the file
        raise DeltaError(f"{path} is not a safetensors file ({reason}); save the patch again.") from error


def _mapped(folder: Path, checked: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors in the pages of their file, which may have been exchanged since they were checked."""
    path = folder / TENSORS_NAME
    found = safetensors.torch.load_file(path)
    if found.keys() != checked.keys() or not all(torch.equal(found[name], checked[name]) for name in checked):
        raise DeltaError(f"{path} was exchanged while it was loaded; load it again.")
    return found


def read_file(path: Path, *, at_most: int) -> bytes:
    """Bytes of a file that is itself in its folder: a link could point anywhere, a pipe could block.

    Raises:
        DeltaError: if it is no such file, longer than `at_most` bytes, or cannot be read.
    """
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise DeltaError(f"{path} is a link or not a file; put the file itself into the folder.")
        with path.open("rb") as handle:
            size = os.fstat(handle.fileno()).st_size
            if size > at_most:
                raise DeltaError(f"{path} has {size} bytes, expected at most {at_most}; save the patch again.")
            return handle.read(size)
    except OSError as error:
        raise DeltaError(f"{path} cannot be read ({error.strerror}); give a folder of save_patch.") from error


def read_beside(path: Path) -> bytes | None:
    """Bytes of a file that may stand beside the two of a patch; None where there is none.

    Raises:
        DeltaError: as `read_file`.
    """
    return read_file(path, at_most=MAX_BESIDE_BYTES) if os.path.lexists(path) else None


def _blank(model: PatchHolder, file: PatchFile) -> Patch:
    """The patch that a file tells of, without memory: built on the meta device, which draws no random numbers."""
    with torch.device("meta"):
        patch = Patch(
            model.blocks,
            feature_size(model.backbone),
            file.num_classes or None,
            file.config,
            file.class_names,
            file.preprocessing,
        )
    return patch.to(next(model.backbone.parameters()).dtype)


def _rounded(tensor: Tensor, matrix_dtype: MatrixDtype | None) -> Tensor:
    """A tensor as it is written: what has rows and columns may be rounded."""
    is_matrix = tensor.ndim > 1 and tensor.is_floating_point()
    return tensor.to(getattr(torch, matrix_dtype)) if matrix_dtype and is_matrix else tensor


def _check_tensors(tensors: Mapping[str, Tensor], patch: Patch, matrix_dtype: MatrixDtype | None) -> None:
    """Names, shapes and dtypes are exactly those of the patch, and every value can be computed with."""
    expected = {name: _rounded(tensor, matrix_dtype) for name, tensor in patch.state_dict().items()}
    for name in sorted(expected.keys() | tensors.keys()):
        if _kind(tensors, name) != _kind(expected, name):
            raise DeltaError(
                f"tensor {name[:100]!r} is {_kind(tensors, name)}, expected {_kind(expected, name)} for this backbone "
                "and config; load the backbone of the patch, in the same dtype."
            )
        if not tensors[name].isfinite().all():
            wider = "" if matrix_dtype is None else f" in {matrix_dtype}; save it in another dtype, or"
            raise DeltaError(f"tensor {name!r} holds values that are not finite{wider or ';'} train the patch again.")
        if name.endswith("running_var") and (tensors[name] < 0).any():
            raise DeltaError(f"tensor {name!r} holds a negative variance; train the patch again.")
    for name, module in patch.named_modules():
        if isinstance(module, ExistingGates):
            expected_mask = existing_skips(len(module.gates)).tolist()
        elif isinstance(module, DeltaModule) and module.existing is not None:
            expected_mask = list(module.net_has)
        else:
            continue
        # As bytes, because a damaged bool can be neither 0 nor 1.
        if tensors[f"{name}.existing"].view(torch.uint8).tolist() != expected_mask:
            raise DeltaError(f"tensor '{name}.existing' is not the mask of existing skips; save the patch again.")


def _kind(tensors: Mapping[str, Tensor], name: str) -> str:
    if name not in tensors:
        return "absent"
    return f"{str(tensors[name].dtype).removeprefix('torch.')} {tuple(tensors[name].shape)}"


# --- writing -----------------------------------------------------------------------------------------------------


def write_folder(
    folder: Path, files: Mapping[str, bytes], *, gone: Collection[str] = (), may_replace: bool = True
) -> None:
    """Make or replace a patch folder with these files, as a whole or not at all; other files of an old one are kept.

    Args:
        folder: new, empty, or the folder of an older patch.
        files: name -> content; the two files of a patch among them.
        gone: names of files of an old patch that would not be true of the new one, and go.
        may_replace: whether there may be an older patch.

    Raises:
        DeltaError: if the folder holds something else, or it cannot be written.
    """
    try:
        folder = folder.resolve()
        check_place(folder, may_replace=may_replace)
        with only_writer(folder):
            check_place(folder, may_replace=may_replace)  # which another writer may have filled meanwhile
            new = start_new(folder)
            for name, data in files.items():
                (new / name).write_bytes(data)
            put_in_place(folder, gone=gone)
    except OSError as error:
        raise DeltaError(f"{folder} cannot be written ({error}); what was there before is untouched.") from error


def check_place(folder: Path, *, may_replace: bool) -> None:
    """Raise DeltaError unless a patch may be written to a folder: it is absent, empty or an older patch."""
    try:
        is_taken = any(folder.iterdir())
    except FileNotFoundError:
        is_taken = False
    except NotADirectoryError:  # the place is a file, or it is below one: then nothing is there
        is_taken = folder.exists()
    is_patch = (folder / JSON_NAME).is_file()  # the second look: what another writer puts there in between is a patch
    if is_patch and not may_replace:
        raise DeltaError(f"{str(folder)!r} holds a patch already; give another place, or --force to replace it.")
    if is_taken and not is_patch:
        raise DeltaError(f"{str(folder)!r} exists and is not a patch folder; choose a new or an empty one.")
