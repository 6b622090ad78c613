"""Memory of a training step, told without a step: against what a step on the CPU really allocates."""

import re
from dataclasses import replace

import pytest
import timm
import torch
from lightning_fabric import Fabric
from tiny_cell import tiny_cell
from torch.profiler import ProfilerActivity, profile

from benchmarks.cli import show_plan
from benchmarks.grid.memory import CLASSES, evaluation_bytes, memory_of, step_memory
from benchmarks.methods.base import Method
from benchmarks.methods.delta import DeltaNetworks
from benchmarks.methods.fc_only import FcOnly
from benchmarks.methods.finetune import FineTune
from benchmarks.methods.lora import Lora
from benchmarks.tables import runs_of, table_of
from benchmarks.worlds.options import Options
from delta_core import DeltaConfig
from delta_core.training.data.splits import TaskData, TensorSplit
from delta_core.training.errors import UserError
from delta_core.training.recipe import Recipe
from delta_core.weights import preprocessing_of

SIZE, RECIPE = 96, Recipe(epochs=1, batch_size=64, views=0)
ARCHITECTURE = "resnet10t"
METHODS: list[Method] = [
    FineTune(recipe=RECIPE),
    Lora(recipe=RECIPE),
    DeltaNetworks(recipe=RECIPE, config=DeltaConfig.paper(n_modules=4), reading="paper"),
    DeltaNetworks(recipe=RECIPE, config=DeltaConfig(n_modules=2, norm_start="fresh"), reading="maps"),
]


class StopError(Exception):
    """Ends a training after its first backward pass."""


def measured(method: Method, monkeypatch: pytest.MonkeyPatch) -> int:
    """Highest sum of what the first step of a real training allocates on the CPU, by the profiler."""
    net = timm.create_model(ARCHITECTURE, num_classes=1000)
    images = TensorSplit(
        inputs=torch.zeros(RECIPE.batch_size, 3, SIZE, SIZE, dtype=torch.uint8),
        labels=torch.arange(RECIPE.batch_size) % CLASSES,
        preprocessing=preprocessing_of(net, SIZE),
    )
    task = TaskData(name="images", classes=CLASSES, sha="", train=images, val=images, test=images)
    fabric = Fabric(accelerator="cpu", devices=1)
    watch = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
    setup, backward = fabric.setup, fabric.backward

    def begin(*arguments: object) -> object:
        found = setup(*arguments)  # type: ignore[arg-type]
        watch.start()
        return found

    def end(loss: torch.Tensor) -> None:
        backward(loss)
        watch.stop()
        raise StopError

    monkeypatch.setattr(fabric, "setup", begin)
    monkeypatch.setattr(fabric, "backward", end)
    cell = tiny_cell(lambda: net.to(memory_format=torch.channels_last).eval(), base=False, task=task, fabric=fabric)
    with pytest.raises(StopError):
        method.measure(cell)
    events = [event for event in watch.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


@pytest.mark.parametrize("method", METHODS, ids=lambda method: f"{method.name}-{method.n_delta_modules}")
def test_the_estimate_is_near_what_a_step_allocates(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    found = step_memory(method, ARCHITECTURE, SIZE)
    assert found is not None
    real = measured(method, monkeypatch)
    # What kernels take for themselves, some 10 MB, is not in it.
    assert 0.9 * real < found.activations + _gradients(method) <= real


def _gradients(method: Method) -> int:
    """Bytes of the gradients, which an estimate counts among the states."""
    grown = replace(method, recipe=replace(method.recipe, optimizer="sgd"))
    adam, sgd = (step_memory(each, ARCHITECTURE, SIZE) for each in (method, grown))
    assert adam is not None and sgd is not None
    return adam.states - sgd.states  # one more state of each parameter


def test_parts_of_a_batch_take_less_and_states_stay() -> None:
    whole, parts = (
        step_memory(replace(METHODS[0], recipe=replace(RECIPE, micro_batch=size)), ARCHITECTURE, SIZE)
        for size in (None, 16)
    )
    assert whole is not None and parts is not None
    assert parts.states == whole.states
    assert parts.activations < 0.35 * whole.activations


def test_a_head_alone_takes_no_more_than_a_forward_pass() -> None:
    head, everything = (step_memory(kind(recipe=RECIPE), ARCHITECTURE, SIZE) for kind in (FcOnly, FineTune))
    assert head is not None and everything is not None
    assert head.activations < everything.activations / 3


def test_a_head_alone_needs_what_evaluation_needs() -> None:
    options = Options(table="table2", scale="paper", arch=("resnet18",), task=("cars",), method=("fc_only",))
    (run,) = runs_of(options, table_of("table2").open_world(options, table_of("table2").tasks))
    found, step = memory_of(run), step_memory(FcOnly(recipe=replace(RECIPE, batch_size=128)), "resnet18", 224)
    assert found is not None and step is not None
    assert found.activations == evaluation_bytes("resnet18", 224)
    assert found.activations > 1.8 * step.activations, "250 images instead of 128"


@pytest.mark.parametrize("table", ["table1", "table2", "table3", "table4", "table8", "table12", "table13"])
def test_every_patching_run_of_the_paper_has_an_estimate(table: str) -> None:
    options = Options(table=table, scale="paper", arch=("resnet18",))
    runs = runs_of(options, table_of(table).open_world(options, table_of(table).tasks))
    assert all(memory_of(run) is not None for run in runs)


@pytest.mark.parametrize("table", ["table5", "table6"])
def test_what_cannot_be_told_is_not_told(table: str) -> None:
    options = Options(table=table, scale="paper", method=("co_tuning",) if table == "table5" else ())
    runs = runs_of(options, table_of(table).open_world(options, table_of(table).tasks))
    assert runs
    assert {memory_of(run) for run in runs} == {None}


def test_a_plan_tells_the_memory_of_each_run_and_of_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    options = Options(table="table12", scale="paper", task=("cars",), arch=("resnet18",))
    assert show_plan(options, memory=True) == 0
    out = capsys.readouterr().out
    runs = [line for line in out.splitlines() if line.startswith("blocked ")]
    assert len(runs) == 2
    assert all(re.search(r": \d+\.\d GB \(\d+\.\d states, \d+\.\d activations\)$", line) for line in runs)
    assert re.search(r"^table12, device memory: at most .* resnet18 cars delta_networks", out, re.MULTILINE)
    with pytest.raises(UserError, match="--memory is for --scale paper"):
        show_plan(replace(options, scale="embedded", task=()), memory=True)
