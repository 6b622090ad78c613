"""Tables 4 and 11: accuracies after a sequence of tasks. PAINT's alpha and Delta's means are chosen and taken here.

A method that leaves the base alone learns every task as if it were alone, so its mean over a sequence is a mean over
its single-task runs.
"""

import itertools
import shlex

import pandas as pd

from benchmarks.record import Scale
from reports import paper
from reports.checks import check_comparable
from reports.layout import Block, Page
from reports.records import records
from reports.reduce import harmonic_mean_of
from reports.tables import TableRow

SUITES = ("sequence", "patching")
RULES = {"harmonic_mean": "alpha by harmonic mean", "mean": "alpha by mean", "end": "alpha = 1"}
"""How the last step's alpha was found; `end` is what Table 4 prints for PAINT."""
LINE = ["architecture", "method", "variant", "n_delta_modules", "rule"]


def sequence_curves(rows: pd.DataFrame) -> pd.DataFrame:
    """PAINT after the last step: one line per sequence, arm, rule, seed and alpha.

    Returns:
        `LINE`, `task`, `seed`, `alpha`, and per split the columns of accuracies as a tuple (base first, if measured).
    """
    taken = rows[(rows["suite"] == "sequence") & rows["alpha"].notna() & ~rows["variant"].str.contains("after=")]
    if taken.empty:
        return pd.DataFrame(columns=[*LINE, "task", "seed", "alpha", "val", "test", "names"])
    arm = taken["variant"].str.split(",", expand=True)
    taken = taken.assign(variant=arm[0], rule=arm[1])
    lines = []
    for keys, part in taken.groupby([*LINE, "task", "seed", "alpha"], sort=False):
        names = _names(part)
        by_split = {
            split: tuple(part[part["split"] == split].set_index("column")["value"].reindex(names))
            for split in ("val", "test")
        }
        lines.append(dict(zip([*LINE, "task", "seed", "alpha"], keys, strict=True)) | by_split | {"names": names})
    return pd.DataFrame(lines)


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
    """Methods that left the base bit-identical: base accuracy and that of every task of a sequence, seed by seed."""
    taken = rows[(rows["suite"] == "patching") & (rows["split"] == "test") & (rows["phase"] == "after")]
    taken = taken[taken["base_logits_equal"].fillna(False).astype(bool)]
    keys = ["architecture", "method", "variant", "n_delta_modules", "seed"]
    own = taken[taken["column"] == taken["task"]].set_index([*keys, "task"])["value"]
    base = taken[taken["column"] != taken["task"]].groupby([*keys, "column"])["value"].first().reset_index("column")
    lines = []
    for cell, sequence in itertools.product(dict.fromkeys(index[:-1] for index in own.index), sequences):
        names = sequence.split("+")
        values = [own.get((*cell, name), float("nan")) for name in names]
        if any(pd.isna(values)):
            continue  # a mean over a part would compare it on other tasks
        if cell in base.index:
            names, values = [base.loc[cell, "column"], *names], [base.loc[cell, "value"], *values]
        line = dict(zip(keys, cell, strict=True)) | {"rule": "", "task": sequence, "alpha": None}
        lines.append(line | {"test": tuple(values), "names": tuple(names)})
    return pd.DataFrame(lines, columns=[*LINE, "task", "seed", "alpha", "test", "names"])


