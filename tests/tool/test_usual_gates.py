"""What gates usually are is measured at the end of a fit, and `inspect` shows an image's gates around it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from patch_tool_world import fit_words

from delta_core.tool.usual_gates import COLUMNS, NAME, read_usual_gates, write_usual_gates
from delta_core.training.gate_figure import draw_gates, spreads_from_mean


def inspect(world: Path, patch_tool: Callable[..., int], patch: str, out: Path) -> int:
    image = world / "pets" / "train" / "cat" / "0.png"
    return patch_tool("inspect", world / patch, image, "--weights", world / "net.pt", "--device", "cpu", "-o", out)


def test_a_fit_leaves_what_its_gates_usually_are(
    world: Path, patch_tool: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gates = read_usual_gates(world / "kept")
    assert gates is not None
    assert tuple(gates.columns) == COLUMNS
    assert set(gates["images"]) == {21}, "of 24 training images 3 are held out"
    assert (gates["sd"] >= 0).all()
    assert inspect(world, patch_tool, "kept", tmp_path / "gates.png") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if " -> " in line]
    assert len(lines) == len(gates)
    for line, mean, sd in zip(lines, gates["mean"], gates["sd"], strict=True):
        assert f"usually {mean:.3f} ± {sd:.3f}" in line


def test_without_them_on_and_off_are_told(
    world: Path, patch_tool: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = (world / "kept" / NAME).read_text()
    for damaged in (
        None,
        "not,a,table\n",
        kept.replace("21", "many"),
        kept[: len(kept) // 2],
        kept + kept.splitlines()[1],
    ):
        (world / "kept" / NAME).unlink(missing_ok=True)
        if damaged is not None:
            (world / "kept" / NAME).write_text(damaged)
        assert inspect(world, patch_tool, "kept", tmp_path / "gates.png") == 0
        out = capsys.readouterr().out
        assert "usually" not in out
        assert " on" in out or " off" in out
    (world / "kept" / NAME).write_text(kept)


def test_a_head_alone_has_none_and_that_of_an_older_patch_goes(
    world: Path, patch_tool: Callable[..., int], tmp_path: Path
) -> None:
    assert patch_tool(*fit_words(world, str(tmp_path / "p"))) == 0
    assert (tmp_path / "p" / NAME).exists()
    assert patch_tool(*fit_words(world, str(tmp_path / "p"), modules=0), "--force") == 0
    assert not (tmp_path / "p" / NAME).exists()
    write_usual_gates(tmp_path, pd.DataFrame(columns=COLUMNS))
    assert read_usual_gates(tmp_path) is None


def test_pictures_show_what_is_unusual_and_tick_only_nodes_that_are_there() -> None:
    lines = pd.DataFrame(
        {"row": ["x"], "block": [1], "source": [0], "target": [1], "existing": [True], "value": [0.9], "mean": [0.5]}
    ).assign(sd=0.1)
    assert spreads_from_mean(lines).tolist() == pytest.approx([4])
    assert spreads_from_mean(lines.assign(sd=0.0)).tolist() == [0]
    bold = {}
    for name, value in (("usual", 0.6), ("unusual", 0.9)):
        axes = draw_gates(lines.assign(value=value), title="", around="mean").subfigs[0].axes[0]
        (text,) = axes.texts
        bold[name] = text.get_fontweight() == "bold"
        assert (list(axes.get_xticks()), list(axes.get_yticks())) == ([0], [1])
        assert np.asarray(axes.collections[0].get_clim()).tolist() == [-3, 3]
    assert bold == {"usual": False, "unusual": True}
