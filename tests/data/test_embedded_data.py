"""The embedded tasks: reproducible, whole, disjoint, and safely cached."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.data import embedded
from benchmarks.data.embedded import BASE_TASK, draw, glyphs, load_embedded, photos, shapes, signs, textures
from benchmarks.data.embedded.fonts import FONT_FILES, text_image
from benchmarks.data.images import ImageSplit, ImageTask
from benchmarks.records.names import PATCH_TASKS

DRAWERS = {
    "glyphs62": (glyphs.draw_glyph, glyphs.CLASS_NAMES),
    "shapes": (shapes.draw_shape, shapes.CLASS_NAMES),
    "signs": (signs.draw_sign, signs.CLASS_NAMES),
    "textures": (textures.draw_texture, textures.CLASS_NAMES),
}


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("embedded")


@pytest.fixture(scope="session")
def patch_tasks(cache_dir: Path) -> dict[str, ImageTask]:
    """All six patch tasks as they are built, before any cache is read; the drawn ones in small."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (shapes, signs, textures):
            patch.setattr(module, "PER_CLASS", (8, 3, 4))
        return {name: load_embedded(name, cache_dir=cache_dir) for name in PATCH_TASKS}


def _split(count: int = 4) -> ImageSplit:
    rng = draw.generator("test", count)
    images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    return ImageSplit(images=images, labels=np.arange(count, dtype=np.int64) % 2)


