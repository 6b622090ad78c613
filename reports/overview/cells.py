"""Rows -> every cell of Tables 1 to 3, its difference to a new head alone, and means and ranks over cells."""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmarks.methods.listing import DELTA, FC_ONLY, PAINT
from benchmarks.records.names import LITERAL, MAPS
from benchmarks.records.rows import Scale
from reports.base_metric import BaseMetric, base_metric_of
from reports.findings.claims import claims_frame
from reports.pages.rehearsal import banner
from reports.tables.ablation import pareto
from reports.tables.patching_frame import competing
from reports.tables.patching_lines import TableRow

ALL_NETS = "all nets"
HEAD = TableRow(method=FC_ONLY.name).label
"""What every method is compared with: a new head and nothing else."""
FAMILIES = (HEAD, "Delta", "Delta, paper's reading", "Delta, other readings", "PAINT", "adapters and tuning")
LEAST_METHODS, LEAST_CELLS = 3, 2
"""What a comparison of ranks needs."""
SIGNIFICANCE = 0.05

CELLS = ["scope", "net", "task", "label", "family", "value", "sd", "n", "head", "difference"]
MEANS = ["scope", "label", "method", "family", "mean", "sd", "n_seeds", "n_cells", "gain", "params", "train_s"]
RANKS = ["scope", "label", "family", "rank", "n_cells", "n_methods", "critical_difference"]


@dataclass(frozen=True, kw_only=True)
class Overview:
    """Numbers of one scale behind the pictures. A scope is one net, or all of them where there are several."""

    cells: pd.DataFrame
    """Columns `CELLS`, per scope: harmonic means over seeds, and `difference` to `head`, that of a new head alone, in
    points. At `ALL_NETS` numbers are means over the nets."""
    means: pd.DataFrame
    """Columns `MEANS`, per scope and method, over the cells that all its methods have: `sd` (ddof = 1) over seeds,
    `gain` over a new head, `params` trained, head included, and seconds of training, both of the net as measured."""
    ranks: pd.DataFrame
    """Columns `RANKS`: mean ranks over the same cells; two that differ by less than `critical_difference` are not
    parted by Nemenyi's test at 5 % (Demsar 2006). Blank where there is too little to compare."""
    claims: pd.DataFrame
    """`claims_frame` with the net of each case, those claims that have cases."""
    left_out: dict[str, tuple[str, ...]]
    """Scope -> methods that were measured there on some cells, and on too few to share in means and ranks."""
    base: BaseMetric
    mark: str
    """What a title begins with if the rows are of a rehearsal, else empty."""

    @property
    def scopes(self) -> list[str]:
        """The widest first."""
        return list(self.means["scope"].unique())


def overview(rows: pd.DataFrame, scale: Scale) -> Overview | None:
    """Everything that the pictures show; None if no net was measured with a new head alone and another method.

    A method takes part in means and ranks of a net if it has at least half of the net's cells, and of all nets if it
    does on each. They are over the cells that all who take part have: nothing is filled in.

    Args:
        rows: of one scale and protocol.
        scale: scale of the rows.

    Raises:
        UserError: if the rows must not be compared.
    """
    claims = claims_frame(rows, scale)  # refuses what must not be compared
    seeds = competing(rows, scale)
    runs = rows.drop_duplicates("run_id").set_index("run_id")
    seeds = seeds.assign(
        net=_by_net(seeds),
        label=[_row(arm).label for arm in seeds.to_dict("records")],
        params=seeds["params_delta"] + seeds["params_head"],
        train_s=seeds["run_id"].map(runs["train_s"]),
    )
    headed = seeds.groupby("net")["label"].transform(lambda labels: HEAD in set(labels) and labels.nunique() > 1)
    seeds = seeds[headed.astype(bool)]
    if seeds.empty:
        return None
    rows_of = {row.label: row for row in map(_row, seeds.drop_duplicates("label").to_dict("records"))}
    parts = {str(net): _part(part) for net, part in seeds.groupby("net", sort=False)}
    if len(parts) > 1:
        parts = {ALL_NETS: _part(seeds)} | parts
    found = {
        name: pd.concat([getattr(part, name)().assign(scope=scope) for scope, part in parts.items()])
        for name in ("cells", "means", "ranks")
    }
    frames = {
        name: frame.assign(
            method=frame["label"].map({label: row.method for label, row in rows_of.items()}),
            family=frame["label"].map({label: family_of(row) for label, row in rows_of.items()}),
        )
        .reindex(columns=columns)
        .reset_index(drop=True)
        for (name, frame), columns in zip(found.items(), (CELLS, MEANS, RANKS), strict=True)
    }
    return Overview(
        **frames,
        claims=claims.assign(net=claims["case"].str.split().str[0]),
        left_out={scope: part.left_out() for scope, part in parts.items()},
        base=base_metric_of(rows),
        mark=f"{banner(rows).partition(':')[0]}: " if banner(rows) else "",
    )


