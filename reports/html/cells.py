"""What a cell of a table opens: the runs it is the mean of, how they depart from the paper, and their command."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from benchmarks.records.rows import Scale
from delta_core.training.errors import UserError
from reports.findings.explain import CELL_KEYS, Explanation, explain
from reports.pages.page import PageBlock
from reports.pages.render import NAME_COLUMNS
from reports.registry import Answer, Report

RUN = [
    *("run_id", "suite", "scale", "protocol", "seed", "weights", "config", "git_sha", "git_dirty", "device"),
    *("measured_at", "train_s", "eval_s"),
]
"""Columns that an explanation reads, beside `CELL_KEYS`."""


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
    runs = pd.concat([part[RUN].drop_duplicates("run_id") for part in rows])
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
    """Explanations of one report as they are asked for, each cell's once."""

    def __init__(self, *, name: str, report: Report, answer: Answer, rows: pd.DataFrame, scale: Scale) -> None:
        self.name, self.scale = name, scale
        self.told: dict[tuple[str, str], int | None] = {}
        self.cells: list[tuple[list[str], int, str]] = []
        self.departures: list[str] = []
        frame = answer.frame
        labels = report.labels(frame) if report.labels and len(frame) else []
        found = frame.assign(label=labels) if labels else pd.DataFrame(columns=["row_id", "architecture", "label"])
        self.lines = {str(row_id): part for row_id, part in found.groupby("row_id", sort=False)}
        self.rows_by_net = {str(net): part for net, part in _distinct(rows).groupby("architecture", sort=False)}
        self.tasks: dict[tuple[str, str], dict[str, str]] = {}
        for row_id, part in self.lines.items():
            key = (part["architecture"].iloc[0], part["label"].iloc[0])
            self.tasks.setdefault(key, {}).update(dict.fromkeys(part["task"], row_id))

    def places(self, block: PageBlock) -> pd.DataFrame:
        """Number of the explanation of each cell."""
        lines = [{str(name): str(text) for name, text in line.items()} for line in block.cells.to_dict("records")]
        numbers = [self._numbers(block, line) if block.source == "ours" else {} for line in lines]
        return pd.DataFrame(numbers, index=block.cells.index, columns=block.cells.columns).astype("Int64")

    def _numbers(self, block: PageBlock, line: dict[str, str]) -> dict[str, int | None]:
        """By column, for one line of a block."""
        first, *_ = line
        names = [name for name in line if name in NAME_COLUMNS] or [first]
        columns = [name for name in line if name not in names]
        tasks = self.tasks.get((self._net(block, line), line[names[-1]]), {})
        shown = {name: task for name in columns for task in tasks if name == task or name.startswith(f"{task} ")}
        if not shown and len(tasks) == 1:  # the whole line is one cell
            shown = dict.fromkeys(columns, next(iter(tasks)))
        return {name: self._told(tasks[task], task) for name, task in shown.items() if line[name]}

    def as_json(self) -> str:
        return _json({"cells": self.cells, "departures": self.departures}) if self.cells else ""

    def _net(self, block: PageBlock, line: dict[str, str]) -> str:
        """Which net a line is about: its column says it, or the block's title, or there is one alone."""
        nets = list(dict.fromkeys(net for net, _ in self.tasks))
        titled = line.get("architecture", block.title.partition(":")[0])
        return nets[0] if len(nets) == 1 else titled

    def _told(self, row_id: str, task: str) -> int | None:
        if (row_id, task) not in self.told:
            lines = self.lines[row_id]
            rows = self.rows_by_net.get(lines["architecture"].iloc[0])
            try:
                found = None if rows is None else explain(lines, rows, self.name, self.scale, row_id, task)
            except UserError:  # printed, and nothing measured
                found = None
            self.told[row_id, task] = None if found is None else self._added(found)
        return self.told[row_id, task]

    def _added(self, found: Explanation) -> int:
        lines = zip(*(found.departures[name] for name in ("setting", "ours", "paper")), strict=True)
        departures = "; ".join(f"{name} {ours} (paper: {value})" for name, ours, value in lines)
        text = (departures or "none") if found.knows_protocol else "the paper's settings are not on record"
        if text not in self.departures:
            self.departures.append(text)
        command = found.command or found.why_none
        self.cells.append((list(found.runs["run"]), self.departures.index(text), command))
        return len(self.cells) - 1


def _distinct(rows: pd.DataFrame) -> pd.DataFrame:
    """What tells runs and their arms apart, each once."""
    keys = ["run_id", *CELL_KEYS]
    return rows[[*RUN, *CELL_KEYS]].drop_duplicates(keys)


def _json(value: object) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(value, separators=(",", ":"), default=int).replace("<", "\\u003c")
