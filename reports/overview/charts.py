"""The four pictures of the overview: one Vega-Lite chart each, for the page and for papers alike.

Text is in the colour of the text around it, and better or worse in how much a colour covers, so that a chart stands on
light and on dark paper. Its parameters `net`, `method` and `cost` follow the page's choices (`Choices`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from reports.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION
from reports.findings.claims import JUDGED_READINGS
from reports.overview.cells import ALL_NETS, FAMILIES, HEAD, Overview, on_the_front

Chart = alt.LayerChart | alt.FacetChart
ALL_METHODS = "all methods"
COSTS = {"params": "trained parameters, head included", "train_s": "seconds of training"}
LABEL_OF_COST = (
    "indexof('125', slice(format(datum.value, '.0e'), 0, 1)) < 0 ? ''"
    " : format(datum.value, cost == 'params' ? '~s' : '~g')"
)
"""On a logarithmic axis 1, 2 and 5 of each decade."""
DEPTH_OF_FLOOR = 4
"""How many of the best gains the axis of means reaches below a new head; what is lower stands on its edge."""
LEAST_GAP = 1 / 14
"""Between two names in a panel, as a share of its height."""
FULL_COLOUR_POINTS = 20.0
PANEL_WIDTH, PANEL_HEIGHT = 270, 220
WIDTH = 560
DIGITS = 4
"""Behind the point, of what a chart holds."""
COLOURS = dict(zip(FAMILIES, (GREY, BLUE, SKY, GREEN, VERMILION, ORANGE), strict=True))
BETTER, WORSE = BLUE, VERMILION
HOLDS, HOLDS_NOT = GREEN, PURPLE
VERDICTS = {True: "holds", False: "does not"}
INK = "currentColor"


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What the reader can choose: values of the parameters of every chart, the first one as long as none is chosen."""

    net: tuple[str, ...]
    method: tuple[str, ...]
    """All, a family, or one method; a new head stays beside them."""
    cost: tuple[str, ...] = tuple(COSTS)


def choices(found: Overview) -> Choices:
    """Of one scale."""
    families = [family for family in FAMILIES if family != HEAD and (found.means["family"] == family).any()]
    methods = [label for label in dict.fromkeys(found.means["label"]) if label != HEAD]
    return Choices(net=tuple(found.scopes), method=(ALL_METHODS, *families, *(m for m in methods if m not in families)))


def charts(found: Overview, prefix: str = "") -> dict[str, Chart]:
    """Every picture by name, first what answers most.

    Args:
        found: numbers of one scale.
        prefix: with which the ids of the page's controls begin (`<prefix>net`, `<prefix>method`, `<prefix>cost`); with
            none the chart stands alone, as in a paper.
    """
    made: dict[str, Chart] = {"pareto": pareto_chart(found), "ranks": rank_chart(found), "heatmap": heat_map(found)}
    if len(found.claims):
        made["claims"] = claims_strip(found)
    chosen = {name: values[0] for name, values in vars(choices(found)).items()}
    return {name: _finished(chart, chosen, prefix) for name, chart in made.items()}


