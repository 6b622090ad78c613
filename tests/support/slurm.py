"""Slurm on this machine: a controller and nodes of one core each, with their files in one folder."""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from ray_nodes import unused_port

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol")
PATH = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
LIMIT_S = 60.0


def missing() -> list[str]:
    """Programs of Debian's packages slurmctld, slurmd, slurm-client and munge that are not there."""
    return [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]


class Slurm:
    """A cluster that runs until `end`."""

    def __init__(self, folder: Path, *, nodes: int) -> None:
        self.folder = folder
        # A job's `python` and `ray` are those of these tests.
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{PATH}",
            "SLURM_CONF": str(folder / "slurm.conf"),
        }
        self._started: list[subprocess.Popen[bytes]] = []
        for name in ("state", "spool", "munge"):
            (folder / name).mkdir()
        (folder / "munge").chmod(0o755)
        key = folder / "munge" / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        (folder / "slurm.conf").write_text(self._config(nodes), encoding="utf-8")
        munge = {name: folder / "munge" / name for name in ("socket", "pid", "log", "seed")}
        self._start(
            "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={munge['socket']}",
            f"--pid-file={munge['pid']}", f"--log-file={munge['log']}", f"--seed-file={munge['seed']}",
        )  # fmt: skip
        self._until(munge["socket"].exists)
        self._start("slurmctld", "-D")
        for number in range(1, nodes + 1):
            self._start("slurmd", "-D", "-N", f"n{number}")
        self._until(lambda: self.call("sinfo", "--noheader", "--format=%D %t").strip() == f"{nodes} idle")

    def call(self, *words: str, cwd: Path | None = None) -> str:
        """What a command of Slurm prints."""
        done = subprocess.run(
            words, cwd=cwd, env=self.environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        return done.stdout

    def submit(self, *words: str, cwd: Path, **environment: str) -> str:
        """Queue a job; returns its number."""
        return subprocess.run(
            ["sbatch", "--parsable", "--output=%x-%A_%a.log", *words],
            cwd=cwd, env=environment | self.environment, capture_output=True, text=True, timeout=LIMIT_S, check=True,
        ).stdout.strip()  # fmt: skip

    def states(self, job: str) -> dict[str, str]:
        """Number of each part of a job -> its state, as long as Slurm remembers it."""
        found = self.call("scontrol", "show", "job", job, "--oneliner")
        fields = [dict(word.partition("=")[::2] for word in line.split()) for line in found.splitlines()]
        return {each["JobId"]: each["JobState"] for each in fields if "JobId" in each}

    def wait(self, job: str, limit_s: float) -> set[str]:
        """States in which all parts of a job ended."""
        end = time.monotonic() + limit_s
        while True:
            states = set(self.states(job).values())
            if states and not states & {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING"}:
                return states
            if time.monotonic() > end:
                raise TimeoutError(f"Job {job} is {states}.")
            time.sleep(0.2)

    def end(self) -> None:
        """Kill everything."""
        self.call("scancel", "--user", getpass.getuser(), "--signal=KILL", "--full")
        for process in reversed(self._started):
            process.terminate()
        for process in self._started:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, *words: str) -> None:
        with (self.folder / f"{words[0]}-{len(self._started)}.log").open("wb") as log:
            self._started.append(subprocess.Popen(words, cwd=self.folder, env=self.environment, stdout=log, stderr=log))

    def _until(self, condition: "object") -> None:
        end = time.monotonic() + LIMIT_S
        while not condition():  # type: ignore[operator]
            if time.monotonic() > end or any(process.poll() is not None for process in self._started):
                logs = {path.name: path.read_text(errors="replace")[-500:] for path in self.folder.glob("*.log")}
                raise RuntimeError(f"Slurm does not start: {logs}")
            time.sleep(0.1)

    def _config(self, nodes: int) -> str:
        host = socket.gethostname()
        of_nodes = "\n".join(
            f"NodeName=n{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={unused_port()} CPUs=1 RealMemory=8000"
            for number in range(1, nodes + 1)
        )
        return f"""
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={unused_port()}
SlurmUser={getpass.getuser()}
SlurmdUser={getpass.getuser()}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={self.folder}/munge/socket
StateSaveLocation={self.folder}/state
SlurmdSpoolDir={self.folder}/spool/%n
SlurmctldPidFile={self.folder}/slurmctld.pid
SlurmdPidFile={self.folder}/%n.pid
SlurmctldLogFile={self.folder}/slurmctld.txt
SlurmdLogFile={self.folder}/%n.txt
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
{of_nodes}
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""