def family_of(row: TableRow) -> str:
    """What a method is coloured by, one of `FAMILIES`."""
    if row.method == DELTA.name:
        return {MAPS: FAMILIES[1], LITERAL: FAMILIES[2]}.get(row.variant, FAMILIES[3])
    return {FC_ONLY.name: HEAD, PAINT.name: FAMILIES[4]}.get(row.method, FAMILIES[5])


def on_the_front(means: pd.DataFrame, cost: str) -> "pd.Series[bool]":
    """Whether no other method of the scope has a higher mean at the same or a lower cost."""
    fronts = [pareto(part, cost, "mean") for _, part in means.groupby("scope", sort=False)]
    return means.index.to_series().isin(pd.concat(fronts).index)


def critical_difference(n_methods: int, n_cells: int) -> float:
    """Nemenyi's, at 5 %: ranks that differ by less are not parted (Demsar 2006, eq. 6).

    >>> round(critical_difference(10, 15), 1)
    3.5
    """
    from scipy.stats import studentized_range  # takes a second to import

    quantile = float(studentized_range.ppf(1 - SIGNIFICANCE, n_methods, math.inf)) / math.sqrt(2)
    return quantile * math.sqrt(n_methods * (n_methods + 1) / (6 * n_cells))


@dataclass(frozen=True, kw_only=True)
class _Part:
    """One scope."""

    seeds: pd.DataFrame
    shared: pd.DataFrame
    """Mean over seeds by net and task, one column per method that takes part; no blanks."""

    def cells(self) -> pd.DataFrame:
        found = self.seeds.groupby(["net", "task", "label"], sort=False)["harmonic_mean"]
        cells = found.agg(value="mean", sd="std", n="count").reset_index()
        head = cells[cells["label"] == HEAD].set_index(["net", "task"])["value"].rename("head")
        cells = cells.join(head, on=["net", "task"])
        if cells["net"].nunique() > 1:
            taken = cells[cells["label"].isin(self.shared.columns)].merge(self._places())
            over = taken.groupby(["task", "label"], sort=False)
            cells = over.agg(value=("value", "mean"), n=("net", "count"), head=("head", "mean")).reset_index()
            cells = cells.assign(net=ALL_NETS)
        return cells.assign(difference=cells["value"] - cells["head"])

    def means(self) -> pd.DataFrame:
        taken = self.seeds[self.seeds["label"].isin(self.shared.columns)].merge(self._places())
        wide = taken.pivot(index=["net", "task"], columns=["label", "seed"], values="harmonic_mean")
        means: pd.Series[float] = wide.sum() / len(wide)
        by_seed = means.where(wide.notna().all()).unstack("seed")  # blank for a seed that lacks a cell
        mean = self.shared.mean()
        found = pd.DataFrame({"mean": mean, "sd": by_seed.std(axis=1), "n_seeds": by_seed.count(axis=1)})
        found = found.assign(n_cells=len(self.shared), gain=mean - mean[HEAD])
        found = found.join(taken.groupby("label")[["params", "train_s"]].mean())
        return found.sort_values("mean", ascending=False, kind="stable").rename_axis("label").reset_index()

    def ranks(self) -> pd.DataFrame:
        n_cells, n_methods = self.shared.shape
        if n_methods < LEAST_METHODS or n_cells < LEAST_CELLS:
            return pd.DataFrame(columns=["label", "rank"])
        ranks = self.shared.rank(axis="columns", ascending=False).mean().rename("rank").sort_values(kind="stable")
        difference = critical_difference(n_methods, n_cells)
        return ranks.reset_index().assign(n_cells=n_cells, n_methods=n_methods, critical_difference=difference)

    def left_out(self) -> tuple[str, ...]:
        return tuple(label for label in self.seeds["label"].unique() if label not in self.shared.columns)

    def _places(self) -> pd.DataFrame:
        return self.shared.index.to_frame(index=False)


def _part(seeds: pd.DataFrame) -> _Part:
    wide = seeds.pivot_table(index=["net", "task"], columns="label", values="harmonic_mean", aggfunc="mean", sort=False)
    wide = wide[wide[HEAD].notna()]
    has_half = (wide.notna().groupby(level="net").mean() >= 0.5).all()
    return _Part(seeds=seeds, shared=wide.loc[:, has_half].dropna())


def _by_net(seeds: pd.DataFrame) -> "pd.Series[str]":
    """The net of each line, with its weights where a net has several."""
    several = seeds.groupby("architecture")["weights"].transform("nunique") > 1
    return seeds["architecture"].where(~several, seeds["architecture"] + " " + seeds["weights"])


def _row(arm: dict[Hashable, Any]) -> TableRow:
    return TableRow(method=arm["method"], variant=arm["variant"], n_delta_modules=int(arm["n_delta_modules"]))