def pareto_chart(found: Overview) -> Chart:
    """Mean harmonic mean against cost, a panel per net; a line joins what none beats at the same or a lower cost."""
    nets = found.means[found.means["scope"] != ALL_NETS]
    floors = {str(scope): _floor(part) for scope, part in nets.groupby("scope", sort=False)}
    floor = nets["scope"].map(floors)
    lines = nets.assign(shown=nets["mean"].clip(lower=floor), below=nets["mean"] < floor)
    for cost in COSTS:
        lines[f"front_{cost}"] = on_the_front(nets, cost)
        lines[f"named_{cost}"] = _named(lines, f"front_{cost}")
    both = alt.Chart(lines.round(DIGITS)).transform_calculate(
        cost="datum[cost]", front="datum['front_' + cost]", named="datum['named_' + cost]"
    )
    x = alt.X(
        "cost:Q",
        scale=alt.Scale(type="log", nice=False, padding=14),
        axis=alt.Axis(labelExpr=LABEL_OF_COST, labelOverlap="greedy", labelSeparation=6, grid=False),
    )
    y = alt.Y("shown:Q", scale=alt.Scale(zero=False, padding=12), axis=alt.Axis(tickCount=5))
    front = both.transform_filter("datum.front")
    line = front.mark_line(color=INK, opacity=0.5, strokeDash=[4, 3], strokeWidth=1).encode(
        x=x.title(None), y=y.title(None), order="cost:Q"
    )
    points = both.mark_point(filled=True, size=70, opacity=0.9).encode(
        x=x.title(None),
        y=y.title(None),
        color=_by_family(found),
        shape=alt.Shape(
            "below:N", scale=alt.Scale(domain=[False, True], range=["circle", "triangle-down"]), legend=None
        ),
        tooltip=[
            alt.Tooltip("label:N", title="method"),
            alt.Tooltip("scope:N", title="net"),
            *_mean_and_spread(),
            alt.Tooltip("gain:Q", title=f"over {HEAD} (points)", format="+.2f"),
            alt.Tooltip("params:Q", title=COSTS["params"], format=",.0f"),
            alt.Tooltip("train_s:Q", title=COSTS["train_s"], format=".1f"),
        ],
    )
    # Nothing lies above and left of the front; the new head is its lowest end.
    named = both.transform_filter(f"datum.named && datum.label != '{HEAD}'")
    names = named.mark_text(align="right", dx=-7, dy=-6, fontSize=10, color=INK).encode(
        x=x.title(None), y=y.title(None), text="label:N"
    )
    head = both.transform_filter(f"datum.label == '{HEAD}'")
    heads = head.mark_text(align="left", dx=5, dy=11, fontSize=10, color=INK).encode(
        x=x.title(None), y=y.title(None), text="label:N"
    )
    alone = len(floors) == 1
    facets: Chart = (
        alt.layer(line, points, names, heads)
        .properties(width=WIDTH if alone else PANEL_WIDTH, height=PANEL_HEIGHT)
        .facet(
            alt.Facet("scope:N", title=None, sort=[*floors], header=alt.Header(labelFontWeight="bold")),
            columns=1 if alone else 2,
        )
        .resolve_scale(x="independent", y="independent")
        .transform_filter(f"net == '{ALL_NETS}' || datum.scope == net")
        .transform_filter(_of_method())
        .properties(title=alt.Title(text={"expr": f"'{found.mark}Mean (%) against ' + {_words_of_cost()}"}))
    )
    return facets


def rank_chart(found: Overview) -> Chart:
    """Mean rank over cells, with half a critical difference to either side: what does not overlap is parted."""
    half = found.ranks["critical_difference"] / 2
    lines = found.ranks.assign(low=found.ranks["rank"] - half, high=found.ranks["rank"] + half)
    best = lines.groupby("scope")["high"].transform("min")
    base = (
        alt.Chart(lines.assign(parted=lines["low"] > best, best_until=best).round(DIGITS))
        .transform_filter("datum.scope == net")
        .transform_filter(_of_method())
    )
    y = alt.Y("label:N", sort=alt.SortField("rank"), title=None)
    across: dict[str, Any] = {
        "title": "mean rank over cells, 1 is best",
        "scale": alt.Scale(nice=False, zero=False, padding=8),
    }
    x = alt.X("rank:Q", **across)
    whole = [
        alt.Tooltip("label:N", title="method"),
        alt.Tooltip("rank:Q", title="mean rank", format=".2f"),
        alt.Tooltip("n_methods:Q", title="methods ranked"),
        alt.Tooltip("n_cells:Q", title="cells"),
        alt.Tooltip("critical_difference:Q", title="critical difference", format=".2f"),
        alt.Tooltip("parted:N", title="parted from the best"),
    ]
    bars = base.mark_rule(strokeWidth=3, opacity=0.45).encode(
        x=alt.X("low:Q", **across), x2="high:Q", y=y, color=_by_family()
    )
    edge = base.mark_rule(color=INK, strokeDash=[4, 3], opacity=0.5).encode(x="min(best_until):Q")
    points = base.mark_point(filled=True, size=80, opacity=1).encode(x=x, y=y, color=_by_family(), tooltip=whole)
    return alt.layer(edge, bars, points).properties(
        width=WIDTH - 150, height=alt.Step(19), title=f"{found.mark}Mean rank, with critical difference"
    )


