"""What a cell of a table opens: the runs it is the mean of, how they depart from the paper, and their command."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from benchmarks.records.rows import Scale
from reports.findings.explain import FACTS, Origin, origins
from reports.html.in_script import in_script
from reports.pages.page import PageBlock
from reports.pages.render import NAME_COLUMNS
from reports.protocol import PROTOCOLS, departures
from reports.registry import Answer, Report


@dataclass(frozen=True, kw_only=True)
class Opened:
    """One block, and what its cells open."""

    block: PageBlock
    places: pd.DataFrame
    """As `block.cells`: number of the explanation, or <NA>."""


@dataclass(frozen=True, kw_only=True)
class OpenedPage:
    """All blocks of a page."""

    blocks: tuple[Opened, ...]
    explained: str
    """JSON: `cells`, each with its runs, the number of its departures and its command, and `departures`."""


def opened_page(name: str, report: Report, answer: Answer, rows: pd.DataFrame, scale: Scale) -> OpenedPage:
    """Join every cell that runs measured with what `python -m reports explain` says of it.

    Args:
        name: name of the report.
        report: the report.
        answer: what it says of the rows.
        rows: what it was asked about.
        scale: scale of the rows.
    """
    cells = _Cells(name=name, report=report, answer=answer, rows=rows, scale=scale)
    blocks = tuple(Opened(block=block, places=cells.places(block)) for block in answer.page.blocks)
    return OpenedPage(blocks=blocks, explained=cells.as_json())


def runs_json(rows: Iterable[pd.DataFrame]) -> str:
    """All runs by id: seed, weights, commit, device, time and seconds; texts that many share stand once, as numbers."""
    runs = pd.concat([part[FACTS].drop_duplicates("run_id") for part in rows])
    shared = {
        "weights": runs["weights"],
        "commit": runs["git_sha"].str[:12] + runs["git_dirty"].map({True: "+", False: ""}),
        "device": runs["device"],
    }
    codes, texts = {}, {}
    for name, values in shared.items():
        numbers, words = pd.factorize(values)
        codes[name], texts[name] = numbers.tolist(), [*words]
    seconds = (runs["train_s"] + runs["eval_s"]).round(1)
    times = runs["measured_at"].str[:16].str.replace("T", " ")
    lines = zip(runs["seed"], *codes.values(), times, seconds, strict=True)
    return _json({**texts, "runs": dict(zip(runs["run_id"], map(list, lines), strict=True))})


class _Cells:
    """Explanations of one report, numbered as they are asked for."""

    def __init__(self, *, name: str, report: Report, answer: Answer, rows: pd.DataFrame, scale: Scale) -> None:
        frame = answer.frame
        labels = report.labels(frame) if report.labels and len(frame) else []
        self.origins = origins(frame, rows, name, scale) if labels else {}
        self.numbers: dict[tuple[str, str], int] = {}
        self.departures: dict[str, int] = {}
        self.cells: list[tuple[tuple[str, ...], int, str]] = []
        self.tasks: dict[tuple[str, str], dict[str, str]] = {}
        """Net and label of a line -> its tasks, each with the `row_id` that it stands under."""
        if labels:
            for net, label, task, row_id in zip(
                frame["architecture"], labels, frame["task"], frame["row_id"], strict=True
            ):
                self.tasks.setdefault((net, label), {})[task] = row_id

    def places(self, block: PageBlock) -> pd.DataFrame:
        """Number of the explanation of each cell."""
        lines = [{str(name): str(text) for name, text in line.items()} for line in block.cells.to_dict("records")]
        numbers = [self._numbers(block, line) if block.source == "ours" else {} for line in lines]
        return pd.DataFrame(numbers, index=block.cells.index, columns=block.cells.columns).astype("Int64")

    def as_json(self) -> str:
        return _json({"cells": self.cells, "departures": [*self.departures]}) if self.cells else ""

    def _numbers(self, block: PageBlock, line: dict[str, str]) -> dict[str, int | None]:
        """By column, for one line of a block."""
        first, *_ = line
        names = [name for name in line if name in NAME_COLUMNS] or [first]
        columns = [name for name in line if name not in names]
        tasks = self.tasks.get((self._net(block, line), line[names[-1]]), {})
        shown = {name: task for name in columns for task in tasks if name == task or name.startswith(f"{task} ")}
        if not shown and len(tasks) == 1:  # the whole line is one cell
            shown = dict.fromkeys(columns, next(iter(tasks)))
        return {name: self._number(tasks[task], task) for name, task in shown.items() if line[name]}

    def _net(self, block: PageBlock, line: dict[str, str]) -> str:
        """Which net a line is about: its column says it, or the block's title, or there is one alone."""
        nets = list(dict.fromkeys(net for net, _ in self.tasks))
        return nets[0] if len(nets) == 1 else line.get("architecture", block.title.partition(":")[0])

    def _number(self, row_id: str, task: str) -> int | None:
        """None for what is printed and was not measured."""
        cell = (row_id, task)
        if cell not in self.numbers and cell in self.origins:
            origin = self.origins[cell]
            said = self.departures.setdefault(_departures(origin), len(self.departures))
            self.numbers[cell] = len(self.cells)
            self.cells.append((origin.runs, said, origin.command or origin.why_none))
        return self.numbers.get(cell)


def _departures(origin: Origin) -> str:
    found = departures(origin.suite, origin.config)
    lines = zip(*(found[name] for name in ("setting", "ours", "paper")), strict=True)
    said = "; ".join(f"{name} {ours} (paper: {value})" for name, ours, value in lines) or "none"
    return said if origin.suite in PROTOCOLS else "the paper's settings are not on record"


def _json(value: object) -> str:
    """For a script element, as short as it can be."""
    return in_script(json.dumps(value, separators=(",", ":"), default=int))
