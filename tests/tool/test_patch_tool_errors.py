"""Bad input to `delta-patch`: one sentence, exit code 2, nothing written."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from patch_tool_world import ARCH, CLASSES, fit_words, write_classes

from delta_core.training.lock import locked


def everything_below(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in root.rglob("*")}


def break_image(root: Path) -> None:
    path = root / "pets" / "train" / "cat" / "3.png"
    path.write_bytes(path.read_bytes()[:60])


def remove_images(root: Path) -> None:
    for path in (root / "plain" / "cat").iterdir():
        path.unlink()
    (root / "plain" / "cat" / "readme.txt").write_text("none yet")


def leave_one_class(root: Path) -> None:
    for name in CLASSES[1:]:
        shutil.rmtree(root / "plain" / name)


def leave_one_image_each(root: Path) -> None:
    for path in (root / "plain").rglob("*.png"):
        if path.name != "0.png":
            path.unlink()


def occupy(root: Path) -> None:
    (root / "new").mkdir()
    (root / "new" / "thesis.txt").write_text("mine")


def put_a_file_in_the_way(root: Path) -> None:
    (root / "new").write_text("mine")


def leave_a_class_empty(root: Path) -> None:
    (root / "plain" / "dodo").mkdir()


def link_back(root: Path) -> None:
    (root / "plain" / "cat" / "all").symlink_to(root / "plain")


def nothing(_: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("spoil", "data", "options", "message"),
    [
        (nothing, "nowhere", {}, "does not exist"),
        (nothing, "kept", {}, "holds 0 class folders"),
        (remove_images, "plain", {}, "holds no images"),
        (leave_one_class, "plain", {}, "at least two"),
        (leave_one_image_each, "plain", {}, "one image of each class"),
        (break_image, "pets", {}, "3.png' cannot be read"),
        (occupy, "pets", {}, "is not a patch folder"),
        (put_a_file_in_the_way, "pets", {}, "is not a patch folder"),
        (nothing, "pets", {"out": "net.pt/new"}, "cannot be written into"),
        (nothing, "plain", {"out": "plain/new"}, "lies in the image folder"),
        (nothing, "pets", {"out": "pets/test/cat/new"}, "lies in the image folder"),
        (nothing, "pets", {"out": "kept"}, "holds a patch already; give another -o, or --force to replace it"),
        (leave_a_class_empty, "plain", {}, "dodo holds no images; put some there or remove the folder"),
        (link_back, "plain", {}, "cat/all is a link that leads back to"),
        (nothing, "net.pt", {}, "net.pt' is a file; give a folder"),
        (nothing, "pets", {"arch": "resnt10t"}, "nearest: resnet10t"),
        (nothing, "pets", {"precision": "16-mixed"}, "precision '16-mixed' is not for the CPU"),
        (nothing, "pets", {"arch": "resnet18t"}, "resnet18t"),
        (nothing, "pets", {"weights": "nowhere.pt"}, "nowhere.pt"),
        (nothing, "pets", {"arch": "resnet18"}, "another architecture"),
        (nothing, "pets", {"modules": 9}, "n_modules is 9"),
        (nothing, "pets", {"modules": -1}, "--modules is -1"),
        (nothing, "pets", {"epochs": 0}, "epochs is 0"),
        (nothing, "pets", {"lr": 0}, "--lr is 0"),
        (nothing, "pets", {"image-size": -3}, "image size is -3"),
        (nothing, "pets", {"batch-size": 20, "image-size": 32}, "batches of 20"),
        (nothing, "pets", {"views": -1}, "--views is -1"),
        (nothing, "pets", {"patience": 0}, "patience is 0"),
        (nothing, "pets", {"precision": "8"}, "precision '8'"),
        (nothing, "pets", {"device": "cuda:7"}, "device 'cuda:7'"),
        (nothing, "pets", {"out": "a.b"}, "a.b"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_a_bad_fit_is_told_in_one_sentence(
    spoil: Callable[[Path], None],
    data: str,
    options: dict[str, object],
    message: str,
    world: Path,
    patch_tool: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = shutil.copytree(world, tmp_path / "copy")
    spoil(root)
    before = everything_below(tmp_path)
    words = fit_words(root, str(options.pop("out", "new")) if "out" in options else "new", data, **options)
    if "device" in options:
        words = words[:-2]
    assert patch_tool(*words) == 2
    told = capsys.readouterr().err.strip()
    assert told.startswith("delta-patch: ")
    assert message in told
    assert "\n" not in told
    assert everything_below(tmp_path) == before


def test_a_bad_question_is_told_in_one_sentence(
    world: Path, patch_tool: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = world / "pets" / "test" / "cat" / "0.png"
    torch.manual_seed(4)
    torch.save(timm.create_model(ARCH).state_dict(), tmp_path / "other.pt")
    write_classes(tmp_path / "strange", 2, ("cat", "yak"))
    shutil.copytree(world / "kept", tmp_path / "twin" / "kept")
    (tmp_path / "none").mkdir()
    known = ("--weights", world / "net.pt")
    for words, message in [
        (["predict", world / "kept", image], "the file 'net.pt'; say where it is with --weights FILE"),
        (["predict", world / "kept", image, "--weights", tmp_path / "other.pt"], "trained on another backbone"),
        (["predict", world / "kept", *known], "no image to look at"),
        (["predict", world / "kept", tmp_path / "none", *known], "holds no images"),
        (["predict", world / "kept", image, "--csv", "--json", *known], "--csv and --json are two forms"),
        (["predict", world / "kept", image, "--batch-size", 0, *known], "batch size is 0"),
        (["predict", world / "kept", image, "--max-pixels", 10**9, *known], "--max-pixels is 1,000,000,000; no image"),
        (["predict", world / "nowhere", image, *known], "nowhere' does not exist"),
        (["predict", world / "net.pt", image, *known], "net.pt' is a file"),
        (["predict", world / "pets", image, *known], "is not a patch folder and holds none"),
        (["predict", world / "kept", image, "--topk", 0, *known], "--topk is 0"),
        (
            ["predict", world / "kept", image, "--patch", tmp_path / "twin", *known],
            "Two of the patches are called 'kept'",
        ),
        (["eval", world / "kept", tmp_path / "strange", *known], "holds the class 'yak'"),
        (["eval", world / "kept", tmp_path / "absent", *known], "does not exist"),
        (["info", world / "pets"], "cannot be read"),
    ]:
        assert patch_tool(*words) == 2, words
        out, told = capsys.readouterr()
        assert message in told, told
        assert told.count("\n") == 1, told
        assert out == ""


def test_two_fits_do_not_write_to_one_place(
    world: Path, patch_tool: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with locked(tmp_path / ".new.partial" / "lock"):
        assert patch_tool(*fit_words(world, str(tmp_path / "new"))) == 2
    assert "Another fit is writing" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == [".new.partial", "lock"], "what the other one writes is left"


def without(module: str) -> subprocess.CompletedProcess[str]:
    """`delta-patch` where a module cannot be imported."""
    code = f"import sys; sys.modules[{module!r}] = None; from delta_core.tool.__main__ import main; main()"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("package", ["tyro", "PIL", "lightning_fabric"])  # the last is imported late
def test_without_its_extra_the_tool_says_how_to_get_it(package: str) -> None:
    done = without(package)
    told = f"delta-patch: the package {package} is missing; run: pip install 'delta-patching[train]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", told)


def test_without_its_extra_the_trainer_says_how_to_get_it() -> None:
    code = "import sys; sys.modules['lightning_fabric'] = None; from delta_core.training import fit"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: delta_core.training.fit: the package lightning_fabric is missing; "
        "run: pip install 'delta-patching[train]'"
    )


def test_what_the_extra_does_not_bring_is_no_missing_extra() -> None:
    done = without("delta_core.tool.card")
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr
    assert "pip install" not in done.stderr