def heat_map(found: Overview) -> Chart:
    """Method by task: points above or below a new head; the deeper the colour, the more. Blank: not measured."""
    order = found.means.groupby("scope", sort=False)["label"].apply(lambda labels: {v: k for k, v in enumerate(labels)})
    lines = found.cells[found.cells["label"] != HEAD]
    places = [order.get((scope, label)) for scope, label in zip(lines["scope"], lines["label"], strict=True)]
    base = (
        alt.Chart(lines.assign(place=pd.Series(places, index=lines.index)).round(DIGITS))
        .transform_filter("datum.scope == net")
        .transform_filter(_of_method())
        .transform_calculate(depth=f"min(1, abs(datum.difference) / {FULL_COLOUR_POINTS:g}) * 0.62 + 0.04")
    )
    x = alt.X("task:N", title=None, sort=list(dict.fromkeys(lines["task"])), axis=alt.Axis(labelAngle=-40))
    y = alt.Y("label:N", title=None, sort=alt.SortField("place"))
    cells = base.mark_rect(stroke=INK, strokeOpacity=0.15, strokeWidth=0.5).encode(
        x=x,
        y=y,
        color=alt.condition("datum.difference >= 0", alt.value(BETTER), alt.value(WORSE)),
        opacity=alt.Opacity("depth:Q", scale=None),
        tooltip=[
            alt.Tooltip("label:N", title="method"),
            alt.Tooltip("net:N", title="net"),
            alt.Tooltip("task:N", title="task"),
            alt.Tooltip("difference:Q", title=f"over {HEAD} (points)", format="+.2f"),
            alt.Tooltip("value:Q", title="mean", format=".2f"),
            alt.Tooltip("sd:Q", title="sd", format=".2f"),
            alt.Tooltip("head:Q", title=HEAD, format=".2f"),
        ],
    )
    numbers = base.mark_text(
        fontSize=10,
        color=INK,
        text={"expr": "format(datum.difference, width < 24 * domain('x').length ? '+.0f' : '+.1f')"},
    ).encode(x=x, y=y)
    return alt.layer(cells, numbers).properties(
        width=WIDTH - 150, height=alt.Step(19), title=f"{found.mark}Points above {HEAD}"
    )


def claims_strip(found: Overview) -> Chart:
    """A strip per claim and reading, one tile per case: those where it holds to the left, then those where not."""
    lines = found.claims.assign(
        name=found.claims["claim"] + ", " + found.claims["reading"].map(JUDGED_READINGS),
        verdict=found.claims["holds"].astype(bool).map(VERDICTS),
    )
    order = list(dict.fromkeys(lines["name"]))
    base = (
        alt.Chart(lines[["name", "net", "case", "difference", "n", "p", "verdict"]].round(DIGITS))
        .transform_filter(f"net == '{ALL_NETS}' || datum.net == split(net, ' ')[0]")
        .transform_window(
            place="row_number()",
            sort=[alt.SortField("verdict", "descending"), alt.SortField("difference", "descending")],
            groupby=["name"],
        )
        .transform_calculate(one=f"datum.verdict == '{VERDICTS[True]}' ? 1 : 0")
        .transform_joinaggregate(cases="count()", holding="sum(one)", groupby=["name"])
        .transform_calculate(start="(datum.place - 1) / datum.cases", end="datum.place / datum.cases")
        .transform_calculate(said="datum.holding + ' of ' + datum.cases + ' \u00b7 ' + datum.name")
    )
    y = alt.Y("name:N", sort=order, axis=None, scale=alt.Scale(paddingInner=0.55, paddingOuter=0.35))
    x = alt.X("start:Q", axis=None, scale=alt.Scale(domain=[0, 1], nice=False))
    tiles = base.mark_bar(stroke=INK, strokeOpacity=0.35, strokeWidth=0.4).encode(
        x=x,
        x2="end:Q",
        y=y,
        color=alt.Color(
            "verdict:N",
            scale=alt.Scale(domain=[*VERDICTS.values()], range=[HOLDS, HOLDS_NOT]),
            legend=alt.Legend(title=None, orient="top", symbolOpacity=1),
        ),
        tooltip=[
            alt.Tooltip("name:N", title="claim"),
            alt.Tooltip("case:N", title="case"),
            alt.Tooltip("verdict:N"),
            alt.Tooltip("difference:Q", title="difference (points)", format="+.2f"),
            alt.Tooltip("n:Q", title="seeds"),
            alt.Tooltip("p:Q", title="p, one-sided", format=".3f"),
        ],
    )
    names = (
        base.transform_filter("datum.place == 1")
        .mark_text(align="left", baseline="bottom", fontSize=11, dy=-9, color=INK)
        .encode(x=alt.value(0), y=y, text="said:N")
    )
    return alt.layer(tiles, names).properties(
        width=WIDTH, height=alt.Step(36), title=f"{found.mark}Claims, case by case"
    )


