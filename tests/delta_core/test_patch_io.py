"""Patch folders: what is saved comes back bit for bit, and what is refused changes nothing."""

import dataclasses
import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from configs import CONFIGS
from hypothesis import given, settings
from hypothesis import strategies as st
from patch_folders import FILES, edit, refuse, retensor, rewrite, trained, write_json
from tiny import NETS, PREPROCESSING, basic_block_net, bottleneck_net, images
from torch import nn

from delta_core import DeltaConfig, DeltaError, DeltaModel, FrozenError, read_patch
from delta_core.patch_file import MatrixDtype
from delta_core.patch_io import MAX_HEADER_BYTES


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return trained(DeltaConfig(n_modules=2)).save_patch(tmp_path / "patch", metrics={"accuracy": 0.5})


@pytest.fixture
def other() -> DeltaModel:
    """A model on the same backbone that carries a patch of its own."""
    model = DeltaModel(basic_block_net())
    model.add_patch("own", num_classes=2, config=DeltaConfig.paper(n_modules=1))
    return model


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- round trips -------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(config=st.none() | CONFIGS, train=st.booleans())
def test_every_config_round_trips_bit_for_bit(
    config: DeltaConfig | None, train: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    model, x = trained(config), images()
    folder = model.save_patch(tmp_path_factory.mktemp("patch") / "p")
    other = DeltaModel(basic_block_net()).train(train)
    generator = torch.get_rng_state()
    assert other.load_patch(folder) == "task"
    assert torch.equal(torch.get_rng_state(), generator), "loading draws no random numbers"
    assert other.active_patch == "task"
    assert {module.training for module in other.patches["task"].modules()} == {train}
    assert all(parameter.requires_grad for parameter in other.trainable_parameters())
    ours, theirs = model.patches["task"].state_dict(), other.patches["task"].state_dict()
    assert list(ours) == list(theirs)
    for name, tensor in ours.items():
        assert tensor.dtype == theirs[name].dtype
        assert torch.equal(tensor, theirs[name])
    with torch.no_grad():
        assert torch.equal(other.eval()(x), model(x))
    patch = other.patches["task"]
    assert (patch.config, patch.class_names, patch.preprocessing) == (config, ("a", "b", "ü"), PREPROCESSING)


@pytest.mark.parametrize("make_net", NETS.values(), ids=NETS.keys())
def test_all_families_round_trip(make_net: Callable[[], nn.Module], tmp_path: Path) -> None:
    model, other = trained(DeltaConfig(), make_net()), DeltaModel(make_net()).eval()
    other.load_patch(model.save_patch(tmp_path))
    with torch.no_grad():
        assert torch.equal(other(images()), model(images()))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_dtypes_round_trip(dtype: torch.dtype, tmp_path: Path) -> None:
    model, other = (trained(DeltaConfig(), basic_block_net().to(dtype)) for _ in range(2))
    other.load_patch(model.save_patch(tmp_path), "again")
    ours, theirs = (m.patches[name].state_dict() for m, name in ((model, "task"), (other, "again")))
    assert all(torch.equal(ours[name], theirs[name]) and ours[name].dtype == theirs[name].dtype for name in ours)


def test_saving_what_was_loaded_gives_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    model = DeltaModel(basic_block_net(), architecture="tiny", weights="drawn")
    model.load_patch(saved)
    again = model.save_patch(tmp_path / "again", metrics={"accuracy": 0.5})
    assert contents(again) == contents(saved)


@pytest.mark.parametrize("matrix_dtype", get_args(MatrixDtype))
@pytest.mark.parametrize("mapped", [False, True])
def test_matrices_may_be_rounded_in_the_file(matrix_dtype: MatrixDtype, mapped: bool, tmp_path: Path) -> None:
    model, other = trained(DeltaConfig()), DeltaModel(basic_block_net()).eval()
    whole, half = model.save_patch(tmp_path / "whole"), model.save_patch(tmp_path / "half", matrix_dtype=matrix_dtype)
    assert read_patch(half).matrix_dtype == matrix_dtype
    assert read_patch(whole).matrix_dtype is None
    assert b"matrix_dtype" not in (whole / "delta.json").read_bytes()
    bytes_of = [read_patch(folder).tensor_bytes for folder in (whole, half)]
    other.load_patch(half, mapped=mapped)
    for name, tensor in model.patches["task"].state_dict().items():
        found = other.patches["task"].state_dict()[name]
        assert found.dtype == tensor.dtype
        is_matrix = tensor.ndim > 1
        rounded = tensor.to(getattr(torch, matrix_dtype)).to(tensor.dtype) if is_matrix else tensor
        assert torch.equal(found, rounded)
        assert bytes_of[1][name] * (2 if is_matrix else 1) == bytes_of[0][name]
    with torch.no_grad():
        torch.testing.assert_close(other(images()), model(images()), rtol=0.05, atol=0.05)
    again = other.save_patch(tmp_path / "again", matrix_dtype=matrix_dtype)
    assert (again / FILES[1]).read_bytes() == (half / FILES[1]).read_bytes()


def test_what_is_too_large_for_the_files_precision_is_refused(tmp_path: Path) -> None:
    model = trained(DeltaConfig())
    with torch.no_grad():
        model.patch().head.weight[0, 0] = 1e5
    with pytest.raises(DeltaError, match=r"'head\.weight' holds values that are not finite in float16; save it in"):
        model.save_patch(tmp_path / "half", matrix_dtype="float16")
    assert not (tmp_path / "half").exists()
    model.save_patch(tmp_path / "half", matrix_dtype="bfloat16")
    edit(tmp_path / "half", lambda raw: raw["tensors"].pop("matrix_dtype"))
    refuse(DeltaModel(basic_block_net()), tmp_path / "half", "is bfloat16 .*, expected float32")
    edit(tmp_path / "half", lambda raw: raw["tensors"].update(matrix_dtype="float8"))
    refuse(DeltaModel(basic_block_net()), tmp_path / "half", "'float8', expected one of float16, bfloat16")


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_mapped_patch_lies_in_its_file_and_never_changes_it(layout: torch.memory_format, tmp_path: Path) -> None:
    model = trained(DeltaConfig(n_modules=2))
    folder = model.save_patch(tmp_path / "patch")
    before = contents(folder)
    other = DeltaModel(basic_block_net().to(memory_format=layout))
    other.load_patch(folder, mapped=True)
    maps = Path("/proc/self/maps")
    if maps.exists():  # Linux
        places = [line.split()[0].split("-") for line in maps.read_text().splitlines() if str(folder) in line]
        lies_there = [
            any(int(start, 16) <= tensor.data_ptr() < int(end, 16) for start, end in places)
            for tensor in other.patches.state_dict().values()
        ]
        assert all(lies_there)
    with torch.no_grad():
        assert torch.equal(other.eval()(images()), model.to(memory_format=layout)(images()))
    other.train()(images()).sum().backward()
    torch.optim.SGD(other.trainable_parameters(), lr=1.0).step()
    assert contents(folder) == before
    model.load_patch(folder, "again", mapped=True)
    shutil.rmtree(folder)
    with torch.no_grad():
        assert torch.equal(model(images()), DeltaModel.forward_patches(model, images(), ["again"])["again"])


def test_weights_in_another_memory_layout_round_trip(tmp_path: Path) -> None:
    model, other = trained(DeltaConfig()), DeltaModel(basic_block_net()).eval()
    model.to(memory_format=torch.channels_last)
    other.load_patch(model.save_patch(tmp_path))
    ours, theirs = (m.patches["task"].state_dict() for m in (model, other))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_loaded_patch_trains_on(saved: Path, other: DeltaModel) -> None:
    other.load_patch(saved)
    other.train()(images()).sum().backward()
    assert all(parameter.grad is not None for parameter in other.trainable_parameters())
    other.assert_frozen()


def test_reading_needs_no_model(saved: Path) -> None:
    file, model = read_patch(saved), trained(DeltaConfig(n_modules=2))
    assert (file.name, file.num_classes, file.class_names) == ("task", 3, ("a", "b", "ü"))
    assert (file.architecture, file.weights, file.fingerprint) == ("tiny", "drawn", model.fingerprint)
    assert (file.config, file.preprocessing) == (DeltaConfig(n_modules=2), PREPROCESSING)
    assert file.metrics == {"accuracy": 0.5}
    assert file.tensor_bytes == {name: t.nbytes for name, t in sorted(model.patches["task"].state_dict().items())}
    assert file.size_bytes == (saved / "patch.safetensors").stat().st_size
    assert read_patch(str(saved)) == file
    edit(saved, lambda raw: raw.update(num_classes=4, class_names=[]))
    assert read_patch(saved).num_classes == 4, "only a model tells that the tensors are of 3"


def test_a_patch_without_head_travels_too(tmp_path: Path) -> None:
    model = DeltaModel(basic_block_net(), architecture="tiny")
    model.add_patch("dense", num_classes=None, config=DeltaConfig.paper(n_modules=2))
    folder = model.save_patch(tmp_path / "dense")
    assert read_patch(folder).num_classes == 0
    fresh = DeltaModel(basic_block_net(), architecture="tiny")
    fresh.load_patch(folder)
    ours, theirs = (at.patches["dense"].state_dict() for at in (model, fresh))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert fresh.patches["dense"].num_classes == 0
    edit(folder, lambda raw: raw.update(config=None))
    with pytest.raises(DeltaError, match="nothing to train"):
        DeltaModel(basic_block_net(), architecture="tiny").load_patch(folder)


def test_no_random_numbers_no_default_dtype_no_device_of_the_caller_matter(saved: Path, other: DeltaModel) -> None:
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            other.load_patch(saved)
    finally:
        torch.set_default_dtype(torch.float32)
    expected = trained(DeltaConfig(n_modules=2)).patches["task"].state_dict()
    for name, tensor in other.patches["task"].state_dict().items():
        assert tensor.dtype == expected[name].dtype
        assert torch.equal(tensor, expected[name])


# --- names and backbones -----------------------------------------------------------------------------------------


def test_a_patch_can_be_renamed_and_a_taken_name_is_refused(saved: Path, other: DeltaModel) -> None:
    assert other.load_patch(saved, "new") == "new"
    refuse(other, saved, "'new' is taken", name="new")
    refuse(other, saved, "'../new' is empty", name="../new")
    assert other.load_patch(saved) == "task"
    refuse(other, saved, "'task' is taken")


def test_an_unusable_saved_name_is_refused_even_when_it_is_not_used(saved: Path, other: DeltaModel) -> None:
    edit(saved, lambda raw: raw.update(name="../../etc"))
    refuse(other, saved, "'../../etc' is empty, reserved", name="fine")
    with pytest.raises(DeltaError, match=r"'../../etc' is empty, reserved"):
        read_patch(saved)


def test_another_backbone_of_the_same_shapes_is_refused_or_warned_of(saved: Path) -> None:
    net = basic_block_net()
    net.conv1[0].weight.data[0] += 1
    model = DeltaModel(net, architecture="tiny2", weights="w")
    refuse(model, saved, "another backbone: tiny with weights 'drawn'.*but this one is tiny2 with 'w'.*strict=False")
    with pytest.warns(UserWarning, match="another backbone"):
        model.load_patch(saved, strict=False)
    assert model.active_patch == "task"


@pytest.mark.filterwarnings("ignore:.*another backbone")
def test_another_architecture_is_refused_even_when_not_strict(saved: Path) -> None:
    model = DeltaModel(bottleneck_net())
    refuse(model, saved, "another backbone")
    refuse(model, saved, "tensor 'blocks.*is .*, expected .* for this backbone", strict=False)


@pytest.mark.filterwarnings("ignore:.*another backbone")
def test_another_dtype_is_refused(saved: Path) -> None:
    refuse(DeltaModel(basic_block_net().half()), saved, "float32.*expected float16", strict=False)


# --- delta.json --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "format_version is 2, but this library reads up to 1; upgrade"),
        ({"format_version": 0}, "format_version is 0"),
        ({"format_version": True}, "format_version is True"),
        ({"format_version": "1"}, "format_version is '1'"),
        ({"name": "../../etc"}, "'../../etc' is empty, reserved"),
        ({"name": "/etc/passwd"}, "is empty, reserved"),
        ({"name": ".."}, "is empty, reserved"),
        ({"name": ""}, "is empty, reserved"),
        ({"name": "keys"}, "'keys' is empty, reserved"),
        ({"name": "x" * 101}, "is empty, reserved, too long"),
        ({"name": "a\x1b[31m"}, "name is .* expected a line of text"),
        ({"name": None}, "name is None"),
        ({"num_classes": 0}, "num_classes is 0"),
        ({"num_classes": True, "class_names": []}, "num_classes is True"),
        ({"num_classes": 3.0}, "num_classes is 3.0"),
        ({"num_classes": 10**30, "class_names": []}, "num_classes is 10"),
        ({"num_classes": 10**6, "class_names": []}, "tensor 'head.bias'"),
        ({"num_classes": 4}, "class_names are 3 but num_classes is 4"),
        ({"num_classes": 4, "class_names": []}, r"tensor 'head.bias' is float32 \(3,\).*expected float32 \(4,\)"),
        ({"class_names": "abc"}, "class_names is 'abc'"),
        ({"class_names": ["a", "b", 3]}, "class_names is"),
        ({"class_names": ["a", "b", "c\n"]}, "class_names is"),
        ({"class_names": ["a", "b", "\ud800"]}, "class_names is"),
        ({"config": []}, "config is"),
        ({"config": {"gating": ["delta"]}}, "DeltaConfig.gating is"),
        ({"config": {"gating": "x" * 10**6}}, "DeltaConfig.gating is"),
        ({"config": {"n_modules": True}}, "DeltaConfig.n_modules is True"),
        ({"config": {"n_modules": 5}}, "n_modules is 5 but the net has 4 blocks"),
        ({"config": {"n_modules": 10**30}}, "n_modules is 10"),
        ({"config": {"n_modules": 1}}, "tensor 'blocks.layer3.*expected absent"),
        ({"config": None}, "tensor 'blocks.layer3.*expected absent"),
        ({"config": DeltaConfig(n_modules=2, skip_map="identity").to_dict()}, "expected absent for this backbone"),
        ({"config": {"n_modules": 2, "reduction": 4}}, "tensor 'blocks"),
        ({"config": DeltaConfig(n_modules=2, norm_place="none").to_dict()}, "expected absent"),
        ({"config": {"gate_start_logit": float("nan")}}, "gate_start_logit is nan"),
        ({"config": {"gate_start_logit": "1"}}, "gate_start_logit is '1'"),
        ({"config": {"gate_start_logit": 10**400}}, "gate_start_logit is 1000"),
        ({"base": None}, "base is None"),
        ({"base": {"architecture": "a", "weights": ""}}, "fingerprint is missing"),
        ({"base": {"architecture": "a", "weights": "", "fingerprint": "A" * 64}}, "fingerprint is"),
        ({"base": {"architecture": 1, "weights": "", "fingerprint": "0" * 64}}, "architecture is 1"),
        ({"base": {"architecture": "a", "weights": "", "fingerprint": "0" * 64}}, "another backbone"),
        ({"metrics": {"accuracy": float("inf")}}, "accuracy is inf"),
        ({"metrics": {"accuracy": "1"}}, "accuracy is '1'"),
        ({"metrics": {"accuracy": "x" * 10**4}}, "accuracy is 'xxx"),
        ({"metrics": {"accuracy": 10**400}}, "accuracy is 1000"),
        ({"metrics": {"a\n": 1}}, "holds a name that is not a line of text"),
        ({"metrics": {"x" * 2000: "1"}}, "xxx.* is '1'"),
        ({"tensors": {"sha256": "0" * 64, "size_bytes": 2**40}}, "size_bytes is 1099511627776"),
        ({"tensors": {"sha256": "0" * 64, "size_bytes": 2**30}}, "patch.safetensors has 1073741824 bytes"),
        ({"tensors": {"sha256": "0" * 64, "size_bytes": -1}}, "size_bytes is -1"),
        ({"tensors": {"sha256": "0" * 64, "size_bytes": 10**5}}, "size or SHA-256"),
        ({"tensors": {"sha256": "0" * 64, "size_bytes": 10**3}}, "expected at most 1000"),
        ({"library_version": 1}, "library_version is 1"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_values_of_delta_json_are_checked_even_with_a_fitting_checksum(
    change: dict[str, Any], message: str, saved: Path, other: DeltaModel
) -> None:
    edit(saved, lambda raw: raw.update(change))
    refuse(other, saved, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": 0}, "image_size is 0"),
        ({"image_size": 10**9}, "image_size is"),
        ({"crop_pct": 1e-9}, "crop_pct is 1e-09"),
        ({"crop_pct": "1"}, "crop_pct is '1'"),
        ({"interpolation": "best"}, "interpolation is 'best', expected one of nearest"),
        ({"interpolation": []}, "interpolation is"),
        ({"mean": [0.5]}, "expected three numbers each"),
        ({"mean": [0.5, 0.5, None]}, "mean is"),
        ({"std": [0.5, 0.5, 0]}, "std above 0"),
        ({"std": []}, "expected three numbers each|std is"),
    ],
    ids=str,
)
def test_preprocessing_is_checked(change: dict[str, Any], message: str, saved: Path, other: DeltaModel) -> None:
    edit(saved, lambda raw: raw["preprocessing"].update(change))
    refuse(other, saved, message)


def test_every_key_but_the_options_is_needed(saved: Path, other: DeltaModel) -> None:
    raw = json.loads((saved / "delta.json").read_text())
    for key in raw.keys() - {"checksum"}:
        write_json(saved, {name: value for name, value in raw.items() if name != key})
        refuse(other, saved, f"{key} is missing")
    (saved / "delta.json").write_text(json.dumps({name: value for name, value in raw.items() if name != "checksum"}))
    refuse(other, saved, "checksum is missing")


@pytest.mark.parametrize(
    "text", ["", "[]", "null", '"a"', "{", "[" * 10**5, "1" * 5000, '{"a":' * 10**5, "\ufeff{}", "{} {}", "nan"]
)
def test_what_is_not_a_json_object_is_refused(text: str, saved: Path, other: DeltaModel) -> None:
    (saved / "delta.json").write_text(text)
    refuse(other, saved, "the text is")
    (saved / "delta.json").write_bytes(b"\xff\xfe{}")
    refuse(other, saved, "not JSON")


def test_a_change_by_hand_is_noticed_but_not_one_of_white_space(saved: Path, other: DeltaModel) -> None:
    text = (saved / "delta.json").read_text()
    (saved / "delta.json").write_text(text.replace("0.25", "0.26"))
    refuse(other, saved, "checksum does not fit")
    (saved / "delta.json").write_text(text.replace("\n", "\n \t"))
    other.load_patch(saved)


def test_keys_of_a_newer_version_warn_and_are_dropped(saved: Path, other: DeltaModel) -> None:
    def add(raw: dict[str, Any]) -> None:
        for values in (raw, raw["base"], raw["tensors"], raw["config"], raw["preprocessing"]):
            values["newer"] = {"x": [1]}

    edit(saved, add)
    with pytest.warns(UserWarning, match="'newer'") as caught:
        other.load_patch(saved)
    assert len(caught) == 5
    assert other.patches["task"].config == DeltaConfig(n_modules=2)


@pytest.mark.filterwarnings("error")
def test_a_warning_that_is_made_an_error_leaves_the_model_alone(saved: Path, other: DeltaModel) -> None:
    edit(saved, lambda raw: raw.update(newer=1))
    before = list(other.patches)
    with pytest.raises(UserWarning, match="newer"):
        other.load_patch(saved)
    assert (list(other.patches), other.active_patch) == (before, "own")


# --- patch.safetensors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.update({"head.bias": t["head.bias"].double()}), "'head.bias' is float64"),
        (lambda t: t.update({"head.bias": t["head.bias"].to(torch.complex64)}), "'head.bias' is complex64"),
        (lambda t: t.update({"head.weight": t["head.weight"].T.contiguous()}), r"'head.weight' is float32 \(16, 3\)"),
        (lambda t: t.update({"head.weight": t["head.weight"].reshape(-1)}), r"'head.weight' is float32 \(48,\)"),
        (lambda t: t.update({"../x": torch.zeros(1)}), "'../x' is float32.*expected absent"),
        (lambda t: t.update({"x" * 5000: torch.zeros(1)}), "xxx.*expected absent"),
        (lambda t: t.pop("head.bias"), "'head.bias' is absent"),
        (lambda t: t.clear(), "is absent"),
        (lambda t: t["head.bias"].fill_(float("nan")), "'head.bias' holds values that are not finite"),
        (lambda t: t["head.weight"][2, 3:4].fill_(float("-inf")), "'head.weight' holds values that are not finite"),
        (lambda t: t["blocks.layer4.norm.running_var"][1:2].fill_(-1), "negative variance"),
    ],
    ids=range(11),
)
def test_tensors_are_checked_even_with_fitting_sums(
    change: Callable[..., Any], message: str, saved: Path, other: DeltaModel
) -> None:
    retensor(saved, change)
    refuse(other, saved, message)


