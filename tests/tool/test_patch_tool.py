"""`delta-patch` from end to end on drawn images and a small net with weights in a file."""

import json
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from matplotlib.axes import Axes
from matplotlib.text import Text
from patch_tool_world import ARCH, CLASSES, SIZE, call, fit_words, write_classes, write_images
from PIL import Image

from delta_core import DeltaModel, read_patch
from delta_core.tool import cli as command_line
from delta_core.tool.base import open_net, put_on
from delta_core.tool.confusion import binned, draw_confusion, most_confused
from delta_core.tool.data import load_evaluation, load_photos
from delta_core.tool.fit import Listener
from delta_core.tool.inspect import Inspection
from delta_core.tool.lettering import Lettering
from delta_core.tool.record import DataIdentity, read_identity
from delta_core.tool.seen_images import SeenImage, read_seen, write_seen
from delta_core.training.accuracy import Accuracy, accuracy_of
from delta_core.training.data.folders import folder_identity
from delta_core.training.data.image_files import read_image
from delta_core.training.data.splits import Split
from delta_core.training.errors import UserError
from delta_core.weights import Preprocessing

# --- fit ---------------------------------------------------------------------------------------------------------


def test_the_folder_holds_patch_card_picture_and_record(world: Path) -> None:
    folder = world / "kept"
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "confusion.png",
        "delta.json",
        "gates.csv",
        "images.csv",
        "patch.safetensors",
        "training.json",
        "training.png",
    ]
    assert not (world / ".kept.partial").exists()
    file = read_patch(folder)
    assert (file.name, file.class_names, file.architecture, file.weights) == ("kept", CLASSES, ARCH, "file:net.pt")
    record = json.loads((folder / "training.json").read_text())
    assert record["fingerprint_before"] == record["fingerprint_after"] == file.fingerprint
    assert record["data_sha"] == folder_identity(world / "pets")
    assert (record["train_images"], record["val_images"], record["test_images"]) == (21, 3, 12)
    assert file.metrics["test_top1"] == pytest.approx(100 * record["test_right"] / 12)
    card = (folder / "README.md").read_text()
    for text in (
        file.fingerprint,
        "of 12 images right",
        "bee\\|fly",
        "confusion.png",
        "licence",
        str(file.preprocessing),
    ):
        assert text in card
    with Image.open(folder / "confusion.png") as picture:
        assert picture.format == "PNG"


