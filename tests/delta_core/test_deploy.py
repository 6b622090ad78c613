"""A patched model outside the training loop: compiled, exported, in other processes, under AMP and DDP."""

import copy
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import NETS, basic_block_net, convnext_net, images, with_patches
from torch import Tensor, nn
from torch.export import Dim
from workers import answer, spawned, train_one_rank, train_two_steps

from delta_core import DeltaConfig, DeltaModel, skip_sum

Reading = Callable[..., DeltaConfig]
Case = tuple[Callable[[], nn.Module], Reading]
ROUNDING = {"rtol": 1e-5, "atol": 1e-5}
"""Maps are products here, and convolutions where a pass is recorded."""
CASES: dict[str, Case] = {
    **{f"{name}-default": (NETS[name], DeltaConfig) for name in ("basic_block", "convnext", "efficientnet_lite")},
    "basic_block-paper": (NETS["basic_block"], DeltaConfig.paper),
}
COMPILER = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
BATCH = Dim("batch", min=1, max=64)


@pytest.fixture(autouse=True)
def fresh_compiler() -> None:
    torch._dynamo.reset()


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def same(one: Tensor, other: Tensor, reading: Reading) -> bool:
    """Equal to the bit, or up to rounding where there are maps."""
    return torch.allclose(one, other, **ROUNDING) if reading is DeltaConfig else torch.equal(one, other)


@pytest.fixture(params=[DeltaConfig, DeltaConfig.paper], ids=["default", "paper"])
def reading(request: pytest.FixtureRequest) -> Reading:
    return request.param


# --- compile and export --------------------------------------------------------------------------------------------


@torch.no_grad()
def test_one_graph_holds_the_whole_model(case: Case) -> None:
    make_net, reading = case
    model, x = with_patches(make_net(), {"a": 4}, reading), images()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    assert same(compiled(x), model(x), reading)
    with model.disable_patches():
        assert torch.equal(compiled(x), make_net()(x))


@torch.no_grad()
def test_a_compiled_model_follows_patch_strength_and_batch_size(reading: Reading) -> None:
    model, x = with_patches(convnext_net(), {"a": 1, "b": 0}, reading), images()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    for name in ("b", "a"):
        model.set_patch(name)
        assert same(compiled(x), model(x), reading)
    with model.scale_patch(0.5):
        half = compiled(x)
        assert same(half, model(x), reading)
    assert not torch.allclose(half, compiled(x), rtol=1e-3)
    assert same(compiled(images(7)), model(images(7)), reading)


@pytest.mark.skipif(COMPILER is None, reason="inductor needs a C++ compiler: install g++ or clang++, or set CXX")
@torch.no_grad()
def test_inductor_agrees_up_to_rounding() -> None:
    model, x = with_patches(convnext_net(), {"a": 1}, DeltaConfig), images()
    prefix, suffix = (
        model.split_at_first_patch()
    )  # all code of ours is in the suffix; a whole net compiles for a minute
    features = prefix(x)
    assert torch.allclose(torch.compile(suffix)(features), model(x), **ROUNDING)


def exported(model: DeltaModel, x: Tensor) -> Callable[[Tensor], Tensor]:
    return torch.export.export(model, (x,), dynamic_shapes={"x": {0: BATCH}}).module()


@torch.no_grad()
@pytest.mark.parametrize("record", [exported, torch.jit.trace])
def test_samples_that_are_large_are_not_recorded_one_by_one(
    record: Callable[[DeltaModel, Tensor], Callable[[Tensor], Tensor]],
    monkeypatch: pytest.MonkeyPatch,
    reading: Reading,
) -> None:
    monkeypatch.setattr(skip_sum, "LARGE_SAMPLE_BYTES", 0)
    model = with_patches(basic_block_net(), {"a": 4}, reading)
    recorded = record(model, images(2))
    assert same(recorded(images(5)), model(images(5)), reading)


