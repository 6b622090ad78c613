"""`--modules auto`: what is tried, what is taken, and that the patch is the one that `--modules N` gives."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from patch_tool_world import fit_words
from PIL import Image

from delta_core import read_patch
from delta_core.tool.choice import COUNTS, choose_modules
from delta_core.tool.data import Photos, load_photos
from delta_core.tool.trained import Trained
from delta_core.training import fitting
from delta_core.training.data.splits import Part
from delta_core.training.errors import UserError
from delta_core.weights import Preprocessing

VIEW = Preprocessing(image_size=8, crop_pct=1.0, interpolation="bilinear", mean=(0.0,) * 3, std=(1.0,) * 3)


def trained(loss: float, spread: float = 0.0) -> Trained:
    losses = torch.tensor([loss - spread, loss + spread] * 8, dtype=torch.float64)
    accuracy, result = SimpleNamespace(right=1, images=16), SimpleNamespace(seconds=1.0)
    return cast(Trained, SimpleNamespace(accuracy=accuracy, losses=losses, result=result))


@given(st.lists(st.integers(0, 9), min_size=4, max_size=4), st.integers(0, 6))
def test_more_modules_are_taken_where_they_pay_and_two_misses_end_the_trials(losses: list[int], blocks: int) -> None:
    said: list[str] = []
    possible = [count for count in COUNTS if count <= blocks]
    chosen, trials = choose_modules(
        lambda modules: trained(losses[COUNTS.index(modules)]), blocks=blocks, say=said.append
    )
    tried = [trial.modules for trial in trials]
    assert tried == possible[: len(tried)]
    assert chosen == tried[losses.index(min(losses[: len(tried)]))], "the cheapest of equals"
    if len(tried) < len(possible):
        assert min(losses[: len(tried) - 2]) <= min(losses[len(tried) - 2 : len(tried)])
    if len(tried) == 4:
        assert min(losses[1:3]) < losses[0], "both were no better than a head alone"
    assert len(said) == len(trials)


@pytest.mark.parametrize(("gain", "chosen"), [(0.9, 0), (1.1, 1)])
def test_what_may_be_chance_does_not_pay(gain: float, chosen: int) -> None:
    spread = 4 * 0.5  # its standard error over 16 images is 0.5
    tries = {0: trained(9.0), 1: trained(9.0 - 0.5 * gain, spread)}
    assert choose_modules(lambda modules: tries[modules], blocks=1, say=lambda _: None)[0] == chosen


# --- images that choose ------------------------------------------------------------------------------------------


def write_scenes(folder: Path, numbers: range) -> None:
    """Blobs as photographs have them: two numbers never look alike."""
    folder.mkdir(parents=True)
    for number in numbers:
        coarse = np.random.default_rng(number).integers(0, 255, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"{number:03}.jpg")


def places(photos: Photos, part: Part) -> set[Path]:
    return set(photos.parts[part].files)


@pytest.mark.parametrize("own", [(), ("test",), ("test", "val"), ("val",)], ids=str)
@pytest.mark.parametrize("choosing", [False, True], ids=["all epochs", "early stopping"])
def test_nothing_is_chosen_on_images_that_accuracy_is_measured_on(
    own: tuple[str, ...], choosing: bool, tmp_path: Path
) -> None:
    for number, name in enumerate(("ant", "bee")):
        for place, part in enumerate(("train", *own) if own else ("",)):
            first = 200 * number + 50 * place
            write_scenes(tmp_path / part / name, range(first, first + 12))
    photos = load_photos(tmp_path, VIEW, choosing=choosing)
    to_choose_on = photos.to_choose_on()
    test, learnt = places(photos, "test"), places(to_choose_on, "train")
    assert not places(to_choose_on, "val") & (test | learnt)
    assert places(to_choose_on, "test") == places(to_choose_on, "val")
    if own == ("test", "val"):
        assert (learnt, places(to_choose_on, "val")) == (places(photos, "train"), places(photos, "val"))
    else:
        assert learnt | places(to_choose_on, "val") == places(photos, "train") | (places(photos, "val") - test)
        assert 3 * len(places(to_choose_on, "val")) == pytest.approx(len(learnt), abs=6)


def test_near_duplicates_stay_together_in_a_drawn_split_and_in_the_choice(tmp_path: Path) -> None:
    for number, name in enumerate(("ant", "bee")):
        write_scenes(tmp_path / name, range(100 * number, 100 * number + 10))
        for file in sorted((tmp_path / name).iterdir()):
            Image.open(file).crop((1, 0, 64, 64)).save(file.with_name(f"{file.stem}_next_frame.jpg"), quality=70)
    photos = load_photos(tmp_path, VIEW)
    assert "40 images are near-duplicates of others of their class; they are trained on together" in photos.splits
    for found in (photos, photos.to_choose_on()):
        scenes = [{path.name[:3] for path in places(found, part)} for part in ("train", "test")]
        assert scenes[0].isdisjoint(scenes[1])
        assert all(scenes)


def test_near_duplicates_across_splits_of_ones_own_are_told(tmp_path: Path) -> None:
    for part, shift in (("train", 0), ("val", 50), ("test", 5)):
        for number, name in enumerate(("ant", "bee")):
            write_scenes(tmp_path / part / name, range(100 * number + shift, 100 * number + shift + 8))
    for file in sorted((tmp_path / "test").glob("*/*.jpg")):
        image = Image.open(file)
        image.save(file, quality=60)  # the same scene in other bytes
    photos = load_photos(tmp_path, VIEW)
    assert "6 of the images measured on look like ones trained on: accuracy may be too high" in photos.splits
    assert "005.jpg" not in photos.splits
    assert photos.examples == " The first of them is test/ant/005.jpg, like train/ant/005.jpg."


def test_a_class_of_one_scene_is_parted_and_told(tmp_path: Path) -> None:
    write_scenes(tmp_path / "ant", range(10))
    write_scenes(tmp_path / "bee", range(20, 21))
    for number in range(9):
        image = Image.open(tmp_path / "bee" / "020.jpg")
        image.crop((0, 0, 64 - number % 3, 64)).save(tmp_path / "bee" / f"frame{number}.jpg")
    photos = load_photos(tmp_path, VIEW)
    assert "Not so 2 of those measured on, whose class shows nothing else" in photos.splits
    assert {path.parent.name for path in places(photos, "test")} == {"ant", "bee"}


def test_of_single_images_nothing_can_be_chosen(tmp_path: Path) -> None:
    for number, name in enumerate(("ant", "bee")):
        write_scenes(tmp_path / name, range(10 * number, 10 * number + 2))
    with pytest.raises(UserError, match=r"one image of each class to train on.*give --modules a number"):
        load_photos(tmp_path, VIEW).to_choose_on()


# --- the command -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epochs", [1, 3])  # a trial of one epoch is as long as the training itself
def test_what_is_chosen_is_trained_as_if_it_had_been_asked_for(
    epochs: int, world: Path, patch_tool: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert patch_tool(*fit_words(world, str(tmp_path / "auto" / "p"), modules="auto", epochs=epochs)) == 0
    printed = capsys.readouterr().out
    record: dict[str, Any] = json.loads((tmp_path / "auto" / "p" / "training.json").read_text())
    trials = record["trials"]
    assert [trial["modules"] for trial in trials] == list(COUNTS[: len(trials)])
    config = read_patch(tmp_path / "auto" / "p").config
    best = config.n_modules if config else 0
    assert printed.count("Tried ") == len(trials)
    assert patch_tool(*fit_words(world, str(tmp_path / "asked" / "p"), modules=best, epochs=epochs)) == 0
    patches = [(tmp_path / name / "p" / "patch.safetensors").read_bytes() for name in ("auto", "asked")]
    assert patches[0] == patches[1]
    asked = json.loads((tmp_path / "asked" / "p" / "training.json").read_text())
    assert asked["trials"] == []
    assert asked["run_id"] == record["run_id"]
    card = (tmp_path / "auto" / "p" / "README.md").read_text()
    assert "| modules | loss | right in % | seconds |" in card
    assert "was chosen on" not in (tmp_path / "asked" / "p" / "README.md").read_text()


def test_an_interrupted_choice_goes_on_where_it_was(
    world: Path, patch_tool: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = fit_words(world, str(tmp_path / "p"), modules="auto")
    trains = fitting.train_patch
    calls: list[int] = []

    def cut(*given: Any, **more: Any) -> int:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return trains(*given, **more)

    monkeypatch.setattr(fitting, "train_patch", cut)
    assert patch_tool(*words) == 130
    assert patch_tool(*words) == 0
    assert patch_tool(*fit_words(world, str(tmp_path / "whole" / "p"), modules="auto")) == 0
    patches = [(tmp_path / name / "patch.safetensors").read_bytes() for name in ("p", "whole/p")]
    assert patches[0] == patches[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p", "whole"], "nothing of the trials is left"
