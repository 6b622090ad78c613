"""`fit` and `evaluate`: the same bits from any form of the data and any cache, resumed or not; nothing else changes."""

import io
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from tiny import NETS, PREPROCESSING, RECIPE, basic_block_net, images, with_patches
from torch import Tensor, nn
from torch.utils.data import TensorDataset
from torchvision.datasets import ImageFolder

from delta_core import DeltaConfig, DeltaModel
from delta_core.training import Epoch, RichProgress, UserError, evaluate, fit, fitting
from delta_core.training.class_weights import balanced_weights
from delta_core.training.memory_store import MemoryStore

CLASSES = ("ant", "bee", "cat")
RECIPE3 = replace(RECIPE, epochs=3)


def new_model(config: DeltaConfig | None = DeltaConfig(n_modules=2), **options: object) -> DeltaModel:  # noqa: B008
    """A small net with a fresh patch for three classes."""
    model = DeltaModel(basic_block_net())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model.add_patch("pets", **{"num_classes": 3, "config": config, "preprocessing": PREPROCESSING} | options)
    return model


def pixels_of(count: int, seed: int, size: int = 20) -> tuple[Tensor, Tensor]:
    """Images (N, 3, S, S) uint8, sorted by class, whose brightness shows the class a little."""
    labels = torch.arange(3).repeat_interleave(count)
    noise = torch.randint(0, 120, (3 * count, 3, size, size), generator=torch.Generator().manual_seed(seed))
    return (noise + 60 * labels[:, None, None, None]).to(torch.uint8), labels


def write_folder(root: Path, count: int = 7, seed: int = 0, classes: tuple[str, ...] = CLASSES) -> Path:
    for index, (pixels, label) in enumerate(zip(*pixels_of(count, seed), strict=True)):
        if CLASSES[label] in classes:
            path = root / CLASSES[label] / f"{index:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(path)
    return root


def state_of(model: DeltaModel) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.patch().state_dict().items()}


def differing(left: dict[str, Tensor], right: dict[str, Tensor]) -> list[str]:
    assert left.keys() == right.keys()
    return [name for name in left if not torch.equal(left[name], right[name])]


def trained(data: object, val: object = None, model: DeltaModel | None = None, **options: object) -> dict[str, Tensor]:
    model = model or new_model()
    fit(model, data, val, **{"recipe": RECIPE, "device": "cpu"} | options)
    return state_of(model)


# --- data --------------------------------------------------------------------------------------------------------


def test_every_form_of_the_data_gives_the_same_bits(tmp_path: Path) -> None:
    pixels, labels = pixels_of(7, seed=0)
    view = PREPROCESSING.resize_and_crop()
    inputs = PREPROCESSING.normalise(torch.stack([view(image) for image in pixels]))
    arrays = [(image.permute(1, 2, 0).numpy(), np.int64(label)) for image, label in zip(pixels, labels, strict=True)]
    folder = write_folder(tmp_path / "pets")
    forms = {
        "folder": folder,
        "name of a folder": str(folder),
        "folder with splits": tmp_path / "split",
        "torchvision": ImageFolder(folder),
        "tensors": (pixels, labels),
        "arrays": arrays,
        "uint8 data set": TensorDataset(pixels, labels),
        "inputs": (inputs, labels),
        "data set of inputs": TensorDataset(inputs, labels),
    }
    shutil.copytree(folder, tmp_path / "split" / "train")
    write_folder(tmp_path / "split" / "val", count=2)
    first = trained(folder)
    assert {name: differing(first, trained(form)) for name, form in forms.items()} == {name: [] for name in forms}
    assert differing(first, trained((pixels.flip(0), labels))), "other data, other bits"


def test_grey_images_are_seen_as_rgb() -> None:
    pixels, labels = pixels_of(7, seed=0)
    grey = pixels[:, :1]
    pil = [(Image.fromarray(image[0].numpy()), int(label)) for image, label in zip(grey, labels, strict=True)]
    assert differing(trained((grey.expand(-1, 3, -1, -1), labels)), trained((grey, labels))) == []
    assert differing(trained((grey, labels)), trained(pil)) == []


