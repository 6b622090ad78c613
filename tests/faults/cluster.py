"""A grid on a Ray cluster of nodes on this machine: nodes, processes and the driver die, stop, differ or come late."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import timm
import torch
from forked import Action, Ended, Running, run, start
from patch_tool_world import ARCH, write_classes
from ray_nodes import RayNodes

from tests.faults.commands import process, troubles
from tests.faults.groups import Group, Trial
from tests.faults.rows import compare, rows_below
from tests.faults.verdict import Verdict, seen_together
from tests.faults.works import GRID
from tests.faults.world import World, grid_words

LIMIT_S = 240.0
STOPPED_S = 60.0
NODES = ("head", "second", "third")
MOUNTED = (
    "import os, sys; sys.path.insert(0, sys.argv[1]); "
    "from pathlib import Path; from tests.faults.namespaces import mount_small_disk, own_mounts; "
    "own_mounts() and mount_small_disk(Path('cache'), int(sys.argv[2])); os.execv(sys.argv[3], sys.argv[3:])"
)
"""Starts a program whose folder `cache` has room for so many bytes; without a word where nothing can be mounted."""
ROOT = Path(__file__).parents[2]
OF_JOBS = ("ray::_", "ray::IDLE")
"""Names of processes that do jobs, or wait for some; Ray's own, which end with their node, have others."""


@dataclass(frozen=True, kw_only=True)
class _Grid:
    """A table, what its nodes hold, and where the undisturbed rows lie."""

    name: str
    words: tuple[object, ...]
    lay_out: Callable[[World, Path], None]
    """In the folder of a node or of a driver."""
    prepare: Callable[[World, Path], None]
    """In the folder of a driver."""

    def action(self, nodes: RayNodes) -> Action:
        places = ("--results", "results", "--cache", "cache")
        return process("benchmarks", *self.words, *places, "--cluster", nodes.address)

    @property
    def action_here(self) -> Action:
        """The same on this machine alone."""
        return process("benchmarks", *self.words, "--results", "results", "--cache", "cache", "--workers", 2)

    def undisturbed(self, world: World) -> Path:
        return world.root / f"{self.name}-on-a-cluster"

    def seconds(self, world: World) -> float:
        """How long it takes on a cluster of two nodes; measured once, and its rows are kept."""

        def measure() -> dict[str, float]:
            folder = self.undisturbed(world)
            ended = self.done(world, folder)
            assert ended.code == 0, ended.err
            return {"seconds": ended.seconds}

        return world.remembered(f"seconds-of-{self.name}-on-a-cluster", measure)["seconds"]

    def done(self, world: World, folder: Path) -> Ended:
        """By a driver in a folder, on a cluster that nothing happens to."""
        driver = folder / "driver"
        if not driver.exists():
            self.prepare(world, driver)
        with _nodes(folder / "new") as nodes:
            self.lay_out(world, nodes.place("head"))
            self.lay_out(world, nodes.place("second"))
            nodes.join("second")
            return run(self.action(nodes), driver, limit_s=LIMIT_S)

    def judge(self, world: World, folder: Path) -> Verdict:
        scale = self.words[self.words.index("--scale") + 1] if "--scale" in self.words else "embedded"
        expected = rows_below(self.undisturbed(world) / "driver" / "results" / str(scale))[0]
        return compare(folder / "driver" / "results" / str(scale), expected, measured_anew=True)


@contextmanager
def _nodes(folder: Path) -> Iterator[RayNodes]:
    folder.mkdir(parents=True)
    nodes = RayNodes(folder)
    try:
        yield nodes
    finally:
        nodes.end()


def _lay_out_images(_: World, place: Path, images: int = 8) -> None:
    place.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(3)
    torch.save(timm.create_model(ARCH).state_dict(), place / "net.pt")
    write_classes(place / "pets" / "train", images)
    write_classes(place / "pets" / "test", 4, first=10)


DRAWN = _Grid(
    name="drawn",
    words=grid_words()[: -len(("--results", "results", "--cache", "cache", "--workers", 2))],
    lay_out=lambda world, place: world.copy(place, "cache/data"),
    prepare=GRID.prepare,
)
IMAGES = _Grid(
    name="images",
    words=(
        "run", "table2", "--scale", "local", "--arch", ARCH, "--weights", "net.pt", "--task", "imagefolder:pets",
        "--image-size", 32, "--epochs", 1, "--method", "fc_only", "--seeds", 6,
    ),
    lay_out=_lay_out_images,
    prepare=_lay_out_images,
)  # fmt: skip


