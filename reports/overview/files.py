"""The pictures of the overview as files for papers."""

from pathlib import Path

import vl_convert

from delta_core.training.whole_files import whole_file
from reports.overview.cells import Overview
from reports.overview.charts import Chart, charts

PIXELS_PER_POINT = 2.5
STILL_PADDING = {"left": 24, "right": 16, "top": 5, "bottom": 5}


def as_svg(chart: Chart) -> str:
    """The chart as it is before anything is chosen, with room for a wider font than the one it was laid out in."""
    return vl_convert.vegalite_to_svg(chart.properties(padding=STILL_PADDING).to_json(indent=None))


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
