"""PAINT's nets on a labelled base: accuracy there, and agreement with the untouched net, which is to predict it."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from benchmarks.methods.base import Cell, Measurement, Method, Outcome
from benchmarks.methods.finetune import train_all, tuned_outcome
from benchmarks.methods.paint import ALPHAS, copied_state, interpolate_
from benchmarks.records.names import BASE_AGREEMENT
from delta_core.training.engine import top1


@dataclass(frozen=True, kw_only=True)
class PaintOnBase(Method):
    """Fine-tune once; at every alpha measure accuracy and agreement on the same base test images, and the task."""

    name: ClassVar[str] = "paint"
    needs_base: ClassVar[bool] = True

    @property
    def variant(self) -> str:
        """The learning rate is the arm, as of PAINT."""
        return f"lr={self.recipe.lr:g}"

    def measure(self, cell: Cell) -> Outcome:
        """Train on the cell's task and measure task and base at every alpha."""
        assert cell.base_logits is not None, "the table asks for a labelled base"
        model, steps, train_s = train_all(cell, self.recipe)
        base, tuned = (copied_state(net) for net in (cell.new_backbone(), model.backbone))
        answers = cell.base_logits.argmax(1)
        measurements = list(cell.before())

        def measured(alpha: float) -> tuple[Measurement, ...]:
            interpolate_(model.backbone, base, tuned, alpha)
            logits = cell.logits(model.backbone, "test", base=True)
            accuracy = cell.measure_base(logits, "test", alpha=alpha)
            agreement = Measurement(
                column=accuracy.column,
                split="test",
                metric=BASE_AGREEMENT,
                value=top1(logits, answers),
                n_examples=len(answers),
                alpha=alpha,
            )
            return accuracy, agreement, cell.measure_task(model, "test", alpha=alpha)

        for alpha in ALPHAS:
            measurements += cell.measured(f"alpha {alpha:g}", partial(measured, alpha))
        interpolate_(model.backbone, base, tuned, ALPHAS[-1])
        return tuned_outcome(model, measurements, steps, train_s)
