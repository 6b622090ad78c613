"""AP by class and size, and IoU by class, beside the scores of OpenMMLab that they leave alone."""

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

if find_spec("mmdet") is None or find_spec("mmcv") is None:
    pytest.skip("OpenMMLab is not installed; nox -s openmmlab makes its environment", allow_module_level=True)

import torch
from mmdet.evaluation import VOCMetric
from mmseg.evaluation import IoUMetric

from benchmarks.suites.dense.box_scores import BoxScores
from benchmarks.suites.dense.mask_scores import MaskScores
from benchmarks.suites.dense.parts import Part

CLASSES = ("disc", "ring", "star")


def objects(*boxes: tuple[int, int], scored: bool = False) -> "np.ndarray[Any, Any]":
    """Squares by (left, side), at the top of the image."""
    found = [(left, 0, left + side - 1, side - 1, *((0.9,) if scored else ())) for left, side in boxes]
    return np.array(found, np.float32).reshape(-1, 5 if scored else 4)


def image(truth: dict[int, list[tuple[int, int]]], found: dict[int, list[tuple[int, int]]]) -> tuple[Any, Any]:
    """What a detector's metric keeps of an image: class -> squares, there and found."""
    boxes = np.concatenate([objects(*squares) for squares in truth.values()] or [objects()])
    labels = np.concatenate([[label] * len(squares) for label, squares in truth.items()] or [[]]).astype(int)
    annotated = {
        "bboxes": boxes, "labels": labels, "bboxes_ignore": objects(), "labels_ignore": np.zeros(0, int),
    }  # fmt: skip
    return annotated, [objects(*found.get(label, []), scored=True) for label in range(len(CLASSES))]


def scored(metric: Any, results: list[Any]) -> dict[str, float]:
    metric.dataset_meta = {"classes": CLASSES}
    return dict(metric.compute_metrics(results))


def test_a_detector_that_sees_large_discs_alone() -> None:
    seen = image({0: [(0, 20), (200, 120)], 1: [(400, 50)]}, {0: [(200, 120)]})
    metric = BoxScores()
    scored(metric, [seen, image({0: [(0, 20)]}, {})])
    assert {(part.kind, part.name): (round(part.value, 1), part.n_examples) for part in metric.parts} == {
        ("class", "disc"): (pytest.approx(100 * 4 / 11, abs=0.1), 3),  # found one of three: recalls 0 to 0.3
        ("class", "ring"): (0.0, 1),
        ("size", "small"): (0.0, 2),
        ("size", "medium"): (0.0, 1),
        ("size", "large"): (100.0, 1),
    }


squares = st.lists(st.tuples(st.integers(0, 5).map(lambda place: 200 * place), st.integers(4, 150)), max_size=4)
seen = st.tuples(st.dictionaries(st.integers(0, 2), squares), st.dictionaries(st.integers(0, 2), squares))


@given(images=st.lists(seen, min_size=1, max_size=1))  # of several, mmdet starts processes
def test_the_score_is_the_stock_metrics_and_the_mean_of_its_classes(images: list[Any]) -> None:
    results = [image(*one) for one in images]
    metric = BoxScores()
    assert scored(metric, results) == scored(VOCMetric(), results)
    classes = [part.value for part in metric.parts if part.kind == "class"]
    assert (np.mean(classes) if classes else 0.0) == pytest.approx(100 * scored(VOCMetric(), results)["mAP"], abs=1e-4)
    counted = {kind: sum(part.n_examples for part in metric.parts if part.kind == kind) for kind in ("class", "size")}
    assert counted["class"] == counted["size"] == len(results[0][0]["labels"])


masks = st.lists(st.lists(st.integers(0, 2), min_size=6, max_size=6), min_size=2, max_size=2)


@given(pairs=st.lists(st.tuples(masks, masks), min_size=1, max_size=3))
def test_ious_of_classes_are_what_mmseg_takes_the_mean_of(pairs: list[Any]) -> None:
    given = [
        IoUMetric.intersect_and_union(torch.tensor(found), torch.tensor(there), len(CLASSES), 255)
        for found, there in pairs
    ]
    metric = MaskScores()
    assert scored(metric, given) == scored(IoUMetric(), given)
    assert np.mean([part.value for part in metric.parts]) == pytest.approx(
        scored(IoUMetric(), given)["mIoU"], abs=0.006
    )
    assert sum(part.n_examples for part in metric.parts) == 12 * len(pairs)


def test_a_class_that_is_not_in_the_images_has_no_part() -> None:
    metric = MaskScores()
    scored(metric, [IoUMetric.intersect_and_union(torch.zeros(2, 2), torch.tensor([[0, 0], [0, 1]]), 3, 255)])
    assert metric.parts == (
        Part(kind="class", name="disc", value=75.0, n_examples=3),
        Part(kind="class", name="ring", value=0.0, n_examples=1),
    )
