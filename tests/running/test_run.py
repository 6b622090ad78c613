"""`python -m benchmarks` end to end on tiny data: measure, die, go on, refuse bad input without leaving a trace."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import timm
import torch
from fake_rows import one_row
from grid_world import (
    ENVIRONMENT,
    LIMIT_S,
    ONE_CELL,
    ROOT,
    alive,
    base_spec,
    bench,
    call,
    command,
    descendants,
    measured_here,
    run_ids,
    tree,
    wait_for,
    write_one_cell,
)
from image_folders import write_folder

from benchmarks.data.catalogue import CATALOGUE
from benchmarks.grid import work
from benchmarks.nets.pretraining import BaseSpec
from benchmarks.records.collected import read_rows
from benchmarks.records.record_files import write_record
from benchmarks.records.rows import KEY, Row
from benchmarks.suites.patching.spec import RunSpec
from benchmarks.tables import TABLES, tables_at
from benchmarks.worlds.world import World

LOCAL = ("--scale", "local", "--arch", "resnet10t", "--weights", "net.pth", "--task", "imagefolder:pets")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    write_one_cell(folder)
    return folder


# --- measure, die, go on -----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Killed:
    """What a driver left behind that got SIGKILL when its second record appeared."""

    results: Path
    records: dict[str, tuple[bytes, int]]
    orphans: list[int]


@pytest.fixture(scope="module")
def killed(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Killed:
    if not Path("/proc/self/stat").exists():
        pytest.skip("processes are followed through /proc")
    results = tmp_path_factory.mktemp("results")
    records = results / "embedded" / "records"
    driver = subprocess.Popen(
        command("run", *ONE_CELL, "--results", results, "--cache", cache, "--workers", 2),
        cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert wait_for(lambda: len(list(records.glob("*.jsonl"))) >= 2 or driver.poll() is not None, LIMIT_S)
        workers = descendants(driver.pid)
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    assert len(workers) >= 2
    wait_for(lambda: not any(map(alive, workers)), 30)
    orphans = [pid for pid in workers if alive(pid)]
    left = tree(records)
    for pid in orphans:
        os.kill(pid, signal.SIGKILL)
    return Killed(results=results, records=left, orphans=orphans)


@pytest.fixture(scope="module")
def finished(killed: Killed, cache: Path) -> Path:
    done = bench("run", *ONE_CELL, "--results", killed.results, "--cache", cache, "--workers", 2)
    assert (done.returncode, done.stderr) == (0, "")
    (efficiency,) = re.findall(r"on 2 worker\(s\): grid efficiency ([0-9.]+)$", done.stdout, flags=re.MULTILINE)
    assert 0 < float(efficiency) <= 1
    return killed.results / "embedded"


def test_a_killed_driver_takes_its_workers_along(killed: Killed) -> None:
    assert killed.orphans == []
    assert 2 <= len(killed.records) < 1 + len(run_ids()), "killed in the middle"


def test_going_on_keeps_finished_records_and_measures_the_rest_once(killed: Killed, finished: Path) -> None:
    records = tree(finished / "records")
    assert {name: records[name] for name in killed.records} == killed.records
    assert {Path(name).stem for name in records} == {*run_ids(), base_spec().run_id}
    frame = read_rows(finished)
    assert not frame.duplicated(list(KEY)).any()
    assert set(frame["run_id"]) == {*run_ids(), base_spec().run_id}
    assert not (finished / "failed").exists()


def test_all_methods_are_measured_and_prove_the_base_untouched(finished: Path) -> None:
    frame = read_rows(finished)
    assert set(frame["method"]) == {"fc_only", "paint", "delta_networks", "pretrain"}
    delta = frame[frame["method"] == "delta_networks"]
    assert set(zip(delta["n_delta_modules"], delta["variant"], strict=True)) == {
        (n, reading) for n in (1, 2, 4) for reading in ("paper", "maps")
    }
    kept = frame[frame["method"].isin(["fc_only", "delta_networks"])]
    assert kept["base_logits_equal"].eq(True).all()
    assert (kept["backbone_sha_before"] == kept["backbone_sha_after"]).all()
    changed = frame[frame["method"] == "paint"]
    assert changed["base_logits_equal"].isna().all()
    assert (changed["backbone_sha_before"] != changed["backbone_sha_after"]).all()
    assert set(kept[kept["column"] == "glyphs62"]["phase"]) == {"before", "after"}
    assert frame["backbone_sha_before"].nunique() == 1


def test_a_cell_does_not_depend_on_when_it_is_measured(finished: Path, cache: Path, tmp_path: Path) -> None:
    """One run measured again, alone, in another process, with the cached base: the same numbers."""
    arguments = (*ONE_CELL, "--method", "fc_only", "--results", tmp_path, "--cache", cache, "--workers", 1)
    assert bench("run", *arguments).returncode == 0
    again, first = (read_rows(folder) for folder in (tmp_path / "embedded", finished))
    run_id = next(name for name, run in run_ids().items() if run.method.name == "fc_only")
    again, first = (frame[frame["run_id"] == run_id].reset_index(drop=True) for frame in (again, first))
    same = [*KEY, "value", "backbone_sha_after", "data_sha", "config"]
    assert len(again) == 4
    assert again[same].equals(first[same])


def test_shares_on_two_machines_make_the_table_of_one(finished: Path, cache: Path, tmp_path: Path) -> None:
    chosen = (*ONE_CELL, "--method", "fc_only", "--method", "delta_networks:maps", "--cache", cache, "--workers", 2)
    for shard in ("1/2", "2/2"):
        assert bench("run", *chosen, "--shard", shard, "--results", tmp_path / shard[0]).returncode == 0
    shares = [set(read_rows(tmp_path / place / "embedded")["run_id"]) - {base_spec().run_id} for place in "12"]
    assert list(map(len, shares)) == [2, 2] and not shares[0] & shares[1]
    sources = (tmp_path / "1" / "embedded", tmp_path / "2" / "embedded")
    assert bench("collect", *sources, "--scale", "embedded", "--results", tmp_path / "all").returncode == 0
    joined, first = (read_rows(folder) for folder in (tmp_path / "all" / "embedded", finished))
    first = first[first["run_id"].isin(joined["run_id"])]
    same = [*KEY, "value", "backbone_sha_after", "data_sha", "config"]
    joined, first = (frame[same].sort_values(list(KEY), ignore_index=True) for frame in (joined, first))
    assert joined["run_id"].nunique() == 5 and joined.equals(first)


def test_running_again_trains_nothing(
    finished: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before, cached = tree(finished / "records"), tree(cache)
    table = (finished / "runs.csv").read_bytes()
    code, out, _ = call(monkeypatch, capsys, "run", *ONE_CELL, "--results", finished.parent, "--cache", cache)
    assert code == 0
    assert "9 done, 0 todo, 0 blocked" in out
    assert tree(finished / "records") == before
    assert tree(cache) == cached
    assert (finished / "runs.csv").read_bytes() == table


# --- in this process ---------------------------------------------------------------------------------------------


Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def delta_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`python -m benchmarks` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: call(monkeypatch, capsys, *arguments)


def test_dry_run_writes_nothing(delta_bench: Call, tmp_path: Path) -> None:
    code, out, _ = delta_bench("run", *ONE_CELL, "--dry-run")
    assert code == 0
    assert "9 runs at scale embedded: 0 done, 9 todo, 0 blocked" in out
    assert sorted(line.split()[1] for line in out.splitlines() if line.startswith("todo")) == sorted(run_ids())
    assert list(tmp_path.iterdir()) == []


def test_paper_scale_lists_what_is_missing(delta_bench: Call, tmp_path: Path) -> None:
    code, out, _ = delta_bench("run", "table2", "--scale", "paper", "--dry-run")
    blocked = [line.split()[2:4] for line in out.splitlines() if line.startswith("blocked ")]
    assert code == 0
    assert len(blocked) == 4 * 6 * 9
    assert len({architecture for architecture, _ in blocked}) == 4
    assert len({task for _, task in blocked}) == 6
    assert "216 runs at scale paper: 0 done, 0 todo, 216 blocked" in out
    reasons = [line for line in out.splitlines() if line.startswith("blocked: ")]
    assert len(reasons) == 6
    missing = [f"{name}, run: python -m benchmarks fetch {name} --data-root data" for name in ("stl10", "imagenet_val")]
    assert reasons[0].startswith(f"blocked: {'; '.join(missing)} (50,000 validation images, no training image; for all")
    _, out, _ = delta_bench("plan", "table10", "--scale", "paper")
    assert len({line.split()[2] for line in out.splitlines() if line.startswith("blocked ")}) == 8
    assert list(tmp_path.iterdir()) == []


def test_without_imagenet_patches_are_measured_and_paint_is_blocked(delta_bench: Call, tmp_path: Path) -> None:
    (tmp_path / "data/stl10/stl10_binary").mkdir(parents=True)
    for name in CATALOGUE["stl10"].needs:
        (tmp_path / "data/stl10" / name).touch()
    code, out, _ = delta_bench("plan", "table2", "--scale", "paper", "--task", "stl10", "--without-base")
    todo, blocked = (
        {line.split()[4] for line in out.splitlines() if line.startswith(f"{state} ")} for state in ("todo", "blocked")
    )
    assert code == 0
    assert todo == {"fc_only", "delta_networks"}
    assert blocked == {"paint"}
    reasons = [line for line in out.splitlines() if line.startswith("blocked: ")]
    assert reasons == ["blocked: the method chooses by base accuracy; give imagenet_val and leave --without-base out"]
    _, out, _ = delta_bench("plan", "table4", "--scale", "paper", "--task", "stl10+cars+gtsrb", "--without-base")
    walks = "cars, run: python -m benchmarks fetch cars --data-root data; gtsrb, run: .*; the method chooses by base"
    assert re.search(f"^blocked: {walks}", out, re.MULTILINE), "PAINT walks on from weights that it chose by the base"


@pytest.mark.parametrize(("scale", "why"), [("embedded", "brings its own"), ("local", "only where --base gives one")])
def test_without_base_belongs_to_scale_paper(scale: str, why: str, delta_bench: Call) -> None:
    code, _, error = delta_bench("plan", "table2", "--scale", scale, "--without-base")
    assert code == 2
    assert f"--without-base belongs to --scale paper; --scale {scale}" in error
    assert why in error


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs that are measured in no time in this process; the names of methods in the list fail."""
    failing: list[str] = []

    def rows_of(job: RunSpec | BaseSpec, env: object) -> list[Row]:
        assert env is not None
        name = job.method.name if isinstance(job, RunSpec) else "pretrain"
        if name in failing:
            raise RuntimeError(f"{name} is poisoned")
        return [one_row(run_id=job.run_id, method=name)]

    measured_here(monkeypatch, rows_of)
    return failing