def test_classes_are_matched_by_name_and_named_by_the_folder(tmp_path: Path) -> None:
    model = new_model()
    write_folder(tmp_path / "train")
    write_folder(tmp_path / "val", seed=1, classes=CLASSES[1:])
    result = fit(model, tmp_path / "train", tmp_path / "val", recipe=RECIPE, device="cpu")
    assert model.patch().class_names == CLASSES
    assert result.val_accuracy is not None
    assert result.val_accuracy.confusion.sum(1).tolist() == [0, 7, 7]
    turned = new_model(class_names=CLASSES[::-1])
    fit(turned, tmp_path / "train", recipe=RECIPE, device="cpu")
    assert turned.patch().class_names == CLASSES[::-1]
    pixels, labels = pixels_of(7, seed=0)
    assert differing(state_of(turned), trained((pixels, 2 - labels))) == []


def test_of_a_folder_with_splits_fit_reads_train_and_val_and_evaluate_test(tmp_path: Path) -> None:
    write_folder(tmp_path / "train")
    write_folder(tmp_path / "val", count=3, seed=1)
    (write_folder(tmp_path / "test", count=2, seed=2) / "ant" / "000.png").write_bytes(b"not to be read")
    model = new_model()
    result = fit(model, tmp_path, recipe=RECIPE, device="cpu")
    assert result.val_accuracy is not None
    assert result.val_accuracy.images == 9
    with pytest.raises(UserError, match=r"000.png' cannot be read"):
        evaluate(model, tmp_path)
    write_folder(tmp_path / "test", count=2, seed=2)
    assert evaluate(model, tmp_path).images == 6
    shutil.rmtree(tmp_path / "test")
    assert str(evaluate(model, tmp_path)) == str(result.val_accuracy)


def test_without_validation_nothing_is_held_out(tmp_path: Path) -> None:
    result = fit(new_model(), write_folder(tmp_path), recipe=RECIPE, device="cpu")
    assert [epoch.val_top1 for epoch in result.history] == [None, None]
    assert result.val_accuracy is None
    assert result.steps == 2 * 3, "21 images in batches of 8"
    assert (result.kept_epoch, result.precision) == (2, "32-true")
    assert result.device.startswith("cpu")


def test_evaluate_counts_right_answers_and_leaves_the_mode() -> None:
    model = new_model(class_names=CLASSES)
    pixels, labels = pixels_of(5, seed=0)
    trained((pixels, labels), model=model)
    model.train()
    found = evaluate(model, (pixels, labels))
    assert model.training
    view = PREPROCESSING.resize_and_crop()
    with torch.no_grad():
        answers = model.eval()(PREPROCESSING.normalise(torch.stack([view(image) for image in pixels]))).argmax(1)
    assert found.right == int((answers == labels).sum())
    assert found.class_names == CLASSES


