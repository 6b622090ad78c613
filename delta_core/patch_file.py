"""What a patch file says about itself: the content of `delta.json`, checked key by key.

The text may come from anybody, so every value has a type and a range, and nothing is used before it was checked.
"""

import hashlib
import json
import re
import reprlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self, get_args

from torchvision.transforms import InterpolationMode

from delta_core.config import DeltaConfig
from delta_core.errors import DeltaError
from delta_core.patch import check_patch_name
from delta_core.plain_text import is_line
from delta_core.weights import Preprocessing

FORMAT_VERSION = 1
"""A file of a higher number is refused; keys that a newer library adds within a number are dropped with a warning."""
MAX_JSON_BYTES = 4 * 2**20
MAX_TENSOR_FILE_BYTES = 2**30
MAX_CLASSES = 10**6
MAX_IMAGE_SIZE = 2**12
"""Four times the largest input of timm's weights. One image of that size takes a ResNet-50 3.5 GB of memory, and one
of 2**14 pixels would take all of a machine's."""

MatrixDtype = Literal["float16", "bfloat16"]
"""What matrices and kernels may be rounded to in a file; vectors keep theirs, for a variance may be large or tiny."""

Raw = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class PatchFile:
    """A patch folder as data, made by `save_patch` and read by `read_patch`; needs no model.

    Example:
        >>> import tempfile
        >>> from delta_core import create_model, read_patch
        >>> model = create_model("resnet10t", weights="none", num_classes=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = read_patch(model.save_patch(folder))
        >>> file.name, file.architecture, file.num_classes
        ('default', 'resnet10t', 2)
    """

    name: str
    config: DeltaConfig | None
    """None is a head without modules (FC-only)."""
    num_classes: int
    """0: no head, for a detector or segmentor that reads features."""
    class_names: tuple[str, ...]
    """Empty when they are not known."""
    architecture: str
    """timm name of the backbone."""
    weights: str
    """Where the backbone's weights came from, as `delta_core.weights.load_backbone` takes it; empty: not known."""
    fingerprint: str
    """SHA-256 of the backbone (`backbone_fingerprint`) that the patch belongs to."""
    preprocessing: Preprocessing | None
    """None when it is that of the backbone's weights."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    library_version: str
    format_version: int = FORMAT_VERSION
    sha256: str
    """Of `patch.safetensors`."""
    size_bytes: int
    """Of `patch.safetensors`, header included."""
    matrix_dtype: MatrixDtype | None = None
    """What matrices and kernels are rounded to in `patch.safetensors`; None where they are as they were trained."""
    tensor_bytes: Mapping[str, int] = field(default_factory=dict)
    """Name of each tensor -> its size; not part of `delta.json`."""

    def to_json(self) -> bytes:
        """Content of `delta.json`; `checksum` covers every other value, so that no change of one goes unnoticed."""
        raw = {
            "format_version": self.format_version,
            "library_version": self.library_version,
            "name": self.name,
            "config": self.config and self.config.to_dict(),
            "num_classes": self.num_classes,
            "class_names": self.class_names,
            "base": {"architecture": self.architecture, "weights": self.weights, "fingerprint": self.fingerprint},
            "preprocessing": self.preprocessing and asdict(self.preprocessing),
            "metrics": dict(self.metrics),
            "tensors": {
                "sha256": self.sha256,
                "size_bytes": self.size_bytes,
                **({"matrix_dtype": self.matrix_dtype} if self.matrix_dtype else {}),
            },
        }
        return json.dumps(raw | {"checksum": _checksum(raw)}, indent=2).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read `to_json`; keys that are not known, from a newer version, are dropped with a warning.

        Raises:
            DeltaError: if it is too long, not JSON, of a newer format, changed since it was written, or if a value is
                missing, of the wrong type or out of range.
        """
        raw = _parse(data)
        version = _take(raw, "format_version", _whole(1, 10**6), "a whole number of at least 1")
        if version > FORMAT_VERSION:
            raise DeltaError(
                f"format_version is {version}, but this library reads up to {FORMAT_VERSION}; upgrade delta-patching."
            )
        # Only after the version: a newer format may take its checksum in another way.
        checksum = _take(raw, "checksum", _sha256, "a SHA-256 in hex digits")
        if checksum != _checksum({key: value for key, value in raw.items() if key != "checksum"}):
            raise DeltaError(
                "checksum does not fit the other values: one was changed or damaged; save the patch again."
            )
        base = _take(raw, "base", _object, "an object")
        tensors = _take(raw, "tensors", _object, "an object")
        config = _take(raw, "config", _object_or_null, "an object or null")
        preprocessing = _take(raw, "preprocessing", _object_or_null, "an object or null")
        metrics = _take(raw, "metrics", _object, "an object")
        _warn_of_unknown("delta.json", raw, _TOP)
        _warn_of_unknown("base", base, {"architecture", "weights", "fingerprint"})
        _warn_of_unknown("tensors", tensors, {"sha256", "size_bytes", "matrix_dtype"})
        file = cls(
            name=_take(raw, "name", is_line, "a line of text"),
            config=None if config is None else DeltaConfig.from_dict(config),
            num_classes=_take(raw, "num_classes", _whole(0, MAX_CLASSES), f"a whole number from 0 to {MAX_CLASSES}"),
            class_names=tuple(_take(raw, "class_names", _list_of(is_line), "a list of lines of text")),
            architecture=_take(base, "architecture", is_line, "a line of text"),
            weights=_take(base, "weights", is_line, "a line of text"),
            fingerprint=_take(base, "fingerprint", _sha256, "a SHA-256 in hex digits"),
            preprocessing=None if preprocessing is None else _preprocessing(preprocessing),
            metrics={name: float(_take(metrics, name, _number, "a finite number")) for name in metrics},
            library_version=_take(raw, "library_version", is_line, "a line of text"),
            format_version=version,
            sha256=_take(tensors, "sha256", _sha256, "a SHA-256 in hex digits"),
            size_bytes=_take(
                tensors, "size_bytes", _whole(8, MAX_TENSOR_FILE_BYTES), f"bytes from 8 to {MAX_TENSOR_FILE_BYTES}"
            ),
            matrix_dtype=_take(
                {"matrix_dtype": None} | dict(tensors),
                "matrix_dtype",
                lambda x: x is None or x in get_args(MatrixDtype),
                f"one of {', '.join(get_args(MatrixDtype))}",
            ),
        )
        check_patch_name(file.name)
        if not all(map(is_line, metrics)):
            raise DeltaError("metrics holds a name that is not a line of text; rename it.")
        if file.class_names and len(file.class_names) != file.num_classes:
            raise DeltaError(f"class_names are {len(file.class_names)} but num_classes is {file.num_classes}.")
        return file


