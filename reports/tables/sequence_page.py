"""Tables 4 and 11, laid out."""

import pandas as pd

from benchmarks.records.rows import Scale
from reports import paper
from reports.base_metric import ACCURACY, base_named
from reports.pages.commands import fill_commands, whole_table
from reports.pages.page import Page, PageBlock, cell_text, over_seeds, printed_block, records, usual_n, with_spread
from reports.tables import sequence_frame as sequences
from reports.tables.patching_lines import TableRow
from reports.verdicts import NOT_APPLICABLE, difference_blocks

RULES = {"harmonic_mean": "alpha by harmonic mean", "mean": "alpha by mean", "end": "alpha = 1"}
"""How the last step's alpha was found; `end` is what Table 4 prints for PAINT."""

WITHOUT_BASE = (
    "n/a: these runs have no base data. PAINT chooses alpha by base accuracy, and the paper's means over a sequence "
    "have the base in them; ours are means over the tasks."
)
"""Footnote where the base was left out."""


def table4_page(frame: pd.DataFrame, scale: Scale) -> Page:
    """A block per architecture: methods by sequences; then the paper's."""
    measured = frame[frame["n"] > 0]
    base = base_named(frame)
    usual = usual_n(measured["n"])
    printed = paper.printed(4)
    lined = frame.assign(line=labels(frame), column=frame["task"])
    return Page(
        name="table4",
        title=f"Table 4. Patching one task after the other: mean of {base.words} and all tasks' top-1 (%)",
        caption=f"Scale {scale}; test split; {over_seeds(measured['n'])}. "
        "PAINT goes from interpolated to interpolated weights; alpha is chosen at every step on the validation splits "
        "of the base and all tasks so far, by harmonic mean (Section 3.1) or by mean (Section 7.2). In parentheses: "
        f"{base.words} / top-1 on the first task, at the end.",
        blocks=(
            *(_block4(str(name), part, usual) for name, part in measured.groupby("architecture", sort=False)),
            _printed4(printed, scale),
            *difference_blocks((str(name), part) for name, part in lined.groupby("architecture", sort=False)),
        ),
        notes=(
            "alpha = 1: the last step taken whole, which is what the paper prints for PAINT.",
            "FC-only, Delta and adapters: means of single-task runs whose base logits stayed bit-identical; what is "
            "learned later cannot reach what was learned before.",
            *_without_base(frame),
            *filter(None, [base.note]),
            *paper.footnotes(set(printed["erratum"])),
        ),
        commands=_commands(frame, "table4", scale),
    )


def table11_page(frame: pd.DataFrame, scale: Scale) -> Page:
    """A block per architecture and sequence: alphas by columns, the best mean of each arm bold; then the paper's."""
    measured = frame[frame["n"] > 0]
    base = base_named(frame)
    usual = usual_n(measured["n"])
    keys = ["architecture", "task"]
    lined = frame.assign(line=[f"{label} {at}".rstrip() for label, at in zip(labels(frame), _at(frame), strict=True)])
    return Page(
        name="table11",
        title="Table 11. After the last task of a sequence, at every alpha of the last step: "
        + ("top-1 (%)" if base is ACCURACY else f"{base.words} and the tasks' top-1 (%)"),
        caption=f"Scale {scale}; test split; {over_seeds(measured['n'])}. "
        "Earlier steps stand at the alpha that their rule chose on validation splits. Bold: highest mean of an arm.",
        blocks=(
            *(_block11(_title(*map(str, key)), part, usual) for key, part in measured.groupby(keys, sort=False)),
            *(
                _printed11(_title(*map(str, key)), part, scale)
                for key, part in paper.printed(11).groupby(keys, sort=False)
            ),
            *difference_blocks((_title(*map(str, key)), part) for key, part in lined.groupby(keys, sort=False)),
        ),
        notes=(
            "In the paper's Table 11 every alpha, 0 too, has about 0.1 on ImageNet: alpha mixes the last step alone, "
            "and earlier steps had given the base up.",
            *_without_base(frame),
            *filter(None, [base.note]),
        ),
        commands=_commands(frame, "table11", scale),
    )


