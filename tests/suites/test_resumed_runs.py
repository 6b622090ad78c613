"""A run that is killed in its middle and started again ends in the same bits: every training loop of the suite."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from tiny import RECIPE, tiny_task
from tiny_cell import tiny_cell
from tiny_domains import ADDA, PAPERS_DELTA, execute, method_of
from tiny_sequence import TASKS, sequence
from tiny_transfer import ALL as TRANSFER
from tiny_transfer import lazy_cell

from benchmarks import stages
from benchmarks.env import Env
from benchmarks.methods.base import Cell, Method, Outcome
from benchmarks.methods.batchnorm_adapt import BatchNormAdapt
from benchmarks.methods.bitfit import BitFit
from benchmarks.methods.delta import DeltaNetworks
from benchmarks.methods.fc_only import FcOnly
from benchmarks.methods.finetune import FineTune
from benchmarks.methods.lora import Lora
from benchmarks.methods.norm_tuning import NormTuning
from benchmarks.methods.paint import Paint
from benchmarks.methods.paint_on_base import PaintOnBase
from benchmarks.methods.readings import MAPS
from benchmarks.methods.scratch import Scratch, ScratchDelta
from benchmarks.methods.ssf import ScaleShift
from benchmarks.nets import pretraining
from benchmarks.nets.pretraining import BaseSpec
from benchmarks.records.rows import Row
from benchmarks.stages import Stages, forget_stages, stages_of
from benchmarks.suites.domain_adaptation.spec import PriorConfig
from benchmarks.suites.sequence.runner import walk
from benchmarks.suites.transfer.methods.base import Transfer
from delta_core import DeltaConfig
from delta_core.state_file import read_safetensors
from delta_core.training.checkpoint import LoopState

FRESH = replace(RECIPE, views=0)
DELTA = DeltaConfig(n_modules=2)


class Killed(BaseException):
    """Instead of SIGKILL, after which Python has nothing to say either."""


@contextmanager
def killed_after(writes: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """End what happens inside when a state or a value was written for the n-th time."""
    left = [writes]

    def ending(write: Callable[..., None]) -> Callable[..., None]:
        def written(*args: Any, **options: Any) -> None:
            write(*args, **options)
            left[0] -= 1
            if not left[0]:
                raise Killed

        return written

    with monkeypatch.context() as patched:
        patched.setattr(LoopState, "save", ending(LoopState.save))
        patched.setattr(stages, "write_sealed", ending(stages.write_sealed))
        yield


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The number of writes that happen inside, last."""
    found = [0]
    save, write = LoopState.save, stages.write_sealed

    def count(writing: Callable[..., None]) -> Callable[..., None]:
        def written(*args: Any, **options: Any) -> None:
            found[0] += 1
            writing(*args, **options)

        return written

    with monkeypatch.context() as patched:
        patched.setattr(LoopState, "save", count(save))
        patched.setattr(stages, "write_sealed", count(write))
        yield found


