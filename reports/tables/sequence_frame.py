"""Tables 4 and 11: accuracies after a sequence of tasks. PAINT's alpha and Delta's means are chosen and taken here.

A method that leaves the base alone learns every task as if it were alone, so its mean over a sequence is a mean over
its single-task runs.
"""

import itertools

import pandas as pd

from benchmarks.records.names import LITERAL, MAPS, PAPER_BASE, PATCHING, SEQUENCE
from benchmarks.records.rows import WITH_NETS_OF_THE_PAPER, Scale
from reports import paper
from reports.base_metric import base_metric_of
from reports.checks import check_suites
from reports.tables.patching_frame import harmonic_mean_of
from reports.tables.patching_lines import TableRow
from reports.verdicts import beside_printed, not_applicable

SUITES = (SEQUENCE, PATCHING)
LINE = ["architecture", "method", "variant", "n_delta_modules", "rule"]
SEED = [*LINE, "task", "seed", "alpha"]


def sequence_curves(rows: pd.DataFrame) -> pd.DataFrame:
    """PAINT after the last step: one line per sequence, arm, rule, seed and alpha.

    Returns:
        `SEED`, `names` (columns of accuracies: base first, if measured, then the tasks) and the accuracies in per cent
        as tuples in that order, `val` and `test`.
    """
    taken = rows[(rows["suite"] == SEQUENCE) & rows["alpha"].notna() & ~rows["variant"].str.contains("after=")]
    if taken.empty:
        return pd.DataFrame(columns=[*SEED, "val", "test", "names"])
    arm = taken["variant"].str.split(",", expand=True)
    parts = []
    for task, part in taken.assign(variant=arm[0], rule=arm[1]).groupby("task", sort=False):
        names = _names(str(task), part)
        wide = part.pivot(index=SEED, columns=["split", "column"], values="value")
        lines = part[SEED].drop_duplicates(ignore_index=True)
        for split in ("val", "test"):
            values = wide.reindex(pd.MultiIndex.from_frame(lines), columns=pd.MultiIndex.from_product([[split], names]))
            lines[split] = list(values.itertuples(index=False, name=None))
        parts.append(lines.assign(names=pd.Series([names] * len(lines))))
    return pd.concat(parts, ignore_index=True)


def chosen_ends(curves: pd.DataFrame) -> pd.DataFrame:
    """The alpha of the last step by each run's rule on the validation splits, and alpha = 1 beside it."""
    if curves.empty:
        return curves
    score = [
        harmonic_mean_of(val) if rule == "harmonic_mean" else sum(val) / len(val)
        for rule, val in zip(curves["rule"], curves["val"], strict=True)
    ]
    ordered = curves.assign(score=score).sort_values("alpha", kind="stable", ignore_index=True)
    best = ordered.loc[ordered.groupby([*LINE, "task", "seed"], sort=False)["score"].idxmax()]
    ends = curves[(curves["alpha"] == 1) & (curves["rule"] == "mean")].assign(rule="end")
    return pd.concat([best.drop(columns="score"), ends], ignore_index=True)


def single_task_means(rows: pd.DataFrame, sequences: list[str]) -> pd.DataFrame:
    """Methods that left the base bit-identical: base accuracy and that of every task of a sequence, seed by seed.

    Where some runs measured the base, those that did not have no line: their mean would leave the base out.

    Returns:
        `SEED`, `names` and `test` as in `sequence_curves`; `alpha` and `rule` are blank.
    """
    taken = rows[(rows["suite"] == PATCHING) & (rows["split"] == "test") & (rows["phase"] == "after")]
    taken = taken[taken["base_logits_equal"].fillna(False).astype(bool)]
    keys = ["architecture", "method", "variant", "n_delta_modules", "seed"]
    net = [*keys, "weights"]  # Table 1 stands on other weights of the same architecture at scale paper
    on_base = taken["column"] != taken["task"]
    learned = taken.loc[~on_base, [*net, "task", "value"]]
    own = {tuple(place): top1 for *place, top1 in learned.itertuples(index=False, name=None)}
    untouched = taken[on_base].drop_duplicates(net)[[*net, "column", "value"]]
    base = {tuple(place): (name, top1) for *place, name, top1 in untouched.itertuples(index=False, name=None)}
    with_base = not without_base(rows)
    lines = []
    for cell, sequence in itertools.product(dict.fromkeys(place[:-1] for place in own), sequences):
        values = [own.get((*cell, task)) for task in sequence.split("+")]
        if None in values or (with_base and cell not in base):
            continue  # a mean over a part would compare it on other tasks
        before = [base[cell]] if cell in base else []
        names, test = zip(*before, *zip(sequence.split("+"), values, strict=True), strict=True)
        line = dict(zip(keys, cell[:-1], strict=True)) | {"rule": "", "task": sequence, "alpha": None}
        lines.append(line | {"test": test, "names": names})
    return pd.DataFrame(lines, columns=[*SEED, "test", "names"])


