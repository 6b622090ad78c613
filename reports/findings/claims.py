"""Sentences of the paper about patching, and the same question to each baseline that it lacks, as named checks.

A claim is a set of cases, each a difference that the claim says is positive (or zero). It is printed as *holds k of n*
with its counterexamples. With at least three seeds a case also has a paired t-test over seeds, one-sided.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd

from benchmarks.methods.listing import DELTA, JOINING
from benchmarks.records.names import LITERAL, MAPS
from benchmarks.records.rows import Scale
from reports.base_metric import ACCURACY, base_metric_of, base_named
from reports.checks import check_suites
from reports.pages.page import Page, plain_block
from reports.tables.patching_frame import competing
from reports.tables.sequence_frame import chosen_ends, sequence_curves, single_task_means

MIN_SEEDS = 3
"""Fewest seeds for a test."""

SIGNIFICANT = 0.05
JUDGED_READINGS = {LITERAL: "paper's reading", MAPS: "default"}
"""Of Delta-Networks, with what a reader sees: the sentences are about the first."""
CELL = ["architecture", "task"]
LINE = ["claim", "where", "reading", "case", "difference", "n", "p", "holds", "base_metric"]
Pairs = pd.DataFrame
"""One line per case and seed: `case`, `seed`, `ours`, `theirs`."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One sentence, and the pairs of numbers that it is about."""

    name: str
    where: str
    """Section or table of the paper, blank where it does not say so."""
    pairs: Callable[[pd.DataFrame, pd.DataFrame, str], Pairs]
    """Rows, what `competing` makes of them, and a reading of Delta-Networks -> pairs."""
    equal: bool = False
    """Whether it says equal instead of greater."""


def delta_beats_paint(_: pd.DataFrame, seeds: pd.DataFrame, reading: str) -> Pairs:
    """Delta (n) against the better of PAINT's arms in the same cell, harmonic means of Tables 1, 2 and 3."""
    paint = seeds[seeds["method"] == "paint"].groupby([*CELL, "seed"])["harmonic_mean"].max().rename("theirs")
    deltas = _deltas(seeds, reading)
    return _pairs(deltas.join(paint, on=[*CELL, "seed"]), ours="harmonic_mean")


def no_drop_on_the_base(_: pd.DataFrame, seeds: pd.DataFrame, reading: str) -> Pairs:
    """Base accuracy with the patch taken off after training, against before."""
    deltas = _deltas(seeds, reading)
    return _pairs(deltas.assign(theirs=deltas["base_before"]), ours="base_top1")


def more_modules_help(_: pd.DataFrame, seeds: pd.DataFrame, reading: str) -> Pairs:
    """Delta (2) against (1), and (4) against (2), harmonic means of one cell."""
    deltas = _deltas(seeds, reading)
    fewer = deltas.set_index([*CELL, "seed", "n_delta_modules"])["harmonic_mean"].rename("theirs")
    deltas = deltas.assign(fewer=deltas["n_delta_modules"].map({2: 1, 4: 2})).dropna(subset="fewer")
    return _pairs(deltas.join(fewer, on=[*CELL, "seed", "fewer"]), ours="harmonic_mean")


def delta_beats(*methods: str) -> Callable[[pd.DataFrame, pd.DataFrame, str], Pairs]:
    """Delta (4) against the best of some methods in the same cell, harmonic means."""

    def pairs(_: pd.DataFrame, seeds: pd.DataFrame, reading: str) -> Pairs:
        rivals = seeds[seeds["method"].isin(methods)]
        best = rivals.groupby([*CELL, "seed"])["harmonic_mean"].max().rename("theirs")
        deltas = _deltas(seeds, reading)
        deltas = deltas[deltas["n_delta_modules"] == 4]
        return _pairs(deltas.join(best, on=[*CELL, "seed"]), ours="harmonic_mean")

    return pairs


def delta_beats_paint_in_sequences(rows: pd.DataFrame, _: pd.DataFrame, reading: str) -> Pairs:
    """Mean over base and tasks after a sequence, against the better of PAINT's arms."""
    curves = sequence_curves(rows)
    ends = chosen_ends(curves)
    if ends.empty:
        return _none()
    ends = ends.assign(value=[sum(test) / len(test) for test in ends["test"]])
    paint = ends.groupby([*CELL, "seed"])["value"].max().rename("theirs")
    deltas = _deltas(single_task_means(rows, list(dict.fromkeys(curves["task"]))), reading)
    deltas = deltas.assign(value=[sum(test) / len(test) for test in deltas["test"]])
    return _pairs(deltas.join(paint, on=[*CELL, "seed"]), ours="value")


RIVALS = ("parallel_adapters", "series_adapters", "batchnorm_adapt")
"""Of the paper's Table 1, with PAINT; every other method that joins it is asked about by itself."""

