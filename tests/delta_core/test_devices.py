"""What must hold on every device: the base answers bit for bit, and patches learn in every precision."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from devices import DEVICES, DEVICES_AND_PRECISIONS
from tiny import NETS, RECIPE, images, tensor_split, wake
from torch import Tensor, nn

from delta_core import DeltaConfig, DeltaModel
from delta_core.training.data.splits import eval_batches
from delta_core.training.engine import predict, train_module
from delta_core.training.fabric import choose_deterministic_kernels, make_fabric, to_device, torch_state_kept

ALL_NETS = pytest.mark.parametrize("make_net", NETS.values(), ids=list(NETS))
SPLIT = tensor_split(24, 3, seed=0, size=64)
CONFIG = DeltaConfig(n_modules=1, norm_start="fresh")


@pytest.fixture(autouse=True)
def kernels_as_before() -> Iterator[None]:
    with torch_state_kept():
        yield


def patched(make_net: Callable[[], nn.Module], device: str, config: DeltaConfig = CONFIG) -> DeltaModel:
    model = DeltaModel(to_device(make_net(), torch.device(device)))
    torch.manual_seed(0)
    model.add_patch("task", num_classes=3, config=config)
    wake(model.patch())
    return model


def base_logits(model: DeltaModel, device: str) -> Tensor:
    with model.disable_patches():
        return predict(model, eval_batches(SPLIT, torch.device(device)))


@ALL_NETS
@DEVICES_AND_PRECISIONS
def test_training_a_patch_leaves_the_answers_of_the_base_bit_for_bit(
    make_net: Callable[[], nn.Module], device: str, precision: str
) -> None:
    """The same algorithms are forced before and after, so equal weights give equal bits wherever the net is."""
    fabric = make_fabric(device, precision)
    model = patched(make_net, device)
    before, fingerprint = base_logits(model, device), model.fingerprint
    train_module(model, model.patch().head, SPLIT, replace(RECIPE, epochs=1), fabric, seed=1)
    assert torch.equal(base_logits(model, device), before)
    model.assert_frozen()
    assert model.fingerprint == fingerprint


@DEVICES
def test_copies_of_a_net_answer_bit_for_bit(device: str) -> None:
    """Rows compare a fresh copy with the net that was there first."""
    make_fabric(device, "32-true")
    for make_net in NETS.values():
        first, second = (patched(make_net, device) for _ in range(2))
        assert torch.equal(base_logits(first, device), base_logits(second, device))


@DEVICES
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("n_modules", [1, 2])
def test_gradients_through_skip_sums_are_those_of_float32_up_to_rounding(
    device: str, dtype: torch.dtype, n_modules: int
) -> None:
    """Without BatchNorm, whose statistics over so few values blow up the rounding of everything else."""
    config = replace(CONFIG, n_modules=n_modules, norm_place="none")

    def gradients(*, mixed: bool) -> dict[str, Tensor]:
        model = patched(NETS["basic_block"], device, config).train()
        labels = torch.arange(8, device=device) % 3
        with torch.autocast(torch.device(device).type, dtype=dtype, enabled=mixed):
            loss = nn.functional.cross_entropy(model(to_inputs(images(8, size=64), device)), labels)
        loss.backward()
        named = model.patch().named_parameters()
        return {name: parameter.grad for name, parameter in named if parameter.grad is not None}

    exact, found = gradients(mixed=False), gradients(mixed=True)
    assert found.keys() == exact.keys()
    assert len(exact) > 4
    for name, gradient in found.items():
        assert gradient.dtype == torch.float32, name
        assert torch.isfinite(gradient).all(), name
    ours, theirs = (torch.cat([gradient.flatten() for gradient in each.values()]) for each in (found, exact))
    assert nn.functional.cosine_similarity(ours, theirs, dim=0) > 0.99


@DEVICES_AND_PRECISIONS
@pytest.mark.parametrize("net", ["basic_block", "convnext"])
def test_a_patch_learns_in_every_precision(net: str, device: str, precision: str) -> None:
    """In a ConvNeXt layer scales, and so the nodes behind them, stay float32."""
    fabric = make_fabric(device, precision)
    model, losses = patched(NETS[net], device), []
    train_module(
        model, model.patch().head, SPLIT, replace(RECIPE, epochs=6), fabric, seed=1,
        on_epoch=lambda _, loss: losses.append(loss),
    )  # fmt: skip
    assert losses[-1] < 0.8 * losses[0]


def to_inputs(x: Tensor, device: str) -> Tensor:
    return x.to(device).contiguous(memory_format=torch.channels_last)


# --- which kernels -----------------------------------------------------------------------------------------------


def test_on_cuda_the_same_algorithms_are_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flags of torch, which can be set and looked at where there is no GPU."""
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    choose_deterministic_kernels("cuda")
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark, "a benchmark may choose another algorithm at every call"
    assert torch.backends.cudnn.deterministic
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_the_choice_of_kernels_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    before = torch.backends.cudnn.deterministic
    with torch_state_kept():
        choose_deterministic_kernels("cuda")
    assert torch.backends.cudnn.benchmark
    assert torch.backends.cudnn.deterministic is before