def _floor(part: pd.DataFrame) -> float:
    head = float(part.loc[part["label"] == HEAD, "mean"].iloc[0])
    return head - DEPTH_OF_FLOOR * max(float(part["gain"].max()), 1.0)


def _named(lines: pd.DataFrame, front: str) -> "pd.Series[bool]":
    """Of the methods on the front, from the best down, those that leave room for the name before and for the head's."""
    named = pd.Series(False, index=lines.index)
    for _, part in lines.groupby("scope", sort=False):
        room = (part["shown"].max() - part["shown"].min()) * LEAST_GAP
        last, lowest = float("inf"), part.loc[part["label"] == HEAD, "mean"].iloc[0] + 2 * room
        for place, mean in part.loc[part[front], "shown"].items():
            if last - mean >= room and mean >= lowest:
                named[place], last = True, mean
    return named


def _words_of_cost() -> str:
    return f"(cost == 'params' ? '{COSTS['params']}' : '{COSTS['train_s']}')"


def _of_method() -> str:
    return f"method == '{ALL_METHODS}' || datum.family == method || datum.label == method || datum.label == '{HEAD}'"


def _by_family(found: Overview | None = None) -> alt.Color:
    """With a legend of the families that were measured, if they are given."""
    there = [family for family in FAMILIES if found is None or (found.means["family"] == family).any()]
    return alt.Color(
        "family:N",
        scale=alt.Scale(domain=there, range=[COLOURS[family] for family in there]),
        legend=alt.Legend(title=None, orient="top", columns=2, symbolOpacity=1) if found else None,
    )


def _mean_and_spread() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("mean:Q", title="mean over cells", format=".2f"),
        alt.Tooltip("sd:Q", title="sd over seeds", format=".2f"),
        alt.Tooltip("n_cells:Q", title="cells"),
        alt.Tooltip("n_seeds:Q", title="seeds"),
    ]


def _finished(chart: Chart, chosen: Mapping[str, str], prefix: str) -> Chart:
    """With its parameters, and in the colours of the paper it stands on."""
    for name, value in chosen.items():
        control = alt.BindDirect(element=f"#{prefix}{name}", event="change") if prefix else alt.Undefined
        chart = chart.add_params(alt.param(name=name, value=value, bind=control))
    axis: dict[str, Any] = {
        "labelColor": INK,
        "titleColor": INK,
        "domainColor": INK,
        "tickColor": INK,
        "gridColor": INK,
    }
    finished: Chart = chart.configure(
        aria=False,
        background="transparent" if prefix else "white",
        font="Arial, Liberation Sans, sans-serif",
        axis=alt.AxisConfig(
            **axis, gridOpacity=0.12, domainOpacity=0.4, tickOpacity=0.4, labelLimit=190, titleFontWeight="normal"
        ),
        legend=alt.LegendConfig(labelColor=INK, titleColor=INK, labelLimit=220),
        title=alt.TitleConfig(anchor="start", color=INK, fontSize=12),
        header=alt.HeaderConfig(labelColor=INK, titleColor=INK, labelFontSize=12),
        view=alt.ViewConfig(stroke=None),
    )
    return finished
