"""Predictions as text: for a person, as CSV, and as JSON, in pieces that can be written as they come."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from delta_core.plain_text import shown
from delta_core.tool.predict import Prediction

FORMULA = ("=", "+", "-", "@")
"""How a cell begins that a spreadsheet takes for a formula; a quotation mark before it makes it a text."""

Form = Literal["text", "csv", "jsonl", "json"]


def pieces_of(predictions: Iterable[Prediction], form: Form, *, topk: int) -> Iterator[str]:
    """The text of predictions, one piece after each of them.

    Args:
        predictions: as they come.
        form: `text`, one line each; `csv` with a header, the classes of an image side by side; `jsonl`, one object a
            line; `json`, one list of them. JSON alone holds names as they are, whatever they are.
        topk: number of classes that a line of CSV has room for.
    """
    if form == "csv":
        return _csv(predictions, topk)
    if form == "json":
        return _json(predictions)
    line: Callable[[Prediction], str] = _text if form == "text" else _object
    return (f"{line(each)}\n" for each in predictions)


def _text(prediction: Prediction) -> str:
    ranked = ", ".join(f"{name} {100 * probability:.1f} %" for name, probability in prediction.classes)
    return shown(f"{prediction.image}  {prediction.patch}: {ranked}")


def _object(prediction: Prediction, indent: int | None = None) -> str:
    """A prediction as JSON: each class an object of its own."""
    classes = [{"class": name, "probability": probability} for name, probability in prediction.classes]
    return json.dumps({"image": prediction.image, "patch": prediction.patch, "classes": classes}, indent=indent)


def _json(predictions: Iterable[Prediction]) -> Iterator[str]:
    before = "[\n"
    for each in predictions:
        yield before + _object(each, indent=2)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def _csv(predictions: Iterable[Prediction], topk: int) -> Iterator[str]:
    ranked = (f"{what}_{rank}" for rank in range(1, topk + 1) for what in ("class", "probability"))
    yield _row(["image", "patch", *ranked])
    for each in predictions:
        cells = [cell for name, probability in each.classes for cell in (_cell(name), f"{probability:.6f}")]
        yield _row([_cell(each.image), _cell(each.patch), *cells, *[""] * (2 * topk - len(cells))])


def _cell(text: str) -> str:
    """A text on one line that a spreadsheet does not run.

    >>> _cell("=1+1"), _cell("a=1")
    ("'=1+1", 'a=1')
    """
    return f"'{shown(text)}" if text.startswith(FORMULA) else shown(text)


def _row(cells: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