# --- features ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [None, DeltaConfig(n_modules=1), DeltaConfig.paper(n_modules=2)])
@pytest.mark.parametrize("views", [1, 3])
def test_the_bits_do_not_depend_on_where_features_are_kept(
    config: DeltaConfig | None, views: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(RECIPE, epochs=views, views=views)
    data, val = pixels_of(7, seed=0), pixels_of(3, seed=1)
    in_memory = trained(data, val, new_model(config), recipe=recipe)
    made, found = (trained(data, val, new_model(config), recipe=recipe, cache=tmp_path) for _ in range(2))
    assert len(list(tmp_path.rglob("features.bin"))) == views + 1
    monkeypatch.setattr(fitting, "MemoryStore", lambda: MemoryStore(limit_mb=0))
    with pytest.warns(UserWarning, match="computed anew in every epoch; name a folder"):
        recomputed = trained(data, val, new_model(config), recipe=recipe)
    for other in (made, found, recomputed):
        assert differing(in_memory, other) == []


def test_a_second_training_reads_what_the_first_one_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_folder(tmp_path / "pets")
    trained(folder, cache=tmp_path / "cache")
    renamed = shutil.copytree(folder, tmp_path / "elsewhere")
    with monkeypatch.context() as patched:
        patched.setattr(DeltaModel, "prefix", lambda *_: pytest.fail("computed again"))
        trained(renamed, cache=tmp_path / "cache", seed=5)


def test_features_belong_to_the_content_not_to_names_and_sizes(tmp_path: Path) -> None:
    pixels, labels = pixels_of(7, seed=0)
    folder = tmp_path / "pets"
    for index, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        (folder / CLASSES[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / CLASSES[label] / f"{index}.bmp")
    first = trained(folder, cache=tmp_path / "cache")
    path = folder / "cat" / "20.bmp"
    before = path.stat()
    changed = np.array(Image.open(path))
    Image.fromarray(255 - changed).save(path)
    assert path.stat().st_size == before.st_size
    cached = trained(folder, cache=tmp_path / "cache")
    assert differing(cached, first)
    assert differing(cached, trained(folder)) == []


class OwnTransform(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """Inputs with a transform that draws."""

    def __len__(self) -> int:
        return 21

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return PREPROCESSING.normalise(pixels_of(7, seed=0, size=16)[0][index]) + torch.randn(3, 1, 1), index // 7


@pytest.mark.parametrize(
    ("views", "data"),
    [(0, pixels_of(7, seed=0)), (3, pixels_of(7, seed=0)), (0, OwnTransform()), (1, OwnTransform())],
    ids=["fresh", "fixed", "own, fresh", "own, fixed"],
)
def test_views_draw_from_the_seed_alone(views: int, data: object, tmp_path: Path) -> None:
    recipe = replace(RECIPE, views=views)
    states = []
    for noise in (1, 2):
        torch.manual_seed(noise)  # the second time the features of the validation images are there already
        states.append(trained(data, pixels_of(3, seed=1), recipe=recipe, cache=tmp_path))
    assert differing(*states) == []
    assert differing(states[0], trained(data, recipe=recipe, seed=1))


# --- interruption ------------------------------------------------------------------------------------------------


def stopping_at(number: int) -> Callable[[Epoch], None]:
    def on_epoch(epoch: Epoch) -> None:
        torch.rand(3)
        if epoch.number == number:
            raise KeyboardInterrupt

    return on_epoch


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"recipe": replace(RECIPE3, views=0)},
        {"recipe": replace(RECIPE3, views=2)},
        {"patience": 1, "recipe": replace(RECIPE3, epochs=6, lr=0.3, head_lr=0.3)},
        {"class_weights": "balanced"},
    ],
    ids=["stored", "fresh", "views", "early stopping", "weighted"],
)
@pytest.mark.parametrize("killed_after", [1, 2])
def test_an_interrupted_fit_goes_on_to_the_same_bits(
    options: dict[str, object], killed_after: int, tmp_path: Path
) -> None:
    chosen = {"recipe": RECIPE3, "device": "cpu", "checkpoint": tmp_path / "state.pt"} | options
    data, val = pixels_of(7, seed=0), pixels_of(3, seed=1)
    whole = new_model()
    expected = fit(whole, data, val, **chosen | {"checkpoint": None})
    with pytest.raises(KeyboardInterrupt):
        fit(new_model(), data, val, **chosen, on_epoch=stopping_at(killed_after))
    torch.manual_seed(99)
    heard: list[int] = []
    resumed = new_model()
    result = fit(resumed, data, val, **chosen, on_epoch=lambda epoch: heard.append(epoch.number))
    assert heard == list(range(killed_after + 1, len(expected.history) + 1))
    assert differing(state_of(whole), state_of(resumed)) == []
    assert [replace(epoch, train_s=0) for epoch in result.history] == [
        replace(epoch, train_s=0) for epoch in expected.history
    ]
    assert (result.kept_epoch, result.steps) == (expected.kept_epoch, expected.steps)
    again = new_model()
    assert fit(again, data, val, **chosen, on_epoch=stopping_at(1)).history == result.history, "it is all there"
    assert differing(state_of(whole), state_of(again)) == []


