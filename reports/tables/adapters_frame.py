"""The adapter study: rows -> methods beside each other on the same tasks and seeds, their ranks and what they cost."""

import json
from collections.abc import Iterator

import pandas as pd
from scipy import stats

from benchmarks.methods.listing import DELTA, FINETUNE
from benchmarks.records.configurations import configuration_of, search_of, told_apart
from benchmarks.records.names import MAPS
from reports.checks import check_comparable, check_one_run_per_seed
from reports.tables.adapters_costs import COLUMNS as COST_COLUMNS
from reports.tables.adapters_costs import size_of
from reports.tables.patching_lines import TableRow

OVERALL = "all"
BLOCK = ["architecture", "protocol"]
"""Methods that agree in these stand in one block: one net, one image size, one length of training."""
ARM = ["method", "variant", "n_delta_modules"]
LORA_LABEL = TableRow(method="lora").label
DELTA_LABEL = TableRow(method=DELTA.name, variant=MAPS, n_delta_modules=4).label
REFERENCES = {"lora": LORA_LABEL, "delta": DELTA_LABEL}
"""What the others are compared with, pair by pair."""
ONE_ARM_CHOSEN = (FINETUNE.name, "conv_adapter")
"""Methods whose arms (rates, placements) are configurations of one search."""
CONFIDENCE = 0.95
DIFFERENCES = {name: [f"vs_{name}", f"vs_{name}_low", f"vs_{name}_high"] for name in REFERENCES}
COLUMNS = [
    *(*BLOCK, "label", "task", "top1", "sd", "n", "base", "rank", "wins"),
    *(name for names in DIFFERENCES.values() for name in names),
    *("configuration", "val_top1", "params", "params_head", *COST_COLUMNS[2:]),
]


