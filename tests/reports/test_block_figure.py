"""docs/block.svg: every skip and its gate is drawn, nothing overlaps, and the file is the one the code writes."""

from itertools import combinations
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from reports.figures.block import draw_block, write_block_figure

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_every_skip_has_its_gate_and_no_words_overlap_or_leave_the_page(k: int) -> None:
    figure = draw_block(k)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    gates = {text.get_text() for text in texts if "lambda" in text.get_text()}
    skips = {rf"$\lambda_{{{i}{j}}}$" for j in range(1, k + 1) for i in range(j)}
    assert gates == skips | {r"$\lambda_{ij}$"}
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in texts]
    assert not [(a, b) for a, b in combinations(boxes, 2) if a.overlaps(b)]
    page = figure.bbox
    assert all(page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1 for box in boxes)


def test_the_committed_picture_is_what_the_code_draws(tmp_path: Path) -> None:
    write_block_figure(tmp_path / "block.svg")
    fresh, committed = (
        [line for line in path.read_text(encoding="utf-8").splitlines() if "<!-- " in line or "<g id=" in line]
        for path in (tmp_path / "block.svg", ROOT / "docs" / "block.svg")
    )
    assert [line for line in fresh if "Created with" not in line] == committed, "run python -m reports.figures.block"