@pytest.mark.parametrize("value", [b"\x00", b"\x02"])
def test_the_mask_of_existing_skips_cannot_be_changed(value: bytes, tmp_path: Path, other: DeltaModel) -> None:
    folder = trained(DeltaConfig(n_modules=1, gating="existing-only")).save_patch(tmp_path)
    data = (folder / "patch.safetensors").read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    first, last = json.loads(data[8:start])["blocks.layer4.gates.existing"]["data_offsets"]
    assert data[start + first : start + last] == b"\1\0\1"
    rewrite(folder, data[: start + first] + value + data[start + first + 1 :])
    refuse(other, folder, "not the mask of existing skips")


def header(size: int, text: bytes = b"{}") -> bytes:
    return size.to_bytes(8, "little") + text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\0" * 8, "not a safetensors file"),
        (header(2), "is absent"),
        (header(2**64 - 1), "header of more than"),
        (header(MAX_HEADER_BYTES + 1, b" " * MAX_HEADER_BYTES), "header of more than"),
        (header(3), "not a safetensors file"),
        (header(2, b"[]"), "not a safetensors file"),
        (header(58, b'{"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}     \0'), "not a safetensors file"),
        (header(58, b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}   \0\0\0\0'), "not a safetensors file"),
        (
            header(3052, b'{"%b":{"dtype":"F32","shape":[],"data_offsets":[1,0]}}' % (b"a\\n" * 1000)),
            "not a safetensors",
        ),
        (b"PK\x03\x04" + b"\0" * 100, "header of more than|not a safetensors file"),
    ],
    ids=range(10),
)
def test_headers_are_checked(data: bytes, message: str, saved: Path, other: DeltaModel) -> None:
    rewrite(saved, data)
    refuse(other, saved, message)
    if "absent" not in message:
        with pytest.raises(DeltaError, match=message):
            read_patch(saved)