@pytest.mark.parametrize("change", [{"recipe": replace(RECIPE3, lr=0.5)}, {"seed": 1}, {"class_weights": "balanced"}])
def test_a_checkpoint_of_another_training_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    data, checkpoint = pixels_of(7, seed=0), tmp_path / "state.pt"
    trained(data, recipe=RECIPE3, checkpoint=checkpoint)
    with pytest.raises(UserError, match=r"of another training .*delete it to start anew") as caught:
        trained(data, **{"recipe": RECIPE3, "checkpoint": checkpoint} | change)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_is_of_its_patch_alone(tmp_path: Path) -> None:
    """What other patches learned in the meantime is not undone."""
    model = new_model()
    model.add_patch("other", num_classes=2, config=DeltaConfig.paper(n_modules=2))
    model.set_patch("pets")
    chosen = {"recipe": RECIPE3, "device": "cpu", "checkpoint": tmp_path / "state.pt"}
    with pytest.raises(KeyboardInterrupt):
        fit(model, pixels_of(7, seed=0), **chosen, on_epoch=stopping_at(2))
    assert torch.load(tmp_path / "state.pt", weights_only=True)["module"].keys() == model.patch().state_dict().keys()
    for tensor in model.patch("other").state_dict().values():
        tensor.fill_(7)
    model.add_patch("third", num_classes=2)
    model.set_patch("pets")
    fit(model, pixels_of(7, seed=0), **chosen)
    assert all((tensor == 7).all() for tensor in model.patch("other").state_dict().values())
    assert differing(state_of(model), trained(pixels_of(7, seed=0), recipe=RECIPE3)) == []


# --- what a fit leaves alone -------------------------------------------------------------------------------------


@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
def test_the_base_answers_as_before_and_other_patches_stay(net: Callable[[], nn.Module]) -> None:
    model = with_patches(net(), {"first": 1, "second": 2})
    model.add_patch("pets", num_classes=3, config=DeltaConfig(n_modules=1), preprocessing=PREPROCESSING)
    model.patches["first"].requires_grad_(False)
    inputs = images(4, size=64)
    with torch.no_grad(), model.eval().disable_patches():
        base = model(inputs)
    others = {name: tensor.clone() for name, tensor in model.patches.state_dict().items() if "pets" not in name}
    with pytest.raises(KeyboardInterrupt):
        fit(model, pixels_of(4, seed=0), recipe=RECIPE, device="cpu", on_epoch=stopping_at(1))
    fit(model, pixels_of(4, seed=0), recipe=RECIPE, device="cpu")
    assert not model.training
    with torch.no_grad(), model.disable_patches():
        assert torch.equal(model(inputs), base)
    after = {name: tensor for name, tensor in model.patches.state_dict().items() if "pets" not in name}
    assert differing(others, after) == []
    assert {patch.trainable for patch in model.status().patches if patch.name != "first"} == {True}
    assert model.status().patches[0].trainable is False
    assert model.status().frozen


@pytest.mark.parametrize("views", [0, 1])
def test_the_state_of_torch_is_as_before(views: int) -> None:
    torch.manual_seed(4)
    before = torch.get_rng_state(), torch.are_deterministic_algorithms_enabled()
    model = new_model()
    torch.manual_seed(4)  # a new patch draws
    trained(pixels_of(4, seed=0), model=model, recipe=replace(RECIPE, views=views), seed=7)
    evaluate(model, pixels_of(4, seed=1))
    with pytest.raises(UserError):
        trained((torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.tensor([0, 9])))
    assert torch.equal(before[0], torch.get_rng_state())
    assert torch.are_deterministic_algorithms_enabled() == before[1]


def test_a_second_fit_goes_on_from_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = new_model(), pixels_of(7, seed=0)
    trained(data, model=model)
    between = state_of(model)
    still = replace(RECIPE, lr=0.0, head_lr=0.0, epochs=1)
    monkeypatch.setattr(DeltaModel, "calibrate", lambda *_, **__: pytest.fail("a trained patch needs none"))
    after = trained(data, model=model, recipe=still)
    learned = [name for name in between if "running" not in name and "num_batches" not in name]
    assert [name for name in learned if not torch.equal(between[name], after[name])] == []


def test_bfloat16_trains() -> None:
    result = fit(new_model(), pixels_of(7, seed=0), recipe=RECIPE, device="cpu", precision="bf16-mixed")
    assert all(np.isfinite(epoch.train_loss) for epoch in result.history)


# --- choices -----------------------------------------------------------------------------------------------------


