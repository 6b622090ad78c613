"""What a pre-training leaves: rows that make one record."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from grid_world import write_tiny_task
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from benchmarks.env import Env
from benchmarks.nets import pretraining
from benchmarks.records.record_files import read_record, record_path, write_record
from delta_core import backbone_fingerprint
from delta_core.training.errors import UserError
from delta_core.training.provenance import provenance
from delta_core.training.recipe import Recipe
from delta_core.training.sealed_state import write_sealed

SPEC = pretraining.BaseSpec(architecture="resnet18", recipe=Recipe(epochs=1))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Env:
    """Where a base was pre-trained and recorded."""
    folder = tmp_path_factory.mktemp("trained")
    write_tiny_task(folder, "glyphs62", 62)
    env = Env(results=folder, cache=folder)
    write_record(folder, pretraining.pretrain(SPEC, env))
    return env


@pytest.fixture
def env(trained: Env, tmp_path: Path) -> Env:
    """A copy of it."""
    shutil.copytree(trained.cache, tmp_path, dirs_exist_ok=True)
    return Env(results=tmp_path, cache=tmp_path)


def path_in(env: Env) -> Path:
    return pretraining.checkpoint_path(env.cache, SPEC.run_id)


def fingerprint(env: Env) -> str:
    return backbone_fingerprint(pretraining.load_pretrained("resnet18", SPEC.run_id, env, num_classes=62))


def without_checksum(path: Path) -> None:
    """Write a checkpoint as older versions did."""
    save_file(load_file(path), path)


def test_rows_are_of_one_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_task(tmp_path, "glyphs62", 62)
    seconds = iter(range(60))
    monkeypatch.setattr(
        pretraining,
        "provenance",
        lambda *where: provenance(*where) | {"measured_at": f"2000-01-01T00:00:{next(seconds):02}+00:00"},
    )
    rows = pretraining.pretrain(SPEC, Env(results=tmp_path, cache=tmp_path))
    assert len(rows) > 1
    assert write_record(tmp_path, rows).is_file()


@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=40)
def test_no_flipped_bit_changes_a_base(trained: Env, share: float, bit: int) -> None:
    expected, whole = fingerprint(trained), path_in(trained).read_bytes()
    content = bytearray(whole)
    content[int(share * len(content))] ^= 1 << bit
    path_in(trained).write_bytes(content)
    try:
        assert fingerprint(trained) == expected
    except UserError as error:
        assert "Run again to pre-train it anew" in str(error)
        assert pretraining.fault_of(SPEC, trained)
    finally:
        path_in(trained).write_bytes(whole)


def test_a_damaged_base_is_told_in_one_line_and_pre_trained_anew(env: Env) -> None:
    expected = fingerprint(env)
    content = bytearray(path_in(env).read_bytes())
    content[-2] ^= 64
    path_in(env).write_bytes(content)
    with pytest.warns(UserWarning, match=r"is damaged: .* The slim resnet18 is pre-trained anew\.$") as told:
        assert not pretraining.is_whole_base(SPEC, env)
    assert "\n" not in str(told[0].message)
    pretraining.pretrain(SPEC, env)
    assert fingerprint(env) == expected
    assert pretraining.is_whole_base(SPEC, env)


def test_a_base_is_compared_with_its_record(env: Env) -> None:
    without_checksum(path_in(env))
    assert pretraining.is_whole_base(SPEC, env), "an older version's, which is as its record says"
    other = {name: tensor + 1 for name, tensor in load_file(path_in(env)).items()}
    write_sealed(path_in(env), other)
    with pytest.raises(UserError, match="is not the one that its record was measured on"):
        fingerprint(env)
    with pytest.warns(UserWarning, match="is pre-trained anew"):
        assert not pretraining.is_trained(SPEC, env)


def test_another_machine_s_base_is_told(env: Env, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pre-training gives other bits there, and the rows of before stand on the old ones."""
    path_in(env).unlink()
    monkeypatch.setattr(pretraining, "derive_seed", lambda *_: 1)
    with pytest.warns(UserWarning, match="The slim resnet18 is not, bit for bit, the one that rows"):
        write_record(env.results, pretraining.pretrain(SPEC, env))
    assert pretraining.is_trained(SPEC, env)


def test_a_base_without_checksum_and_record_is_pre_trained_anew(env: Env) -> None:
    shutil.rmtree(env.results / "records")
    without_checksum(path_in(env))
    with pytest.warns(UserWarning, match="of an older version, without a checksum"):
        assert not pretraining.is_whole_base(SPEC, env)


def test_a_base_that_is_there_is_measured_and_not_trained_again(env: Env, monkeypatch: pytest.MonkeyPatch) -> None:
    before = read_record(record_path(env.results, SPEC.run_id))
    shutil.rmtree(env.results / "records")
    monkeypatch.delattr(pretraining, "train_module")
    rows = pretraining.pretrain(SPEC, env)
    assert [replace(row, eval_s=0.0) for row in rows] == [replace(row, eval_s=0.0) for row in before]


def test_two_processes_train_a_base_once(env: Env, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that waits for the lock finds the base when it has it."""
    whole = path_in(env).read_bytes()
    path_in(env).unlink()

    @contextmanager
    def after_another(path: Path, *, waiting_for: str) -> Iterator[None]:
        assert path.parent == path_in(env).parent
        assert waiting_for == "the pre-training of resnet18"
        path_in(env).write_bytes(whole)
        yield

    monkeypatch.setattr(pretraining, "locked", after_another)
    monkeypatch.delattr(pretraining, "train_module")
    assert pretraining.pretrain(SPEC, env)