def test_an_oversized_file_is_refused_before_it_is_read(saved: Path, other: DeltaModel) -> None:
    with (saved / "patch.safetensors").open("r+b") as handle:
        handle.truncate(2**40)  # a hole, takes no disk
    refuse(other, saved, "has 1099511627776 bytes, expected at most")
    edit(saved, lambda raw: raw["tensors"].update(size_bytes=2**30))
    refuse(other, saved, "has 1073741824 bytes, expected about")
    with (saved / "delta.json").open("r+b") as handle:
        handle.truncate(2**40)
    refuse(other, saved, "delta.json has 1099511627776 bytes")


@pytest.mark.parametrize("name", FILES)
def test_files_must_be_whole_and_in_the_folder(name: str, saved: Path, other: DeltaModel, tmp_path: Path) -> None:
    path, outside = saved / name, tmp_path / "outside"
    data = path.read_bytes()
    path.write_bytes(data[:-3])
    refuse(other, saved, "size or SHA-256|not JSON")
    path.unlink()
    refuse(other, saved, "cannot be read")
    outside.write_bytes(data)
    path.symlink_to(outside)
    refuse(other, saved, "is a link")
    path.unlink()
    os.mkfifo(path)
    refuse(other, saved, "is a link or not a file")
    path.unlink()
    path.mkdir()
    refuse(other, saved, "is a link or not a file")
    shutil.rmtree(saved)
    refuse(other, saved, "is not a folder")
    refuse(other, Path("a\0b"), "is not a folder")


