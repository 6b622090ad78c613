"""The pictures of the overview as files for papers."""

from pathlib import Path

import altair as alt
import vl_convert

from delta_core.training.whole_files import whole_file
from reports.overview.cells import Overview
from reports.overview.charts import charts

PIXELS_PER_POINT = 2.5


def as_svg(chart: alt.TopLevelMixin) -> str:
    """The chart as it is before anything is chosen."""
    return vl_convert.vegalite_to_svg(chart.to_json(indent=None))


def write_overview(found: Overview, out: Path) -> list[Path]:
    """Write every picture as png and pdf, and the numbers in it as csv.

    Raises:
        OSError: if a file cannot be written.
    """
    frames = {"pareto": found.means, "ranks": found.ranks, "heatmap": found.cells, "claims": found.claims}
    paths = []
    for name, chart in charts(found).items():
        spec = chart.to_json(indent=None)
        contents = {
            "png": vl_convert.vegalite_to_png(spec, scale=PIXELS_PER_POINT),
            "pdf": vl_convert.vegalite_to_pdf(spec),
            "csv": frames[name].to_csv(index=False, lineterminator="\n", float_format="%.6g").encode(),
        }
        for kind, content in contents.items():
            paths.append(out / f"overview_{name}.{kind}")
            with whole_file(paths[-1]) as partial:
                partial.write_bytes(content)
    return paths