def test_the_python_of_the_card_runs(
    world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image = world / "pets" / "test" / "cat" / "0.png"
    card = (world / "kept" / "README.md").read_text()
    code = card.split("```python\n")[1].split("```")[0].replace("FILE", "net.pt").replace("photo.jpg", str(image))
    monkeypatch.chdir(world)
    exec(code, {})
    printed = capsys.readouterr().out.strip()
    assert call(monkeypatch, "predict", "kept", image, "--topk", 1, "--json", "--weights", "net.pt") == 0
    (best,) = json.loads(capsys.readouterr().out)[0]["classes"]
    name, probability = printed.rsplit(" ", 1)
    assert (name, float(probability)) == (best["class"], pytest.approx(best["probability"], abs=1e-5))


def test_nothing_in_the_folder_says_where_things_lie(world: Path) -> None:
    for path in (world / "kept").iterdir():
        assert str(world).encode() not in path.read_bytes(), path


def test_progress_is_plain_lines_without_a_terminal(
    world: Path, patch_tool: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert patch_tool(*fit_words(world, "plain_patch", "plain", modules=0)) == 0
    first, features, *epochs, last = capsys.readouterr().out.splitlines()
    assert (
        "3 classes, 24 images to train on. There is no train/ and test/ inside, so 6 of 30 images are held out" in first
    )
    assert features.startswith("Features: 30 images of ") and "in float32, kept on disk until the end" in features
    assert [line.split("  ")[0] for line in epochs] == ["epoch 1/2", "epoch 2/2"]
    assert all("loss " in line and "validation " in line for line in epochs)
    assert "of 6 images) right, base net bit-identical" in last


def test_a_killed_fit_goes_on_to_the_same_bits(
    world: Path, patch_tool: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(command_line, "Listener", lambda **parts: Listener(**parts | {"on_epoch": kill}))
        assert patch_tool(*fit_words(world, "again/kept")) == 130
    assert not (world / "again" / "kept").exists()
    assert "goes on from its last finished epoch" in capsys.readouterr().err
    assert patch_tool(*fit_words(world, "again/kept")) == 0
    printed = capsys.readouterr().out
    assert "Going on from" in printed
    assert "epoch 1/2" not in printed
    assert "epoch 2/2" in printed
    tensors = [(world / folder / "kept" / "patch.safetensors").read_bytes() for folder in ("", "again")]
    assert tensors[0] == tensors[1]
    assert [path.name for path in (world / "again").iterdir()] == ["kept"]


def test_a_second_fit_replaces_the_patch_and_keeps_what_else_is_there(
    world: Path, patch_tool: Callable[..., int], tmp_path: Path
) -> None:
    out = shutil.copytree(world / "kept", tmp_path / "kept")
    (out / "notes.txt").write_text("mine")
    assert patch_tool(*fit_words(world, str(out), modules=0), "--force") == 0
    assert read_patch(out).config is None
    assert "a new head" in (out / "README.md").read_text()
    assert (out / "notes.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_views_class_weights_and_early_stopping_reach_the_training(
    world: Path, patch_tool: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "chosen"
    chosen = {"views": 2, "patience": 1, "class-weights": "balanced", "epochs": 30, "lr": 0.3, "feature-dtype": "uint8"}
    assert patch_tool(*fit_words(world, str(out), "plain", **chosen)) == 0
    printed = capsys.readouterr().out
    record = json.loads((out / "training.json").read_text())
    measured = [float(line.split("validation ")[1].rstrip(" %")) for line in printed.splitlines() if "epoch " in line]
    first, best = measured.index(max(measured)) + 1, len(measured) - measured[::-1].index(max(measured))
    assert len(measured) == min(30, first + 1) < 30
    assert (record["kept_epoch"], record["epochs_run"], record["patience"]) == (best, len(measured), 1)
    assert (record["class_weights"], record["recipe"]["views"]) == ("balanced", 2)
    assert record["val_top1"] == pytest.approx(max(measured), abs=0.01)
    assert "When to stop is chosen on 3 others" in printed
    assert (record["train_images"], record["val_images"], record["test_images"]) == (21, 3, 6)
    card = (out / "README.md").read_text()
    assert f"Epoch {best}, the best on the validation images, is the one kept" in card
    assert "2 fixed random crops of each image. What the frozen part puts out was rounded to uint8. Classes" in card


@pytest.mark.parametrize("views", [0, 3])
def test_views_change_the_patch_and_not_what_is_measured(
    views: int, world: Path, patch_tool: Callable[..., int], tmp_path: Path
) -> None:
    for name, options in (("one", {}), ("views", {"views": views}), ("again", {"views": views})):
        assert patch_tool(*fit_words(world, str(tmp_path / name), "plain", **options)) == 0
    one, several, again = ((tmp_path / name / "patch.safetensors").read_bytes() for name in ("one", "views", "again"))
    assert one != several
    assert several == again
    records = [json.loads((tmp_path / name / "training.json").read_text()) for name in ("one", "views")]
    assert [record["test_images"] for record in records] == [6, 6]


def test_what_stops_a_training_is_never_what_measures_it(tmp_path: Path) -> None:
    view = Preprocessing(image_size=8, crop_pct=1.0, interpolation="bilinear", mean=(0.0,) * 3, std=(1.0,) * 3)
    root = write_classes(tmp_path / "plain", 10)
    plain, choosing = (load_photos(root, view, choosing=each).task for each in (False, True))

    def images_of(split: Split) -> set[bytes]:
        return {image.numpy().tobytes() for batch in split.batches(9, device=torch.device("cpu")) for image in batch}

    train, val, test = (images_of(split) for split in (choosing.train, choosing.val, choosing.test))
    assert images_of(plain.test) == test
    assert images_of(plain.train) == train | val
    assert not (train & val or train & test or val & test)
    assert len(train) + len(val) + len(test) == 30
    write_classes(tmp_path / "few", 2)
    with pytest.raises(UserError, match="early stopping needs a third"):
        load_photos(tmp_path / "few", view, choosing=True)


@pytest.mark.parametrize(
    ("folders", "measured"),
    [
        (("train", "test"), "images of test/"),
        (("train", "val"), "images of val/"),
        (("train", "val", "test"), "images of test/"),
        (("train", "test", "unlabelled"), "images of test/"),
        (("bus", "car", "train"), "are held out"),
    ],
    ids=str,
)
def test_folders_inside_are_splits_or_classes(folders: tuple[str, ...], measured: str, tmp_path: Path) -> None:
    for name in folders:
        if "bus" in folders:
            write_images(tmp_path / name, 5, 0)
        else:
            write_classes(tmp_path / name, 5)
    view = Preprocessing(image_size=8, crop_pct=1.0, interpolation="bilinear", mean=(0.0,) * 3, std=(1.0,) * 3)
    photos = load_photos(tmp_path, view)
    assert measured in photos.splits
    assert photos.class_names == (folders if "bus" in folders else CLASSES)
    assert str(len(photos.task.test.labels)) in photos.splits
    drawn = {"train", "val", "test"} - set(folders)
    assert ("which are held out of train/" in photos.splits) == (len(drawn) == 1)


# --- eval, predict, info -----------------------------------------------------------------------------------------


def test_eval_measures_what_fit_measured(
    world: Path, patch_tool: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert patch_tool("eval", world / "kept", world / "pets", "--weights", world / "net.pt") == 0
    first, *classes, last = capsys.readouterr().out.splitlines()
    record = json.loads((world / "kept" / "training.json").read_text())
    assert f"({record['test_right']} of 12 images) right" in first
    assert sorted(line.split("  ")[-1] for line in classes) == sorted(CLASSES)
    assert "bit-identical with and without the patch" in last


def test_eval_never_counts_training_images(
    world: Path, patch_tool: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever the folder lies, whatever was added, renamed or removed; of a patch without a list as it always was."""
    out = tmp_path / "plain"
    assert patch_tool(*fit_words(world, str(out), "plain")) == 0
    right = json.loads((out / "training.json").read_text())["test_right"]
    folder = shutil.copytree(world / "plain", tmp_path / "elsewhere")
    capsys.readouterr()

    def said(patch: Path = out) -> list[str]:
        assert patch_tool("eval", patch, folder, "--weights", world / "net.pt") == 0
        return [line for line in capsys.readouterr().out.splitlines() if "images" in line]

    old = shutil.copytree(out, tmp_path / "old")
    (old / "images.csv").unlink()
    held_out = f"({right} of 6 images) right, of the images of {folder} that were held out in training."
    assert held_out in said(old)[0]
    (folder / "cat" / ".DS_Store").write_bytes(b"\0")
    (folder / "notes.txt").write_text("mine")
    for path in [*(folder / "cat").glob("*.png")]:
        path.rename(path.with_name(f"renamed {path.name}"))
    first, left_out = said()
    assert held_out in first
    assert left_out.startswith(
        f"24 of the {len(list(folder.rglob('*.png')))} images of {folder} are not counted: by their content"
    )
    write_images(tmp_path / "new", 1, 0, first=99)
    shutil.copy(tmp_path / "new" / "0.png", folder / "cat" / "new.png")
    assert (
        f"of 7 images) right, of the images of {folder} that were not trained on (6 held out then, 1 new)" in said()[0]
    )
    shutil.rmtree(folder / "cat")
    assert f"of 4 images) right, of the images of {folder} that were held out in training" in said()[0]
    assert "has no list of the images that it was trained on" in said(old)[1]


def test_eval_refuses_training_images_alone(
    world: Path, patch_tool: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert patch_tool("eval", world / "kept", world / "pets" / "train", "--weights", world / "net.pt") == 2
    assert "The patch was trained on every image of" in capsys.readouterr().err


def test_measured_images_that_were_trained_on_are_said(tmp_path: Path) -> None:
    view = Preprocessing(image_size=8, crop_pct=1.0, interpolation="bilinear", mean=(0.0,) * 3, std=(1.0,) * 3)
    write_classes(tmp_path / "train", 5)
    write_classes(tmp_path / "test", 5, first=3)
    photos = load_photos(tmp_path, view)
    trained = {image.content for image in photos.seen if image.part == "train"}
    twins = [image for image in photos.seen if image.part == "test" and image.content in trained]
    assert 1 <= len(twins) <= 6
    assert f"{len(twins)} of the images measured on are byte for byte among those trained on" in photos.splits


def test_a_class_that_is_never_measured_is_said(tmp_path: Path) -> None:
    view = Preprocessing(image_size=8, crop_pct=1.0, interpolation="bilinear", mean=(0.0,) * 3, std=(1.0,) * 3)
    write_classes(tmp_path, 5)
    write_images(tmp_path / "dodo", 1, 200)
    splits = load_photos(tmp_path, view).splits
    assert "Never measured, because their one image is trained on: 1 of 4 classes (dodo)." in splits


def test_the_list_of_images_reads_back(tmp_path: Path) -> None:
    images = [
        SeenImage(part="train", content="0" * 16, file='a, "b"/ü.png'),
        SeenImage(part="test", content="f" * 16, file=os.fsdecode(b"latin-\xfc.png")),
    ]
    write_seen(tmp_path, images)
    assert read_seen(tmp_path) == images
    for text in ("", "part,content,file\nyes,0,a\n", "part,content\ntrain,0\n", "part,content,file\ntrain\n"):
        (tmp_path / "images.csv").write_text(text)
        with pytest.raises(UserError, match="is damaged, and says which images were trained on"):
            read_seen(tmp_path)
    assert read_seen(tmp_path / "absent") == []


def test_eval_maps_classes_by_name(world: Path, tmp_path: Path) -> None:
    """A folder that lacks the first class shifts its own indices, not what counts as right."""
    kept = world / "kept"
    shutil.copytree(world / "pets" / "test", tmp_path / "some")
    shutil.rmtree(tmp_path / "some" / CLASSES[0])
    view = read_patch(kept).preprocessing
    assert view is not None
    split = load_evaluation(tmp_path / "some", CLASSES, view, seen=(), trained_on="").split
    assert split.labels.tolist() == [1] * 4 + [2] * 4


def test_predict_says_what_the_model_says(
    world: Path, patch_tool: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    paths = sorted((world / "pets" / "test").rglob("*.png"))
    assert patch_tool("predict", world / "kept", *paths, "--topk", 2, "--json", "--weights", world / "net.pt") == 0
    found = json.loads(capsys.readouterr().out)
    assert [(each["image"], each["patch"]) for each in found] == [(str(path), "kept") for path in paths]
    net = open_net(ARCH, str(world / "net.pt"))
    model = put_on(net, [world / "kept"], architecture=ARCH, weights=str(world / "net.pt"))
    view = read_patch(world / "kept").preprocessing
    assert view is not None
    pixels = torch.stack([view.resize_and_crop()(read_image(path)) for path in paths])
    with torch.no_grad():
        best = model(view.normalise(pixels)).softmax(1).topk(2)
    for each, values, indices in zip(found, best.values.tolist(), best.indices.tolist(), strict=True):
        assert [entry["class"] for entry in each["classes"]] == [CLASSES[index] for index in indices]
        assert [entry["probability"] for entry in each["classes"]] == pytest.approx(values, abs=1e-5)


def test_several_patches_answer_at_once(
    world: Path, patch_tool: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a folder of patches or with --patch, at one input size or two, each answers as it does alone."""
    shelf = tmp_path / "shelf"
    shutil.copytree(world / "kept", shelf / "kept")
    for name, size in (("same", SIZE), ("larger", 96)):
        assert patch_tool(*fit_words(world, str(shelf / name), modules=2, **{"image-size": size, "epochs": 1})) == 0
    paths = sorted((world / "pets" / "test").rglob("0.png"))
    words = [*paths, "--json", "--weights", world / "net.pt"]
    capsys.readouterr()

    def answers(*which: object) -> list[dict[str, object]]:
        assert patch_tool("predict", *which) == 0
        return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]

    together = answers(shelf, *words)
    assert [(each["image"], each["patch"]) for each in together] == [
        (str(path), name) for path in paths for name in ("kept", "larger", "same")
    ]
    alone = [each for name in ("kept", "larger", "same") for each in answers(shelf / name, *words)]
    key = lambda each: (each["image"], each["patch"])  # noqa: E731
    assert sorted(together, key=key) == sorted(alone, key=key)
    pair = answers(shelf / "same", *words, "--patch", shelf / "kept")
    assert [each["patch"] for each in pair] == ["same", "kept"] * len(paths)


def test_predict_prints_a_line_for_each_image(
    world: Path, patch_tool: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    path = world / "pets" / "test" / "cat" / "0.png"
    assert patch_tool("predict", world / "kept", path, "--topk", 9, "--weights", world / "net.pt") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{path}  kept: ")
    assert line.count("%") == 3, "there are but three classes"


def test_info_needs_no_weights(world: Path, patch_tool: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert patch_tool("info", world / "kept") == 0
    printed = capsys.readouterr().out
    file = read_patch(world / "kept")
    body = sum(size for name, size in file.tensor_bytes.items() if not name.startswith("head."))
    full = sum(tensor.nbytes for tensor in timm.create_model(ARCH).state_dict().values())
    for text in (file.fingerprint, ", ".join(CLASSES), f"{file.size_bytes:,}", f"{body:,}", f"{full:,}", "net.pt"):
        assert text in printed
    assert f"{100 * file.size_bytes / full:.2f} % of the net's" in printed


# --- parts -------------------------------------------------------------------------------------------------------


def test_accuracy_counts_images() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    answers = torch.tensor([0, 0, 1, 1, 1, 0])
    found = accuracy_of(torch.nn.functional.one_hot(answers, 4).float(), labels, ("a", "b", "c", "d"))
    assert (found.right, found.images, str(found)) == (4, 6, "66.67 % (4 of 6 images)")
    assert found.confusion[0].tolist() == [2, 1, 0, 0], "rows are the true class"
    assert [(each.name, each.right, each.images) for each in found.by_class()] == [
        ("c", 0, 1),
        ("a", 2, 3),
        ("b", 2, 2),
    ]


@pytest.mark.parametrize(("count", "least", "most"), [(2, 400, 1200), (30, 600, 1200), (1000, 800, 2000)])
def test_the_picture_grows_with_the_classes_and_not_for_ever(count: int, least: int, most: int, tmp_path: Path) -> None:
    names = tuple(f"a class with quite a long name, number {index}" for index in range(count))
    confusion = torch.eye(count, dtype=torch.long) * 3
    confusion[0] = 0  # a class without images
    draw_confusion(Accuracy(class_names=names, confusion=confusion).confusion, names, tmp_path / "c.png", title="t")
    with Image.open(tmp_path / "c.png") as picture:
        assert min(picture.size) > least
        assert max(picture.size) < most


def test_bins_hold_every_answer_and_the_worst_come_first() -> None:
    counts = torch.randint(0, 9, (130, 130), generator=torch.Generator().manual_seed(0))
    map_ = binned(counts, 100)
    assert map_.shape == (100, 100)
    assert map_.sum() == counts.sum()
    worst = most_confused(counts, 7)
    assert len(worst) == 7
    assert all(counts[true, predicted] == images == 8 and true != predicted for true, predicted, images in worst)
    assert most_confused(torch.eye(3, dtype=torch.long)) == []


@pytest.mark.parametrize("count", [6, 120])
def test_names_of_any_script_are_written_or_numbered(count: int, tmp_path: Path) -> None:
    names = ["$x", "a_$\\frac$", "Ωμέγα", "tab\tand\nline", "\U0001fae8", "\U0010aaaa"] * (count // 6)
    counts = torch.ones(count, count, dtype=torch.long)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        draw_confusion(counts, names, tmp_path / "c.png", title="花 $")
    said = [str(warning.message) for warning in heard]
    assert not [each for each in said if "Glyph" in each], "boxes"
    assert any("No font here has the letters of" in each and "numbered" in each for each in said)
    lettering = Lettering(names)
    assert lettering.written("\U0010aaaa", "class 6") == "class 6"
    assert lettering.written("tab\tand\nline", "") == "tab and line"
    assert lettering.written("Ωμέγα", "") == "Ωμέγα"


def test_an_unreadable_record_says_nothing(tmp_path: Path) -> None:
    assert read_identity(tmp_path) == DataIdentity()
    for text in ("{", "[]", "7"):
        (tmp_path / "training.json").write_text(text)
        assert read_identity(tmp_path) == DataIdentity()


# --- inspect -----------------------------------------------------------------------------------------------------


def test_inspect_tells_and_draws_the_gates_of_an_image(
    world: Path, patch_tool: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    image = world / "pets" / "test" / "cat" / "0.png"
    out = tmp_path / "gates.png"
    assert patch_tool("inspect", world / "kept", image, "--weights", world / "net.pt", "-o", out) == 0
    lines = capsys.readouterr().out.splitlines()
    found = Inspection(model_of(world), image)
    assert lines[0] == f"{image}  kept: {found.answer[0]} {100 * found.answer[1]:.1f} %"
    assert [line.split()[0] for line in lines[1:-1]] == list(found.gates["name"])
    assert [float(line.split()[4]) for line in lines[1:-1]] == pytest.approx(found.gates["value"].tolist(), abs=1e-3)
    assert all(" usually " in line for line in lines[1:-1])
    shutil.copytree(world / "kept", tmp_path / "kept")
    (tmp_path / "kept" / "gates.csv").unlink()
    assert patch_tool("inspect", tmp_path / "kept", image, "--weights", world / "net.pt", "-o", out) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.endswith(" on") for line in lines[1:-1]] == found.gates["on"].tolist()
    assert Image.open(out).size > (300, 100)
    drawn = found.draw("$\\bad$ \U0010aaaa").findobj(Text)
    assert any("$\\bad$ ?" in text.get_text() for text in drawn)
    panels = [axes for axes in found.draw("title").findobj(Axes) if axes.get_xlabel() == "from node"]
    assert len(panels) == found.gates["block"].nunique() == 1


def test_inspect_refuses_what_it_cannot_show(
    world: Path, patch_tool: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    image = world / "pets" / "test" / "cat" / "0.png"
    known = ("inspect", world / "kept", image, "--weights", world / "net.pt", "-o")
    assert patch_tool(*known, tmp_path / "gates.doc") == 2
    assert "does not end in .pdf, .png, .svg" in capsys.readouterr().err
    assert patch_tool(*known, tmp_path / "none" / "gates.png") == 2
    assert "does not exist; make it first" in capsys.readouterr().err
    model = model_of(world)
    model.add_patch("head", num_classes=2)
    with pytest.raises(UserError, match="head alone and has no gates"):
        Inspection(model, image)
    assert list(tmp_path.iterdir()) == []


def model_of(world: Path) -> DeltaModel:
    return put_on(open_net(ARCH, str(world / "net.pt")), [world / "kept"], architecture=ARCH, weights="file:net.pt")
