"""The overview as HTML: three answers in words, then the pictures, readable without script."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pandas as pd
import vl_convert

from reports.html.in_script import in_script
from reports.overview.cells import HEAD, Overview
from reports.overview.charts import COSTS, charts, choices
from reports.overview.files import as_svg

CAPTIONS = {
    "pareto": "One point a method: up is better, left is cheaper. The line joins methods that none beats at the same "
    "or a lower cost; a triangle at the lower edge lies below the axis.",
    "ranks": "Best on top. Two methods differ at 5 % (Friedman's ranks, Nemenyi's test) if their bars, one critical "
    "difference long, do not overlap: what begins right of the dashed line is behind the best.",
    "heatmap": f"Blue: above {HEAD}; orange: below; deeper is more. A blank was not measured. Of several nets, means "
    "over those methods and tasks that all have.",
    "claims": "A tile is one net, task and number of modules. Numbers and counterexamples are in the table of claims.",
}
COST_WORDS = {"params": "trained parameters", "train_s": "seconds of training"}


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One of the three questions."""

    question: str
    answer: str
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ChartHtml:
    """One picture, twice: drawn, and as what the page's script draws it from."""

    name: str
    svg: str
    spec: str
    """JSON that may stand in a script element."""
    caption: str


@dataclass(frozen=True, kw_only=True)
class Chooser:
    """A list to choose from."""

    id: str
    label: str
    options: tuple[tuple[str, str], ...]
    """Value and words."""


@dataclass(frozen=True, kw_only=True)
class OverviewHtml:
    """What stands in the section of one scale."""

    answered: tuple[Answered, ...]
    choosers: tuple[Chooser, ...]
    charts: tuple[ChartHtml, ...]


def overview_html(found: Overview, prefix: str) -> OverviewHtml:
    """Everything of one scale; `prefix` makes ids unique in the page."""
    options = choices(found)
    return OverviewHtml(
        answered=tuple(_answered(found)),
        choosers=(
            Chooser(id=f"{prefix}net", label="Net", options=tuple((net, net) for net in options.net)),
            Chooser(id=f"{prefix}method", label="Methods", options=tuple((each, each) for each in options.method)),
            Chooser(id=f"{prefix}cost", label="Cost", options=tuple((cost, COST_WORDS[cost]) for cost in COSTS)),
        ),
        charts=tuple(
            ChartHtml(
                name=name,
                svg=_inline(as_svg(chart)),
                spec=in_script(chart.to_json(indent=None)),
                caption=CAPTIONS[name],
            )
            for name, chart in charts(found, prefix).items()
        ),
    )


@cache  # bundling takes seconds
def chart_script() -> str:
    """The renderer: Vega, Vega-Lite and Vega-Embed, as one script that loads nothing."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")


def overview_caption(found: Overview) -> str:
    """What was averaged over which cells, and what takes no part."""
    means = found.means[found.means["scope"] == found.scopes[0]]
    one = means.iloc[0]
    out = found.left_out[found.scopes[0]]
    nets = f"{len(found.scopes) - 1} nets" if len(found.scopes) > 1 else found.scopes[0]
    left = f" Measured on a part of the nets or tasks alone, and shown net by net: {', '.join(out)}." if out else ""
    return (
        f"The cells of Tables 1 to 3: {one['n_cells']} pairs of net and task on {nets}, on which all {len(means)} "
        f"methods were measured. A cell is the harmonic mean of {found.base.words} and task top-1, test split, in "
        f"per cent. Parameters and seconds are those of the nets as measured, on the machine that measured them.{left}"
    )


def _answered(found: Overview) -> Iterator[Answered]:
    """The winner over the widest scope, and each net where another wins."""
    first, *nets = [(str(scope), part) for scope, part in found.means.groupby("scope", sort=False)]
    scope, means = first
    best, head = means.iloc[0], _line(means, HEAD)
    others_method = means["method"] != best["method"]
    rival = means[others_method & (means["label"] != HEAD)].head(1)
    others = [(net, part) for net, part in nets if part.iloc[0]["label"] != best["label"]]
    yield Answered(
        question="What wins?",
        answer=best["label"],
        lines=(
            f"of {len(means)} methods over {best['n_cells']} cells{_parted(found.ranks, scope, best['label'])}",
            *(f"{net}, of {len(part)}: {part.iloc[0]['label']}" for net, part in others),
        ),
    )
    yield Answered(
        question="By how much?",
        answer=f"{best['gain']:+.1f} points",
        lines=(
            f"over {HEAD}, {_mean(best)} to {_mean(head)}",
            *(f"{best['mean'] - line['mean']:+.1f} over {line['label']}" for _, line in rival.iterrows()),
            *(f"{net}: {part.iloc[0]['gain']:+.1f}; {_of_best(part, best['label'], 'gain')}" for net, part in others),
        ),
    )
    yield Answered(
        question="At what cost?",
        answer=f"{_count(best['params'])} parameters",
        lines=(
            f"trained, in {best['train_s']:.1f} s; {HEAD} {_count(head['params'])} in {head['train_s']:.1f} s",
            *(f"{line['label']}: {_count(line['params'])} in {line['train_s']:.1f} s" for _, line in rival.iterrows()),
            *(
                f"{net}: {_count(part.iloc[0]['params'])}; {_of_best(part, best['label'], 'params')}"
                for net, part in others
            ),
        ),
    )


def _parted(ranks: pd.DataFrame, scope: str, label: str) -> str:
    """From how many others Nemenyi's test parts a method."""
    part = ranks[ranks["scope"] == scope]
    if part.empty:
        return ""
    apart = (part["rank"] - part.loc[part["label"] == label, "rank"].iloc[0]).abs() > part["critical_difference"]
    return f", parted at 5 % from {apart.sum()} of the others"


def _line(means: pd.DataFrame, label: str) -> "pd.Series[float]":
    return means[means["label"] == label].iloc[0]


def _of_best(part: pd.DataFrame, label: str, number: str) -> str:
    """What the winner over all nets has on this one."""
    value = float(_line(part, label)[number])
    return f"{label} {value:+.1f}" if number == "gain" else f"{label} {_count(value)}"


def _mean(line: "pd.Series[float]") -> str:
    return f"{line['mean']:.1f}" + ("" if pd.isna(line["sd"]) else f" ±{line['sd']:.1f}")


def _count(params: float) -> str:
    """A number of parameters in three digits.

    >>> _count(46344.4), _count(1612.0), _count(3380487.0)
    ('46.3 k', '1.61 k', '3.38 M')
    """
    number, unit = (params / 1e6, " M") if params >= 1e6 else (params / 1e3, " k")
    return f"{number:#.3g}{unit}".replace(". ", " ")


def _inline(svg: str) -> str:
    return re.sub(r"^<svg", '<svg role="img"', svg[svg.index("<svg") :])