@torch.no_grad()
@pytest.mark.parametrize("patch", ["a", None])
def test_an_exported_program_serves_any_batch_size(case: Case, patch: str | None) -> None:
    make_net, reading = case
    model = with_patches(make_net(), {"a": 4}, reading)
    model.set_patch(patch)
    program = exported(model, images())
    for count in (1, 4, 7):
        assert same(program(images(count)), model(images(count)), reading)


class AllTasks(nn.Module):
    """Every patch of a model in one graph, as docs/deployment.md shows it."""

    def __init__(self, model: DeltaModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return self.model.forward_patches(x)


@torch.no_grad()
def test_all_patches_export_as_one_program(reading: Reading) -> None:
    model, x = with_patches(basic_block_net(), {"a": 1, "b": 2, "c": 0}, reading), images()
    found = torch.export.export(AllTasks(model), (x,)).module()(x)
    expected = model.forward_patches(x)
    assert list(found) == ["a", "b", "c"]
    assert all(same(found[name], expected[name], reading) for name in expected)


# --- other processes -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with spawned(2) as pool:
        yield pool


@torch.no_grad()
def test_a_spawned_process_answers_with_the_same_bits(case: Case, pool: ProcessPoolExecutor) -> None:
    make_net, reading = case
    model, x = with_patches(make_net(), {"a": 1, "b": 2}, reading), images()
    patched, base = pool.submit(answer, model, x, torch.get_num_threads()).result()
    assert np.array_equal(patched, model(x).numpy())
    assert np.array_equal(base, make_net()(x).numpy())


def test_two_processes_train_one_patch_and_leave_the_base_alone(
    pool: ProcessPoolExecutor, tmp_path: Path, reading: Reading
) -> None:
    model, x = with_patches(basic_block_net(), {"a": 2}, reading), images()
    before = {name: tensor.detach().clone().numpy() for name, tensor in model.patches.named_parameters()}
    store = (tmp_path / "store").as_uri()
    ranks = [pool.submit(train_one_rank, rank, store, copy.deepcopy(model), x) for rank in range(2)]
    (first, base), (second, same_base) = (rank.result() for rank in ranks)
    with torch.no_grad():
        expected = basic_block_net()(x).numpy()
    assert np.allclose(base, expected, rtol=1e-5)  # the workers have one thread
    assert np.array_equal(base, same_base)
    assert all(np.array_equal(first[name], second[name]) for name in before), "gradients are averaged"
    still = {name for name in before if np.array_equal(first[name], before[name])}
    # A BatchNorm takes the scale of the only channel in front of it out; the paper's modules are wider.
    assert still <= ({"a.blocks.layer4.gates.conv2.weight"} if reading is DeltaConfig else set())


# --- AMP -----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:TF32 acceleration")
@pytest.mark.parametrize("make_net", NETS.values(), ids=NETS)
def test_training_under_autocast_keeps_the_frozen_contract(
    make_net: Callable[[], nn.Module], reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x = with_patches(make_net(), {"a": 4}, reading).train(), images()
    before = [parameter.detach().clone() for parameter in model.trainable_parameters()]
    with torch.backends.mkldnn.flags(enabled=False):  # its kernels differ by CPU, and so would what is trained
        train_two_steps(model, list(model.trainable_parameters()), x, autocast=True)
    after = list(model.trainable_parameters())
    assert {tensor.dtype for tensor in after} == {torch.float32}
    assert all(tensor.isfinite().all() for tensor in after)
    assert not any(torch.equal(old, new) for old, new in zip(before, after, strict=True))
    model.eval().assert_frozen()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        together = model(x)
        monkeypatch.setattr(skip_sum, "LARGE_SAMPLE_BYTES", 0)
        one_by_one = model(x)
    assert together.dtype == one_by_one.dtype == torch.bfloat16
    with torch.no_grad():
        whole = model(x)
    assert all((rounded - whole).norm() < 0.05 * whole.norm() for rounded in (together, one_by_one))
    with torch.no_grad(), model.disable_patches():
        assert torch.equal(model(x), make_net()(x))
