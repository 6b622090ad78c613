"""mmdet's mAP with the APs of classes and sizes that it is the mean of."""

from typing import Any

import numpy as np
from mmdet.evaluation import VOCMetric, eval_map
from mmdet.registry import METRICS
from mmengine.logging import print_log

from benchmarks.suites.dense.parts import SIZES, Part


@METRICS.register_module()
class BoxScores(VOCMetric):  # type: ignore[misc]
    """`VOCMetric`, whose score it leaves as it is; logs AP by size beside its table of classes."""

    parts: tuple[Part, ...] = ()
    """Of the last evaluation, in the process that evaluates. Parts without objects are left out."""

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """The metric's own scores, at its own overlap."""
        scores: dict[str, float] = super().compute_metrics(results)
        annotated, found = zip(*results, strict=True)
        whole = len(SIZES)
        means, by_class = eval_map(
            found,
            annotated,
            scale_ranges=[*SIZES.values(), (0, max(high for _, high in SIZES.values()))],
            iou_thr=self.iou_thrs[0],
            dataset=self.dataset_meta["classes"],
            logger="silent",
            eval_mode=self.eval_mode,
            use_legacy_coordinate=True,  # as VOCMetric has it
        )
        objects = np.array([each["num_gts"] for each in by_class])  # (classes, ranges)
        classes = [
            Part(kind="class", name=name, value=100 * float(each["ap"][whole]), n_examples=int(count))
            for name, each, count in zip(self.dataset_meta["classes"], by_class, objects[:, whole], strict=True)
        ]
        sizes = [
            Part(kind="size", name=name, value=100 * float(mean), n_examples=int(count))
            for name, mean, count in zip(SIZES, means[:whole], objects[:, :whole].sum(0), strict=True)
        ]
        self.parts = tuple(part for part in (*classes, *sizes) if part.n_examples)
        told = ", ".join(f"{part.name} {part.value:.1f} ({part.n_examples})" for part in sizes if part.n_examples)
        print_log(f"AP by size of the objects (how many): {told}", "current")
        return scores