CLAIMS: tuple[Claim, ...] = (
    Claim(name="Delta (n) beats PAINT in every cell", where="Sec. 3.1, Tables 1 to 3", pairs=delta_beats_paint),
    Claim(name="zero drop on the base", where="Abstract, Sec. 2", pairs=no_drop_on_the_base, equal=True),
    Claim(name="more modules help", where="Sec. 3.1 (not in 9 of 24 of Table 2's nets)", pairs=more_modules_help),
    Claim(
        name="Delta (4) beats adapters and BatchNormAdapt",
        where="Table 1 (8 of 9 there)",
        pairs=delta_beats(*RIVALS),
    ),
    Claim(name="Delta beats PAINT in sequences", where="Sec. 3.1, Table 4", pairs=delta_beats_paint_in_sequences),
    *(
        Claim(name=f"Delta (4) beats {method.label}", where="", pairs=delta_beats(method.name))
        for method in JOINING
        if method.name not in RIVALS
    ),
)


def claims_frame(rows: pd.DataFrame, scale: Scale) -> pd.DataFrame:
    """One line per claim, reading and case, in the columns `LINE`; `difference` in points, mean over seeds.

    `p` is that of the difference being above 0 by chance, blank below three seeds and where all seeds agree exactly.

    Raises:
        UserError: if the rows must not be compared.
    """
    check_suites(rows)
    base = base_metric_of(rows)
    seeds = competing(rows, scale)
    lines = [
        {"reading": reading} | line
        for claim in CLAIMS
        for reading in JUDGED_READINGS
        for line in _lines(claim, claim.pairs(rows, seeds, reading))
    ]
    return pd.DataFrame(lines, columns=LINE).assign(base_metric=base.metric)


def claims_page(frame: pd.DataFrame, scale: Scale) -> Page:
    """How often each claim holds, and where it does not."""
    summary, notes = [], []
    for claim in CLAIMS:
        line = {"claim": claim.name, "paper": claim.where}
        for reading, name in JUDGED_READINGS.items():
            cases = frame[(frame["claim"] == claim.name) & (frame["reading"] == reading)]
            tested = cases["p"].dropna()
            against = cases[~cases["holds"].astype(bool)]
            line |= {
                name: f"{len(cases) - len(against)} of {len(cases)}" if len(cases) else "not measured",
                f"{name}, p < 0.05": f"{(tested < SIGNIFICANT).sum()} of {len(tested)}" if len(tested) else "",
            }
            if len(against):
                told = (f"{case.case} ({case.difference:+.2f})" for case in against.itertuples())
                notes.append(f"{claim.name}, {name}, counterexamples: {', '.join(told)}.")
        summary.append(line)
    base = base_named(frame)
    means = "" if base is ACCURACY else f" Harmonic means and means are with {base.words}."
    cells = pd.DataFrame(summary)
    return Page(
        name="claims",
        title="What the paper says of patching, and what was measured"
        + ("" if base is ACCURACY else f", by {base.words}"),
        caption=f"Scale {scale}; test split. A case is one net, task (or group) and number of modules; it holds "
        "if the mean over seeds does. p: paired t-test over at least three seeds, one-sided. Claims without a place in "
        f"the paper ask the same of baselines that it does not have.{means}",
        blocks=(plain_block("Claims", cells),),
        notes=(*notes, *filter(None, [base.note])),
        commands=(),
    )


def _deltas(lines: pd.DataFrame, reading: str) -> pd.DataFrame:
    return lines[(lines["method"] == DELTA.name) & (lines["variant"] == reading)]


def _pairs(lines: pd.DataFrame, *, ours: str) -> Pairs:
    if lines.empty:
        return _none()
    case = lines["architecture"] + " " + lines["task"] + " (" + lines["n_delta_modules"].astype(str) + ")"
    pairs = pd.DataFrame({"case": case, "seed": lines["seed"], "ours": lines[ours], "theirs": lines["theirs"]})
    return pairs.dropna()


def _none() -> Pairs:
    return pd.DataFrame(columns=["case", "seed", "ours", "theirs"])


def _lines(claim: Claim, pairs: Pairs) -> Iterator[dict[str, object]]:
    for case, part in pairs.groupby("case", sort=False):
        difference = (part["ours"] - part["theirs"]).astype(float)
        mean = difference.mean()
        p = None
        if len(difference) >= MIN_SEEDS and difference.std() > 0 and not claim.equal:
            from scipy.stats import ttest_1samp  # takes a second to import

            p = float(ttest_1samp(difference, 0, alternative="greater").pvalue)
        holds = bool((difference == 0).all()) if claim.equal else mean > 0
        yield {
            "claim": claim.name,
            "where": claim.where,
            "case": case,
            "difference": mean,
            "n": len(difference),
            "p": p,
            "holds": holds,
        }