_TOP = {
    *("format_version", "library_version", "name", "config", "num_classes", "class_names", "base", "preprocessing"),
    *("metrics", "tensors", "checksum"),
}


def _parse(data: bytes) -> Raw:
    if len(data) > MAX_JSON_BYTES:
        raise DeltaError(f"the text has {len(data)} bytes, more than {MAX_JSON_BYTES}; shorten the class names.")
    try:
        raw = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise DeltaError(f"the text is not JSON ({type(error).__name__}); save the patch again.") from error
    if not _object(raw):
        raise DeltaError(f"the text is {reprlib.repr(raw)}, expected an object; save the patch again.")
    return raw  # type: ignore[no-any-return]


def _checksum(raw: Raw) -> str:
    return hashlib.sha256(json.dumps(raw, sort_keys=True).encode()).hexdigest()


def _take(raw: Raw, key: str, is_good: Callable[[Any], bool], expected: str) -> Any:
    if key not in raw:
        raise DeltaError(f"{key} is missing, expected {expected}; save the patch again.")
    if not is_good(raw[key]):
        raise DeltaError(f"{reprlib.repr(key)[1:-1]} is {reprlib.repr(raw[key])}, expected {expected}.")
    return raw[key]


def _warn_of_unknown(where: str, raw: Raw, known: set[str]) -> None:
    if unknown := sorted(raw.keys() - known):
        warnings.warn(f"{where} holds {reprlib.repr(unknown)}, which this version ignores.", stacklevel=2)


def _preprocessing(raw: Raw) -> Preprocessing:
    _warn_of_unknown("preprocessing", raw, {entry.name for entry in fields(Preprocessing)})
    modes = [mode.value for mode in InterpolationMode]
    mean = _take(raw, "mean", _list_of(_number), "a list of finite numbers")
    std = _take(raw, "std", _list_of(_number), "a list of finite numbers")
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise DeltaError(f"mean is {mean!r} and std {std!r}, expected three numbers each, std above 0.")
    view = Preprocessing(
        image_size=_take(raw, "image_size", _whole(1, MAX_IMAGE_SIZE), f"a whole number from 1 to {MAX_IMAGE_SIZE}"),
        crop_pct=_take(raw, "crop_pct", lambda x: _number(x) and 0.1 <= x <= 1, "a number from 0.1 to 1"),
        interpolation=_take(raw, "interpolation", lambda x: x in modes, f"one of {', '.join(modes)}"),
        mean=tuple(mean),
        std=tuple(std),
    )
    if view.resized_side > 2 * MAX_IMAGE_SIZE:
        raise DeltaError(
            f"crop_pct is {view.crop_pct:g}, with which images are resized to {view.resized_side} pixels, expected at "
            f"most {2 * MAX_IMAGE_SIZE}."
        )
    return view


# --- kinds of values: exact types, because True is an int and a huge int has no float ---------------------------


def _object(value: Any) -> bool:
    return type(value) is dict


def _object_or_null(value: Any) -> bool:
    return value is None or _object(value)


def _sha256(value: Any) -> bool:
    return type(value) is str and re.fullmatch("[0-9a-f]{64}", value) is not None


def _number(value: Any) -> bool:
    return type(value) in {int, float} and abs(value) <= 1e30  # not for NaN


def _whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


def _list_of(is_good: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: type(value) is list and all(map(is_good, value))