@dataclass(kw_only=True)
class Scene:
    """A cluster, and a driver that is at work on it."""

    nodes: RayNodes
    driver: Running
    random: Random
    codes: tuple[int, ...] = (0,)
    """With which the driver may end."""


def _raylet(scene: Scene) -> None:
    """The driver may speak through this one, and then says so."""
    scene.codes = (0, 1)
    scene.nodes.signal(scene.random.choice(NODES[1:]), signal.SIGKILL, of="raylet")


def _worker(scene: Scene) -> None:
    scene.nodes.signal(scene.random.choice(NODES), signal.SIGKILL, of=OF_JOBS)


def _driver(scene: Scene) -> None:
    scene.driver.signal(signal.SIGKILL)
    scene.codes = (-signal.SIGKILL,)


def _head(scene: Scene) -> None:
    scene.nodes.signal("head", signal.SIGKILL)
    scene.codes = (0, 1, 2)  # 2 where it was gone before anybody asked for it


def _stopped(scene: Scene) -> None:
    name = scene.random.choice(NODES[1:])
    scene.nodes.signal(name, signal.SIGSTOP)
    end = time.monotonic() + STOPPED_S
    while time.monotonic() < end and not scene.driver.has_ended():
        time.sleep(0.1)
    scene.nodes.signal(name, signal.SIGCONT)


def _late(scene: Scene) -> None:
    scene.nodes.join("fourth")


def _nothing(_: Scene) -> None:
    """What is wrong was so from the start."""


def _disturbed(
    fault: Callable[[Scene], None],
    grid: _Grid = DRAWN,
    *,
    other: bool = False,
    small_disk: bool = False,
    new_cluster: bool = False,
) -> Trial:
    """A fault at a random moment; then the same command brings about what is missing.

    Args:
        fault: what happens.
        grid: what the driver measures.
        other: whether the data of two nodes are others.
        small_disk: whether the second node has little room.
        new_cluster: whether what is missing is measured on a new cluster, not on this machine.
    """

    def trial(world: World, random: Random, folder: Path) -> Verdict:
        moment = random.uniform(0, grid.seconds(world))
        grid.prepare(world, folder / "driver")
        with _nodes(folder / "nodes") as nodes:
            others = random.sample(NODES, 2) if other else ()
            for name in (*NODES, "fourth"):
                if name in others:
                    _lay_out_images(world, nodes.place(name), images=9)
                else:
                    grid.lay_out(world, nodes.place(name))
            little = (sys.executable, "-c", MOUNTED, str(ROOT), str(random.randrange(2**16, 2**21)))
            nodes.join("second", in_front=little if small_disk else ())
            nodes.join("third")
            action = grid.action(nodes)
            scene = Scene(nodes=nodes, driver=start(action, folder / "driver"), random=random)
            time.sleep(moment)
            fault(scene)
            ended = scene.driver.wait(LIMIT_S)
        lines = [line for line in ended.err.splitlines() if line.strip()]
        unlike = [f"exit code {ended.code}: {lines[-1:]}"] if ended.code not in scene.codes else []
        unlike += [f"{len(lines)} lines on stderr"] if len(lines) > 1 else []
        said = Verdict(unlike=int(bool(unlike)), notes=tuple(unlike))
        kept = grid.judge(world, folder) if ended.code == 0 else Verdict()
        if ended.code and new_cluster:
            again = grid.done(world, folder)
        else:  # where all is there nothing is measured again, and nobody asks whether the cluster lives
            again = run(grid.action_here if ended.code else action, folder / "driver", limit_s=LIMIT_S)
        refused = Verdict(lost=int(bool(again.code)), notes=(f"again: {again.err[-200:]}",) if again.code else ())
        return seen_together([troubles(ended), said, kept, troubles(again), refused, grid.judge(world, folder)])

    return trial


KILLS = (
    Group(fault="SIGKILL of a node of a cluster", trial=_disturbed(_raylet), whole=20),
    Group(fault="SIGKILL of a process on a node", trial=_disturbed(_worker), whole=20),
    Group(fault="SIGKILL of a cluster's driver", trial=_disturbed(_driver), whole=20),
    Group(fault="SIGKILL of a cluster's head", trial=_disturbed(_head, new_cluster=True), whole=20),
)
STOPS = (Group(fault="a node that stops for a minute", trial=_disturbed(_stopped), whole=20),)
NODES_THAT_DIFFER = (
    Group(fault="nodes with other data", trial=_disturbed(_nothing, IMAGES, other=True), whole=20),
    Group(fault="a node that joins late", trial=_disturbed(_late), whole=20),
    Group(fault="a full disk on a node", trial=_disturbed(_nothing, small_disk=True), whole=20),
)