def table4_frame(rows: pd.DataFrame, scale: Scale) -> pd.DataFrame:
    """One line per architecture, method, rule and sequence: mean over base and tasks, averaged over seeds.

    PAINT's printed numbers are those of the last step taken whole: they stand beside the rule `end`.

    Returns:
        `LINE`, `task`, `row_id`, `measured_on` and `measured_as` (see `findings.explain`), `base_metric` (top-1 or
        agreement), `mean`, `sd` (ddof = 1), `n`, `base` and `first` (on the base, and top-1 on the first task, at the
        end), `alpha` (of every seed), and what `beside_printed` adds.

    Raises:
        UserError: if the rows must not be compared.
    """
    check_suites(rows)
    base = base_metric_of(rows)
    curves = sequence_curves(rows)
    lines = _whole(chosen_ends(curves), _means_beside(rows, curves, scale, 4))
    lines["value"] = [sum(test) / len(test) for test in lines["test"]]
    ends = list(zip(lines["test"], lines["names"], lines["task"], strict=True))
    lines["base"] = [_from_end(test, names, 2 + task.count("+")) for test, names, task in ends]
    lines["first"] = [_from_end(test, names, 1 + task.count("+")) for test, names, task in ends]
    found = lines.groupby([*LINE, "task"], sort=False).agg(
        mean=("value", "mean"),
        sd=("value", "std"),
        n=("value", "count"),
        base=("base", "mean"),
        first=("first", "mean"),
        alpha=("alpha", lambda alphas: ";".join(f"{alpha:g}" for alpha in alphas.dropna())),
    )
    printed = _printed(4, scale)
    printed["rule"] = printed["method"].map({"paint": "end"}).fillna("")
    found = found.reset_index()
    found = found.assign(reading=paper.reading_of(found))
    frame = _named(beside_printed(found, printed, [*_KEY, "rule"]), 4).assign(base_metric=base.metric)
    # Every printed number is a mean with the base in it.
    return not_applicable(frame, pd.Series(without_base(rows), index=frame.index))


def table11_frame(rows: pd.DataFrame, scale: Scale) -> pd.DataFrame:
    """One line per architecture, sequence, method, rule, alpha and column (base, tasks, `mean`); mean over seeds.

    Returns:
        `LINE`, `task`, `row_id`, `measured_on`, `measured_as`, `base_metric`, `alpha`, `column`, `mean`, `sd`
        (ddof = 1), `n`, and what `beside_printed` adds.

    Raises:
        UserError: if the rows must not be compared.
    """
    check_suites(rows)
    base = base_metric_of(rows)
    curves = sequence_curves(rows)
    whole = _whole(curves, _means_beside(rows, curves, scale, 11))
    whole["column"] = [(*names, "mean") for names in whole["names"]]
    whole["value"] = [(*test, sum(test) / len(test)) for test in whole["test"]]
    lines = whole.explode(["column", "value"], ignore_index=True).astype({"column": "str", "value": float})
    grouped = lines.groupby([*LINE, "task", "alpha", "column"], sort=False, dropna=False)["value"]
    found = grouped.agg(mean="mean", sd="std", n="count").reset_index()
    found = found.assign(reading=paper.reading_of(found))
    frame = _named(beside_printed(found, _printed(11, scale), [*_KEY, "alpha", "column"]), 11)
    needs_base = (frame["method"] == "paint") | (frame["column"] == PAPER_BASE)
    return not_applicable(frame, needs_base & without_base(rows)).assign(base_metric=base.metric)