def is_the_same_when_killed(
    measure: Callable[[Stages], Any], folder: Path, monkeypatch: pytest.MonkeyPatch, *, kills: int = 3
) -> None:
    """Whether `measure` gives what it gave undisturbed after several kills, each at another write."""
    whole = measure(Stages())
    with counted(monkeypatch) as writes:
        assert measure(Stages(folder / "counted", every_s=0)) == whole, "writing changes nothing"
    assert writes[0] > kills, "there is something to be killed between"
    random = Random(writes[0])
    for trial in range(kills):
        place = folder / f"trial {trial}"
        for _ in range(2):  # the second kill is of what goes on after the first
            with killed_after(random.randint(1, writes[0] // 2), monkeypatch), pytest.raises(Killed):
                measure(Stages(place, every_s=0))
            torch.manual_seed(99)
        assert measure(Stages(place, every_s=0)) == whole


def said(outcome: Outcome) -> Outcome:
    """All that does not depend on how fast the machine is."""
    assert outcome.train_s > 0
    return replace(outcome, train_s=0)


METHODS: dict[str, Method] = {
    "fc_only": FcOnly(recipe=RECIPE),
    "delta": DeltaNetworks(recipe=RECIPE, config=DELTA, reading=MAPS),
    "delta, fresh views": DeltaNetworks(recipe=FRESH, config=DELTA, reading=MAPS),
    "paint": Paint(recipe=FRESH, screen_images=6),
    "paint on base": PaintOnBase(recipe=RECIPE),
    "finetune": FineTune(recipe=FRESH),
    "batchnorm_adapt": BatchNormAdapt(recipe=RECIPE),
    "norm_tuning": NormTuning(recipe=RECIPE),
    "bitfit": BitFit(recipe=RECIPE),
    "ssf": ScaleShift(recipe=RECIPE),
    "scratch": Scratch(recipe=FRESH, augmentation="resized_crop_flip"),
    "scratch with modules": ScratchDelta(recipe=FRESH, config=DeltaConfig.paper(n_modules=2)),
    "lora": Lora(recipe=RECIPE),
}
DRAWING = ("vanilla", "stochnorm", "bi_tuning")
"""With views that are drawn one after the other: one method that draws nothing itself, one that does, and pairs."""


@pytest.mark.parametrize("name", METHODS)
def test_a_killed_method_goes_on_to_the_same_outcome(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = METHODS[name]

    def cell(stages: Stages) -> Cell:
        fresh = lazy_cell() if method.recipe.views == 0 else None
        return tiny_cell(stages=stages, **({"task": fresh.task} if fresh else {}))

    is_the_same_when_killed(lambda stages: said(method.measure(cell(stages))), tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("method", "in_turn"),
    [*((method, False) for method in TRANSFER), *((each, True) for each in TRANSFER if each.name in DRAWING)],
    ids=lambda value: f"{value.name}:{value.variant}" if isinstance(value, Method) else f"in turn {value}",
)
def test_a_killed_transfer_goes_on_to_the_same_outcome(
    method: Transfer, in_turn: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longer = replace(method, recipe=replace(method.recipe, epochs=4))

    def measure(stages: Stages) -> Outcome:
        cell = lazy_cell()
        task = replace(cell.task, train=replace(cell.task.train, in_turn=in_turn))
        return said(longer.measure(replace(cell, task=task, stages=stages)))

    is_the_same_when_killed(measure, tmp_path, monkeypatch, kills=2)


def test_a_killed_sequence_goes_on_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(stages: Stages) -> Outcome:
        cell = tiny_cell(stages=stages)
        return said(walk(sequence(), cell, cell.new_backbone(), TASKS))

    is_the_same_when_killed(measure, tmp_path, monkeypatch)


PRIOR = PriorConfig(weight=0.1, discriminator_lr=1e-3)


@pytest.mark.parametrize(
    "changes",
    [{}, {"prior": PRIOR}, {"adda": ADDA}, {"adda": ADDA, "prior": PRIOR, "delta": PAPERS_DELTA}],
    ids=["vanilla", "prior", "adda", "adda, prior and modules"],
)
def test_a_killed_adaptation_goes_on_in_either_phase(
    changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = method_of(**changes)

    def rows_in(folder: Path) -> list[Row]:
        with monkeypatch.context() as patched:
            found = execute(method, folder, patched, checkpoint_every_s=0)
        return [replace(row, train_s=0, eval_s=0, peak_mem_mb=0, measured_at="") for row in found]

    with counted(monkeypatch) as writes:
        whole = rows_in(tmp_path / "whole")
    for trial, kill in enumerate((1, writes[0] // 2, writes[0] - 1)):
        folder = tmp_path / str(trial)
        with killed_after(kill, monkeypatch), pytest.raises(Killed):
            rows_in(folder)
        assert rows_in(folder) == whole


def test_a_killed_pre_training_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretraining, "load_task", lambda *_, **__: tiny_task("glyphs62", classes=7))
    spec = BaseSpec(architecture="resnet18", recipe=RECIPE)

    def weights_in(folder: Path) -> dict[str, torch.Tensor]:
        env = Env(results=folder, cache=folder, checkpoint_every_s=0)
        pretraining.pretrain(spec, env)
        return read_safetensors(pretraining.checkpoint_path(folder, spec.run_id))[0]

    whole = weights_in(tmp_path / "whole")
    with killed_after(3, monkeypatch), pytest.raises(Killed):
        weights_in(tmp_path / "killed")
    resumed = weights_in(tmp_path / "killed")
    assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []


# --- what is kept, and for how long --------------------------------------------------------------------------------


def test_short_runs_write_nothing(tmp_path: Path) -> None:
    Paint(recipe=RECIPE).measure(tiny_cell(stages=Stages(tmp_path / "kept")))
    assert not (tmp_path / "kept").exists()


def test_seconds_of_an_earlier_sitting_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = FineTune(recipe=RECIPE)
    begun = Stages(tmp_path, every_s=0)
    begun.clock.add(1000)
    with killed_after(2, monkeypatch), pytest.raises(Killed):
        method.measure(tiny_cell(stages=begun))
    resumed = Stages(tmp_path, every_s=0)
    outcome = method.measure(tiny_cell(stages=resumed))
    assert 1000 < outcome.train_s < resumed.clock.seconds() < 1100


def test_damaged_values_are_told_and_measured_anew(tmp_path: Path) -> None:
    first = Stages(tmp_path, every_s=0)
    assert first.value("a", lambda: [1.5]) == [1.5]
    assert Stages(tmp_path).value("a", lambda: [2.5]) == [1.5]
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes().replace(b"1.5", b"7.5"))
    with pytest.warns(UserWarning, match="is damaged"):
        assert Stages(tmp_path).value("a", lambda: [2.5]) == [2.5]


def test_what_another_commit_began_is_told_and_not_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env, fabric = Env(results=tmp_path, cache=tmp_path, checkpoint_every_s=0), Fabric(accelerator="cpu")
    stages_of("0123", env, fabric).value("a", lambda: 1)
    assert stages_of("0123", env, fabric).value("a", lambda: 2) == 1
    monkeypatch.setattr(stages, "git_state", lambda: ("another", False))
    with pytest.warns(UserWarning, match="Run 0123 was begun by another commit"):
        assert stages_of("0123", env, fabric).value("a", lambda: 2) == 2
    assert stages_of("45", env, fabric).value("a", lambda: 3) == 3
    forget_stages("0123", env)
    assert [folder.name.partition("-")[0] for folder in (tmp_path / "unfinished").iterdir()] == ["45"]
