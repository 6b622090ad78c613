"""A grid on a Ray cluster of two nodes on this machine, each with a folder of its own; the driver's has no data."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import timm
import torch
from grid_world import ENVIRONMENT, LIMIT_S, ONE_CELL, ROOT, call, command, wait_for, write_one_cell
from patch_tool_world import ARCH, write_classes

from benchmarks.records.collected import read_rows
from benchmarks.records.rows import KEY

pytest.importorskip("ray", reason="the extra `cluster` is not installed")
CHOSEN = (*ONE_CELL, "--method", "fc_only", "--method", "delta_networks:maps")
PROGRAM = str(Path(sys.executable).with_name("ray"))
PLAIN = {**ENVIRONMENT, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}


class Cluster:
    """Nodes with one core each, in folders and process groups of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        port = unused_port()
        self.address = f"127.0.0.1:{port}"
        self.nodes: dict[str, subprocess.Popen[bytes]] = {}
        self.start("head", "--head", "--port", port, "--include-dashboard", "false")

    def start(self, name: str, *more: object) -> Path:
        """A node, and its folder."""
        place = self.folder / name
        place.mkdir(exist_ok=True)
        words = (*(more or ("--address", self.address)), "--num-cpus", 1, "--object-store-memory", 10**8)
        arguments = [PROGRAM, "start", *map(str, words), "--disable-usage-stats", "--block"]
        with (place / "ray.log").open("wb") as log:
            self.nodes[name] = subprocess.Popen(
                arguments, cwd=place, env=PLAIN, stdout=log, stderr=log, start_new_session=True
            )
        assert wait_for(lambda: b"Ray runtime started" in (place / "ray.log").read_bytes(), LIMIT_S)
        return place

    def end(self) -> None:
        """Kill all nodes, and everything that they started."""
        for node in self.nodes.values():
            with suppress(ProcessLookupError):
                os.killpg(node.pid, signal.SIGKILL)
            node.wait()

    def measure(self, folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
        """`run` by a driver in a folder of its own."""
        return bench(folder, *words, "--cluster", self.address)


def bench(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.run(
        command("run", *words), cwd=folder, env=PLAIN, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield cluster
    finally:
        cluster.end()


def test_rows_of_a_cluster_are_those_of_one_machine(cluster: Cluster, tmp_path: Path) -> None:
    """The base is pre-trained on one node and sent to the other; a second call finds all done."""
    for place in (cluster.folder / "head", cluster.start("second"), tmp_path / "alone"):
        write_one_cell(place / ".cache")
    alone = bench(tmp_path / "alone", *CHOSEN, "--workers", "1")
    assert alone.returncode == 0, alone.stderr
    driver = tmp_path / "driver"
    spread = cluster.measure(driver, *CHOSEN)
    assert spread.returncode == 0, spread.stdout + spread.stderr
    assert spread.stdout.count(" works, 1 at a time") == 2
    one, many = (read_rows(folder / "results" / "embedded") for folder in (tmp_path / "alone", driver))
    compared = [*KEY, "value", "backbone_sha_after", "steps"]
    assert one[compared].equals(many[compared])
    assert not (driver / ".cache" / "data").exists()
    assert "0 todo" in cluster.measure(driver, *CHOSEN).stdout


def test_nodes_with_other_data_or_none_get_no_run_and_one_that_joins_late_does(
    cluster: Cluster, tmp_path: Path
) -> None:
    def lay_out(place: Path, images: int) -> None:
        torch.manual_seed(3)
        torch.save(timm.create_model(ARCH).state_dict(), place / "net.pt")
        if images:
            write_classes(place / "pets" / "train", images)
            write_classes(place / "pets" / "test", 4, first=10)

    driver = tmp_path / "driver"
    driver.mkdir()
    lay_out(driver, 8)
    lay_out(cluster.folder / "head", 9)
    lay_out(cluster.start("second"), 0)
    net = ("--arch", ARCH, "--weights", "net.pt", "--image-size", 32, "--epochs", 1)
    chosen = ("table2", "--scale", "local", *net, "--task", "imagefolder:pets", "--method", "fc_only")
    refused = cluster.measure(driver, *chosen)
    assert refused.returncode == 1
    assert "No node of the cluster will do, and what was finished is kept. " in refused.stderr
    assert "/head: Its data of pets are " in refused.stderr
    assert "/second: " in refused.stderr
    assert "Traceback" not in refused.stderr
    lay_out(cluster.start("third"), 8)
    done = cluster.measure(driver, *chosen)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "third works, 1 at a time" in done.stdout.replace("\n", "")
    assert len(read_rows(driver / "results" / "local")) == 2


def test_an_address_at_which_nothing_answers_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_one_cell(tmp_path / ".cache")
    for address in (f"127.0.0.1:{unused_port()}", "nonsense"):
        code, _, err = call(monkeypatch, capsys, "run", *CHOSEN, "--cluster", address)
        assert code == 2
        assert f"--cluster '{address}' is no Ray cluster that answers" in err
        assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "results").exists()