def test_early_stopping_keeps_the_best_epoch() -> None:
    """The patch that is kept is, bit for bit, that of a training that is cut off after the best epoch."""
    data, val = pixels_of(7, seed=0), pixels_of(5, seed=1)
    recipe = replace(RECIPE, epochs=12, lr=0.3, head_lr=0.3)
    model = new_model()
    result = fit(model, data, val, recipe=recipe, device="cpu", patience=2)
    measured = [epoch.val_top1 for epoch in result.history]
    first, best = measured.index(max(measured)) + 1, len(measured) - measured[::-1].index(max(measured))
    assert result.kept_epoch == best
    assert len(measured) == min(12, first + 2) < 12
    assert result.steps == 3 * len(measured)
    assert result.val_accuracy is not None
    assert result.val_accuracy.top1 == max(measured)
    seen: list[dict[str, Tensor]] = []
    other = new_model()
    fit(other, data, val, recipe=recipe, device="cpu", on_epoch=lambda _: seen.append(state_of(other)))
    assert differing(seen[best - 1], state_of(model)) == []


def test_class_weights_make_rare_classes_count() -> None:
    pixels, labels = pixels_of(7, seed=0)
    few = torch.cat([torch.arange(14), torch.tensor([14])])
    data = pixels[few], labels[few]
    assert balanced_weights(data[1], 4).tolist() == pytest.approx([15 / 21, 15 / 21, 5, 0])
    weighted = new_model()
    assert differing(trained(data), trained(data, model=weighted, class_weights="balanced"))
    still = replace(RECIPE, lr=0.0, head_lr=0.0, epochs=1, batch_size=15)
    heard = [
        fit(new_model(None), data, recipe=still, device="cpu", class_weights=each).history[0].train_loss
        for each in ("balanced", None)
    ]
    model = new_model(None).eval()
    view = PREPROCESSING.resize_and_crop()
    with torch.no_grad():
        logits = model(PREPROCESSING.normalise(torch.stack([view(image) for image in data[0]])))
    loss = nn.functional.cross_entropy(logits, data[1], reduction="none")
    by_class = torch.stack([loss[data[1] == label].mean() for label in range(3)])
    assert heard == pytest.approx([by_class.mean().item(), loss.mean().item()], rel=1e-4)


def test_progress_is_lines_and_on_a_terminal_a_bar() -> None:
    shown = []
    for terminal in (False, True):
        out = io.StringIO()
        with RichProgress(Console(file=out, force_terminal=terminal, width=100)) as progress:
            fit(new_model(), pixels_of(4, seed=0), recipe=RECIPE, device="cpu", on_epoch=progress)
        shown.append(out.getvalue())
    assert [line.split("  ")[0] for line in shown[0].splitlines()] == ["epoch 1/2", "epoch 2/2"]
    assert "validation" not in shown[0]
    assert "━" in shown[1]
    assert "epoch 2/2" in shown[1]


def test_a_line_of_progress_is_printed_as_it_is() -> None:
    out = io.StringIO()
    RichProgress(Console(file=out, force_terminal=True, width=20)).say(
        "a/:smiley:/[bold]photos[/bold] of 2026 and more"
    )
    assert out.getvalue() == "a/:smiley:/[bold]photos[/bold] of 2026 and more\n"


# --- bad input ---------------------------------------------------------------------------------------------------

