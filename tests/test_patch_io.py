"""Patch folders: what is saved comes back bit for bit, and what is refused changes nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import NETS, PREPROCESSING, basic_block_net, images
from torch import Tensor, nn

from delta_core import DeltaConfig, DeltaError, DeltaModel

CONFIGS = st.builds(
    DeltaConfig,
    n_modules=st.integers(1, 4),
    gating=st.sampled_from(["delta", "learnable", "ones", "random", "existing-only"]),
    reduction=st.sampled_from([1, 2, 5]),
    gate_start=st.sampled_from(["half", "identity"]),
    gate_start_logit=st.floats(-5, 5),
    norm_place=st.sampled_from(["output", "skip_sum", "none"]),
    norm_start=st.sampled_from(["fresh", "identity"]),
    module_input=st.sampled_from(["full", "stride2", "pool7"]),
)


def trained(config: DeltaConfig | None, net: nn.Module | None = None) -> DeltaModel:
    """A model with a patch "task" whose tensors are all unlike fresh ones, as after training."""
    model = DeltaModel(net or basic_block_net(), architecture="tiny", weights="drawn")
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model.add_patch("task", num_classes=3, config=config, class_names=["a", "b", "ü"], preprocessing=PREPROCESSING)
        for tensor in model.patches.state_dict().values():
            if tensor.is_floating_point():
                tensor.uniform_(0.2, 1.2)
            elif tensor.dtype == torch.int64:
                tensor.fill_(7)
    return model.eval()


def state_of(model: DeltaModel) -> tuple[Any, ...]:
    """Everything that a refused folder must leave alone."""
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    return model.active_patch, list(model.patches), model.training, tensors, torch.get_rng_state()


def same(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    tensors = a[3].keys() == b[3].keys() and all(torch.equal(a[3][name], b[3][name]) for name in a[3])
    return a[:3] == b[:3] and tensors and torch.equal(a[4], b[4])


def refuse(model: DeltaModel, folder: Path, message: str, **options: Any) -> None:
    """The folder is refused in one sentence, and the model stays what it was."""
    before = state_of(model)
    with pytest.raises(DeltaError, match=message) as caught:
        model.load_patch(folder, **options)
    assert "\n" not in str(caught.value)
    assert same(state_of(model), before)


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change delta.json as an attacker would: with a checksum that fits."""
    raw = json.loads((folder / "delta.json").read_text())
    change(raw)
    (folder / "delta.json").write_text(json.dumps(with_checksum(raw)))


def with_checksum(raw: dict[str, Any]) -> dict[str, Any]:
    from delta_core.patch_file import _checksum

    raw.pop("checksum", None)
    return raw | {"checksum": _checksum(raw)}


def rewrite(folder: Path, data: bytes) -> None:
    """Put other bytes into patch.safetensors and make delta.json agree."""
    import hashlib

    (folder / "patch.safetensors").write_bytes(data)
    edit(folder, lambda raw: raw.update(tensors={"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}))


def retensor(folder: Path, change: Callable[[dict[str, Tensor]], Any]) -> None:
    tensors = safetensors.torch.load((folder / "patch.safetensors").read_bytes())
    change(tensors)
    rewrite(folder, safetensors.torch.save(tensors))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return trained(DeltaConfig(n_modules=2)).save_patch(tmp_path / "patch")


@pytest.fixture
def other() -> DeltaModel:
    """A model on the same backbone that carries a patch of its own."""
    model = DeltaModel(basic_block_net())
    model.add_patch("own", num_classes=2, config=DeltaConfig.paper(n_modules=1))
    return model


# --- round trips -------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(config=st.none() | CONFIGS, train=st.booleans())
def test_every_config_round_trips_bit_for_bit(
    config: DeltaConfig | None, train: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    model, x = trained(config), images()
    folder = model.save_patch(tmp_path_factory.mktemp("patch") / "p", metrics={"accuracy": 0.5})
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
