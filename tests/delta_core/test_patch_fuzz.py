"""Hundreds of broken patch folders: refused with DeltaError, nothing half loaded, nothing outside touched."""

import builtins
import hashlib
import io
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from patch_folders import FILES, same, state_of, trained, write_json
from tiny import basic_block_net, images

from delta_core import DeltaConfig, DeltaError, DeltaModel, read_patch

SENTINEL = b"do not read or write"
FUZZ = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Ground:
    """A directory with a good patch, a sentinel next to it, and a model to load into."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.saved = trained(DeltaConfig(n_modules=1))
        self.good = self.saved.save_patch(root / "good")
        self.raw = json.loads((self.good / "delta.json").read_text())
        self.bytes = {name: (self.good / name).read_bytes() for name in FILES}
        (root / "sentinel").write_bytes(SENTINEL)
        self.model = DeltaModel(basic_block_net()).eval()
        self.model.add_patch("own", num_classes=2)
        self.before = state_of(self.model)
        with torch.no_grad():
            self.logits = self.saved(images())

    @property
    def folder(self) -> Path:
        """A fresh copy of the good folder, to be broken."""
        folder = self.root / "broken"
        shutil.rmtree(folder, ignore_errors=True)
        return Path(shutil.copytree(self.good, folder))

    def attempt(self, folder: Path) -> bool:
        """Load a folder, strict or not; True if it was accepted, and then it must be the patch that was saved."""
        accepted = False
        with only_opening(folder), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for strict in (True, False):
                try:
                    name = self.model.load_patch(folder, strict=strict)
                except DeltaError as error:
                    assert "\n" not in str(error)
                    assert len(str(error)) < 2000
                else:
                    accepted = True
                    with torch.no_grad():
                        assert torch.equal(self.model(images()), self.logits)
                    self.model.delete_patch(name)
                    self.model.set_patch("own")
                assert same(state_of(self.model), self.before)
            try:
                read_patch(folder)
            except DeltaError:
                assert not accepted
        assert (self.root / "sentinel").read_bytes() == SENTINEL
        assert {path.name for path in self.root.iterdir()} == {"good", "broken", "sentinel"}
        return accepted


@contextmanager
def only_opening(folder: Path) -> Iterator[None]:
    """Fail if a file is opened that is not one of the two, itself in the folder."""
    allowed = {os.path.realpath(folder) + os.sep + name for name in FILES}
    with pytest.MonkeyPatch.context() as patch:

        def guarded(original: Callable[..., Any]) -> Callable[..., Any]:
            def call(file: Any, mode: Any = "r", *args: Any, **kwargs: Any) -> Any:
                is_ours = str(folder.parent) in os.path.realpath(file) if not isinstance(file, int) else False
                assert not is_ours or (os.path.realpath(file) in allowed and mode == "rb"), file
                return original(file, mode, *args, **kwargs)

            return call

        patch.setattr(builtins, "open", guarded(builtins.open))
        patch.setattr(io, "open", guarded(io.open))  # what Path.open calls
        yield


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(tmp_path_factory.mktemp("fuzz"))


def test_the_good_folder_is_accepted_and_the_guard_works(ground: Ground) -> None:
    folder = ground.folder
    assert ground.attempt(folder)
    with only_opening(folder), pytest.raises(AssertionError):
        (ground.root / "sentinel").read_bytes()


def reseal(folder: Path, tensors: bytes) -> None:
    """The attacker's view: other tensors, with size, SHA-256 and checksum that fit."""
    (folder / "patch.safetensors").write_bytes(tensors)
    raw = json.loads((folder / "delta.json").read_text())
    write_json(folder, raw | {"tensors": {"sha256": hashlib.sha256(tensors).hexdigest(), "size_bytes": len(tensors)}})


# --- damage ------------------------------------------------------------------------------------------------------


@FUZZ
@given(name=st.sampled_from(FILES), cut=st.integers(0), extra=st.binary(max_size=20))
def test_truncated_and_lengthened_files(name: str, cut: int, extra: bytes, ground: Ground) -> None:
    folder, data = ground.folder, ground.bytes[name]
    broken = data[: cut % len(data)] + extra
    (folder / name).write_bytes(broken)
    assert not ground.attempt(folder)
    (folder / name).write_bytes(data + extra)
    assert ground.attempt(folder) == (not extra or (name == "delta.json" and not extra.strip(b" \t\r\n")))


