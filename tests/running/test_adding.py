"""docs/add-a-suite.md and docs/add-a-method.md: the worked examples, put in their place, are served by all the rest."""

import difflib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fake_rows import plain_run
from grid_world import write_one_cell

from benchmarks.records.collected import collect, read_rows
from benchmarks.records.record_files import write_record

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the benchmarks and the reports."""
    ignored = shutil.ignore_patterns("__pycache__")
    for package in ("benchmarks", "reports"):
        shutil.copytree(ROOT / package, tmp_path / "checkout" / package, ignore=ignored)
    return tmp_path / "checkout"


def change_one_line(path: Path, old: str, new: str) -> None:
    before = path.read_text(encoding="utf-8")
    after = before.replace(old, new, 1)
    changed = [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line.startswith("+ ")]
    assert len(changed) == 1
    path.write_text(after, encoding="utf-8")


def call(checkout: Path, package: str, *arguments: object) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(checkout), str(ROOT)]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", package, *map(str, arguments)]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_folder_and_a_line_make_a_suite(checkout: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs" / "examples" / "noise_suite", checkout / "benchmarks" / "suites" / "noise")
    change_one_line(checkout / "benchmarks" / "suites" / "execute.py", '"dense")', '"dense", "noise")')
    cache, results = tmp_path / "cache", tmp_path / "results"
    write_one_cell(cache)
    cell = ("noise", "--arch", "resnet18", "--task", "optdigits", "--epochs", 1, "--results", results, "--cache", cache)
    assert "6 runs at scale embedded: 0 done, 6 todo" in call(checkout, "benchmarks", "plan", *cell)
    assert "base bit-identical" in call(checkout, "benchmarks", "run", *cell)
    assert "6 runs at scale embedded: 6 done, 0 todo" in call(checkout, "benchmarks", "plan", *cell)
    rows = read_rows(results / "embedded")
    rows = rows[rows["suite"] == "noise"]
    assert set(rows["method"]) == {"fc_only", "delta_networks"}
    assert rows["protocol"].nunique() == 3
    assert rows["data_sha"].nunique() == 3
    assert (rows["backbone_sha_before"] == rows["backbone_sha_after"]).all()
    assert rows.loc[rows["n_delta_modules"] == 4, "params_delta_full_size"].nunique() == 1


def line_of_the_page() -> str:
    """The one line of docs/add-a-method.md that puts the method into the tables."""
    page = (ROOT / "docs" / "add-a-method.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^Joining\(.*\)$", page, re.MULTILINE)
    return str(line)


def add_the_method(checkout: Path) -> None:
    methods = checkout / "benchmarks" / "methods"
    shutil.copy(ROOT / "docs" / "examples" / "new_method.py", methods / "last_stage_scale.py")
    first = '    Joining(name="parallel_adapters"'
    change_one_line(methods / "listing.py", first, f"    {line_of_the_page()},\n{first}")


def test_the_method_of_the_page_is_the_example() -> None:
    page = (ROOT / "docs" / "add-a-method.md").read_text(encoding="utf-8")
    lines = page.split("```python\n")[1].split("```")[0].strip().splitlines()
    example = (ROOT / "docs" / "examples" / "new_method.py").read_text(encoding="utf-8")
    assert [line for line in lines if line.strip() not in example] == []


def test_the_method_is_measured_on_nets_of_two_families(checkout: Path, tmp_path: Path) -> None:
    add_the_method(checkout)
    cache, results = tmp_path / "cache", tmp_path / "results"
    write_one_cell(cache)
    nets = ("--arch", "resnet18", "--arch", "convnext_tiny")
    cell = ("table2", *nets, "--task", "optdigits", "--method", "last_stage_scale", "--epochs", 1)
    out = call(checkout, "benchmarks", "run", *cell, "--results", results, "--cache", cache)
    assert out.count("base bit-identical") == 2
    rows = read_rows(results / "embedded")
    rows = rows[rows["method"] == "last_stage_scale"]
    assert set(rows["architecture"]) == {"resnet18", "convnext_tiny"}
    assert (rows["params_delta_full_size"] > 0).all()
    listed = call(checkout, "benchmarks", "list", "methods")
    (line,) = [line for line in listed.splitlines() if line.startswith("last_stage_scale ")]
    assert "last-stage scale (ours)" in line
    assert "[table1, rates; if named table2, table3" in line


def test_the_method_has_its_place_in_claims_and_pictures(checkout: Path, tmp_path: Path) -> None:
    add_the_method(checkout)
    for task in ("signs", "photos", "optdigits"):
        cell = {"task": task, "column": task}
        for run in (
            plain_run(**cell, method="last_stage_scale", patch=70.0),
            plain_run(**cell, method="fc_only", patch=60.0),
            plain_run(**cell, method="delta_networks", variant="maps", n_delta_modules=4, patch=71.0),
        ):
            write_record(tmp_path / "embedded", run)
    collect(tmp_path / "embedded")
    shown = call(checkout, "reports", "claims", "--results", tmp_path)
    (line,) = [line for line in shown.splitlines() if "Delta (4) beats last-stage scale" in line]
    assert "3 of 3" in line
    call(checkout, "reports", "figures", "--results", tmp_path, "--out", tmp_path / "figures")
    for picture in ("pareto", "ranks", "heatmap"):
        assert "last-stage scale (ours)" in (tmp_path / "figures" / f"overview_{picture}.csv").read_text(), picture


def test_a_file_and_a_line_make_a_method(checkout: Path, tmp_path: Path) -> None:
    add_the_method(checkout)
    cell = ("--arch", "resnet18", "--task", "signs", "--results", tmp_path)
    chosen = ("--method", "last_stage_scale", "--cache", tmp_path)
    for table in ("table1", "table2", "table3", "table4"):
        task = () if table in ("table3", "table4") else cell[2:4]
        planned = call(checkout, "benchmarks", "plan", table, *cell[:2], *task, *cell[4:], *chosen)
        assert "resnet18" in planned and "last_stage_scale" in planned, table
    write_record(tmp_path / "embedded", plain_run(method="lora", patch=70.0))
    collect(tmp_path / "embedded")
    shown = call(checkout, "reports", "table1", "--results", tmp_path)
    assert shown.index("last-stage scale (ours)") < shown.index("parallel adapters") < shown.index("LoRA (ours)")
