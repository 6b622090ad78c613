"""What `simulate` found as a picture: hours and efficiency over the number of devices."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.grid.simulation import Schedule

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(found: Sequence[Schedule]) -> "Figure":
    """Hours beside the least that any order of the runs could take, and the share of time that goes into runs."""
    from matplotlib.figure import Figure  # every command would wait for it

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    hours, share = figure.subplots(1, 2)
    devices = [each.devices for each in found]
    hours.plot(devices, [each.makespan_s / 3600 for each in found], "o-", label="the grid's rules")
    hours.plot(devices, [each.bound_s / 3600 for each in found], "--", label="no order is faster")
    hours.set(xscale="log", yscale="log", ylabel="hours")
    hours.legend(frameon=False)
    share.plot(devices, [each.efficiency for each in found], "o-")
    share.set(xscale="log", ylim=(0, 1.05), ylabel="efficiency")
    for axes in (hours, share):
        axes.set_xlabel("devices")
        axes.set_xticks(devices, [str(count) for count in devices], fontsize="small", minor=False)
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    return figure
