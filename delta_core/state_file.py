"""Weights of a net in a file: read without unpickling code, taken out of what wraps them, fitted to an architecture.

A patch has a head of its own, so the file's head may have any number of classes, or be absent.
"""

import hashlib
import json
import pickle
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from delta_core.errors import DeltaError
from delta_core.freeze import state_fingerprint

State = Mapping[str, Tensor]

HOLDERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training programs keep a state dict among other things."""

WRAPPERS = ("module.", "_orig_mod.", "backbone.", "model.")
"""What stands in front of every name where a net was saved inside `DataParallel`, `torch.compile` or another module."""

SEAL = "sha256"
"""Name of the note in which a safetensors file of ours says what `seal_of` it was when it was written."""


def seal_of(state: State, notes: Mapping[str, str]) -> str:
    """SHA-256 over tensors, their names, and what is noted beside them."""
    return hashlib.sha256(json.dumps([state_fingerprint(state), sorted(notes.items())]).encode()).hexdigest()


def read_safetensors(path: Path) -> tuple[State, dict[str, str]]:
    """Tensors and notes of a safetensors file; one with a seal is compared with it.

    Raises:
        DeltaError: if the file is damaged.
        SafetensorError, OSError: if it is no such file, or cannot be read.
    """
    state = load_file(path)
    with safe_open(path, "pt") as file:
        notes: dict[str, str] = file.metadata() or {}
    if SEAL in notes and notes[SEAL] != seal_of(state, {name: notes[name] for name in notes if name != SEAL}):
        raise DeltaError(f"Weights file {str(path)!r} is damaged: it does not hold what was written; make it again.")
    return state, notes


def read_state(path: Path) -> State:
    """State dict of a safetensors or torch file, with the net's own names.

    Raises:
        DeltaError: if the file is absent, damaged or holds something else.
    """
    if not path.is_file():
        raise DeltaError(f"Weights {str(path)!r} is neither timm:TAG, pypi:NAME nor an existing file.")
    try:
        if path.suffix == ".safetensors":
            return _unwrapped(read_safetensors(path)[0])
        raw: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        holder = next((key for key in HOLDERS if key in raw), None)
        state = _unwrapped(raw if holder is None else raw[holder])
    except DeltaError:
        raise
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, AttributeError, ValueError) as error:
        raise DeltaError(
            f"Weights file {str(path)!r} is not a readable state dict ({type(error).__name__}); save it again."
        ) from error
    if not state or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise DeltaError(f"Weights file {str(path)!r} does not hold named tensors; save net.state_dict().")
    return state


def fit_to_state(net: nn.Module, state: State, source: str, *, rebuild: Callable[..., nn.Module]) -> nn.Module:
    """A net that holds every tensor of a file: `net`, or one of as many classes as the file's head has.

    Where the file has no head, the net has none and answers with its pooled features. A warning says so where the
    file has a head that the library does not make (layers of one's own), which is then left out.

    Args:
        net: as the library makes it.
        state: what `read_state` gave.
        source: name of the file, for messages.
        rebuild: makes the net with `num_classes`, of which 0 stands for no head.

    Raises:
        DeltaError: if the file is of another architecture: tensors other than the head's differ.
    """
    head = (getattr(net, "pretrained_cfg", None) or {}).get("classifier")
    expected = net.state_dict()
    trunk = _without(head, state)
    if not differing(expected, state) or not head or differing(_without(head, expected), trunk):
        load_state(net, state, source)
        return net
    weight = state.get(f"{head}.weight")
    if weight is not None and weight.ndim:
        net = rebuild(num_classes=len(weight))
        if not differing(net.state_dict(), state):
            load_state(net, state, source)
            return net
    if foreign := [name for name in state if name not in trunk]:
        warnings.warn(
            f"Weights {source!r} have a head of their own ({', '.join(foreign)}), which is left out: without a patch "
            "the net answers with its features.",
            stacklevel=2,
        )
    net = rebuild(num_classes=0)
    load_state(net, trunk, source)
    return net


def load_state(net: nn.Module, state: State, source: str) -> None:
    """Load a state dict that has every tensor of a net and no other.

    Raises:
        DeltaError: naming the first tensor that differs.
    """
    expected = net.state_dict()
    if wrong := differing(expected, state):
        name = min(wrong)
        raise DeltaError(
            f"Weights {source!r} are of another architecture than {type(net).__name__}: {len(wrong)} tensors differ, "
            f"first {name} (file {_shape(state, name)}, net {_shape(expected, name)}). Check --arch and --weights."
        )
    net.load_state_dict(state)


def differing(one: State, other: State) -> list[str]:
    """Names of tensors that two state dicts do not both have, in the same shape.

    >>> differing({"a": torch.zeros(2), "b": torch.zeros(2)}, {"a": torch.ones(2), "b": torch.zeros(3)})
    ['b']
    """
    return [name for name in one.keys() | other.keys() if _shape(one, name) != _shape(other, name)]


def _shape(state: State, name: str) -> tuple[int, ...] | None:
    return tuple(state[name].shape) if name in state else None


def _without(head: str | None, state: State) -> State:
    """The tensors that do not lie in the head."""
    return {name: tensor for name, tensor in state.items() if not name.startswith(f"{head}.")}


def _unwrapped(state: State) -> State:
    """The same tensors without a prefix that every name has."""
    while state and (prefix := next((each for each in WRAPPERS if all(n.startswith(each) for n in state)), None)):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state