def _without_base(frame: pd.DataFrame) -> tuple[str, ...]:
    return (WITHOUT_BASE,) if (frame["verdict"] == NOT_APPLICABLE).any() else ()


def _title(architecture: str, sequence: str) -> str:
    return f"{architecture}: {sequence.replace('+', ', then ')}"


def labels(frame: pd.DataFrame) -> list[str]:
    """What the pages call each line of a frame, the rule of its alpha included."""
    names = frame[["method", "variant", "n_delta_modules", "rule"]].itertuples(index=False, name=None)
    return [
        TableRow(method=method, variant=variant, n_delta_modules=int(n)).label + (rule and f", {RULES[rule]}")
        for method, variant, n, rule in names
    ]


def _at(frame: pd.DataFrame) -> list[str]:
    return ["" if pd.isna(alpha) else f"{alpha:.1f}" for alpha in frame["alpha"]]


def _block4(title: str, part: pd.DataFrame, usual: int) -> PageBlock:
    text = [
        cell_text(with_spread(line.mean_, line.sd), line.n, usual)
        + (f" ({line.first:.1f})" if pd.isna(line.base) else f" ({line.base:.1f} / {line.first:.1f})")
        for line in records(part.rename(columns={"mean": "mean_"}))
    ]
    part = part.assign(text=text, label=labels(part))
    order = list(dict.fromkeys(part["label"]))
    wide = part.pivot(index="label", columns="task", values="text").reindex(index=order).fillna("")
    means = part.pivot(index="label", columns="task", values="mean").reindex(index=order)
    cells = wide.rename_axis(columns=None).reset_index().rename(columns={"label": "method"})
    best = (means == means.max()).reset_index(drop=True)
    best.insert(0, "method", False)
    return PageBlock(title=title, cells=cells, best=best.rename_axis(columns=None))


def _block11(title: str, part: pd.DataFrame, usual: int) -> PageBlock:
    part = part.assign(label=labels(part), at=_at(part))
    numbers = part[["mean", "sd", "n"]].itertuples(index=False, name=None)
    part["text"] = [cell_text(with_spread(mean, sd), n, usual) for mean, sd, n in numbers]
    cells, keys = _grid11(part)
    means = part[part["column"] == "mean"].set_index(["label", "at"])["mean"].reindex(keys)
    best = pd.DataFrame(False, index=cells.index, columns=cells.columns)
    arms = means.groupby(level=0)
    best["mean"] = ((means == arms.transform("max")) & (arms.transform("size") > 1)).to_numpy()
    return PageBlock(title=title, cells=cells, best=best)


def _grid11(part: pd.DataFrame) -> tuple[pd.DataFrame, pd.MultiIndex]:
    """Columns `label`, `at`, `column`, `text` -> the grid of texts, and its lines."""
    keys = pd.MultiIndex.from_frame(part[["label", "at"]].drop_duplicates())
    wide = part.pivot(index=["label", "at"], columns="column", values="text")
    wide = wide.reindex(index=keys, columns=part["column"].unique()).fillna("").rename_axis(columns=None)
    return wide.reset_index().rename(columns={"label": "method", "at": "alpha"}), keys


def _printed4(printed: pd.DataFrame, scale: Scale) -> PageBlock:
    texts = printed.assign(
        method=labels(printed.assign(variant="", rule="")), text=printed["printed"] + printed["erratum"]
    )
    lines = pd.MultiIndex.from_frame(texts[["architecture", "method"]].drop_duplicates())
    wide = texts.pivot(index=["architecture", "method"], columns="task", values="text")
    wide = wide.reindex(index=lines, columns=texts["task"].unique())
    return printed_block(wide.rename_axis(columns=None).reset_index(), scale)


def _printed11(title: str, printed: pd.DataFrame, scale: Scale) -> PageBlock:
    named = labels(printed.assign(variant="", rule=""))
    cells, _ = _grid11(printed.assign(label=named, at=_at(printed), text=printed["printed"]))
    return printed_block(cells, scale, of=title)


def _commands(frame: pd.DataFrame, name: str, scale: Scale) -> tuple[str, ...]:
    if frame["n"].any():
        return fill_commands(sequences.missing(frame, scale), name, scale)
    return (whole_table(name, scale),)
