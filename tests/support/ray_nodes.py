"""A Ray cluster on this machine: nodes with one core each, in folders that tell their processes apart."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = str(Path(sys.executable).with_name("ray"))
WITH_TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "5" * 64}
"""Nodes and drivers know one word; where Ray is left to itself it hangs on what lies in the home of whoever tests."""
ENVIRONMENT = {
    **os.environ,
    **WITH_TOKEN,
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": str(ROOT),
    "RAY_USAGE_STATS_ENABLED": "0",
}
LIMIT_S = 300.0


class RayNodes:
    """The nodes of one cluster, the first of which is its head."""

    def __init__(self, folder: Path, *, cores_of_head: int = 1) -> None:
        self.folder = folder
        port = unused_port()
        self.address = f"127.0.0.1:{port}"
        self._started: list[subprocess.Popen[bytes]] = []
        head = ("--head", "--port", port, "--include-dashboard", "false")
        self._start("head", *head, "--num-cpus", cores_of_head)

    def place(self, name: str) -> Path:
        """The folder of a node, which may be there before the node is."""
        place = self.folder / name
        place.mkdir(exist_ok=True)
        return place

    def join(self, name: str, *, in_front: tuple[str, ...] = ()) -> Path:
        """Another node, and its folder; `in_front` starts the program that starts it."""
        return self._start(name, "--address", self.address, "--num-cpus", 1, in_front=in_front)

    def pids(self, name: str, *, of: str | tuple[str, ...] = "") -> Iterator[int]:
        """Processes of a node, those alone whose command line begins with some words."""
        place = str(self.place(name))
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    if str((entry / "cwd").readlink()) == place and Path(words.partition(" ")[0]).name.startswith(of):
                        yield int(entry.name)

    def signal(self, name: str, number: int, *, of: str | tuple[str, ...] = "") -> None:
        """Send a signal to the processes of a node."""
        for pid in list(self.pids(name, of=of)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def end(self) -> None:
        """Kill all nodes, and everything that they started."""
        for place in self.folder.iterdir():
            while list(self.pids(place.name)):
                self.signal(place.name, signal.SIGKILL)
                for started in self._started:
                    started.poll()
                time.sleep(0.05)
        for started in self._started:
            started.wait()

    def _start(self, name: str, *words: object, in_front: tuple[str, ...] = ()) -> Path:
        place = self.place(name)
        log = place / "ray.log"
        arguments = [*in_front, PROGRAM, "start", *map(str, words), "--object-store-memory", str(10**8)]
        with log.open("wb") as stream:
            node = subprocess.Popen(
                [*arguments, "--disable-usage-stats", "--block"],
                cwd=place, env=ENVIRONMENT, stdout=stream, stderr=stream, start_new_session=True,
            )  # fmt: skip
        self._started.append(node)
        end = time.monotonic() + LIMIT_S
        while b"Ray runtime started" not in log.read_bytes():
            if time.monotonic() > end or node.poll() is not None:
                raise RuntimeError(f"A node does not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        return place


def unused_port() -> int:
    """A port at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