def table4_frame(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per architecture, method, rule and sequence: mean over base and tasks, averaged over seeds.

    Raises:
        UserError: if the rows must not be compared.
    """
    check_comparable(rows[rows["suite"] == "patching"])
    curves = sequence_curves(rows)
    sequences = list(dict.fromkeys(curves["task"]))
    ends = chosen_ends(curves)
    parts = [part for part in (ends, single_task_means(rows, sequences)) if len(part)]
    if not parts:
        return pd.DataFrame(columns=[*LINE, "task", "mean", "sd", "n", "base", "first", "alpha"])
    lines = pd.concat(parts, ignore_index=True)
    lines["value"] = [sum(test) / len(test) for test in lines["test"]]
    lines["base"] = [_at(test, names, -1 - names_of_tasks(task)) for test, names, task in _zip(lines)]
    lines["first"] = [_at(test, names, -names_of_tasks(task)) for test, names, task in _zip(lines)]
    grouped = lines.groupby([*LINE, "task"], sort=False)
    return grouped.agg(
        mean=("value", "mean"),
        sd=("value", "std"),
        n=("value", "count"),
        base=("base", "mean"),
        first=("first", "mean"),
        alpha=("alpha", lambda alphas: ";".join(f"{alpha:g}" for alpha in alphas.dropna())),
    ).reset_index()


def table4_page(frame: pd.DataFrame, scale: Scale) -> Page:
    """A block per architecture: methods by sequences; then the paper's."""
    blocks = [_block4(str(name), part) for name, part in frame.groupby("architecture", sort=False)]
    printed = paper.printed(4)
    return Page(
        name="table4",
        title="Table 4. Patching one task after the other: mean of base and all tasks' top-1 (%)",
        caption=f"Scale {scale}; test split; {_seeds(frame)}. PAINT goes from interpolated to interpolated weights; "
        "alpha is chosen at every step on the validation splits of the base and all tasks so far, by harmonic mean "
        "(Section 3.1) or by mean (Section 7.2). In parentheses: base top-1 / top-1 on the first task, at the end.",
        blocks=(*blocks, _printed(printed)),
        notes=(
            "alpha = 1: the last step taken whole, which is what the paper prints for PAINT.",
            "FC-only, Delta and adapters: means of single-task runs whose base logits stayed bit-identical; what is "
            "learned later cannot reach what was learned before.",
            *paper.footnotes(set(printed["erratum"])),
        ),
        commands=_commands(frame, "table4", scale),
    )


def table11_frame(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per architecture, sequence, method, rule, alpha and column (base, tasks, `mean`); mean over seeds."""
    curves = sequence_curves(rows)
    sequences = list(dict.fromkeys(curves["task"]))
    parts = [part for part in (curves, single_task_means(rows, sequences)) if len(part)]
    lines = [
        {name: record[name] for name in [*LINE, "task", "seed", "alpha"]} | {"column": column, "value": value}
        for part in parts
        for record in part.to_dict("records")
        for column, value in [
            *zip(record["names"], record["test"], strict=True),
            ("mean", sum(record["test"]) / len(record["test"])),
        ]
    ]
    columns = [*LINE, "task", "alpha", "column"]
    if not lines:
        return pd.DataFrame(columns=[*columns, "mean", "sd", "n"])
    grouped = pd.DataFrame(lines).groupby(columns, sort=False, dropna=False)["value"]
    return grouped.agg(mean="mean", sd="std", n="count").reset_index()


def table11_page(frame: pd.DataFrame, scale: Scale) -> Page:
    """A block per architecture and sequence: alphas by columns; the best mean of each arm bold."""
    blocks = [
        _block11(f"{architecture}: {str(task).replace('+', ', then ')}", part)
        for (architecture, task), part in frame.groupby(["architecture", "task"], sort=False)
    ]
    return Page(
        name="table11",
        title="Table 11. After the last task of a sequence, at every alpha of the last step: top-1 (%)",
        caption=f"Scale {scale}; test split; {_seeds(frame)}. Earlier steps stand at the alpha that their rule chose "
        "on validation splits. Bold: highest mean of an arm.",
        blocks=tuple(blocks),
        notes=(
            "In the paper's Table 11 every alpha, 0 too, has about 0.1 on ImageNet: alpha mixes the last step alone, "
            "and earlier steps had given the base up. Its numbers: reports/targets/table11.csv.",
        ),
        commands=_commands(frame, "table11", scale),
    )


def names_of_tasks(sequence: str) -> int:
    """Number of tasks in a sequence."""
    return sequence.count("+") + 1


def _names(part: pd.DataFrame) -> tuple[str, ...]:
    """Columns in the order base, first task, ..., last task."""
    tasks = part["task"].iloc[0].split("+")
    base = [name for name in dict.fromkeys(part["column"]) if name not in tasks]
    return (*base, *tasks)


def _zip(lines: pd.DataFrame) -> "zip[tuple[tuple[float, ...], tuple[str, ...], str]]":
    return zip(lines["test"], lines["names"], lines["task"], strict=True)


def _at(values: tuple[float, ...], names: tuple[str, ...], index: int) -> float:
    """Value counted from the end, blank if there are not so many (no base data)."""
    return values[index] if -index <= len(names) else float("nan")


def _label(line: pd.Series) -> str:
    name = TableRow(method=line["method"], variant=line["variant"], n_delta_modules=int(line["n_delta_modules"])).label
    return f"{name}, {RULES[line['rule']]}" if line["rule"] else name


def _number(mean: float, sd: float) -> str:
    return f"{mean:.2f}" + ("" if pd.isna(sd) else f" ±{sd:.2f}")


def _block4(title: str, part: pd.DataFrame) -> Block:
    text = [
        _number(line.mean_, line.sd)
        + (f" ({line.first:.1f})" if pd.isna(line.base) else f" ({line.base:.1f} / {line.first:.1f})")
        for line in records(part.rename(columns={"mean": "mean_"}))
    ]
    part = part.assign(text=text, label=[_label(line) for _, line in part.iterrows()])
    order = list(dict.fromkeys(part["label"]))
    wide = part.pivot(index="label", columns="task", values="text").reindex(index=order).fillna("")
    means = part.pivot(index="label", columns="task", values="mean").reindex(index=order)
    cells = wide.rename_axis(columns=None).reset_index().rename(columns={"label": "method"})
    best = (means == means.max()).reset_index(drop=True)
    best.insert(0, "method", False)
    return Block(title=title, cells=cells, best=best.rename_axis(columns=None))


def _block11(title: str, part: pd.DataFrame) -> Block:
    alphas = ["" if pd.isna(alpha) else f"{alpha:.1f}" for alpha in part["alpha"]]
    part = part.assign(label=[_label(line) for _, line in part.iterrows()], at=alphas)
    part["text"] = [_number(mean, sd) for mean, sd in zip(part["mean"], part["sd"], strict=True)]
    columns = list(dict.fromkeys(part["column"]))
    keys = list(dict.fromkeys(zip(part["label"], part["at"], strict=True)))
    wide = part.pivot(index=["label", "at"], columns="column", values="text").reindex(keys)[columns].fillna("")
    means = part[part["column"] == "mean"].set_index(["label", "at"])["mean"].reindex(keys)
    is_best = means == means.groupby(level=0).transform("max")
    cells = wide.rename_axis(columns=None).reset_index().rename(columns={"label": "method", "at": "alpha"})
    best = pd.DataFrame(False, index=cells.index, columns=cells.columns)
    best["mean"] = is_best.to_numpy()
    return Block(title=title, cells=cells, best=best)


def _printed(printed: pd.DataFrame) -> Block:
    """The paper's Table 4."""
    texts = printed.assign(text=printed["printed"] + printed["erratum"])
    wide = texts.pivot(index="row_id", columns="task", values="text").reindex(list(dict.fromkeys(texts["row_id"])))
    cells = wide.rename_axis(columns=None).reset_index().rename(columns={"row_id": "method"})
    return Block(
        title="Printed in the paper (other data, other scale: not comparable cell by cell)",
        cells=cells,
        best=pd.DataFrame(False, index=cells.index, columns=cells.columns),
    )


def _seeds(frame: pd.DataFrame) -> str:
    n = int(frame["n"].max()) if len(frame) else 0
    return f"mean ± sample standard deviation (ddof=1) over n = {n} seeds" if n > 1 else f"n = {n} seed, no spread"


def _commands(frame: pd.DataFrame, name: str, scale: Scale) -> tuple[str, ...]:
    """One command for what is not there: a method of one sequence that another lacks."""
    wanted = set(itertools.product(*(frame[key].unique() for key in ("architecture", "task"))))
    counts = frame.groupby(["architecture", "task"])["method"].count().to_dict()
    lacking = [cell for cell in sorted(wanted) if counts.get(cell, 0) < max(counts.values()) * 0.5]
    if len(frame) and not lacking:
        return ()
    flags = [word for architecture, task in lacking for word in ("--arch", architecture, "--task", task)]
    return (shlex.join(["nox", "-s", name, "--", "--scale", scale, *flags]),)
