"""Table 8, our ablations and nets from scratch: what is run, what a policy does, what a run keeps of its gates."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import RECIPE, basic_block_net, images, tiny_task
from tiny_cell import tiny_cell

from benchmarks.grid.plan import plan
from benchmarks.methods.scratch import Scratch, ScratchDelta, top5
from benchmarks.methods.skips import DeltaGates, table8_policies
from benchmarks.nets import full_size
from benchmarks.nets.full_size import added_gmac
from benchmarks.records.gates import GateRow, collect_gates, read_gates, write_gates
from benchmarks.records.look_alikes import BANNER
from benchmarks.records.names import LOOK_ALIKE, MEAN_GATES
from benchmarks.records.rows import WITH_NETS_OF_THE_PAPER
from benchmarks.suites.patching.ablations import ablation_arms, map_arms
from benchmarks.suites.patching.runner import _gate_row
from benchmarks.suites.patching.spec import RunSpec
from benchmarks.tables import TABLES, runs_of
from benchmarks.worlds.open import open_world
from benchmarks.worlds.options import Options
from delta_core import DeltaConfig, DeltaModel, JointDelta
from delta_core.gates import existing_skips
from delta_core.training.errors import UserError
from delta_core.training.gate_values import gates_of, recorded_gates, skip_gates, with_mean_gates


def runs(table: str, folder: Path, **options: object) -> list[RunSpec]:
    chosen = Options(table=table, results=folder / "results", cache=folder / "cache", **options)
    return runs_of(chosen, open_world(chosen, TABLES[table].tasks))


# --- runs --------------------------------------------------------------------------------------------------------


def test_table8_has_the_papers_rows_on_four_nets_and_two_tasks(tmp_path: Path) -> None:
    found = runs("table8", tmp_path, seeds=2)
    names = list(dict.fromkeys((run.method.name, run.method.variant) for run in found))
    assert names == [
        *(("fc_only", ""), ("learnable_skips", ""), ("all_skips_learnable", "")),
        *(("all_skips_learnable+bn", start) for start in ("", "fresh BN")),
        ("all_skips", ""),
        *((name, start) for name in ("all_skips+bn", "random") for start in ("", "fresh BN")),
        *(("delta_networks", reading) for reading in ("maps", "default", "paper")),
    ]
    assert len(found) == len({run.run_id for run in found}) == 4 * 2 * 13 * 2
    assert {run.architecture for run in found} == {"resnet18", "resnet34", "resnext50_32x4d", "wide_resnet50_2"}
    assert {(run.task, run.scale) for run in runs("table8", tmp_path, scale="paper")} == {
        ("aircraft", "paper"),
        ("cars", "paper"),
    }


def test_figures_share_their_runs_with_table8(tmp_path: Path) -> None:
    wanted = {run.run_id for run in runs("figures", tmp_path)}
    shared = {run.run_id for run in runs("table8", tmp_path)}
    assert len(wanted) == 10
    assert len(wanted & shared) == 8, "all but the third task, in two readings"


def test_figures_of_a_fresh_clone_are_drawn_from_committed_gates_and_tables_are_measured(tmp_path: Path) -> None:
    scale_folder = tmp_path / "results" / "embedded"
    committed = runs("figures", tmp_path)[0].run_id
    write_gates(scale_folder, [gate_row(committed, 0.25)])
    collect_gates(scale_folder)
    (scale_folder / "records" / f"{committed}.gates.csv").unlink()

    def done(table: str) -> set[str]:
        on_record = TABLES[table].on_record(scale_folder)
        chosen = Options(table=table, results=tmp_path / "results", cache=tmp_path / "cache")
        world = open_world(chosen, TABLES[table].tasks)
        return {item.run.run_id for item in plan(world, runs_of(chosen, world), on_record) if item.state == "done"}

    assert done("figures") == {committed}
    assert done("table8") == set()


def test_arms_depart_from_the_default_in_one_thing() -> None:
    arms = ablation_arms()
    default = arms.pop("default").to_dict()
    assert default == DeltaConfig.gates_alone().to_dict()
    changed = {
        name: {key for key, value in arm.to_dict().items() if value != default[key]} for name, arm in arms.items()
    }
    two = {
        "modules: block 1 alone",
        "modules: block 2 alone",
        "modules: block 3 alone",
        "BN: none",
        "module reads: image, full",
    }
    assert {name for name, keys in changed.items() if len(keys) != 1} == two
    assert len({tuple(sorted(arm.to_dict().items())) for arm in arms.values()}) == len(arms)


def test_arms_with_maps_depart_from_todays_default() -> None:
    arms = map_arms()
    default = arms.pop("map: rank 16").to_dict()
    assert default == DeltaConfig().to_dict()
    changed = {
        name: {key for key, value in arm.to_dict().items() if value != default[key]} for name, arm in arms.items()
    }
    assert {name for name, keys in changed.items() if len(keys) != 1} == {
        "gates with map: from 0 to 1",
        "BN with map: none",
    }
    assert not arms.keys() & ablation_arms().keys()


def test_from_scratch_both_ways_start_from_the_same_weights(tmp_path: Path) -> None:
    found = runs("table13", tmp_path, seeds=2)
    assert {run.weights for run in found} == {"scratch"}
    assert {(run.architecture, run.task) for run in found if run.task == "glyphs62"} == {("resnet18", "glyphs62")}
    assert {run.method.recipe.epochs for run in found if run.task == "glyphs62"} == {6}
    assert {run.method.recipe.epochs for run in runs("table12", tmp_path, scale="paper")} == {200}
    assert {run.base_task for run in found} == {""}
    assert {run.suite for run in found} == {"table13"}


@pytest.mark.parametrize("scale", WITH_NETS_OF_THE_PAPER)
def test_tables_2_and_10_keep_their_nets(scale: str, tmp_path: Path) -> None:
    nets = {table: {run.architecture for run in runs(table, tmp_path, scale=scale)} for table in ("table2", "table10")}
    assert nets["table2"] == {"resnet18", "resnet34", "resnet50", "convnext_tiny"}
    assert len(nets["table10"]) == (4 if scale == "embedded" else 8)


# --- policies ----------------------------------------------------------------------------------------------------


def test_policies_are_what_their_names_say() -> None:
    model = DeltaModel(basic_block_net())
    gates, norms = {}, {}
    for policy in table8_policies(RECIPE):
        name = f"{policy.name} {policy.variant}".replace("+", "_")
        model.add_patch(name, num_classes=3, config=policy.config)
        part = model.patch().blocks["layer4"]
        gates[policy.name] = part.gates(images())[0]
        norms[policy.name] = isinstance(part.norm, torch.nn.BatchNorm2d)
        learns = any(parameter.requires_grad for parameter in part.gates.parameters())
        assert learns == ("learnable" in policy.name), policy.name
    assert gates["learnable_skips"].tolist() == existing_skips(2).float().tolist()
    assert gates["all_skips"].tolist() == gates["all_skips+bn"].tolist() == [1, 1, 1]
    assert ((gates["random"] > 0) & (gates["random"] < 1)).all() and len(set(gates["random"].tolist())) == 3
    assert [name for name, norm in norms.items() if norm] == ["all_skips_learnable+bn", "all_skips+bn", "random"]


def test_delta_run_measures_its_control_and_keeps_its_gates() -> None:
    method = DeltaGates(recipe=RECIPE, config=DeltaConfig.gates_alone(n_modules=2), reading="default")
    outcome = method.measure(tiny_cell())
    assert outcome.base_logits_equal
    control = [found for found in outcome.measurements if found.variant == f"default{MEAN_GATES}"]
    assert sorted((found.column, found.split) for found in control) == [
        ("glyphs62", "test"),
        ("signs", "test"),
        ("signs", "val"),
    ]
    assert {gate.block for gate in outcome.gates} == {3, 4}
    means = [gate for gate in outcome.gates if gate.sample is None]
    singles = [gate for gate in outcome.gates if gate.sample is not None]
    assert len(means) == 2 * 3 and {gate.n_examples for gate in means} == {12}
    assert {(gate.sample, gate.label) for gate in singles} == {(0, 0), (1, 1)}
    assert all(0 <= gate.value <= 1 for gate in outcome.gates)


def test_mean_gates_are_the_mean_and_no_longer_see_the_input() -> None:
    model, x = DeltaModel(basic_block_net()), images(6)
    model.add_patch("task", num_classes=3, config=DeltaConfig.paper(n_modules=2))
    with torch.no_grad():
        for name, parameter in model.patches.named_parameters():
            if "fc" in name:
                parameter.normal_(std=3)
    model.eval()
    gates = gates_of(model, model, [x[:4], x[4:]])
    assert gates["layer4"].shape == (6, 3)
    assert gates["layer4"].std(0).max() > 1e-3, "they do see the input before"
    fixed = with_mean_gates(model, gates)
    with recorded_gates(fixed) as seen:
        fixed(x)
    assert torch.allclose(seen["layer4"][0], gates["layer4"].mean(0, keepdim=True), atol=1e-6)
    with recorded_gates(model) as before:
        model(x)
    assert torch.allclose(before["layer3"][0], gates["layer3"], atol=1e-5), "the model itself keeps its modules"


# --- from scratch ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["imagenet", "glyphs62"])
def test_everything_trains_from_scratch_and_imagenet_and_what_plays_it_are_measured_in_top5(name: str) -> None:
    cell = tiny_cell(base=False)
    large = replace(cell, task=replace(tiny_task(name, classes=3), classes=50))
    for method in (Scratch(recipe=RECIPE), ScratchDelta(recipe=RECIPE, config=DeltaConfig.paper(n_modules=4))):
        outcome = method.measure(large)
        assert {(found.metric, found.split) for found in outcome.measurements} == {
            (metric, split) for metric in ("top1", "top5") for split in ("val", "test")
        }
        assert outcome.base_logits_equal is None
        values = {(found.metric, found.split): found.value for found in outcome.measurements}
        assert values["top5", "test"] >= values["top1", "test"]
    fine_grained = replace(cell, task=replace(tiny_task("aircraft", classes=3), classes=100))
    assert {found.metric for found in Scratch(recipe=RECIPE).measure(fine_grained).measurements} == {"top1"}
    net = ScratchDelta(recipe=RECIPE, config=DeltaConfig.paper(n_modules=4))._net(cell)
    assert isinstance(net, JointDelta)
    without = {name for name, parameter in net.named_parameters() if not parameter.requires_grad}
    assert without == {"backbone.fc.weight", "backbone.fc.bias"}


def test_top5_counts_the_five_highest() -> None:
    logits = torch.arange(8.0).repeat(2, 1)
    assert top5(logits, torch.tensor([3, 2])) == 50.0
    assert top5(logits[:, :2], torch.tensor([0, 1])) == 100.0


# --- costs -------------------------------------------------------------------------------------------------------


def test_added_operations_of_one_module_by_hand() -> None:
    """ResNet-18, last block: reads 256 x 14 x 14; two 3x3 convolutions of 128; one new skip of 512 x 7 x 7."""
    config = DeltaConfig.gates_alone(n_modules=1, module_input="full")
    module = 9 * 14 * 14 * (256 * 128 + 128 * 128) + 128 * 3
    assert added_gmac("resnet18", config) * 1e9 == pytest.approx(module + 512 * 7 * 7)
    pooled = 9 * 7 * 7 * (256 * 128 + 128 * 128) + 128 * 3
    assert added_gmac("resnet18", DeltaConfig.gates_alone(n_modules=1)) * 1e9 == pytest.approx(pooled + 512 * 7 * 7)
    light = 7 * 7 * (256 * 16 + 16 * 16) + 16 * 3
    maps = 2 * (2 * 16 * 512 * 7 * 7)
    assert added_gmac("resnet18", DeltaConfig(n_modules=1)) * 1e9 == pytest.approx(light + maps + 512 * 7 * 7)


def test_operations_of_every_arm_are_counted_and_a_failure_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Gates that are parameters once ended the count, and then that of every arm after it."""
    learned = replace(DeltaConfig(n_modules=1), gating="learnable")
    monkeypatch.setattr(full_size, "_flops", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        added_gmac.__wrapped__("resnet18", learned)
    monkeypatch.undo()
    assert 0 < added_gmac("resnet18", learned) < added_gmac("resnet18", DeltaConfig(n_modules=1))


# --- records -----------------------------------------------------------------------------------------------------


def gate_row(run_id: str, value: float, sample: int | None = None) -> GateRow:
    return GateRow(
        block=1, source=0, target=1, existing=True, sample=sample, label=sample, value=value,
        sd=None if sample is not None else 0.1, n_examples=4, run_id=run_id, scale="embedded", architecture="resnet18",
        task="signs", variant="default", seed=0,
    )  # fmt: skip


def test_a_run_id_that_looks_like_a_number_stays_as_it_is(tmp_path: Path) -> None:
    for run_id in ("12e345678901", "123456789012"):
        write_gates(tmp_path, [gate_row(run_id, 0.25)])
    collect_gates(tmp_path)
    assert set(collect_gates(tmp_path)["run_id"]) == {"12e345678901", "123456789012"}
    assert len(read_gates(tmp_path)) == 2, "collecting twice adds nothing"


def test_gates_are_collected_and_kept(tmp_path: Path) -> None:
    assert read_gates(tmp_path).empty
    write_gates(tmp_path, [gate_row("a", 0.25), gate_row("a", 0.5, sample=3)])
    assert len(collect_gates(tmp_path)) == 2
    (tmp_path / "records" / "a.gates.csv").unlink()
    write_gates(tmp_path, [gate_row("b", 0.75)])
    frame = collect_gates(tmp_path)
    assert sorted(zip(frame["run_id"], frame["value"], strict=True)) == [("a", 0.25), ("a", 0.5), ("b", 0.75)]
    assert collect_gates(tmp_path).equals(frame), "collecting twice changes nothing"
    assert frame["sample"].isna().sum() == 2


def test_gates_of_a_rehearsal_say_so_in_each_line_and_lie_beside_no_others(tmp_path: Path) -> None:
    rehearsed, usual = tmp_path / "rehearsed", tmp_path / "usual"
    write_gates(rehearsed, [replace(gate_row("a", value), rehearsal=BANNER) for value in (0.25, 0.5)])
    write_gates(usual, [gate_row("b", 0.25)])
    for folder in (rehearsed, usual):
        collect_gates(folder)
    assert (rehearsed / "gates.csv").read_text().count(BANNER) == 2
    assert set(read_gates(rehearsed)["rehearsal"]) == {BANNER}
    assert "rehearsal" not in (usual / "gates.csv").read_text(), "recorded files stay as they are"
    assert set(read_gates(usual)["rehearsal"]) == {""}
    before = (rehearsed / "gates.csv").read_text()
    write_gates(rehearsed, [gate_row("b", 0.25)])
    with pytest.raises(UserError, match="holds gates of a rehearsal and others; keep a rehearsal apart"):
        collect_gates(rehearsed)
    assert (rehearsed / "gates.csv").read_text() == before


def test_gates_are_marked_by_what_the_run_was_measured_on(tmp_path: Path) -> None:
    run, gate = runs("table8", tmp_path)[0], skip_gates(2, "sum", torch.zeros(2, 3))[0]
    assert _gate_row(run, gate).rehearsal == ""
    assert _gate_row(replace(run, data=f"{LOOK_ALIKE}0123"), gate).rehearsal == BANNER


def test_skips_of_a_block_are_named_by_their_nodes() -> None:
    found = skip_gates(2, "sum", torch.arange(6.0)[None].repeat(2, 1))
    assert [(gate.source, gate.target, gate.existing, gate.value) for gate in found] == [
        (0, 1, True, 0.0),
        (0, 2, False, 1.0),
        (1, 2, True, 2.0),
        (0, 3, False, 3.0),
        (1, 3, False, 4.0),
        (2, 3, True, 5.0),
    ]
    assert {gate.sd for gate in found} == {0.0}
