"""`delta-patch fit --log-dir`: event files of every training, the same patch to the bit, and what is refused."""

import json
from pathlib import Path

import pytest
import torch
from patch_tool_world import call, fit_words

from delta_core.tool import cli as command_line
from delta_core.tool.fit import Listener

pytest.importorskip("tensorboard")  # of an extra
from event_files import scalars_in


def without_times(folder: Path) -> dict[str, object]:
    record = json.loads((folder / "training.json").read_text())
    history = [epoch | {"train_s": 0} for epoch in record["history"]]
    return record | {"history": history, "train_s": 0, "origin": 0}


def test_a_log_changes_no_bit_and_holds_what_the_record_says(
    world: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out, logs = tmp_path / "kept", tmp_path / "logs"
    assert call(monkeypatch, *fit_words(world, str(out)), "--log-dir", logs) == 0
    for name in ("patch.safetensors", "gates.csv", "images.csv"):
        assert (out / name).read_bytes() == (world / "kept" / name).read_bytes()
    record = without_times(out)
    assert record == without_times(world / "kept")
    (folder,) = (logs / "kept").iterdir()
    assert folder.name == f"modules-1-{record['run_id']}"
    found = scalars_in(folder)
    steps = record["steps"] // 2
    for tag, name in (("loss/epoch", "train_loss"), ("val/top1", "val_top1")):
        numbers = torch.tensor([epoch[name] for epoch in record["history"]]).tolist()
        assert found[tag] == list(zip((steps, 2 * steps), numbers, strict=True))
    assert sum(tag.startswith("gates/mean/") for tag in found) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"kept", "logs"}


def test_a_killed_fit_goes_on_in_its_log(world: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = (*fit_words(world, str(tmp_path / "kept")), "--log-dir", tmp_path / "logs")

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(command_line, "Listener", lambda **parts: Listener(**parts | {"on_epoch": kill}))
        assert call(monkeypatch, *words) == 130
    assert call(monkeypatch, *words) == 0
    (folder,) = (tmp_path / "logs" / "kept").iterdir()
    steps = without_times(tmp_path / "kept")["steps"]
    assert [step for step, _ in scalars_in(folder)["loss/step"]] == list(range(1, steps + 1))


def test_each_trial_has_a_folder(world: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = fit_words(world, str(tmp_path / "auto"), modules="auto", epochs=1)
    assert call(monkeypatch, *words, "--log-dir", tmp_path / "logs") == 0
    record = without_times(tmp_path / "auto")
    kinds = sorted(folder.name.rpartition("-")[0] for folder in (tmp_path / "logs" / "auto").iterdir())
    trials = sorted(f"trial-modules-{trial['modules']}" for trial in record["trials"])
    chosen = [kind for kind in kinds if kind not in trials]
    assert len(trials) >= 2
    assert kinds == sorted([*chosen, *trials])
    assert (tmp_path / "logs" / "auto" / f"{chosen[0]}-{record['run_id']}").is_dir()


@pytest.mark.parametrize("place", ["pets", "pets/logs", "out", "out/logs"])
def test_a_log_among_the_images_or_in_the_patch_is_refused(
    place: str, world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, *fit_words(world, "out"), "--log-dir", world / place) == 2
    what = "the image folder" if "pets" in place else "the patch folder"
    assert capsys.readouterr().err.endswith(f"lies in {what}; give a folder beside it.\n")
    assert not (world / "out").exists()
    assert not (world / "pets" / "logs").exists()


def test_without_tensorboard_fit_says_what_to_install(
    world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("delta_core.training.tensorboard_log.find_spec", lambda _: None)
    assert call(monkeypatch, *fit_words(world, "out"), "--log-dir", world / "logs") == 2
    assert capsys.readouterr().err == (
        f"delta-patch: log dir is {str(world / 'logs')!r}, but the package tensorboard is missing, which writes there; "
        "run: pip install 'delta-patching[log]'\n"
    )
    assert not (world / "out").exists()
    assert not (world / "logs").exists()
