"""Checkpoints of mmengine, read without unpickling code: they hold its logs as objects, which torch reads none of."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from numpy._core import multiarray

from delta_core.errors import DeltaError


def history_method(owner: type, name: str) -> Callable[..., Any]:
    """What stands for `getattr` when a checkpoint of mmengine is read: methods of its HistoryBuffer alone."""
    if owner is not HistoryBuffer or name.startswith("_"):
        raise DeltaError(f"The checkpoint asks for {name!r} of {owner!r}, which no checkpoint of mmengine needs.")
    return getattr(HistoryBuffer, name)  # type: ignore[no-any-return]


OF_ITS_LOGS = (
    HistoryBuffer,
    (history_method, "builtins.getattr"),
    *(np.ndarray, np.dtype, multiarray._reconstruct, multiarray.scalar),
    *(np.dtypes.Float64DType, np.dtypes.Int64DType),
)
"""Classes and functions that may be named in such a file, beside those of tensors: a log is an array of float64 with an
array of int64. No checkpoint of its runner is read with one name fewer."""


@CheckpointLoader.register_scheme(prefixes="", force=True)  # type: ignore[untyped-decorator]
def load_checkpoint_file(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read a checkpoint; mmengine does so for every file from when this module was imported.

    What torch may read is widened here alone and for as long as it takes, not for the process.

    Raises:
        FileNotFoundError: if there is no such file.
        DeltaError: if it is damaged, or holds objects that no checkpoint of mmengine needs.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{filename} can not be found.")
    try:
        with torch.serialization.safe_globals(list(OF_ITS_LOGS)):
            found = torch.load(path, map_location=map_location, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DeltaError(f"Checkpoint {filename!r} cannot be read ({reason}); give another or train again.") from error
    if not isinstance(found, dict):
        raise DeltaError(f"Checkpoint {filename!r} holds a {type(found).__name__}, expected names and tensors.")
    return found
