"""The study's reductions: gains seed by seed, averages that weigh tasks and architectures equally."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_rows import plain_run

from benchmarks.records.names import STUDY_DEFAULTS
from benchmarks.records.record_files import write_record
from benchmarks.records.rows import Row, to_frame
from delta_core.training.errors import UserError
from reports import cli as command
from reports.tables.defaults_study import OVERALL, study_figure, study_frame, study_page

GAIN = {
    ("resnet18", "signs"): 4.0,
    ("resnet18", "textures"): 0.0,
    ("resnet34", "signs"): -1.0,
    ("resnet34", "textures"): -3.0,
}


def rows() -> list[Row]:
    """Two arms; the second is two points better. FC-only moves with the seed, so only paired gains are exact."""
    found: list[Row] = []
    for (architecture, task), gain in GAIN.items():
        for seed in (0, 1, 2):
            same = {
                "suite": STUDY_DEFAULTS,
                "architecture": architecture,
                "task": task,
                "column": task,
                "seed": seed,
                "base": None,
            }
            reference = 40.0 + 7 * seed
            found += plain_run(**same, patch=reference)
            for arm, more in (("a", 0.0), ("b", 2.0)):
                value = reference + gain + more + 0.5 * (seed - 1)
                found += plain_run(**same, method="delta_networks", n_delta_modules=2, variant=arm, patch=value)
    # test accuracies say the opposite and must not be looked at
    return [replace(row, value=99.0 - row.value) if row.split == "test" else row for row in found]


def gain(arm: str, architecture: str, task: str) -> tuple[float, float, int]:
    frame = study_frame(to_frame(rows())).set_index(["arm", "architecture", "task"])
    line = frame.loc[(arm, architecture, task)]
    return line["gain"], line["sd"], line["n"]


def test_gains_are_paired_by_seed_on_validation_data() -> None:
    assert gain("a", "resnet18", "signs") == (4.0, 0.5, 3)
    assert gain("b", "resnet34", "textures") == (-1.0, 0.5, 3)


def test_averages_are_over_tasks_then_architectures() -> None:
    assert gain("a", "resnet18", OVERALL) == (2.0, 0.5, 3)
    assert gain("a", OVERALL, "signs") == (1.5, 0.5, 3)
    assert gain("a", OVERALL, OVERALL) == (0.0, 0.5, 3)
    assert gain("b", OVERALL, OVERALL) == (2.0, 0.5, 3)


def test_best_arm_stands_first_and_is_bold() -> None:
    page = study_page(study_frame(to_frame(rows())), "embedded")
    for block in page.blocks:
        assert list(block.cells["method"]) == ["b", "a"]
        assert block.best.loc[0].drop("method").all()
        assert not block.best.loc[1].any()
    assert page.blocks[0].cells[OVERALL].tolist() == ["+2.00 ±0.50", "+0.00 ±0.50"]


def test_figure_shows_every_cell_and_the_average() -> None:
    axes = study_figure(study_frame(to_frame(rows())), "embedded").axes[0]
    *architectures, average = axes.collections
    assert [len(marks.get_offsets()) for marks in architectures] == [4, 4]
    assert np.allclose(average.get_offsets(), [(0, 0), (2, 1)])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_arms_without_reference_are_left_out_and_mixed_protocols_refused() -> None:
    alone = to_frame([row for row in rows() if row.method != "fc_only" or row.architecture == "resnet18"])
    assert set(study_frame(alone)["architecture"]) == {"resnet18", OVERALL}
    mixed = [*rows(), *(replace(row, run_id="x", protocol="epochs=9", seed=5) for row in rows()[:2])]
    with pytest.raises(UserError, match="mixes the protocols"):
        study_frame(to_frame(mixed))
    with pytest.raises(UserError, match="same cell with the same seed"):
        study_frame(to_frame([*rows(), replace(rows()[1], run_id="again")]))


def test_an_arm_that_was_not_measured_everywhere_has_no_average_and_stands_last() -> None:
    part = [row for row in rows() if row.variant != "b" or (row.architecture, row.task) == ("resnet18", "signs")]
    frame = study_frame(to_frame(part))
    found = frame[frame["arm"] == "b"]
    assert found[["architecture", "task", "gain"]].to_numpy().tolist() == [["resnet18", "signs", 6.0]]
    page = study_page(frame, "embedded")
    assert [list(block.cells["method"]) for block in page.blocks] == [["a", "b"]] * 2
    assert page.blocks[0].cells.iloc[1][OVERALL] == ""
    assert len(study_figure(frame, "embedded").axes[0].get_yticklabels()) == 1


def test_command_writes_table_and_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.records.collected import collect

    for run_id in {row.run_id for row in rows()}:
        write_record(tmp_path / "embedded", [row for row in rows() if row.run_id == run_id])
    collect(tmp_path / "embedded")
    monkeypatch.setattr("sys.argv", ["python -m reports", STUDY_DEFAULTS, "--results", str(tmp_path)])
    command.main()
    names = {path.name for path in (tmp_path / "embedded" / "tables").iterdir()}
    assert names == {f"{STUDY_DEFAULTS}.{suffix}" for suffix in ("csv", "md", "tex", "svg")}
