"""The adapter study as a reader sees it: accuracy by task, and what was chosen and what it costs, block by block."""

import shlex
from collections.abc import Iterable, Iterator

import pandas as pd

from benchmarks.methods.listing import FINETUNE
from benchmarks.records.names import ADAPTERS
from reports.pages.commands import fill_commands
from reports.pages.page import Page, PageBlock, cell_text, over_seeds, usual_n, with_spread
from reports.tables.adapters_frame import BLOCK, DELTA_LABEL, DIFFERENCES, LORA_LABEL, OVERALL

COSTS = {"epoch_ratio": "epoch / LoRA", "memory_ratio": "memory / LoRA", "latency_ratio": "latency / base"}


def adapters_page(frame: pd.DataFrame, scale: str) -> Page:
    """Methods from best to worst in the mean; two blocks for each net, image size and length of training."""
    blocks = [(str(net), str(protocol), part) for (net, protocol), part in frame.groupby(BLOCK, sort=False)]
    missing = pd.concat(
        [pd.DataFrame(columns=["architecture", "task"]), *(_missing(net, part) for net, _, part in blocks)]
    )
    return Page(
        name=ADAPTERS,
        title="Adapters of a frozen CNN",
        caption=(
            f"Scale {scale}. Test top-1 in per cent; {over_seeds(frame['n'])}. Every method in the configuration that "
            "was best on validation data, one for all tasks."
        ),
        blocks=tuple(
            block
            for net, protocol, part in blocks
            for block in (_accuracy(f"{net}, {protocol}", part), _costs(f"{net}, {protocol}: what it costs", part))
        ),
        notes=(
            f"vs {LORA_LABEL}, vs {DELTA_LABEL}: mean difference in points, paired by task and seed, with its 95 % "
            "interval by Student's t over all pairs of task and seed: it speaks of these tasks.",
            "rank: mean over tasks; wins: tasks on which none was better; both among the methods that keep the base.",
            f"base: kept = bit-identical after training; given up = {FINETUNE.label}, a reference out of competition.",
            "validation: top-1 of the chosen configuration, mean over the tasks of its search (one seed).",
            "params: trained, head left out. kept bytes: float32 safetensors of all that the task owns, its head (10 "
            "classes) among it. epoch, memory: training on images beside LoRA as chosen; latency: batch 1, beside the "
            "base; all on the full-size net.",
            *_unmeasured(blocks),
        ),
        commands=fill_commands(missing, ADAPTERS, scale),
    )


def _accuracy(title: str, part: pd.DataFrame) -> PageBlock:
    whole = _ordered(part)
    usual = usual_n(part["n"])
    texts = part.assign(
        text=[
            cell_text(with_spread(mean, sd), n, usual)
            for mean, sd, n in zip(part["top1"], part["sd"], part["n"], strict=True)
        ]
    )
    tasks = [*part.loc[part["task"] != OVERALL, "task"].drop_duplicates(), OVERALL]
    wide = texts.pivot(index="label", columns="task", values="text").reindex(index=whole.index, columns=tasks)
    cells = wide.fillna("").rename(columns={OVERALL: "mean"}).rename_axis(columns=None)
    for name, label in (("lora", LORA_LABEL), ("delta", DELTA_LABEL)):
        cells[f"vs {label}"] = [
            _interval(*values) for values in whole[DIFFERENCES[name]].itertuples(index=False, name=None)
        ]
    cells["rank"] = [_number(rank, ".2f") for rank in whole["rank"]]
    cells["wins"] = [_number(wins, ".0f") for wins in whole["wins"]]
    cells["base"] = whole["base"]
    best = pd.DataFrame(False, index=cells.index, columns=cells.columns)
    numbers = part.pivot(index="label", columns="task", values="top1").reindex(index=whole.index, columns=tasks)
    competing = numbers.where(whole["base"] == "kept", axis="index")
    best[[*tasks[:-1], "mean"]] = (competing == competing.max()).to_numpy()
    return PageBlock(title=title, cells=_named(cells), best=_named(best, is_best=True))


def _costs(title: str, part: pd.DataFrame) -> PageBlock:
    whole = _ordered(part)
    cells = pd.DataFrame(
        {
            "configuration": whole["configuration"],
            "validation": [with_spread(top1, float("nan")) for top1 in whole["val_top1"]],
            "params": [f"{params:,.0f}" for params in whole["params"]],
            "kept bytes": [_number(kept, ",.0f") for kept in whole["kept_bytes"]],
            **{name: [_number(ratio, ".2f") for ratio in whole[column]] for column, name in COSTS.items()},
        },
        index=whole.index,
    )
    best = pd.DataFrame(False, index=cells.index, columns=cells.columns)
    return PageBlock(title=title, cells=_named(cells), best=_named(best, is_best=True))


def _ordered(part: pd.DataFrame) -> pd.DataFrame:
    """The lines over all tasks by label, best first, those without a mean last."""
    return part[part["task"] == OVERALL].sort_values("top1", ascending=False, kind="stable").set_index("label")


def _named(cells: pd.DataFrame, *, is_best: bool = False) -> pd.DataFrame:
    """With the labels as their first column."""
    named = cells.rename_axis(index="method").reset_index()
    return named.assign(method=False) if is_best else named


def _interval(difference: float, low: float, high: float) -> str:
    """A difference with its interval.

    >>> _interval(1.234, 0.5, 2.0), _interval(0.0, float("nan"), float("nan"))
    ('+1.23 [+0.50, +2.00]', '+0.00')
    """
    return _number(difference, "+.2f") + ("" if pd.isna(low) else f" [{low:+.2f}, {high:+.2f}]")


def _number(value: float, form: str) -> str:
    return "" if pd.isna(value) else format(value, form)


def _missing(net: str, part: pd.DataFrame) -> pd.DataFrame:
    """Net and task of the cells of a block that are blank."""
    grid = part[part["task"] != OVERALL].pivot(index="label", columns="task", values="top1")
    return pd.DataFrame({"architecture": net, "task": [task for task in grid.columns if grid[task].isna().any()]})


def _unmeasured(blocks: Iterable[tuple[str, str, pd.DataFrame]]) -> Iterator[str]:
    """A sentence for each image size at which costs of some nets are blank."""
    nets: dict[str, dict[str, None]] = {}
    for net, protocol, part in blocks:
        if part.loc[part["task"] == OVERALL, [*COSTS, "kept_bytes"]].isna().any(axis=None):
            px = dict(word.split("=") for word in protocol.split(","))["px"]
            nets.setdefault(px, {})[net] = None
    for px, names in nets.items():
        asked = [word for name in names for word in ("--arch", name)]
        command = shlex.join(["python", "-m", "benchmarks.perf", ADAPTERS, *asked, "--image-size", px])
        yield f"Blank costs are measured by: {command}"