def adapters_frame(rows: pd.DataFrame, search: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """Rows of the study -> one line per net, protocol, method and task, and one over all tasks.

    A mean over tasks is taken seed by seed first, so that `sd` (ddof = 1) is that of the mean. A method that was not
    measured on every task of its block has none, nor a rank. Differences are paired by task and seed; their interval is
    that of Student's t over all pairs, so it speaks of these tasks. Ranks are among the methods that keep the base.

    Args:
        rows: of the study.
        search: of its search, from which the configurations were chosen.
        costs: `read_costs`.

    Returns:
        Columns `COLUMNS`: `task` is `all` for the mean; `n` counts seeds; `base` is `kept`, `given up` or `CHANGED`. On
        the lines over all tasks also `rank`, `wins` (tasks), for each of `REFERENCES` the difference and its 95 %
        interval in points, what was chosen and its validation top-1, parameters, and costs: `epoch_ratio` and
        `memory_ratio` to LoRA as it was chosen, `latency_ratio` to the base, `kept_bytes`.

    Raises:
        UserError: if the rows must not be compared.
    """
    taken = rows[(rows["split"] == "test") & (rows["column"] == rows["task"]) & (rows["phase"] == "after")]
    taken = taken[taken["metric"] == "top1"]
    blocks = list(_blocks(taken, search, costs))
    return (pd.concat(blocks, ignore_index=True) if blocks else pd.DataFrame()).reindex(columns=COLUMNS)


def _blocks(taken: pd.DataFrame, search: pd.DataFrame, costs: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for block, part in taken.groupby(BLOCK, sort=False):
        architecture, protocol = map(str, block)
        check_comparable(part)
        check_one_run_per_seed(part.assign(role="method"))
        part = part.assign(label=_labels(part), base=_bases(part))
        own = search_of(search, architecture=architecture, weights=part["weights"].iloc[0], protocol=protocol)
        lines = pd.concat([_by_task(part), _overall(part, own, costs)], ignore_index=True)
        yield lines.assign(architecture=architecture, protocol=protocol)


def _labels(part: pd.DataFrame) -> list[str]:
    """What the reader sees; the rate of full fine-tuning is its configuration, not another arm."""
    arms = zip(*(part[name] for name in ARM), strict=True)
    return [TableRow(method=m, variant="" if m == FINETUNE.name else v, n_delta_modules=n).label for m, v, n in arms]


def _bases(part: pd.DataFrame) -> pd.Series:
    """What became of the base in each run: bit-identical afterwards, or given up on purpose, or else an alarm."""
    same = (part["backbone_sha_before"] == part["backbone_sha_after"]) & part["base_logits_equal"].fillna(False)
    kept = same.map({True: "kept", False: "CHANGED"})
    return kept.where(part["base_logits_equal"].notna(), "given up")


def _by_task(part: pd.DataFrame) -> pd.DataFrame:
    cells = part.groupby(["label", "task"], sort=False)
    # CHANGED sorts before the others: one bad run spoils the cell.
    return cells.agg(
        top1=("value", "mean"), sd=("value", "std"), n=("value", "count"), base=("base", "min")
    ).reset_index()


def _overall(part: pd.DataFrame, search: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """One line a method; blank numbers where it was not measured on every task."""
    wide = part.pivot(index=["task", "seed"], columns="label", values="value")
    every = [sorted(part["task"].unique()), sorted(part["seed"].unique())]
    wide = wide.reindex(pd.MultiIndex.from_product(every, names=["task", "seed"]))
    by_task = wide.groupby(level="task").mean()
    complete = list(by_task.columns[by_task.notna().all()])
    seeds = wide[complete].groupby(level="seed").apply(lambda part: part.mean(skipna=False))
    facts = part.groupby("label", sort=False).agg(
        method=("method", "first"),
        variant=("variant", "first"),
        base=("base", "min"),
        config=("config", "first"),
        params=("params_delta", "mean"),
        params_head=("params_head", "mean"),
    )
    frame = facts.assign(task=OVERALL, top1=seeds.mean(), sd=seeds.std(), n=seeds.count())
    keeping = [label for label in complete if facts.loc[label, "base"] == "kept"]
    ranks = by_task[keeping].rank(axis="columns", ascending=False)
    frame["rank"] = ranks.mean()
    frame["wins"] = (by_task[keeping].rank(axis="columns", ascending=False, method="min") == 1).sum()
    for name, reference in REFERENCES.items():
        found = {label: _paired(wide, label, reference) for label in complete if reference in complete}
        frame[DIFFERENCES[name]] = pd.DataFrame(found, index=DIFFERENCES[name], dtype=float).T.reindex(frame.index)
    frame = frame.join(_configurations(facts, search)).join(_costs(facts["config"], part, costs))
    return frame.drop(columns=["method", "variant", "config"]).reset_index()


def _paired(wide: pd.DataFrame, label: str, reference: str) -> tuple[float, float, float]:
    """Mean difference to the reference over tasks and seeds that both have, and its interval by Student's t."""
    differences = (wide[label] - wide[reference]).dropna()
    mean = float(differences.mean())
    if label == reference or len(differences) < 2:
        return mean, float("nan"), float("nan")
    half = stats.sem(differences) * stats.t.ppf((1 + CONFIDENCE) / 2, len(differences) - 1)
    return mean, mean - half, mean + half


def _configurations(facts: pd.DataFrame, search: pd.DataFrame) -> pd.DataFrame:
    """By label, what tells the configuration from the others of the search, and its validation top-1."""
    held_out = search[(search["split"] == "val") & (search["column"] == search["task"]) & (search["metric"] == "top1")]
    found = held_out.assign(arm=_searched_as(held_out), key=held_out["config"].map(configuration_of))
    scores = found.groupby("key")["value"].mean()
    named = {}
    for label, arm, config in zip(facts.index, _searched_as(facts), facts["config"], strict=True):
        key = configuration_of(config)
        keys = list(found.loc[found["arm"] == arm, "key"].unique())
        texts = told_apart([json.loads(each) for each in keys])
        named[label] = (dict(zip(keys, texts, strict=True)).get(key, ""), scores.get(key))
    frame = pd.DataFrame.from_dict(named, orient="index", columns=["configuration", "val_top1"])
    return frame.astype({"val_top1": float})


def _searched_as(lines: pd.DataFrame) -> pd.Series:
    """What stands for one search: an arm of a method, or all arms from which one is chosen."""
    return lines["method"].where(lines["method"].isin(ONE_ARM_CHOSEN), lines["method"] + " " + lines["variant"])


def _costs(configs: "pd.Series[str]", part: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """By label; training relative to LoRA as it was chosen."""
    own = costs[costs["architecture"] == part["architecture"].iloc[0]].set_index("size")
    found: pd.DataFrame = own.reindex(configs.map(size_of))[COST_COLUMNS[2:]].astype(float).set_axis(configs.index)
    if LORA_LABEL in found.index:
        in_training = ["epoch_ratio", "memory_ratio"]
        found[in_training] = found[in_training] / found[in_training].loc[LORA_LABEL]
    return found
