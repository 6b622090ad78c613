"""A grid on a Ray cluster of two nodes on this machine, each with a folder of its own; the driver's has no data."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch
from grid_world import COMPARED, LIMIT_S, TWO_RUNS, call, command, write_one_cell, write_tiny_task
from patch_tool_world import ARCH, write_classes
from ray_nodes import ENVIRONMENT, RayNodes, unused_port

from benchmarks.records.collected import read_rows

pytest.importorskip("ray", reason="the extra `cluster` is not installed")


def bench(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """`run` by a driver in a folder of its own."""
    folder.mkdir(exist_ok=True)
    arguments = command("run", *words)
    return subprocess.run(
        arguments, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


def bench_on_two(nodes: RayNodes, folder: Path, *words: object) -> None:
    """`run`, in which the first node that works is halted until another does, which else might come too late."""
    folder.mkdir()
    said = folder / "said"
    with said.open("w") as stream:
        run = subprocess.Popen(command("run", *words), cwd=folder, env=ENVIRONMENT, stdout=stream, stderr=stream)
        end = time.monotonic() + LIMIT_S
        at_work: list[str] = []
        while run.poll() is None and len(at_work) < 2 and time.monotonic() < end:
            at_work = re.findall(r"/(\w+) works, 1 at a time", said.read_text())
            if len(at_work) == 1:
                nodes.signal(at_work[0], signal.SIGSTOP, of="ray::")
            time.sleep(0.05)
        for name in at_work:
            nodes.signal(name, signal.SIGCONT, of="ray::")
        assert run.wait(LIMIT_S) == 0, said.read_text()
    assert len(at_work) == 2, said.read_text()


@pytest.fixture
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayNodes]:
    nodes = RayNodes(tmp_path_factory.mktemp("cluster"))
    try:
        yield nodes
    finally:
        nodes.end()


def test_rows_of_a_cluster_are_those_of_one_machine(nodes: RayNodes, tmp_path: Path) -> None:
    """The base is pre-trained on one node and sent to the other; a second call finds all done."""
    for place in (nodes.place("head"), nodes.join("second"), tmp_path / "alone"):
        write_one_cell(place / ".cache")
    alone = bench(tmp_path / "alone", *TWO_RUNS, "--workers", "1")
    assert alone.returncode == 0, alone.stderr
    driver = tmp_path / "driver"
    bench_on_two(nodes, driver, *TWO_RUNS, "--cluster", nodes.address)
    one, many = (read_rows(folder / "results" / "embedded") for folder in (tmp_path / "alone", driver))
    assert one[COMPARED].equals(many[COMPARED])
    assert not (driver / ".cache" / "data").exists()
    assert "0 todo" in bench(driver, *TWO_RUNS, "--cluster", nodes.address).stdout
    stranger = subprocess.run(
        command("run", *TWO_RUNS, "--seeds", 2, "--cluster", nodes.address),
        cwd=driver, env={**ENVIRONMENT, "RAY_AUTH_MODE": "disabled"}, capture_output=True, text=True, timeout=LIMIT_S,
    )  # fmt: skip
    assert stranger.returncode == 2
    assert "is no Ray cluster that answers (ConnectionError)" in stranger.stderr
    assert "Unauthenticated" in stranger.stderr, "Ray's own word for who has no token"
    assert "Traceback" not in stranger.stderr


def test_nodes_share_a_run(nodes: RayNodes, tmp_path: Path) -> None:
    """Neither node has two cores, so that the two processes of a run find each other over the network."""
    cell = ("table13", "--arch", "resnet18", "--task", "textures", "--method", "standard", "--epochs", 2)
    for place in (nodes.place("head"), nodes.join("second"), tmp_path / "alone"):
        write_tiny_task(place / ".cache", "textures", 12)
    alone = bench(tmp_path / "alone", *cell, "--workers", 1, "--devices-per-run", 2)
    assert alone.returncode == 0, alone.stderr
    driver = tmp_path / "driver"
    spread = bench(driver, *cell, "--devices-per-run", 2, "--cluster", nodes.address)
    assert spread.returncode == 0, spread.stdout + spread.stderr
    one, many = (read_rows(folder / "results" / "embedded") for folder in (tmp_path / "alone", driver))
    compared = [*COMPARED, "world_size"]
    assert one[compared].equals(many[compared])
    assert set(many["world_size"]) == {2}
    three = bench(tmp_path / "more", *cell, "--devices-per-run", 3, "--cluster", nodes.address)
    assert three.returncode == 1
    assert "3 devices are to share a run, and the nodes that will do have 2." in three.stderr


def test_nodes_with_other_data_or_none_get_no_run_and_one_that_joins_late_does(nodes: RayNodes, tmp_path: Path) -> None:
    def lay_out(place: Path, images: int) -> None:
        torch.manual_seed(3)
        torch.save(timm.create_model(ARCH).state_dict(), place / "net.pt")
        if images:
            write_classes(place / "pets" / "train", images)
            write_classes(place / "pets" / "test", 4, first=10)

    driver = tmp_path / "driver"
    driver.mkdir()
    lay_out(driver, 8)
    lay_out(nodes.place("head"), 9)
    lay_out(nodes.join("second"), 0)
    net = ("--arch", ARCH, "--weights", "net.pt", "--image-size", 32, "--epochs", 1)
    chosen = ("table2", "--scale", "local", *net, "--task", "imagefolder:pets", "--method", "fc_only")
    refused = bench(driver, *chosen, "--cluster", nodes.address)
    assert refused.returncode == 1
    assert "No node of the cluster will do, and what was finished is kept. " in refused.stderr
    assert "/head: Its data of pets are " in refused.stderr
    assert "/second: " in refused.stderr
    assert "Traceback" not in refused.stderr
    lay_out(nodes.join("third"), 8)
    done = bench(driver, *chosen, "--cluster", nodes.address)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "third works, 1 at a time" in done.stdout.replace("\n", "")
    assert len(read_rows(driver / "results" / "local")) == 2


def test_an_address_at_which_nothing_answers_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_one_cell(tmp_path / ".cache")
    for address in (f"127.0.0.1:{unused_port()}", "nonsense"):
        code, _, err = call(monkeypatch, capsys, "run", *TWO_RUNS, "--cluster", address)
        assert code == 2
        assert f"--cluster '{address}' is no Ray cluster that answers" in err
        assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "results").exists()