def test_saving_and_loading_never_pickle(saved: Path, other: DeltaModel, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pickle.load", "pickle.loads", "pickle.dump", "pickle.dumps", "torch.load", "torch.save"):
        monkeypatch.setattr(name, lambda *_, **__: pytest.fail("pickle"))
    other.load_patch(saved)
    other.save_patch(saved)


# --- saving ------------------------------------------------------------------------------------------------------


def test_what_could_not_be_loaded_is_not_saved(tmp_path: Path) -> None:
    def refused(message: str, model: DeltaModel, **options: Any) -> None:
        with pytest.raises(DeltaError, match=message):
            model.save_patch(tmp_path / "p", **options)
        assert list(tmp_path.iterdir()) == []

    model = trained(DeltaConfig(n_modules=1))
    refused("'other' is not there", model, name="other")
    refused("accuracy is nan", model, metrics={"accuracy": float("nan")})
    model.patches["task"].head.bias.data[0] = float("nan")
    refused("cannot be saved: tensor 'head.bias' holds values that are not finite", model)
    model = trained(DeltaConfig(n_modules=1))
    model.patches.half()
    refused("is float16.*expected float32", model)
    model = trained(None)
    model.patches["task"].class_names = ("a", "b", "c\n")
    refused("class_names is", model)
    model.patches["task"].preprocessing = dataclasses.replace(PREPROCESSING, std=(0.0, 1.0, 1.0))
    model.patches["task"].class_names = ()
    refused("std above 0", model)
    model.set_patch(None)
    refused("No patch is active", model)
    model = trained(None)
    model.backbone.conv1[0].weight.data[0] += 1
    with pytest.raises(FrozenError, match="bytes changed"):
        model.save_patch(tmp_path / "p")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    model, folder = trained(None), tmp_path / "notes"
    folder.mkdir()
    model.save_patch(folder)  # empty
    (folder / "delta.json").unlink()
    before = contents(tmp_path)
    with pytest.raises(DeltaError, match="is not a patch folder"):
        model.save_patch(folder)
    with pytest.raises(DeltaError, match="is not a patch folder"):
        model.save_patch(folder / "patch.safetensors")
    with pytest.raises(DeltaError, match="cannot be written"):
        model.save_patch(folder / "patch.safetensors" / "p")
    assert contents(tmp_path) == before


def test_saving_again_replaces_the_patch_and_keeps_other_files(saved: Path, tmp_path: Path) -> None:
    (saved / "README.md").write_text("card")
    (saved / "inner").mkdir()
    (saved / "inner" / "delta.json").write_text("mine")
    outside = tmp_path / "outside"
    outside.write_text("sentinel")
    (saved / "link").symlink_to(outside)
    (saved / "patch.safetensors").unlink()
    (saved / "patch.safetensors").symlink_to(outside)
    link = tmp_path / "by-link"
    link.symlink_to(saved)
    trained(None).save_patch(link)
    assert read_patch(saved).config is None
    assert link.is_symlink()
    assert (saved / "README.md").read_text() == "card"
    assert (saved / "inner" / "delta.json").read_text() == "mine"
    assert (saved / "link").is_symlink()
    assert outside.read_text() == "sentinel"
    assert {path.name for path in tmp_path.iterdir()} == {"patch", "outside", "by-link"}


def test_a_saved_folder_has_the_rights_of_any_new_folder(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "any").mkdir()
    assert stat.S_IMODE(saved.stat().st_mode) == stat.S_IMODE((tmp_path / "any").stat().st_mode)
