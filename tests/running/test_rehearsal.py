"""A rehearsal: look-alikes that checks accept for what they are, and rows that nobody takes for results."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from fake_rows import one_row
from safetensors.torch import save_file

from benchmarks.data.catalogue import CATALOGUE, look_alikes
from benchmarks.data.catalogue.check import check
from benchmarks.data.catalogue.look_alikes import MARKER, check_weights, declared_at, declared_top1
from benchmarks.grid.plan import check_inputs
from benchmarks.nets import weight_files
from benchmarks.nets.weight_files import BASES, fetch_weights
from benchmarks.records.collected import collect, read_rows, runs_path, write_rows
from benchmarks.records.look_alikes import check_of_one_kind, on_look_alikes
from benchmarks.records.merge import merge
from benchmarks.records.record_files import write_record
from benchmarks.records.rows import Row, to_frame
from benchmarks.rehearsal import command
from benchmarks.rehearsal.command import Done, rehearse
from benchmarks.rehearsal.data import look_alike, make_data
from benchmarks.rehearsal.steps import REPORTS, SLICE, Folders, measuring, names, options_of, showing
from benchmarks.rehearsal.weights import make_weights
from benchmarks.spec import Run
from benchmarks.suites.execute import SUITES
from benchmarks.tables import TABLES, runs_of
from benchmarks.worlds.options import Options
from benchmarks.worlds.recipes import cut_to, paper_recipes
from benchmarks.worlds.world import World
from delta_core import DeltaError
from delta_core.training.errors import UserError
from delta_core.training.identity import canonical_json
from delta_core.training.recipe import Recipe
from delta_core.weights import load_backbone
from reports.registry import REPORTS as KNOWN_REPORTS

CPU = torch.device("cpu")
LOOK_ALIKE_CONFIG = '{"data":"look-alike:0123456789ab","task":"cars"}'


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rehearsal") / "data"
    make_data(root, lambda _: None)
    return root


def world_of(table: str, **options: object) -> World:
    chosen = Options(table=table, scale="paper", dry_run=True, **options)  # type: ignore[arg-type]
    return TABLES[table].open_world(chosen, TABLES[table].tasks)


def runs(table: str, **options: object) -> list[Run]:
    world = world_of(table, **options)
    return runs_of(world.options, world)


def rehearsed_row(**changes: object) -> Row:
    return one_row(**{"scale": "paper", "config": LOOK_ALIKE_CONFIG, "run_id": "rehearsed", **changes})


# --- look-alikes -------------------------------------------------------------------------------------------------


def test_an_unknown_table_is_told_before_look_alikes_are_made(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'tabel2' is not known; nearest: table2"):
        rehearse(("table1", "tabel2"), folder=tmp_path / "rehearsal")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_look_alike_is_what_its_root_declares_and_not_the_data_set(name: str, data_root: Path) -> None:
    entry = CATALOGUE[name]
    declared = declared_at(entry, data_root)
    assert check(declared, data_root) == []
    assert check(entry, data_root) != []
    assert declared.identity.startswith("look-alike:")
    assert declared.identity == look_alike(entry).identity != entry.identity


def test_a_root_without_a_marker_holds_the_data_sets(tmp_path: Path) -> None:
    assert declared_at(CATALOGUE["cars"], tmp_path) is CATALOGUE["cars"]


def test_what_a_marked_root_does_not_declare_is_a_look_alike_too(tmp_path: Path) -> None:
    (tmp_path / MARKER).write_text("{}")
    assert declared_at(CATALOGUE["cars"], tmp_path).identity.startswith("look-alike:")


def test_look_alikes_are_never_put_among_data(tmp_path: Path) -> None:
    (tmp_path / "cars").mkdir()
    with pytest.raises(UserError, match="holds files that are no look-alikes"):
        make_data(tmp_path, lambda _: None)
    with pytest.raises(UserError, match="holds files that are no look-alikes"):
        make_weights(tmp_path, ["resnet18.tv_in1k"], lambda _: None)
    assert [path.name for path in tmp_path.iterdir()] == ["cars"]


def test_making_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    some = [CATALOGUE[name] for name in ("usps", "dtd", "voc2012_seg")]
    made: list[str] = []
    make_data(tmp_path, made.append, some)
    (tmp_path / "usps/usps.t.bz2").unlink()
    make_data(tmp_path, made.append, some)
    assert made == ["usps", "dtd", "voc2012_seg", "usps"]
    assert [check(declared_at(entry, tmp_path), tmp_path) for entry in some] == [[], [], []]


# --- weights -----------------------------------------------------------------------------------------------------


def test_random_weights_lie_where_the_loader_looks(tmp_path: Path) -> None:
    make_weights(tmp_path, ["resnet18.tv_in1k"], lambda _: None)
    net = load_backbone("resnet18", "timm:tv_in1k", weights_root=tmp_path)
    again = load_backbone("resnet18", "timm:resnet18.tv_in1k", weights_root=tmp_path)
    assert all(torch.equal(*pair) for pair in zip(net.parameters(), again.parameters(), strict=True))
    assert not torch.equal(net.conv1.weight, timm.create_model("resnet18").conv1.weight)  # type: ignore[union-attr,operator]
    assert net.pretrained_cfg["tag"] == "tv_in1k"  # type: ignore[index]
    assert declared_top1(tmp_path, "timm:resnet18.tv_in1k") == 0
    assert declared_top1(tmp_path, "timm:resnet34.bt_in1k") is None
    assert declared_top1(None, "timm:resnet18.tv_in1k") is None


def test_weights_that_are_missing_or_damaged_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DeltaError, match=r"resnet18\.tv_in1k are not in .*; put them there as resnet18\.tv_in1k\.saf"):
        load_backbone("resnet18", "timm:tv_in1k", weights_root=tmp_path)
    (tmp_path / "resnet18.tv_in1k.safetensors").write_bytes(b"no weights")
    with pytest.raises(DeltaError, match="is not a readable state dict") as caught:
        load_backbone("resnet18", "timm:tv_in1k", weights_root=tmp_path)
    assert "\n" not in str(caught.value)
    save_file({"a": torch.zeros(1)}, tmp_path / "resnet18.tv_in1k.safetensors")
    with pytest.raises(DeltaError) as caught:
        load_backbone("resnet18", "timm:tv_in1k", weights_root=tmp_path)
    assert "\n" not in str(caught.value)


def test_missing_weights_are_told_before_anything_runs(data_root: Path, tmp_path: Path) -> None:
    tmp_path.joinpath("weights").mkdir()
    world = world_of(
        "table2", data_root=data_root, weights_root=tmp_path / "weights", results=tmp_path / "results", cache=tmp_path
    )
    with pytest.raises(DeltaError, match=r"Weights timm:\S+ are not in"):
        check_inputs(world, runs_of(world.options, world))
    assert not (tmp_path / "results").exists()


def test_fetched_weights_are_loaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nets = {}

    def downloaded(_architecture: str, weights: str) -> torch.nn.Module:
        nets[weights] = timm.create_model("resnet18" if weights.endswith("tv_in1k") else "resnet10t")
        return nets[weights]  # type: ignore[no-any-return]

    monkeypatch.setattr(weight_files, "load_backbone", downloaded)
    fetched: list[str] = []
    fetch_weights(tmp_path, fetched.append)
    fetch_weights(tmp_path, fetched.append)
    assert tuple(fetched) == BASES
    net = load_backbone("resnet18", "timm:resnet18.tv_in1k", weights_root=tmp_path)
    assert torch.equal(net.conv1.weight, nets["timm:resnet18.tv_in1k"].conv1.weight)  # type: ignore[union-attr,arg-type]


def test_random_weights_meet_look_alikes_alone(data_root: Path, tmp_path: Path) -> None:
    look_alikes.declare_weights(tmp_path, "timm:resnet18.tv_in1k", top1=0.0)
    check_weights(tmp_path, data_root)
    check_weights(None, tmp_path / "nowhere")
    for table in ("table2", "table5", "table7"):
        with pytest.raises(UserError, match="holds random weights of a rehearsal"):
            world_of(table, weights_root=tmp_path, data_root=tmp_path / "nowhere")


# --- rows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [table for table in TABLES if not table.startswith("adapters")])
def test_every_run_on_look_alikes_is_marked_and_is_no_run_on_data_sets(table: str, data_root: Path) -> None:
    rehearsed, real = runs(table, data_root=data_root), runs(table)
    assert len(rehearsed) == len(real) > 0
    assert not {run.run_id for run in rehearsed} & {run.run_id for run in real}
    for kind, marked in ((rehearsed, True), (real, False)):
        rows = to_frame(one_row(config=canonical_json(run)) for run in kind)
        assert set(on_look_alikes(rows)) == {marked}


def test_rows_of_both_kinds_never_lie_in_one_table(tmp_path: Path) -> None:
    both = to_frame([rehearsed_row(), one_row(scale="paper")])
    with pytest.raises(UserError, match="Run rehearsed was measured on look-alike data and run run was not"):
        check_of_one_kind(both)
    with pytest.raises(UserError, match="look-alike"):
        write_rows(tmp_path, both)
    assert list(tmp_path.iterdir()) == []
    write_record(tmp_path, [one_row(scale="paper")])
    collect(tmp_path)
    before = runs_path(tmp_path).read_bytes()
    write_record(tmp_path, [rehearsed_row()])
    with pytest.raises(UserError, match="look-alike"):
        collect(tmp_path)
    assert runs_path(tmp_path).read_bytes() == before


def test_rows_of_a_rehearsal_are_not_merged_into_results(tmp_path: Path) -> None:
    write_record(tmp_path / "results", [one_row(scale="paper")])
    write_record(tmp_path / "rehearsal", [rehearsed_row()])
    with pytest.raises(UserError, match="look-alike"):
        merge(tmp_path / "results", "paper", [tmp_path / "rehearsal"])
    assert list(read_rows(tmp_path / "results")["run_id"]) in ([], ["run"])


def test_lines_that_were_copied_by_hand_are_found(tmp_path: Path) -> None:
    for name, row in (("a", rehearsed_row()), ("b", one_row(scale="paper"))):
        write_record(tmp_path / name, [row])
        collect(tmp_path / name)
    for file in ("runs.csv", "values.csv"):
        with (tmp_path / "b" / file).open("a") as stream:
            stream.write((tmp_path / "a" / file).read_text().partition("\n")[2])
    with pytest.raises(UserError, match="look-alike"):
        read_rows(tmp_path / "b")


@pytest.mark.parametrize("rehearsed", [True, False])
def test_a_run_is_refused_beside_rows_of_the_other_kind(rehearsed: bool, data_root: Path, tmp_path: Path) -> None:
    row = one_row(scale="paper") if rehearsed else rehearsed_row()
    write_record(tmp_path / "results/paper", [row])
    where = {"data_root": data_root} if rehearsed else {}
    world = world_of("table6", results=tmp_path / "results", cache=tmp_path / "cache", **where)
    with pytest.raises(UserError, match="keep a rehearsal apart with --results"):
        check_inputs(world, runs_of(world.options, world))


# --- the command -------------------------------------------------------------------------------------------------


def test_all_tables_and_reports_are_rehearsed() -> None:
    assert set(names(part=False)) == set(TABLES)
    assert set(REPORTS) == set(KNOWN_REPORTS)
    paper = {f"table{number}" for number in range(1, 14)} - {"table9"}  # which needs no runs
    assert paper <= set(SLICE)
    assert set(showing(Folders(root=Path()), names(part=False))) >= {f"{name} report" for name in REPORTS}


def test_the_part_has_every_suite_and_method(data_root: Path) -> None:
    def of(tables: tuple[str, ...], *, part: bool) -> tuple[set[str], set[tuple[str, str]]]:
        found = [
            run
            for table in tables
            for run in runs_of_words(options_of(table, Folders(root=data_root.parent), part=part))
        ]
        return {run.suite for run in found}, {(run.suite, run.method.name) for run in found}

    arms_of_ours = ("study_defaults", "rates", "adapters_search", "adapters")
    tables = tuple(name for name in names(part=True) if name not in arms_of_ours)
    suites, methods = of(tables, part=True)
    assert set(SUITES) <= suites
    too_large = {("dense", "deeplabv3"), ("dense", "deeplabv3+delta_networks")}
    assert (suites, methods | too_large) == of(tables, part=False)


@pytest.mark.parametrize(
    ("table", "part"), [(name, part) for part in (True, False) for name in names(part=part) if name != "table7"]
)
def test_what_a_rehearsal_chooses_of_a_table_is_there(table: str, part: bool, data_root: Path) -> None:
    runs = runs_of_words(options_of(table, Folders(root=data_root.parent), part=part))
    assert runs or table in ("adapters", "adapters_best", "adapters_long")  # chosen by a search that was not made here


def runs_of_words(words: list[str]) -> list[Run]:
    options = command._options_of(words)
    table = TABLES[options.table]
    return runs_of(options, table.open_world(options, table.tasks))


@pytest.mark.parametrize(("table", "part"), [*((name, True) for name in SLICE), *((name, False) for name in TABLES)])
def test_a_rehearsal_departs_from_the_paper_in_steps_pixels_and_places_alone(
    table: str, part: bool, tmp_path: Path
) -> None:
    plan, *runs = measuring(table, Folders(root=tmp_path), part=part, workers=None).values()
    assert all(run[3:][: len(plan) - 3] == plan[3:] for run in runs)
    flags = {word for run in runs for word in run if word.startswith("--")}
    assert flags <= {
        "--scale", "--steps", "--epochs", "--data-root", "--weights-root", "--results", "--cache", "--cache-gb",
        "--arch", "--task", "--method", "--train-percent",
        *(["--image-size"] if table not in ("table6", "table7") else []),
        *(["--workers"] if table == "table7" and not part else []),
    }  # fmt: skip


def test_deeplab_is_rehearsed_one_by_one_and_nothing_of_its_table_is_left_out(tmp_path: Path) -> None:
    steps = measuring("table7", Folders(root=tmp_path), part=False, workers=2)
    assert {name: words[-2:] for name, words in steps.items() if "run" in name} == {
        "table7 run": ["--workers", "2"], "table7 run one by one": ["--workers", "1"],
    }  # fmt: skip
    tasks = [words[words.index("--task") + 1] for words in steps.values() if "--task" in words]
    assert sorted(tasks) == sorted(TABLES["table7"].tasks.paper)


def test_missing_rows_and_failed_steps_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called: dict[str, list[str]] = {}

    def call(name: str, words: list[str], _: Folders) -> Done:
        called[name] = words
        return Done(name=name, code=int(name == "lint report"), minutes=1.0, cpu_minutes=0.5, peak_gb=2.0)

    monkeypatch.setattr(command, "_call", call)
    monkeypatch.setattr(command, "make_data", lambda root, report: make_data(root, report, [CATALOGUE["mnist"]]))
    assert rehearse(("table6",), folder=tmp_path, part=True) == 1
    told = capsys.readouterr().out
    assert "table6: rows of 0 of 9 runs, 3.0 min" in told
    assert "no rows of resnet18 mnist->usps vanilla zero-shot seed 0" in told
    assert "failed: lint report" in told
    assert list(called)[:3] == ["data check", "table6 plan", "table6 run"]
    assert called["html report"] == [
        "-m", "reports", "html", "--scale", "paper", "--results", str(tmp_path / "results"),
    ]  # fmt: skip


def test_a_step_is_a_command_line_in_a_process_whose_output_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is what a user calls: exit code, sentence and name are the same, and so is what it leaves in a folder."""
    folders = Folders(root=tmp_path)
    wrong = command._call("one step", ["-m", "reports", "tabel2"], folders)
    assert (wrong.code, wrong.name) == (2, "one step")
    told = subprocess.run([sys.executable, "-m", "reports", "tabel2"], capture_output=True, text=True, check=False)
    assert (tmp_path / "logs/one-step.log").read_text() == told.stdout + told.stderr
    assert 0 < wrong.peak_gb < 10
    assert wrong.cpu_minutes > 0
    right = command._call("table9 report", ["-m", "reports", "table9", "--out", str(tmp_path / "out")], folders)
    assert right.code == 0
    (tmp_path / "killed.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.syspath_prepend(tmp_path)
    killed = command._call("killed", ["-m", "killed"], folders)
    assert (killed.code, killed.cpu_minutes) == (-signal.SIGKILL, 0)
    assert (tmp_path / "out/table9.csv").is_file()


def test_what_a_step_takes_is_that_of_its_workers_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "greedy.py").write_text(
        "import light_jobs\n"
        "from benchmarks.grid.workers import Workers\n"
        "if __name__ == '__main__':\n"
        "    with Workers(light_jobs.start, ['cpu']) as workers:\n"
        "        workers.submit('hold 1.5 GB')\n"
        "        while workers.pending:\n"
        "            list(workers.ended())\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    greedy = command._call("greedy", ["-m", "greedy"], Folders(root=tmp_path))
    assert greedy.code == 0, (tmp_path / "logs/greedy.log").read_text()
    assert 1.5 < greedy.peak_gb < 10


# --- steps -------------------------------------------------------------------------------------------------------


def test_steps_replace_the_schedule_of_every_recipe() -> None:
    recipes = paper_recipes(Options(table="table2", scale="paper"))
    cut = cut_to(2, recipes)
    assert {(each.epochs, each.steps_per_epoch) for each in (cut.head, cut.adapters, *cut.paint)} == {(2, 1)}
    assert replace(cut.adapters, epochs=120, steps_per_epoch=None) == recipes.adapters
    assert cut_to(3, Recipe()) == replace(Recipe(), epochs=3, steps_per_epoch=1)


@pytest.mark.parametrize("table", ["table1", "table4", "table5", "table6", "table12"])
def test_cut_runs_say_so_in_their_protocol(table: str) -> None:
    whole, cut = runs(table), runs(table, steps=2)
    assert not {run.protocol for run in whole} & {run.protocol for run in cut}
    assert not {run.run_id for run in whole} & {run.run_id for run in cut}


def test_table_7_counts_epochs() -> None:
    with pytest.raises(UserError, match="--steps 2 is not for table7, whose configs count epochs; use --epochs"):
        world_of("table7", steps=2)