@FUZZ
@given(name=st.sampled_from(FILES), bits=st.lists(st.integers(0), min_size=1, max_size=3, unique=True))
def test_flipped_bits(name: str, bits: list[int], ground: Ground) -> None:
    folder, data = ground.folder, bytearray(ground.bytes[name])
    for bit in bits:
        data[bit // 8 % len(data)] ^= 1 << bit % 8
    (folder / name).write_bytes(data)
    if ground.attempt(folder):  # white space, or a bit flipped twice
        assert name == "delta.json" or data == ground.bytes[name]
        assert json.loads(data) == ground.raw


@FUZZ
@given(which=st.sampled_from(FILES), kind=st.sampled_from(["link", "inside", "directory", "pipe", "dangling", "gone"]))
def test_things_in_place_of_files(which: str, kind: str, ground: Ground) -> None:
    folder = ground.folder
    path = folder / which
    match kind:
        case "inside":
            path.rename(folder / "moved")
            path.symlink_to("moved")
        case "link" | "dangling":
            path.unlink()
            path.symlink_to({"link": ground.root / "sentinel", "dangling": "nowhere"}[kind])
        case "directory" | "pipe" | "gone":
            path.unlink()
            if kind != "gone":
                {"directory": os.mkdir, "pipe": os.mkfifo}[kind](path)
    assert not ground.attempt(folder)


# --- an attacker: every sum fits ---------------------------------------------------------------------------------


@FUZZ
@given(position=st.integers(0), data=st.binary(min_size=1, max_size=9), cut=st.integers(0, 9))
def test_headers_with_fitting_sums(position: int, data: bytes, cut: int, ground: Ground) -> None:
    folder, tensors = ground.folder, ground.bytes["patch.safetensors"]
    position %= 8 + int.from_bytes(tensors[:8], "little")
    broken = tensors[:position] + data + tensors[position + cut :]
    reseal(folder, broken)
    if ground.attempt(folder):  # white space behind the header, or nothing changed
        assert len(broken) == len(tensors)


DTYPES = st.sampled_from(["F32", "F64", "F16", "BF16", "I64", "BOOL", "U8", "F4", "F8_E5M2", "C64", "f32", "", 3, None])
NAMES = st.sampled_from(["../x", "/etc/passwd", "head.bias", "", "a" * 3000, "__class__", "\x00", "blocks", "head"])
SIZES = st.one_of(st.integers(-2, 20), st.sampled_from([2**31, 2**63, 2**64, 2**200]), st.none(), st.floats())


@FUZZ
@given(
    entries=st.dictionaries(
        NAMES,
        st.fixed_dictionaries({"dtype": DTYPES, "shape": st.lists(SIZES, max_size=3), "data_offsets": st.lists(SIZES)}),
        min_size=1,
        max_size=3,
    ),
    keep=st.booleans(),
    length=st.none() | st.sampled_from([0, 7, 2**20 + 1, 10**8, 2**40, 2**63, 2**64 - 1]),
)
def test_made_up_headers_with_fitting_sums(
    entries: dict[str, Any], keep: bool, length: int | None, ground: Ground
) -> None:
    folder, tensors = ground.folder, ground.bytes["patch.safetensors"]
    start = 8 + int.from_bytes(tensors[:8], "little")
    made = json.dumps((json.loads(tensors[8:start]) if keep else {}) | entries).encode()
    size = len(made) if length is None else length
    reseal(folder, size.to_bytes(8, "little") + made + tensors[start:])
    assert not ground.attempt(folder)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([10**400, "../../x", "/etc/passwd", "\ud800", "keys", "a" * 5000, 2**63, -1, 0, "0" * 64]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
GROUPS = ("config", "base", "preprocessing", "tensors", "metrics")
METADATA = {"name", "class_names", "library_version", "architecture", "weights", "metrics", "preprocessing"}


@FUZZ
@given(data=st.data(), value=JSON, remove=st.booleans())
def test_values_of_wrong_kinds_with_a_fitting_checksum(
    data: st.DataObject, value: Any, remove: bool, ground: Ground
) -> None:
    folder, raw = ground.folder, json.loads(json.dumps(ground.raw))
    group = data.draw(st.sampled_from([None, *GROUPS]), label="group")
    target = raw if group is None else raw[group]
    key = data.draw(st.sampled_from([*sorted(target.keys() - {"checksum"}), "unknown"]), label="key")
    if remove:
        target.pop(key, None)
    else:
        target[key] = value
    write_json(folder, raw)
    is_harmless = key in METADATA or key == "unknown" or group in {"config", "preprocessing", "metrics"}
    # The rest may happen to get its own value back, or a fingerprint that strict=False lets pass.
    assert not ground.attempt(folder) or is_harmless or raw == ground.raw or key == "fingerprint"


@FUZZ
@given(text=st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_text_in_place_of_delta_json(text: bytes, ground: Ground) -> None:
    folder = ground.folder
    (folder / "delta.json").write_bytes(text)
    assert not ground.attempt(folder)
