"""Variance through depth beside what the derivation says, and the weak-correlation bound (paper, Appendix 6)."""

from typing import TYPE_CHECKING

import pandas as pd

from reports.figures.style import MARKERS, PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SETTINGS = {
    "derivation": "the derivation's model\n(no ReLU behind the sum), d = 256",
    "kaiming": "ResNet-18 at Kaiming initialisation",
    "pretrained": "slim ResNet-18, pre-trained",
}


def figure_variance(variances: pd.DataFrame, correlations: pd.DataFrame) -> "Figure":
    """Measured points and derived lines, one panel per setting; last panel: correlation over d."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.2), layout="constrained")
    panels = figure.subplots(1, 4)
    arms = list(variances["arm"].unique())
    for axes, (setting, title) in zip(panels, SETTINGS.items(), strict=False):
        shown = variances[variances["setting"] == setting]
        for place, arm in enumerate(arms):
            part = shown[shown["arm"] == arm]
            low, high = 10 ** -part["log10_sd"].fillna(0), 10 ** part["log10_sd"].fillna(0)
            spread = [part["variance"] * (1 - low), part["variance"] * (high - 1)]
            axes.errorbar(
                part["depth"], part["variance"], yerr=spread, fmt=MARKERS[place], markersize=5, linestyle="none",
                color=PALETTE[place], label=arm,
            )  # fmt: skip
            axes.plot(part["depth"], part["derived"], color=PALETTE[place], linewidth=1, linestyle="--")
        axes.set_yscale("log")
        axes.set_title(f"{title}\nn = {shown['n_draws'].iloc[0]} draw(s)", fontsize=9)
        axes.set_xlabel("sub-blocks passed")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("mean square, relative to the first block's input")
    panels[0].plot([], [], color="grey", linewidth=1, linestyle="--", label="derived")
    panels[0].legend(fontsize=8, loc="upper left")
    _correlation(panels[-1], correlations)
    return figure


def _correlation(axes: "Axes", rows: pd.DataFrame) -> None:  # type: ignore[name-defined]  # noqa: F821
    axes.errorbar(
        rows["d"],
        rows["rms"],
        yerr=2 * rows["standard_error"],
        fmt="o",
        markersize=5,
        color=PALETTE[0],
        label="measured, ±2 standard errors",
    )
    axes.plot(rows["d"], rows["derived"], color="grey", linewidth=1, linestyle="--", label=r"$1/\sqrt{d}$")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("features d")
    axes.set_ylabel(r"RMS correlation of $x_i$ and $[Wx]_i$")
    axes.set_title(f"weak correlation\nn = {rows['n_coordinates'].min()} coordinates or more", fontsize=9)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
