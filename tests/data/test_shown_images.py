"""Single images for figures: those of the split that runs were measured on, or none."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.data.embedded import load_embedded
from benchmarks.data.packaged.listing import packaged_task
from benchmarks.data.shown import shown_images


def test_a_drawn_task_shows_its_test_images(tmp_path: Path) -> None:
    task = load_embedded("optdigits", cache_dir=tmp_path)
    shown = shown_images("optdigits", [0, 7], cache=tmp_path)
    assert shown is not None
    assert shown.sha == task.sha256()[:12] and shown.class_names == task.class_names
    assert {place: pixels.tolist() for place, pixels in shown.images.items()} == {
        place: task.test.images[place].tolist() for place in (0, 7)
    }


def test_a_part_of_a_packaged_task_counts_its_own_places(tmp_path: Path) -> None:
    shown = shown_images("real:optdigits", [3], cache=tmp_path)
    parts, sha = packaged_task("real:optdigits").read(tmp_path)
    images, _ = parts["test"]
    assert shown is not None and shown.sha == sha
    assert np.array_equal(shown.images[3], images[3][0])
    whole = shown_images("optdigits", [3], cache=tmp_path)
    assert whole is not None and not np.array_equal(shown.images[3], whole.images[3])


@pytest.mark.parametrize("task", ["aircraft", "imagefolder:flowers17", "packaged:nothing", "a+b"])
def test_what_this_machine_does_not_have_is_not_shown(task: str, tmp_path: Path) -> None:
    assert shown_images(task, [0], cache=tmp_path) is None