def without_base(rows: pd.DataFrame) -> bool:
    """Whether rows were measured, and none of them on a base task: PAINT cannot choose its alpha then."""
    return len(rows) > 0 and not (rows["phase"] == "before").any()


def missing(frame: pd.DataFrame, scale: Scale) -> pd.DataFrame:
    """Nets and sequences on which an arm of the table was not measured that was measured on another.

    Arms are those that `nox -s table4` runs; a method that joined by name leaves no blanks.

    Returns:
        Columns `architecture` and `task`.
    """
    measured = frame[frame["n"] > 0]
    asked = measured[measured["method"].isin(["fc_only", "paint"]) | measured["variant"].isin([MAPS, LITERAL])]
    have = set(asked[[*LINE, "task"]].itertuples(index=False, name=None))
    arms = dict.fromkeys(line[1:-1] for line in have)
    nets = dict.fromkeys([*_paper_nets(scale), *asked["architecture"]])
    lacking = [
        (net, task)
        for net, task in itertools.product(nets, frame["task"].unique())
        if any((net, *arm, task) not in have for arm in arms)
    ]
    return pd.DataFrame(lacking, columns=["architecture", "task"])


_KEY = ["architecture", "method", "n_delta_modules", "reading", "task"]
"""What ours and a printed number must agree in, beside what a table adds."""


def _paper_nets(scale: Scale) -> list[str]:
    return list(paper.printed(4)["architecture"].unique()) if scale in WITH_NETS_OF_THE_PAPER else []


def _means_beside(rows: pd.DataFrame, curves: pd.DataFrame, scale: Scale, table: int) -> pd.DataFrame:
    """Single-task means of PAINT's nets and the paper's, on the sequences that PAINT walked; else on the paper's."""
    nets = {*curves["architecture"], *_paper_nets(scale)}
    sequences = curves["task"].unique() if len(curves) else _printed(table, scale)["task"].unique()
    return single_task_means(rows[rows["architecture"].isin(nets)], list(sequences))


def _whole(*parts: pd.DataFrame) -> pd.DataFrame:
    """Parts under each other; typed, also if there is nothing."""
    found = pd.concat([part for part in parts if len(part)] or [parts[0]], ignore_index=True)
    texts = dict.fromkeys(("architecture", "method", "variant", "rule", "task"), "str")
    return found.astype(texts | {"n_delta_modules": "Int64", "alpha": "float64"})


def _printed(table: int, scale: Scale) -> pd.DataFrame:
    printed = paper.printed(table)
    return printed if scale == "paper" else printed.iloc[:0]


def _named(frame: pd.DataFrame, table: int) -> pd.DataFrame:
    """The table's order, `row_id` and what leads to the runs; a printed number that nobody measured has its reading."""
    frame = frame.assign(variant=frame["variant"].fillna(frame["reading"])).fillna({"rule": ""})
    rows = [
        TableRow(method=method, variant=variant, n_delta_modules=int(n)).row_id(architecture) + (rule and f"/{rule}")
        for architecture, method, variant, n, rule in frame[LINE].itertuples(index=False, name=None)
    ]
    walked = frame["rule"] != ""
    nets = list(dict.fromkeys([*paper.printed(table)["architecture"], *frame["architecture"]]))
    frame = frame.assign(
        row_id=rows,
        measured_on=frame["task"].where(walked, frame["task"].str.replace("+", ";")),
        measured_as=frame["variant"].where(~walked, frame["variant"] + "," + frame["rule"].replace({"end": "mean"})),
        net=frame["architecture"].map(nets.index),
        rank=frame["method"].map({"fc_only": 0, "paint": 1, "delta_networks": 3}).fillna(2),  # 2: what joined by name
    )
    order = ["net", "rank", "n_delta_modules", "variant"]
    return frame.sort_values(order, kind="stable", ignore_index=True).drop(columns=["net", "rank"])


def _names(sequence: str, part: pd.DataFrame) -> tuple[str, ...]:
    """Columns in the order base, first task, ..., last task."""
    tasks = sequence.split("+")
    base = [name for name in part["column"].unique() if name not in tasks]
    return (*base, *tasks)


def _from_end(values: tuple[float, ...], names: tuple[str, ...], place: int) -> float:
    """Value counted from the end, 1 = last; blank if there are not so many (no base data)."""
    return values[-place] if place <= len(names) else float("nan")
