"""Trained tensors that are kept to be loaded again: a file says by itself whether it still holds what was written."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file

from delta_core.errors import DeltaError
from delta_core.state_file import SEAL, State, read_safetensors, seal_of
from delta_core.training.whole_files import sweep_unfinished, whole_file


def write_sealed(path: Path, state: State, **notes: str) -> None:
    """Write tensors and notes to a safetensors file, as a whole or not at all."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with whole_file(path) as partial:
        save_file(tensors, partial, metadata={**notes, SEAL: seal_of(tensors, notes)})
    sweep_unfinished(path.parent, of=path.name)


def read_sealed(path: Path) -> tuple[State, dict[str, str]] | None:
    """Tensors and notes as they were written; None where there is no file.

    Raises:
        DeltaError: if the file is damaged, or nothing in it can tell.
    """
    if not path.exists():
        return None
    try:
        state, notes = read_safetensors(path)
    except SafetensorError as error:
        raise DeltaError(f"{str(path)!r} is damaged ({type(error).__name__}).") from error
    if SEAL not in notes:
        raise DeltaError(f"{str(path)!r} is of an older version, which wrote no checksum.")
    return state, notes
