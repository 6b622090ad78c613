"""benchmarks.perf on tiny settings: the format of rows and what is compared; never how fast anything is."""

import csv
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from timeit import timeit
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from ray_nodes import ENVIRONMENT
from synthetic import synthetic_frame

from benchmarks.perf import (
    adapters,
    command,
    compiled,
    folded,
    forward_patches,
    grids,
    growth,
    growth_of_records,
    inference,
    peers,
    pixels,
    reports,
    rounding,
    skip_sums,
    starts,
    stored_features,
    time_to_accuracy,
    training,
)
from benchmarks.perf.arms import ARMS, Arm, build
from benchmarks.perf.figure import draw_curves
from benchmarks.perf.paired import in_fresh_process, interleaved_seconds
from benchmarks.perf.peers import kept_tensors
from benchmarks.perf.rows import PerfRow, perf_row, write_perf_rows
from benchmarks.perf.synthetic_rows import synthetic_rows
from benchmarks.perf.time_to_accuracy import Kind, Point, rows_of_points
from benchmarks.records.collected import read_rows
from benchmarks.records.rows import row_schema
from delta_core import skip_sum
from delta_core.skip_sum_store import BufferedNodes
from delta_core.training.data.splits import TaskData, TensorSplit
from delta_core.training.errors import UserError
from delta_core.training.prefix_features import PrefixFeatures
from delta_core.training.process import ALLOCATOR, peak_resident_mb


def in_this_process(function: Callable[..., float], *arguments: object) -> float:
    """Instead of `in_fresh_process`, where the format of rows is tested: a start takes seconds.

    Memory that this process had before is no peak any more, so it may be 0, which no ratio can be taken of.
    """
    return max(1.0, function(*arguments))


def once(runs: dict[str, Callable[[], object]], repetitions: int) -> dict[str, list[float]]:
    """Instead of `interleaved_seconds`, where each run starts processes for seconds: without a round that warms up."""
    assert repetitions == 1
    return {name: [timeit(run, number=1)] for name, run in runs.items()}


@pytest.fixture(scope="module")
def rows() -> list[PerfRow]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forward_patches, "in_fresh_process", in_this_process)
        return forward_patches.measure(repetitions=2, architecture="resnet10t", image_px=32, batch=1, tasks=2)


def test_forward_patches_has_a_row_for_each_cost_and_reference(rows: list[PerfRow]) -> None:
    costs = ("time", "parameters and buffers", "peak memory above imports")
    named = [f"{cost} / {other}" for cost in costs for other in ("models", "finetuned")]
    assert [row.name for row in rows] == [*named, "memory of loaded patches / base and patch files"]
    assert [row.n for row in rows] == [2, 2, 1, 1, 1, 1, 1]
    assert all(row.ratio > 0 and row.threads == torch.get_num_threads() and row.versions for row in rows)


def test_bytes_are_those_of_the_tensors(rows: list[PerfRow]) -> None:
    held = {row.name: row for row in rows if row.unit == "MiB"}
    model = forward_patches._build("models", "resnet10t", 1)
    one = sum(tensor.nbytes for tensor in model.state_dict().values()) / 2**20
    assert held["parameters and buffers / models"].reference == pytest.approx(2 * one)
    assert 0.5 < held["parameters and buffers / models"].ratio < 1


def test_both_sides_answer_for_all_tasks() -> None:
    x = torch.zeros(1, 3, 32, 32)
    for kind in ("ours", "models", "finetuned"):
        logits = forward_patches._pass(forward_patches._build(kind, "resnet10t", 3), x)()
        assert [tuple(one.shape) for one in logits] == [(1, forward_patches.CLASSES)] * 3


def test_a_ratio_is_taken_pair_by_pair() -> None:
    row = perf_row("a / b", "s", [1.0, 10.0, 100.0], [2.0, 20.0, 400.0], {"px": 1})
    assert (row.ratio, row.ours, row.reference, row.n) == (0.5, 10.0, 20.0, 3)
    assert perf_row("a / b", "s", [1.0], [2.0], {}).spread == 0
    with pytest.raises(ValueError, match="shorter"):
        perf_row("a / b", "s", [1.0, 2.0], [2.0], {})