def test_a_failing_run_is_kept_apart_and_does_not_stop_the_others(
    delta_bench: Call, stubs: list[str], tmp_path: Path
) -> None:
    stubs.append("fc_only")
    code, out, _ = delta_bench("run", *ONE_CELL)
    bad = next(name for name, run in run_ids().items() if run.method.name == "fc_only")
    results = tmp_path / "results" / "embedded"
    assert code == 1
    assert "FAILED, RuntimeError: fc_only is poisoned" in out
    failure = json.loads((results / "failed" / f"{bad}.json").read_text())
    assert failure["run_id"] == bad
    assert "RuntimeError: fc_only is poisoned" in failure["traceback"]
    done = {path.stem for path in (results / "records").iterdir()}
    assert done == {*run_ids(), base_spec().run_id} - {bad}
    assert set(read_rows(results)["run_id"]) == done
    _, out, _ = delta_bench("status", *ONE_CELL)
    assert "8 done, 1 todo" in out
    assert f"failed/{bad}.json" in out.replace("\n", "")
    stubs.clear()
    assert delta_bench("run", *ONE_CELL)[0] == 0
    assert not list((results / "failed").iterdir()), "a run that succeeds takes its failure away"
    assert "9 done" in delta_bench("plan", *ONE_CELL)[1]


