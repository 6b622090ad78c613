"""Patches in folders, of which a bounded number are in memory."""

import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import basic_block_net, images, with_patches

from delta_core import DeltaError, DeltaModel, PatchCache

TASKS = {"a": 1, "b": 1, "c": 2, "d": 0, "e": 4}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each task."""
    root = tmp_path_factory.mktemp("shelf")
    model = with_patches(basic_block_net(), TASKS)
    for name in TASKS:
        model.save_patch(root / name, name)
    return root


def cache_of(root: Path, **options: int) -> PatchCache:
    return PatchCache(DeltaModel(basic_block_net()).eval(), root, **options)


@settings(max_examples=30, deadline=None)
@given(
    asked=st.lists(st.lists(st.sampled_from([*TASKS]), min_size=1, max_size=5), max_size=5),
    most=st.integers(1, 4),
    mapped=st.booleans(),
)
def test_the_last_used_are_in_memory_and_answer_as_if_all_were(
    shelf: Path, asked: list[list[str]], most: int, mapped: bool
) -> None:
    cache, all_there, x = cache_of(shelf, most=most, mapped=mapped), with_patches(basic_block_net(), TASKS), images()
    used: list[str] = []
    with torch.no_grad():
        for names in asked:
            expected = all_there.forward_patches(x, names)
            found = cache.forward_patches(x, names)
            assert list(found) == list(expected)
            assert all(torch.equal(found[name], expected[name]) for name in names)
            for name in dict.fromkeys(names):
                used = [*(each for each in used if each != name), name]
            assert len(cache.model.patches) <= most
            if len(set(names)) <= most:
                assert set(cache.model.patches) == set(used[-most:])
            assert cache.model.active_patch is None


def test_each_image_is_answered_however_many_patches_there_are(shelf: Path) -> None:
    cache, all_there, x = cache_of(shelf, most=2), with_patches(basic_block_net(), TASKS), images(9)
    names = ["a", "e", None, "c", "b", "d", "a", None, "e"]
    with torch.no_grad():
        found = cache.forward_each(x, names)
        for row, each in enumerate(all_there.forward_each(x, names)):
            torch.testing.assert_close(found[row], each, rtol=1e-4, atol=1e-4)
    assert len(cache.model.patches) <= 2
    with pytest.raises(DeltaError, match="9 names of patches were given for 4 images"):
        cache.forward_each(images(4), names)


def test_the_active_patch_and_those_from_elsewhere_stay(shelf: Path) -> None:
    cache = cache_of(shelf, most=1)
    cache.model.add_patch("own", num_classes=2)
    cache.load(["a"])
    assert cache.model.active_patch == "own"
    cache.model.set_patch("a")
    cache.load(["b"])
    cache.load(["c"])
    assert set(cache.model.patches) == {"own", "a", "c"}
    assert cache.model.active_patch == "a"


def test_a_patch_that_is_trained_again_is_seen_after_it_was_dropped(shelf: Path, tmp_path: Path) -> None:
    shutil.copytree(shelf, tmp_path / "shelf")
    cache, x = cache_of(tmp_path / "shelf"), images()
    before = cache.forward_patches(x, ["a"])["a"]
    cache.model.patch("a").head.bias.data += 1
    after = cache.forward_patches(x, ["a"])["a"]
    cache.model.save_patch(tmp_path / "shelf" / "a", "a")
    cache.drop("a")
    cache.drop("a")
    assert "a" not in cache.model.patches
    assert torch.equal(cache.forward_patches(x, ["a"])["a"], after)
    assert not torch.equal(before, after)


def test_names_are_the_folders_that_hold_patches(shelf: Path, tmp_path: Path) -> None:
    shutil.copytree(shelf / "a", tmp_path / "a")
    shutil.copytree(shelf / "b", tmp_path / ".b.partial")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    assert cache_of(tmp_path).names() == ("a",)


def test_what_cannot_be_had_is_told_in_one_sentence(shelf: Path, tmp_path: Path) -> None:
    with pytest.raises(DeltaError, match="is no folder; give one that holds a folder for each patch"):
        cache_of(tmp_path / "absent")
    with pytest.raises(DeltaError, match="most is 0; give a whole number of at least 1"):
        cache_of(shelf, most=0)
    cache = cache_of(shelf, most=2)
    with pytest.raises(DeltaError, match="3 patches are to be in memory, but most is 2; ask for fewer"):
        cache.load(["a", "b", "c"])
    with pytest.raises(DeltaError, match="Patch 'aa' is not known; nearest: a"):
        cache.load(["b", "aa"])
    with pytest.raises(DeltaError, match=r"Patch name '\.\./shelf/a' is empty, reserved"):
        cache.load(["../shelf/a"])
    assert list(cache.model.patches) == ["b"]
    shutil.copytree(shelf, tmp_path / "shelf")
    (tmp_path / "shelf" / "a" / "patch.safetensors").write_bytes(b"other")
    damaged = cache_of(tmp_path / "shelf")
    with pytest.raises(DeltaError, match="is not the file that"):
        damaged.load(["b", "a"])
    assert list(damaged.model.patches) == ["b"]