GOOD = pixels_of(4, seed=0)
FLOATS = torch.randn(12, 3, 16, 16), GOOD[1]
BAD: dict[str, tuple[object, dict[str, object], str]] = {
    "label too large": ((GOOD[0], GOOD[1] + 1), {}, r"train has labels from 1 to 3, but .* from 0 to 2"),
    "negative label": ((GOOD[0], GOOD[1] - 1), {}, "train has labels from -1 to 1"),
    "validation label": (GOOD, {"val": (GOOD[0], GOOD[1] + 5)}, "val has labels from 5 to 7"),
    "no images": ((GOOD[0][:0], GOOD[1][:0]), {}, "train holds no images"),
    "no pairs": ([], {}, "train holds no images"),
    "float labels": ((GOOD[0], GOOD[1].float()), {}, r"labels \(12,\) torch.float32; give .* class indices"),
    "one-hot labels": ((GOOD[0], torch.eye(3)), {}, r"labels \(3, 3\)"),
    "label of a pair": ([(GOOD[0][0], 0.5)], {}, "train has the label '0.5'; give a class index"),
    "no pair": ([GOOD[0][0]], {}, r"train\[0\] is a Tensor; a data set gives pairs"),
    "number": (7, {}, "train is a int; give a folder"),
    "stream": (iter([GOOD]), {}, "give a folder of images, a data set of .* with a length"),
    "not normalised": ((FLOATS[0].sigmoid(), GOOD[1]), {}, "without a value below 0, so they are not normalised"),
    "one channel": ((FLOATS[0][:, :1], GOOD[1]), {}, r"\(1, 16, 16\) torch.float32"),
    "views of inputs": (FLOATS, {"recipe": replace(RECIPE, views=3)}, "recipe.views is 3, but train holds float"),
    "four channels": ((GOOD[0][:, [0, 1, 2, 2]], GOOD[1]), {}, r"\(4, 20, 20\) torch.uint8; give PIL images"),
    "text": ([("a.png", 0)], {}, "An image of the data is str"),
    "nowhere": ("nowhere", {}, "'nowhere' does not exist"),
    "epochs": (GOOD, {"recipe": replace(RECIPE, epochs=0)}, "epochs is 0"),
    "batch": (GOOD, {"recipe": replace(RECIPE, batch_size=0)}, "batch size is 0"),
    "views": (GOOD, {"recipe": replace(RECIPE, views=-1)}, "views is -1"),
    "patience": (GOOD, {"patience": 0, "val": GOOD}, "patience is 0"),
    "nothing to stop on": (GOOD, {"patience": 2}, "patience is 2, but without validation images"),
    "weights": (GOOD, {"class_weights": "rare"}, "class weights are 'rare'"),
    "precision": (GOOD, {"precision": "8"}, "precision '8' is not known"),
    "half on CPU": (GOOD, {"precision": "16-mixed"}, "precision '16-mixed' is not for the CPU"),
    "workers": (GOOD, {"workers": -1}, "workers is -1; give the number of processes"),
    "device": (GOOD, {"device": "cuda:7"}, "device 'cuda:7' is not there"),
    "batch of one": (GOOD, {"recipe": replace(RECIPE, batch_size=11)}, "a batch of one image is left"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_in_one_sentence(case: str, tmp_path: Path) -> None:
    data, options, message = BAD[case]
    model = new_model()
    before = state_of(model)
    chosen = {"recipe": RECIPE, "device": "cpu", "cache": tmp_path / "cache", "checkpoint": tmp_path / "a.pt"} | options
    with pytest.raises(UserError, match=message) as caught:
        fit(model, data, **chosen)
    assert "\n" not in str(caught.value)
    assert differing(before, state_of(model)) == []
    assert list(tmp_path.rglob("*.*")) == []


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_a_full_memory_is_not_called_a_small_image(error: RuntimeError, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise error

    model = new_model()
    monkeypatch.setattr(model.backbone, "forward_features", refuse)
    monkeypatch.setattr(DeltaModel, "forward_features", refuse)
    with pytest.raises(RuntimeError, match="memory"):
        fit(model, GOOD, recipe=RECIPE, device="cpu")


def test_folders_that_do_not_fit_the_head_are_told(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "pets")
    for options, message in [
        ({"num_classes": 4}, "holds 3 class folders, but the head tells 4 classes apart"),
        ({"class_names": ("ant", "bee", "dog")}, "holds the class 'cat', which the patch does not know"),
        ({"num_classes": None}, "Patch 'pets' has no head"),
    ]:
        with pytest.raises(UserError, match=message):
            fit(new_model(**options), folder, device="cpu")
    frozen = new_model()
    frozen.patch().requires_grad_(False)
    with pytest.raises(UserError, match="takes no gradients"):
        fit(frozen, folder, device="cpu")
    write_folder(tmp_path / "split" / "train")
    write_folder(tmp_path / "split" / "test")
    with pytest.raises(UserError, match="has splits but no val/ inside"):
        fit(new_model(), folder, tmp_path / "split", device="cpu")


def test_nothing_is_warned_of(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained(write_folder(tmp_path / "pets"), cache=tmp_path / "cache")