def _task(**changes: object) -> ImageTask:
    parts: dict[str, object] = {
        "name": "tiny", "class_names": ("a", "b"), "source": "none",
        "train": _split(8), "val": _split(4), "test": _split(6),
    }  # fmt: skip
    return ImageTask(**(parts | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", DRAWERS)
def test_drawing_repeats_and_splits_differ(name: str) -> None:
    drawer, class_names = DRAWERS[name]
    once, again, other = (draw.drawn_split(name, s, drawer, len(class_names), 2) for s in ("train", "train", "val"))
    assert np.array_equal(once.images, again.images)
    assert np.bincount(once.labels, minlength=len(class_names)).tolist() == [2] * len(class_names)
    assert not any(np.array_equal(a, b) for a, b in zip(once.images, other.images, strict=True))


def test_an_image_depends_on_its_own_seed_alone() -> None:
    split = draw.drawn_split("shapes", "test", shapes.draw_shape, len(shapes.CLASS_NAMES), 1)
    alone = shapes.draw_shape(7, draw.generator("shapes", "test", 7))
    assert np.array_equal(split.images[7], alone)


@pytest.mark.parametrize("name", PATCH_TASKS)
def test_task_is_whole(name: str, patch_tasks: dict[str, ImageTask]) -> None:
    task = patch_tasks[name]
    assert task.name == name and task.source
    for split in task.splits().values():
        assert split.images.shape[1:] == (32, 32, 3)
        counts = np.bincount(split.labels, minlength=len(task.class_names))
        assert counts.min() == counts.max() > 0, "every class is there, and equally often"


@pytest.mark.parametrize("name", PATCH_TASKS)
def test_no_image_occurs_twice(name: str, patch_tasks: dict[str, ImageTask]) -> None:
    images = [image.tobytes() for split in patch_tasks[name].splits().values() for image in split.images]
    assert len(set(images)) == len(images)


@pytest.mark.parametrize("name", ("optdigits", "textures", "photos"))
def test_cache_returns_what_was_built(name: str, patch_tasks: dict[str, ImageTask], cache_dir: Path) -> None:
    built = patch_tasks[name]
    cached = load_embedded(name, cache_dir=cache_dir)
    assert cached.sha256() == built.sha256()
    assert (cached.name, cached.class_names, cached.source) == (built.name, built.class_names, built.source)
    assert [path.name for path in cache_dir.glob(f"{name}*")] == [f"{name}-v{embedded.data_version(name)}.npz"]


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(255 - byte for byte in content[middle : middle + 64]) + content[middle + 64 :]


def _empty(_content: bytes) -> bytes:
    return b""


def _text(_content: bytes) -> bytes:
    return b"this is no archive"


@pytest.mark.parametrize("damage", (_cut, _flip, _empty, _text))
def test_damaged_cache_file_is_replaced(
    damage: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = _task()
    monkeypatch.setitem(embedded._TASKS, "tiny", (lambda: task, 3))
    load_embedded("tiny", cache_dir=tmp_path)
    path = tmp_path / "tiny-v3.npz"
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    with pytest.warns(UserWarning, match=r"tiny-v3\.npz' cannot be read \(\w+\); made again"):
        assert load_embedded("tiny", cache_dir=tmp_path).sha256() == task.sha256()
    assert len(path.read_bytes()) == len(whole)
    assert list(tmp_path.iterdir()) == [path], "no temporary file may stay behind"


def test_cache_is_used_and_version_is_part_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    builds: list[int] = []

    def build() -> ImageTask:
        builds.append(1)
        return _task()

    for version in (1, 1, 2):
        monkeypatch.setitem(embedded._TASKS, "tiny", (build, version))
        load_embedded("tiny", cache_dir=tmp_path)
    assert len(builds) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny-v1.npz", "tiny-v2.npz"]


@pytest.fixture(scope="module")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "tiny-v3.npz"
    embedded._write(path, _task())
    return path


@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=300)
def test_no_flipped_bit_changes_an_image(tiny_file: Path, share: float, bit: int) -> None:
    content = bytearray(tiny_file.read_bytes())
    content[int(share * len(content))] ^= 1 << bit
    damaged = tiny_file.with_name("damaged.npz")
    damaged.write_bytes(content)
    try:
        found = embedded._read(damaged)
    except Exception:  # noqa: BLE001 - whatever is raised makes the task be built again
        return
    expected = _task()
    assert found.sha256() == expected.sha256()
    assert (found.name, found.class_names, found.source) == (expected.name, expected.class_names, expected.source)


def test_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_arrays: object) -> None:
        raise OSError("disk full")

    monkeypatch.setitem(embedded._TASKS, "tiny", (_task, 1))
    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.warns(UserWarning, match=r"Images of tiny are not kept \(disk full\)"):
        assert load_embedded("tiny", cache_dir=tmp_path).sha256() == _task().sha256()
    assert not list(tmp_path.iterdir())


def test_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'cifar'") as caught:
        load_embedded("cifar")
    assert all(name in str(caught.value) for name in (BASE_TASK, *PATCH_TASKS))


def test_every_font_has_its_own_drawing_of_every_character() -> None:
    for file in FONT_FILES:
        drawings = {text_image(character, file, 52, 64).tobytes() for character in glyphs.CLASS_NAMES}
        # Missing glyphs would all be drawn as the same box; a font may draw one pair alike.
        assert len(drawings) >= 61, file


@pytest.mark.parametrize("label", range(len(photos.CLASS_NAMES)), ids=photos.CLASS_NAMES)
def test_photo_regions_are_disjoint(label: int) -> None:
    width, height = photos.photo(label).size
    owners = np.zeros((height, width), int)
    for split in photos.SPLIT_SHARES:
        corners = photos.tiles(label, split)
        assert corners
        for x, y in corners:
            owners[y : y + photos.TILE, x : x + photos.TILE] += 1
    assert owners.max() == 1


def test_crops_read_their_own_tiles_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blacking out the tiles of the other splits must not change a crop."""
    label = photos.CLASS_NAMES.index("cat")
    before = [photos.draw_crop(label, draw.generator("test", i), "test") for i in range(40)]
    masked = photos.photo(label).copy()
    for split in ("train", "val"):
        for x, y in photos.tiles(label, split):
            masked.paste((255, 0, 0), (x, y, x + photos.TILE, y + photos.TILE))
    monkeypatch.setattr(photos, "photo", lambda _: masked)
    after = [photos.draw_crop(label, draw.generator("test", i), "test") for i in range(40)]
    assert np.array_equal(before, after)


TINY = _split()


@pytest.mark.parametrize(
    ("changes", "message"),
    (
        ({"class_names": ("a",)}, "at least two"),
        ({"class_names": ("a", "a")}, "different names"),
        ({"val": replace(TINY, images=TINY.images.astype(np.float32))}, "'val'.*float32, expected uint8"),
        ({"val": replace(TINY, images=TINY.images[..., 0])}, r"\(4, 32, 32\), expected \(N, H, W, 3\)"),
        ({"test": replace(TINY, labels=TINY.labels.astype(np.int32))}, "'test'.*int32.*expected int64"),
        ({"test": replace(TINY, labels=TINY.labels[:3])}, "4 images and 3 labels"),
        ({"test": replace(TINY, images=TINY.images[:0], labels=TINY.labels[:0])}, "above zero"),
        ({"train": replace(TINY, labels=TINY.labels + 1)}, r"1\.\.2, expected 0\.\.1"),
        ({"train": replace(TINY, labels=TINY.labels - 1)}, r"-1\.\.0, expected 0\.\.1"),
        ({"train": replace(TINY, images=TINY.images[:, :16])}, "expected one size"),
    ),
)  # fmt: skip
def test_image_task_refuses(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _task(**changes)


def test_sha256_sees_pixels_labels_and_names() -> None:
    task = _task()
    darker = replace(task, val=replace(task.val, images=task.val.images // 2))
    relabelled = replace(task, val=replace(task.val, labels=1 - task.val.labels))
    renamed = replace(task, class_names=("a", "c"))
    assert len({task.sha256(), darker.sha256(), relabelled.sha256(), renamed.sha256()}) == 4
    assert task.sha256() == _task().sha256()