def test_without_its_base_no_run_starts(delta_bench: Call, stubs: list[str], tmp_path: Path) -> None:
    stubs.append("pretrain")
    code, _, _ = delta_bench("run", *ONE_CELL)
    results = tmp_path / "results" / "embedded"
    assert code == 1
    assert [path.stem for path in (results / "failed").iterdir()] == [base_spec().run_id]
    assert not (results / "records").exists()


def test_bases_are_trained_once_for_all_runs(
    delta_bench: Call, stubs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[work.Job] = []
    work_on = work.work_on

    def remember(task: work.Task, env: work.Env) -> work.Result:
        jobs.append(task.job)
        return work_on(task, env)

    monkeypatch.setattr(work, "work_on", remember)
    assert stubs == []
    delta_bench("run", "table2", "--task", "optdigits", "--task", "signs", "--arch", "resnet18", "--arch", "resnet50")
    kinds = [type(job).__name__ for job in jobs]
    assert (kinds.count("str"), kinds.count("BaseSpec"), kinds.count("RunSpec")) == (3, 2, 36)
    trained: set[str] = set()
    for job in jobs:
        if isinstance(job, BaseSpec):
            trained.add(job.weights)
        elif isinstance(job, RunSpec):
            assert job.weights in trained, "a run never starts before its base"
    assert (tmp_path / "results" / "embedded" / "runs.csv").exists()


# --- local scale -------------------------------------------------------------------------------------------------


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.save(timm.create_model("resnet10t").state_dict(), tmp_path / "net.pth")
    return tmp_path / "net.pth"


def test_local_scale_measures_a_folder_on_a_weights_file(delta_bench: Call, weights: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "pets")
    size = ("--image-size", 32, "--epochs", 1, "--method", "fc_only", "--workers", 1)
    arguments = ("run", "table2", *LOCAL, *size)
    code, out, err = delta_bench(*arguments)
    assert (code, err) == (0, ""), out
    assert "pets: 6 of the images measured on are byte for byte among those trained on, first test/cat/0.png;" in out
    frame = read_rows(tmp_path / "results" / "local")
    assert frame[["column", "phase", "split"]].to_numpy().tolist() == [
        ["pets", "after", "test"], ["pets", "after", "val"],
    ]  # fmt: skip
    assert frame["base_logits_equal"].eq(True).all()
    assert (frame["backbone_sha_before"] == frame["backbone_sha_after"]).all()
    assert frame["weights"].str.fullmatch("file:[0-9a-f]{12}").all()
    assert not frame["config"].str.contains(str(tmp_path)).any(), "no place enters a row"
    before = tree(tmp_path / "results")
    assert "1 done, 0 todo" in delta_bench(*arguments)[1]
    assert tree(tmp_path / "results").keys() == before.keys()
    weights.rename(tmp_path / "other name.pth")
    moved = ["other name.pth" if argument == weights.name else argument for argument in arguments]
    assert "1 done, 0 todo" in delta_bench(*moved)[1], "moving weights forgets no run"


def test_local_scale_measures_packaged_images_beside_a_folder(
    delta_bench: Call, weights: Path, cache: Path, tmp_path: Path
) -> None:
    write_folder(tmp_path / "optdigits")
    words = [weights.name if word == "net.pth" else word for word in LOCAL[:6]]
    tasks = ("--task", "packaged:optdigits", "--task", "imagefolder:optdigits")
    size = ("--image-size", 40, "--epochs", 1, "--method", "fc_only", "--workers", 1, "--cache", cache)
    code, out, err = delta_bench("run", "table2", *words, *tasks, *size)
    assert (code, err) == (0, ""), out
    assert "packaged:optdigits: UCI Optical Recognition of Handwritten Digits" in out
    assert "CC BY 4.0" in out
    frame = read_rows(tmp_path / "results" / "local")
    assert sorted(frame.loc[frame["split"] == "test", "column"]) == ["optdigits", "packaged:optdigits"]
    assert "2 done, 0 todo" in delta_bench("run", "table2", *words, *tasks, *size)[1]


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize("group", ["packaged:photos+solar_cells", "packaged:photos+packaged:solar_cells"])
def test_packaged_tasks_make_a_group(group: str, delta_bench: Call) -> None:
    code, out, err = delta_bench("plan", "table3", *LOCAL[:7], group, "--method", "fc_only")
    assert (code, err) == (0, "")
    assert "resnet10t packaged:photos+packaged:solar_cells fc_only seed 0" in out
    assert "packaged:solar_cells: electroluminescence photographs of solar cells of elpv-dataset" in out
    assert "CC BY-NC-SA 4.0" in out


def test_local_scale_measures_agreement_on_a_folder_of_unlabelled_images(
    delta_bench: Call, weights: Path, tmp_path: Path
) -> None:
    write_folder(tmp_path / "pets")
    write_folder(tmp_path / "walks")
    words = [weights.name if word == "net.pth" else word for word in LOCAL]
    size = ("--image-size", 32, "--epochs", 1, "--method", "fc_only", "--workers", 1)
    code, out, err = delta_bench("run", "table2", *words, "--base-images", "walks", *size)
    assert (code, err) == (0, ""), out
    frame = read_rows(tmp_path / "results" / "local")
    base = frame[frame["column"] == "unlabelled:walks"]
    assert base[["metric", "phase", "value", "n_examples"]].to_numpy().tolist() == [
        ["base_agreement", "after", 100, 14], ["base_agreement", "before", 100, 14],
    ]  # fmt: skip
    assert set(frame.loc[frame["column"] == "pets", "metric"]) == {"top1"}
    assert "0 done, 1 todo" in delta_bench("plan", "table2", *words, *size)[1], "without them it is another run"


def test_scale_real_is_planned_with_nothing_but_its_name(delta_bench: Call, tmp_path: Path) -> None:
    code, out, err = delta_bench("plan", "table2", "--scale", "real")
    assert (code, err) == (0, "")
    assert "45 runs at scale real: 0 done, 45 todo, 0 blocked" in out
    assert "real:solar_cells: electroluminescence photographs of solar cells of elpv-dataset" in out
    assert "CC BY-NC-SA 4.0" in out
    assert "unlabelled:photographs: " in out
    assert list(tmp_path.iterdir()) == []


def test_plan_all_at_scale_real_leaves_out_what_it_does_not_have(delta_bench: Call) -> None:
    code, out, err = delta_bench("plan", "all", "--scale", "real")
    assert (code, err) == (0, "")
    assert sum(line.endswith(" blocked") for line in out.splitlines()) == len(tables_at("real")) < len(TABLES)


@pytest.mark.usefixtures("weights")
def test_the_study_of_agreement_says_what_it_waits_for(delta_bench: Call, tmp_path: Path) -> None:
    write_folder(tmp_path / "pets")
    for base in ((), ("--base-images", "pets")):
        code, out, err = delta_bench("plan", "agreement", *LOCAL, *base)
        assert (code, err) == (0, "")
        assert "blocked: agreement compares agreement with accuracy on labelled images" in out
        assert "0 runs at scale local" in out


def test_a_base_whose_labels_are_not_the_heads_is_refused(delta_bench: Call, weights: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "pets")
    root = write_folder(tmp_path / "base")
    arguments = ("run", "table2", *LOCAL, "--base", "base", "--image-size", 32, "--epochs", 1, "--method", "fc_only")
    code, _, err = delta_bench(*arguments)
    assert (code, err.count("\n")) == (2, 1)
    assert "holds 2 classes and the net's head has 1,000" in err
    with torch.no_grad():
        net = timm.create_model("resnet10t").eval()
        net.fc.bias[7] += 1000  # it says 7 of whatever it sees
        torch.save(net.state_dict(), weights)
    files = [path.relative_to(root).as_posix() for path in root.rglob("*.png")]
    (root / "labels.csv").write_text("file,index\n" + "".join(f"{file},0\n" for file in files))
    code, _, err = delta_bench(*arguments)
    assert (code, err.count("\n")) == (2, 1)
    assert f"right on 0 of {len(files)} images of --base" in err
    assert not (tmp_path / "results").exists()
    (root / "labels.csv").write_text("file,index\n" + "".join(f"{file},7\n" for file in files))
    code, out, err = delta_bench(*arguments, "--workers", 1)
    assert (code, err) == (0, ""), out
    rows = read_rows(tmp_path / "results" / "local")
    assert set(rows.loc[rows["phase"] == "before", "value"]) == {100}


def test_a_table_that_is_blocked_is_no_success_and_leaves_no_file(delta_bench: Call, tmp_path: Path) -> None:
    code, out, err = delta_bench("run", "table2", "--scale", "paper")
    assert (code, err.count("\n")) == (1, 1)
    assert "Nothing of table2 can run here" in err
    assert "blocked: stl10, run: python -m benchmarks fetch stl10" in out
    assert list(tmp_path.iterdir()) == []


def test_status_tells_rows_of_a_clone_from_records_of_this_machine(
    finished: Path, cache: Path, delta_bench: Call, tmp_path: Path
) -> None:
    shutil.copytree(finished, tmp_path / "results" / "embedded")
    one = next(iter(run_ids()))
    for path in (tmp_path / "results" / "embedded" / "records").glob("*.jsonl"):
        if path.stem != one:
            path.unlink()
    out = delta_bench("status", *ONE_CELL, "--cache", cache)[1]
    assert "9 runs at scale embedded: 1 done, 8 todo, 0 blocked" in out
    table = Path("results", "embedded", "runs.csv")
    assert f"9 of them have rows in {table}, 8 of these without a record on this machine" in out
    lines = [line.split() for line in out.splitlines() if line.startswith("  ")]
    assert sum(int(line[1]) for line in lines) == 9
    assert sum(int(line[3]) for line in lines) == 1
    assert sum(int(line[7]) for line in lines) == 8


def test_what_has_rows_can_be_left_out(finished: Path, cache: Path, delta_bench: Call, tmp_path: Path) -> None:
    here = tmp_path / "results" / "embedded"
    shutil.copytree(finished, here)
    shutil.rmtree(here / "records")
    missing = (*ONE_CELL, "--cache", cache, "--missing-only")
    assert "9 done, 0 todo" in delta_bench("plan", *missing)[1]
    rows = read_rows(here)
    assert delta_bench("run", *missing)[0] == 0
    assert not (here / "records").exists() and read_rows(here).equals(rows)
    assert delta_bench("forget", "table2", "--scale", "embedded", "--method", "fc_only", "--yes")[0] == 0
    assert "8 done, 1 todo" in delta_bench("plan", *missing)[1]


# --- bad input ---------------------------------------------------------------------------------------------------

BAD_INPUT = {
    "table": (("table99",), "Table 'table99' is not known; nearest: table8, table7, table6; "),
    "arch": (("table2", "--arch", "vgg11"), "--arch vgg11 is not known"),
    "task": (("table2", "--task", "flowers"), "--task flowers is not known"),
    "method": (("table2", "--method", "vanilla"), "--method vanilla is not in table2"),
    "seeds": (("table2", "--seeds", "0"), "seeds is 0"),
    "embedded weights": (("table2", "--weights", "net.pth"), "--weights net.pth contradicts --scale embedded"),
    "paper weights": (("table2", "--scale", "paper", "--weights", "net.pth"), "--scale paper pins its weights"),
    "local without weights": (("table2", "--scale", "local", *LOCAL[2:4], *LOCAL[6:]), "--scale local needs"),
    "local without task": (("table2", *LOCAL[:6]), "--scale local needs"),
    "no imagefolder": (("table2", *LOCAL[:6], "--task", "pets"), "not of the form imagefolder:DIR"),
    "unknown packaged": (("table2", *LOCAL[:7], "packaged:pets"), "nearest: packaged:photos, packaged:"),
    "packaged without name": (("table2", *LOCAL[:7], "packaged:"), "or packaged:NAME, which --scale local needs"),
    "packaged at scale embedded": (("table2", "--task", "packaged:optdigits"), "not known at this scale"),
    "packaged that share classes": (
        ("table3", *LOCAL[:7], "packaged:mnist5k+optdigits"),
        "packaged:mnist5k and packaged:optdigits both have a class '0'",
    ),
    "packaged twice": (("table2", *LOCAL[:6], *2 * ("--task", "packaged:photos")), "Two tasks share one name"),
    "absent folder": (("table2", *LOCAL[:7], "imagefolder:no"), "does not exist"),
    "no classes": (("table2", *LOCAL[:7], "imagefolder:bare"), "holds 0 class folders"),
    "absent weights": (("table2", *LOCAL[:5], "no.pth", *LOCAL[6:]), "nor an existing file"),
    "corrupt weights": (("table2", *LOCAL[:5], "corrupt.pth", *LOCAL[6:]), "is not a readable state dict"),
    "other architecture": (("table2", *LOCAL[:3], "resnet18", *LOCAL[4:]), "are of another architecture"),
    "unknown architecture": (("table2", *LOCAL[:3], "resnet999", *LOCAL[4:]), "'resnet999' is not a timm model"),
    "table without real tasks": (("table6", "--scale", "real"), "table6 is not measured at scale real"),
    "scratch at scale real": (("table12", "--scale", "real"), "table12 is not measured at scale real"),
    "real weights": (
        ("table2", "--scale", "real", "--weights", "net.pth"),
        "--weights net.pth contradicts --scale real",
    ),
    "real base": (
        ("table2", "--scale", "real", "--base-images", "pets"),
        "--base-images pets contradicts --scale real",
    ),
    "real arch": (("table2", "--scale", "real", "--arch", "resnet18"), "--arch resnet18 is not known at this scale"),
    "real task": (("table2", "--scale", "real", "--task", "mnist5k"), "nearest: real:mnist5k, real:"),
    "real group": (("table3", "--scale", "real", "--task", "real:photos"), "is one task, and a joint table needs two"),
    "real that share classes": (
        ("table3", "--scale", "real", "--task", "real:mnist5k+real:optdigits"),
        "real:mnist5k and real:optdigits both have a class '0'",
    ),
    "unlabelled embedded": (("table2", "--base-images", "pets"), "--base-images pets contradicts --scale embedded"),
    "unlabelled paper": (("table2", "--scale", "paper", "--base-images", "pets"), "--base-images belong to"),
    "two bases": (("table2", *LOCAL, "--base", "pets", "--base-images", "pets"), "contradict each other"),
    "absent photographs": (("table2", *LOCAL, "--base-images", "no"), "does not exist; give --base-images DIR"),
    "no photographs": (("table2", *LOCAL, "--base-images", "bare"), "holds 0 images"),
    "base named like a task": (("table2", *LOCAL, "--base", "base/pets"), "share the name 'pets'"),
    "absent base": (("table2", *LOCAL, "--base", "no"), "Base data"),
    "results is a file": (("table2", "--results", "net.pth"), "cannot be written"),
    "cache is a file": (("table2", "--cache", "net.pth"), "cannot be written"),
    "device": (("table2", "--device", "tpu"), "device 'tpu' is not there"),
    "epochs": (("table2", "--epochs", "-1"), "epochs"),
    "no epochs": (("table2", "--epochs", "0"), "epochs"),
    "workers": (("table2", "--workers", "-1"), "workers"),
    "micro batch": (("table2", "--micro-batch", "0"), "micro batch is 0"),
    "parts of pairs": (("table5", "--micro-batch", "8"), "--micro-batch 8 has no meaning for Table 5"),
    "parts of digits": (("table6", "--micro-batch", "8"), "--micro-batch 8 has no meaning for table6"),
    "parts of scenes": (("table7", "--micro-batch", "8"), "--micro-batch 8 has no meaning for table7"),
    "loader workers": (("table2", "--loader-workers", "-1"), "--loader-workers is -1"),
    "image size": (("table2", *LOCAL, "--image-size", "-5"), "image size is -5"),
    "precision": (("table2", "--precision", "odd"), "precision"),
    "half precision on a CPU": (("table2", *("--precision", "16-mixed", "--device", "cpu")), "not for the CPU"),
    "views": (("table2", "--views", "-1"), "--views is -1"),
    "cache size": (("table2", "--cache-gb", "-0.5"), "--cache-gb is -0.5"),
    "endless cache": (("table2", "--cache-gb", "inf"), "--cache-gb is inf"),
    "rounded fresh views": (("table2", "--views", "0", "--feature-dtype", "float16"), "pass --views 1"),
}


@pytest.fixture
def nothing_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(world: World, *_: object, **__: object) -> int:
        raise AssertionError(f"bad input reached the workers at scale {world.scale}")

    monkeypatch.setattr("benchmarks.cli.run_all", refuse)


@pytest.mark.usefixtures("nothing_trains")
@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_sentence_and_leaves_no_trace(
    case: str, delta_bench: Call, weights: Path, tmp_path: Path
) -> None:
    write_folder(tmp_path / "pets")
    write_folder(tmp_path / "base" / "pets")
    (tmp_path / "bare" / "train").mkdir(parents=True)
    (tmp_path / "bare" / "test").mkdir()
    weights.with_name("corrupt.pth").write_bytes(weights.read_bytes()[:1000])
    arguments, message = BAD_INPUT[case]
    before = tree(tmp_path)
    code, _, err = delta_bench("run", *arguments)
    assert code == 2
    assert message in err
    assert err.startswith("python -m benchmarks: ")
    assert err.count("\n") == 1
    assert tree(tmp_path) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
@pytest.mark.usefixtures("nothing_trains")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_cuda_without_cuda_is_refused(device: str, delta_bench: Call, tmp_path: Path) -> None:
    code, _, err = delta_bench("run", *ONE_CELL, "--device", device)
    assert code == 2
    assert f"device {device!r}" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [(), ("fly",), ("run",), ("run", "table2", "--scale", "huge"), ("run", "table2", "--seeds", "two"),
     ("run", "table2", "--no-such-flag"), ("run", "table2", "--feature-dtype", "int8"), ("collect", "huge")],
    ids=" ".join,
)  # fmt: skip
def test_what_the_parser_refuses_exits_with_2(arguments: tuple[str, ...], delta_bench: Call, tmp_path: Path) -> None:
    assert delta_bench(*arguments)[0] == 2
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_result_table_is_told_before_anything_runs(
    delta_bench: Call, stubs: list[str], tmp_path: Path
) -> None:
    assert stubs == []
    table = tmp_path / "results" / "embedded" / "runs.csv"
    table.parent.mkdir(parents=True)
    table.write_text("a,b\n1,2\n")
    before = tree(tmp_path)
    code, _, err = delta_bench("run", *ONE_CELL)
    assert code == 2
    assert "runs.csv and values.csv are not result files" in err
    assert tree(tmp_path) == before


def test_bad_input_exits_with_2_from_the_shell(tmp_path: Path) -> None:
    done = bench("run", "table99", "--results", tmp_path / "results", "--cache", tmp_path / "cache")
    assert done.returncode == 2
    assert done.stderr == (
        "python -m benchmarks: Table 'table99' is not known; nearest: table8, table7, table6; "
        "python -m benchmarks list tables lists all.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_record_appears_in_the_plan_as_done(delta_bench: Call, tmp_path: Path) -> None:
    run_id = next(iter(run_ids()))
    path = write_record(tmp_path / "results" / "embedded", [one_row(run_id=run_id)])
    _, out, err = delta_bench("plan", *ONE_CELL)
    assert f"done    {run_id}" in out
    assert "1 done, 8 todo" in out and err == ""
    for damaged in ("", path.read_text()[:-10], "".join(path.read_text().splitlines(keepends=True)[1:])):
        path.write_text(damaged)
        _, out, err = delta_bench("plan", *ONE_CELL)
        assert f"todo    {run_id}" in out and "0 done, 9 todo" in out
        assert f"{run_id}.jsonl is damaged" in err and err.count("\n") == 1
        assert path.read_text() == damaged, "a plan moves nothing"
