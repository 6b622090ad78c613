"""mmseg's mIoU with the IoUs of classes that it is the mean of."""

from typing import Any

from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS

from benchmarks.suites.dense.parts import Part


@METRICS.register_module()
class MaskScores(IoUMetric):  # type: ignore[misc]
    """`IoUMetric`, whose scores and table of classes it leaves as they are."""

    parts: tuple[Part, ...] = ()
    """Of the last evaluation, in the process that evaluates. Classes that are neither there nor found are left out."""

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """The metric's own scores."""
        scores: dict[str, float] = super().compute_metrics(results)
        if self.format_only:
            return scores
        shared, joined, _, annotated = (sum(each) for each in zip(*results, strict=True))
        self.parts = tuple(
            Part(kind="class", name=name, value=100 * float(part / union), n_examples=int(pixels))
            for name, part, union, pixels in zip(self.dataset_meta["classes"], shared, joined, annotated, strict=True)
            if union
        )
        return scores