def test_runs_take_turns() -> None:
    order: list[str] = []
    seconds = interleaved_seconds({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert "".join(order) == "ab" + "ab" + "ba" + "ab"
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}


def test_memory_of_a_fresh_process_is_its_own() -> None:
    held = torch.ones(64 * 2**20)  # 256 MiB that the other process must not count
    assert in_fresh_process(peak_resident_mb) < peak_resident_mb() - held.nbytes / 2**20 / 2


def test_command_writes_one_file_per_measurement(
    rows: list[PerfRow], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "MEASUREMENTS", {"tiny": lambda *, repetitions: rows[:repetitions]})
    threads = torch.get_num_threads()
    command.perf(("tiny",), repetitions=2, threads=threads, results=tmp_path)
    with (tmp_path / "perf" / "tiny.csv").open(encoding="utf-8", newline="") as stream:
        written = list(csv.DictReader(stream))
    assert list(written[0]) == [field.name for field in fields(PerfRow)]
    assert [float(row["ratio"]) for row in written] == [row.ratio for row in rows[:2]]
    assert "tiny.csv" in capsys.readouterr().out
    write_perf_rows(tmp_path / "perf" / "tiny.csv", [])
    assert len((tmp_path / "perf" / "tiny.csv").read_text().splitlines()) == 1


def test_what_measures_starts_with_the_allocator_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ALLOCATOR:
        monkeypatch.setenv(name, "set, so that it is taken away again afterwards")
        monkeypatch.delenv(name)
    started: list[list[str]] = []

    def execv(_: str, words: list[str]) -> None:
        started.append(words)
        sys.exit(0)

    monkeypatch.setattr(os, "execv", execv)
    with pytest.raises(SystemExit):
        runpy.run_module("benchmarks.perf", run_name="__main__")
    assert started == [[sys.executable, *sys.orig_argv[1:]]]
    assert {name: os.environ[name] for name in ALLOCATOR} == ALLOCATOR


def test_bad_input_is_one_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.perf", "nothing"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Measurement 'nothing' is not known" in done.stderr
    assert done.stderr.count("\n") == 1
    with pytest.raises(UserError, match="--repetitions is 0"):
        command.perf((), repetitions=0)


# --- training, inference, sums -----------------------------------------------------------------------------------


def test_epoch_compares_a_patch_with_its_peers() -> None:
    rows = training.measure_epoch(repetitions=1, architecture="resnet10t", images=4, batch=2, image_px=32)
    found = {row.name: row for row in rows}
    for n in (1, 4):
        flops = {
            arm: found[f"epoch of {arm} / finetune, Delta ({n})"].flop_ratio
            for arm in ("delta_features", "delta", "lora", "head_features")
        }
        assert flops["head_features"] < 0.01 < flops["delta_features"] < flops["delta"] < 1
        assert found[f"epoch of delta_features / delta, Delta ({n})"].ratio > 0
        assert found[f"making features / epoch of finetune, Delta ({n})"].flop_ratio is None


def test_stored_features_are_read_in_each_type_and_from_each_place() -> None:
    rows = stored_features.measure(repetitions=1, architecture="resnet10t", n_modules=(1,), images=4, image_px=32)
    found = {row.name: row for row in rows}
    for dtype in ("float32", "bfloat16", "float16", "uint8"):
        for place in ("on disk", "in memory"):
            assert found[f"{dtype} {place} / computed anew, Delta (1)"].ratio > 0
    assert found["bytes in bfloat16 / float32, Delta (1)"].ratio == 0.5
    channels, height, width = json.loads(rows[0].setting)["shape"]
    expected = (channels * height * width + 8 * channels) / (4 * channels * height * width)
    assert found["bytes in uint8 / float32, Delta (1)"].ratio == pytest.approx(expected)


def test_rounded_features_and_files_are_compared_with_whole_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few images of each task in place of all."""
    whole = rounding.load_task

    def few(*arguments: Any) -> TaskData:
        data = whole(*arguments)
        cut = {}
        for part, count in (("train", 100), ("test", 60)):
            split = getattr(data, part)
            assert isinstance(split, TensorSplit)
            cut[part] = replace(split, inputs=split.inputs[:count], labels=split.labels[:count])
        return replace(data, **cut)

    kept = []

    def features(**words: Any) -> PrefixFeatures:
        kept.append(words["dtype"])
        return PrefixFeatures(**words)

    monkeypatch.setattr(rounding, "load_task", few)
    monkeypatch.setattr(rounding, "PrefixFeatures", features)
    rows = rounding.measure(repetitions=2, tasks=("real:photos",), n_modules=(1,), epochs=1)
    assert kept == 2 * ["float32", "bfloat16", "float16", "uint8"]
    kinds = [f"features in {dtype}" for dtype in ("bfloat16", "float16", "uint8")]
    kinds += [f"a file in {dtype}" for dtype in ("float16", "bfloat16")]
    assert {row.name for row in rows} == {f"top-1 with {kind} / float32, Delta (1)" for kind in kinds}
    assert all(row.n == 2 and 0 < row.reference <= 100 and 0.8 < row.ratio < 1.25 for row in rows)


def test_step_memory_and_latency_name_what_they_compare() -> None:
    steps = training.measure_step(repetitions=1, architectures=("resnet10t",), n_modules=4, batch=2, image_px=32)
    assert [row.name for row in steps] == [f"step of delta (4) / {name}, resnet10t" for name in ("finetune", "lora")]
    assert all(0 < row.flop_ratio < 2 for row in steps)
    latency = inference.measure_latency(
        repetitions=1, architecture="resnet10t", modules=(1, 2), batches=(1,), image_px=32
    )
    assert [row.name for row in latency] == [f"latency of delta ({n}) at batch 1 / base" for n in (1, 2)]
    assert 1 < latency[0].flop_ratio < latency[1].flop_ratio
    memory = training.measure_memory(repetitions=1, architecture="resnet10t", batch=2, image_px=64)
    assert [row.name for row in memory] == [f"peak training memory of {arm} / finetune" for arm in ("delta", "head")]


def test_what_a_compiler_gives_is_compared_with_compiled_nets_and_with_none(monkeypatch: pytest.MonkeyPatch) -> None:
    compiling = torch.compile
    monkeypatch.setattr(torch, "compile", lambda module: compiling(module, backend="aot_eager"))
    rows = compiled.measure(repetitions=1, architecture="resnet10t", n_modules=1, batch=2, image_px=32)
    assert [row.name.split(" / ")[1] for row in rows] == [
        *("compiled finetune", "compiled lora", "not compiled", "compiled base", "not compiled", "base as it is"),
        *("that step", "that pass"),
    ]
    assert all(row.ratio > 0 for row in rows)


def test_a_folded_net_is_compared_with_the_net_as_it_is() -> None:
    rows = folded.measure(repetitions=1, architecture="resnet10t", n_modules=1, batch=2, image_px=32)
    references = [row.name.split(" / ")[1] for row in rows]
    assert references == ["as it is", "finetune", "as it is", "folded base", "base"]
    assert all(row.ratio > 0 for row in rows)


@pytest.mark.parametrize("arm", ARMS)
def test_only_what_an_arm_trains_takes_gradients(arm: Arm) -> None:
    trained = build(arm, "resnet10t", 1, torch.device("cpu"))
    images = torch.randn(2, 3, 32, 32)
    before = {name: tensor.clone() for name, tensor in trained.module.state_dict().items()}
    trained.step(trained.prepare(images), torch.tensor([0, 1]), trained.optimizer())
    changed = {name for name, tensor in trained.module.state_dict().items() if not torch.equal(tensor, before[name])}
    takes = {name for name, parameter in trained.module.named_parameters() if parameter.requires_grad}
    assert changed & takes, "it learns"
    backbone = {name for name in changed - takes if "patches" not in name}
    moving = ("finetune", "parallel_adapters", "series_adapters")
    assert bool(backbone) == (arm in moving), "running statistics move where the task owns the BatchNorms"


def test_sums_are_compared_with_plain_ones_and_with_the_limit() -> None:
    rows = skip_sums.measure(repetitions=1, k=3, batch=1, channels=4, size_px=4)
    assert [row.name.split(" / ")[1] for row in rows] == ["one kernel a skip", "reading the nodes"]


def test_where_kernels_make_the_sums_they_are_compared_with_a_buffer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = SimpleNamespace(NodesInPlace=partial(BufferedNodes, k=3))
    monkeypatch.setattr(skip_sums, "fused_kernels", lambda _: kernels)
    monkeypatch.setattr(skip_sum, "fused_kernels", lambda _: kernels)
    rows = skip_sums.measure(repetitions=1, k=3, batch=1, channels=4, size_px=4)
    assert [row.name.split(" / ")[1] for row in rows][2:] == ["one buffer of nodes"]


def test_commands_are_measured_from_start_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "interleaved_seconds", once)
    rows = starts.measure(repetitions=1, image_px=32)
    assert [row.name.partition(" / ")[0] for row in rows] == [
        *("import delta_core", "delta_core.DeltaModel", "delta-patch --help", "delta-patch predict"),
        *("python -m benchmarks --help", "python -m benchmarks plan table2", "python -m reports table2"),
    ]
    assert all(row.ours > 0 for row in rows)


def test_the_exponent_is_that_of_the_cost() -> None:
    for power in (0.5, 1.0, 2.0):
        *sizes, exponent = growth.growth("cost", "things", {n: [0.1 * n**power] * 2 for n in (10, 100, 1000)})
        assert [row.name for row in sizes] == ["cost, 100 things / 10", "cost, 1000 things / 10"]
        assert exponent.ratio == pytest.approx(power)


def test_growth_has_an_exponent_for_each_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: set[int] = set()
    monkeypatch.setattr(
        growth_of_records, "show_all", lambda results: shown.add(read_rows(results / "embedded")["run_id"].nunique())
    )
    found = growth.measure(
        repetitions=1, images=(8, 16), classes=(2, 4), sides_px=(32, 64), sub_blocks=(2, 3), patches=(1, 2),
        records=(2, 4),
    )  # fmt: skip
    exponents = [row for row in found if row.name.startswith("exponent of ")]
    assert [row.name.split(" in ")[-1] for row in exponents] == [
        *("images / 1", "classes / 1", "pixels / 1", "skips / 1", "patches / 1", "patches / 1"),
        *["records / 1"] * 4,
    ]
    assert len(found) == 2 * len(exponents)
    assert shown == {2, 4}


def test_all_reports_are_rendered_in_a_process_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "interleaved_seconds", once)
    rows = reports.measure(repetitions=1, at_least=1)
    assert [row.unit for row in rows] == ["s", "MiB"]
    assert all(row.ours > 0 and row.reference > 0 for row in rows)
    suites = json.loads(rows[0].setting)["suites"]
    assert {"patching", "sequence", "transfer", "domain_adaptation", "dense"} <= set(suites)
    assert {"table8", "table12", "table13", "ablation", "study_defaults"} <= set(suites)
    with pytest.raises(subprocess.CalledProcessError):
        reports._run("import no_such_module")


def test_synthetic_rows_are_valid_and_as_many_as_asked_for() -> None:
    one_seed = synthetic_frame()
    row_schema().validate(one_seed)
    assert set(one_seed["seed"]) == {0}
    assert len(synthetic_rows(len(one_seed) + 1)) >= len(one_seed) + 1


def test_time_to_a_goal_is_taken_where_both_get_there() -> None:
    def curve(seed: int, method: Kind, *values: float) -> list[Point]:
        return [Point(seed=seed, method=method, epoch=i, train_s=10.0 * i, top1=v) for i, v in enumerate(values, 1)]

    points = curve(0, "head", 10, 80, 70) + curve(0, "delta", 69, 70) + curve(0, "finetune", 0, 1, 2, 90)
    points += curve(1, "head", 70) + curve(1, "delta", 80) + curve(1, "finetune", 60)
    points += curve(1, "lora", 70)
    time, accuracy, *lora = rows_of_points(points, {})
    assert [row.name.split(" / ")[1] for row in lora] == ["lora", "lora after the same time"]
    assert (time.ours, time.reference, time.n) == (20.0, 40.0, 1)
    assert (accuracy.ours, accuracy.reference, accuracy.n) == (75.0, 30.5, 2), "medians of 70, 80 and of 1, 60"
    only_accuracy = rows_of_points(points[-4:-1], {})
    assert [row.name for row in only_accuracy] == [accuracy.name]


def test_curves_are_drawn_for_every_method(tmp_path: Path) -> None:
    lines = [f"{seed},{m},{e},{e * 1.5},{50 + e}" for m in ("head", "delta") for seed in (0, 1) for e in (1, 2)]
    (tmp_path / "curves.csv").write_text("\n".join(["seed,method,epoch,train_s,top1", *lines]))
    (axes,) = draw_curves(tmp_path / "curves.csv").axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["head, n = 2 seeds", "delta, n = 2 seeds"]
    assert len(axes.lines) == 4


def test_time_to_accuracy_needs_data() -> None:
    with pytest.raises(UserError, match="pass --data-root"):
        time_to_accuracy.measure(repetitions=1)


def test_peers_say_what_must_be_kept_for_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "in_fresh_process", in_this_process)
    rows = peers.measure(repetitions=1, architectures=("resnet10t",), images=2, batch=2, image_px=32)
    found = {row.name: row for row in rows}
    assert len(found) == len(rows) == 3 * len(peers.PEERS)
    whole = build("finetune", "resnet10t", 1, torch.device("cpu")).module
    base_head = sum(p.numel() for p in whole.backbone.get_classifier().parameters())  # type: ignore[union-attr, operator]
    everything = sum(tensor.nbytes for tensor in whole.state_dict().values()) / 2**20
    kept = found["kept for a task of head_features / finetune, resnet10t"]
    assert kept.reference == pytest.approx(everything - 4 * base_head / 2**20), "all but the base's own head"
    assert kept.ours == pytest.approx(4 * 513 * 10 / 2**20), "a linear head"


def test_a_later_epoch_leaves_out_the_decoding(tmp_path: Path) -> None:
    for split, name, number in ((s, n, i) for s in ("train", "test") for n in ("a", "b") for i in range(4)):
        path = tmp_path / "flowers17" / split / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), (number, 0, 0)).save(path)
    rows = pixels.measure(repetitions=2, data_root=tmp_path, image_px=16)
    assert [row.name.split(" / ")[0] for row in rows] == [
        f"later epoch of {w}" for w in ("uint8 pixels", "normalised batches")
    ]
    assert all(row.ratio > 0 for row in rows)
    assert json.loads(rows[0].setting)["images"] == 8 - 2
    with pytest.raises(UserError, match="pass --data-root"):
        pixels.measure()


# --- the adapter study -------------------------------------------------------------------------------------------


def test_every_method_of_the_study_is_costed_at_each_of_its_sizes() -> None:
    names = [each.name for each in adapters.costed_methods("resnet10t")]
    assert len(set(names)) == len(names)
    assert {"fc_only", "lora rank 8", "lora rank 32", "delta_networks:maps", "finetune"} <= set(names)
    assert "recipe" not in adapters.costed_methods("resnet10t")[0].size


def test_costs_of_adapters_stand_beside_lora_and_the_base(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [each for each in adapters.costed_methods("resnet10t") if each.name.startswith(("fc_only", "lora"))]
    monkeypatch.setattr(adapters, "costed_methods", lambda _: chosen)
    monkeypatch.setattr(adapters, "in_fresh_process", in_this_process)
    rows = adapters.measure(
        repetitions=1, architectures=("resnet10t",), images=4, batch=2, latency_batches=(1,), image_px=32
    )
    found = {row.name: row for row in rows}
    costs = ("epoch", "kept bytes", "latency at batch 1", "peak training memory")
    assert [row.name for row in rows] == [
        f"{cost} of {name} / {'base' if 'latency' in cost else 'lora rank 8'}, resnet10t"
        for name in ("fc_only", "lora rank 8", "lora rank 32")
        for cost in costs
    ]
    assert found["epoch of lora rank 8 / lora rank 8, resnet10t"].ratio == 1
    assert found["epoch of fc_only / lora rank 8, resnet10t"].flop_ratio < 1
    assert found["latency at batch 1 of fc_only / base, resnet10t"].flop_ratio == pytest.approx(
        1, abs=0.05
    )  # its head is larger
    kept = {name: found[f"kept bytes of {name} / lora rank 8, resnet10t"].ours for name in ("fc_only", "lora rank 8")}
    assert 4 * (512 + 1) * 10 < kept["fc_only"] < 4 * (512 + 1) * 10 + 400, "a head and the header of its file"
    assert kept["lora rank 8"] > kept["fc_only"]
    assert json.loads(rows[-1].setting)["method"] == {"type": "Lora", "rank": 32}


@pytest.mark.parametrize("each", adapters.costed_methods("resnet10t"), ids=lambda each: each.name)
def test_a_method_of_the_study_trains_what_it_keeps(each: adapters.Costed) -> None:
    arm = adapters.build(each.method, "resnet10t", torch.device("cpu"))
    kept = {id(tensor) for tensor in kept_tensors(arm.module)}
    before = {name: tensor.clone() for name, tensor in arm.module.state_dict().items()}
    arm.step(torch.randn(4, 3, 64, 64), torch.tensor([0, 1, 2, 3]), arm.optimizer())
    after = arm.module.state_dict(keep_vars=True)
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert changed
    assert {name for name in changed if id(after[name]) not in kept} == set()


def test_a_net_that_timm_does_not_have_is_refused() -> None:
    with pytest.raises(UserError, match="--arch nonet is no net of timm"):
        adapters.measure(architectures=("nonet",))


def test_what_a_grid_adds_is_measured_on_runs_that_do_nothing(tmp_path: Path) -> None:
    """In a process of its own: Ray reads once in a process whether there is a token."""
    pytest.importorskip("ray", reason="the extra `cluster` is not installed")
    code = "from benchmarks.perf import grids; print(grids.measure_overhead(repetitions=1, runs=3))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=800
    )
    assert done.returncode == 0, done.stderr
    assert "name='run of no work on Ray / on the pool', unit='s', ours=" in done.stdout


def test_commands_are_measured_on_records_that_are_runs_of_all_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grids, "interleaved_seconds", once)
    found = grids.measure_records(repetitions=1, records=20)
    assert [row.name.partition(" /")[0] for row in found] == ["collect", "plan all", "status table2"]
    assert json.loads(found[0].setting)["records"] == 20
