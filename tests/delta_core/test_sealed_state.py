"""Files of kept tensors say by themselves whether they still hold what was written."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from delta_core.errors import DeltaError
from delta_core.state_file import read_state
from delta_core.training.sealed_state import read_sealed, write_sealed

STATE = {"head.weight": torch.arange(6.0).view(2, 3), "count": torch.tensor(7)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sealed") / "net.safetensors"
    write_sealed(path, STATE, steps="12")
    return path


def test_what_was_written_comes_back(whole: Path) -> None:
    state, notes = read_sealed(whole) or ({}, {})
    assert all(torch.equal(state[name], STATE[name]) for name in STATE)
    assert notes["steps"] == "12"
    assert [path.name for path in whole.parent.iterdir()] == [whole.name]
    assert read_sealed(whole.with_name("absent")) is None


@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=500)
def test_no_flipped_bit_changes_a_tensor_or_a_note(whole: Path, share: float, bit: int) -> None:
    content = bytearray(whole.read_bytes())
    content[int(share * len(content))] ^= 1 << bit
    damaged = whole.with_name("damaged.safetensors")
    damaged.write_bytes(content)
    try:
        state, notes = read_sealed(damaged) or ({}, {})
    except DeltaError as error:
        assert "\n" not in str(error)
    else:
        assert all(torch.equal(state[name], STATE[name]) for name in STATE)
        assert notes["steps"] == "12"
    damaged.unlink()


def test_a_damaged_file_is_refused_as_weights_too_and_a_foreign_one_is_read(whole: Path, tmp_path: Path) -> None:
    content = bytearray(whole.read_bytes())
    content[-1] ^= 1
    (tmp_path / "damaged.safetensors").write_bytes(content)
    with pytest.raises(DeltaError, match=r"damaged\.safetensors' is damaged: it does not hold what was written"):
        read_state(tmp_path / "damaged.safetensors")
    save_file(STATE, tmp_path / "foreign.safetensors")
    assert read_state(tmp_path / "foreign.safetensors").keys() == STATE.keys()
    with pytest.raises(DeltaError, match="of an older version, which wrote no checksum"):
        read_sealed(tmp_path / "foreign.safetensors")
