"""Bad input drawn by hypothesis over options, folders and files of all commands: exit code 2 and one sentence."""

import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from forked import Action, run
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from odd_commands import is_one_sentence

from tests.faults.commands import bench, delta_patch, render, troubles
from tests.faults.groups import Group
from tests.faults.verdict import Verdict, seen_together, total
from tests.faults.world import GRID, PLACES, World

LIMIT_S = 120.0
BATCH = 15
MEMORY = 8 * 2**30
"""Bytes of address space beyond those of the parent, so that a huge number harms one child alone."""

Words = st.SearchStrategy[tuple[str, ...]]

LETTERS = st.characters(exclude_characters="\0/", exclude_categories=("Cs",))
NAMES = st.text(LETTERS, min_size=1, max_size=40).map(lambda text: f"?{text}")
"""Names that nothing has: of letters, newlines, escapes, whatever a terminal can pass on."""
MISSING = st.text(LETTERS, min_size=1, max_size=300).map(lambda text: f"missing/{text}")
NEGATIVE = st.integers(max_value=-1).map(str)
NOT_POSITIVE = st.integers(max_value=0).map(str)
HUGE = st.integers(min_value=10**12, max_value=10**30).map(str)
NO_NUMBERS = st.one_of(NAMES, st.sampled_from(["", "two", "1.5.2", "0x10", "nan!", "1e"]))
NO_FLOATS = st.sampled_from(["nan", "inf", "-inf", "-1e300", "-0.001"])
FILE = st.just("tool/net.pt")
FOLDER = st.just("tool/pets")
JUNK = st.just("junk.bin")


def words(*parts: str | st.SearchStrategy[str]) -> Words:
    """A command line, some of whose words are drawn."""
    return st.tuples(*(st.just(part) if isinstance(part, str) else part for part in parts))


TABLE = ("table2", "--arch", "resnet18", "--task", "optdigits", *PLACES)
LOCAL = ("table2", "--scale", "local", "--arch", "resnet10t", *PLACES)
FIT = ("fit", "tool/pets", "--arch", "resnet10t", "--weights", "tool/net.pt", "--device", "cpu", "-o", "tool/new")
NET = ("--weights", "tool/net.pt")
TAKEN = ("tool/net.pt", "junk.bin", "tool/pets/new", "tool/kept")
"""Places where no new patch folder may come to lie."""
READERS = st.sampled_from(["eval", "predict"])
RUNNERS = st.sampled_from(["run", "plan", "status"])
WHOLE_NUMBERS = ("--seeds", "--epochs", "--steps", "--workers", "--micro-batch")

BENCH = st.one_of(
    words(NAMES), words(RUNNERS, NAMES), words(RUNNERS, *TABLE, "--method", NAMES),
    words(RUNNERS, "table2", st.sampled_from(["--arch", "--task", "--method", "--weights", "--base"]), NAMES),
    words(RUNNERS, *TABLE, st.sampled_from(WHOLE_NUMBERS), st.one_of(NOT_POSITIVE, NO_NUMBERS)),
    words(RUNNERS, *TABLE, st.sampled_from(["--views", "--loader-workers"]), st.one_of(NEGATIVE, NO_NUMBERS)),
    words("plan", *TABLE, "--seeds", HUGE),
    words(RUNNERS, *TABLE, "--cache-gb", st.one_of(NEGATIVE, NO_FLOATS, NAMES)),
    words("run", *TABLE, st.sampled_from(["--device", "--precision"]), NAMES),
    words(RUNNERS, *TABLE, st.sampled_from(["--scale", "--heads", "--feature-dtype"]), NAMES),
    words("run", *map(str, GRID), st.sampled_from(["--results", "--cache"]), FILE),
    words("run", *LOCAL, "--weights", "tool/net.pt", "--task", st.one_of(MISSING, FILE).map("imagefolder:{}".format)),
    words("run", *LOCAL, "--task", "imagefolder:tool/pets", "--weights", st.one_of(MISSING, FOLDER, JUNK)),
    words("run", *LOCAL, *NET, "--task", "imagefolder:tool/pets", "--base", st.one_of(MISSING, FILE)),
    words("run", *LOCAL, *NET, "--task", "imagefolder:tool/pets", "--image-size", st.one_of(NOT_POSITIVE, HUGE)),
    words("collect", st.one_of(MISSING, FILE, FOLDER), "--scale", "embedded", "--results", "results"),
    words("collect", "--scale", NAMES), words("collect", "--scale", "embedded", "--results", FILE),
    words("forget", NAMES, "--scale", "embedded", "--results", "results", "--yes"),
    words(
        "forget", "--scale", "embedded", "--results", "results", "--yes",
        st.sampled_from(["--method", "--arch", "--task", "--protocol", "--run-id"]), NAMES,
    ),
    words("forget", "table2", "--scale", NAMES),
    words("reproduce", "--sample", st.one_of(NOT_POSITIVE, NO_NUMBERS), *PLACES), words("reproduce", "--scale", NAMES),
    words("fetch", NAMES, "--check"), words("list", NAMES), words("rehearse", NAMES),
)  # fmt: skip
REPORTS = st.one_of(
    words(NAMES), words("table2", "--scale", NAMES), words("table2", "--results", st.one_of(FILE, FOLDER)),
    words("table2", "--results", "results", st.sampled_from(["--protocol", "--arch", "--task"]), NAMES),
)  # fmt: skip
TOOL = st.one_of(
    words(NAMES), words("fit", st.one_of(MISSING, FILE, JUNK), *FIT[2:]),
    words(*FIT[:3], NAMES, *FIT[4:]), words(*FIT[:5], st.one_of(MISSING, FOLDER, JUNK, NAMES), *FIT[6:]),
    words(*FIT[:7], NAMES, *FIT[8:]), words(*FIT[:-1], st.sampled_from(TAKEN)),
    words(*FIT, st.sampled_from(["--epochs", "--batch-size", "--patience"]), st.one_of(NOT_POSITIVE, NO_NUMBERS)),
    words(*FIT, "--image-size", st.one_of(NOT_POSITIVE, NO_NUMBERS, HUGE)),
    words(*FIT, st.sampled_from(["--views", "--modules"]), st.one_of(NEGATIVE, NO_NUMBERS)),
    words(*FIT, "--modules", HUGE), words(*FIT, "--lr", st.one_of(NO_FLOATS, NOT_POSITIVE, NAMES)),
    words(*FIT, st.sampled_from(["--precision", "--class-weights"]), NAMES),
    words(
        st.sampled_from(["eval", "predict"]), st.one_of(MISSING, FILE, FOLDER, JUNK), "tool/pets", *NET
    ),
    words(READERS, "tool/kept", st.one_of(MISSING, JUNK), *NET),
    words(READERS, "tool/kept", "tool/pets", "--weights", st.one_of(MISSING, FOLDER, JUNK)),
    words("predict", "tool/kept", "tool/pets/test/cat", *NET, "--topk", st.one_of(NOT_POSITIVE, NO_NUMBERS)),
    words("predict", "tool/kept", "tool/pets/test/cat", *NET, "--device", NAMES),
    words("info", st.one_of(MISSING, FILE, FOLDER, JUNK)),
    words("inspect", "tool/kept", st.one_of(MISSING, FOLDER, JUNK), *NET),
    words("push", st.one_of(MISSING, FILE, FOLDER), "nobody/nothing"),
)  # fmt: skip

SPOILT = st.one_of(
    st.tuples(st.sampled_from(["results/embedded/runs.csv", "results/embedded/values.csv"]), st.sampled_from([
        (bench, ("collect", "--scale", "embedded", "--results", "results")), (bench, ("run", *TABLE)),
        (render, ("table2", "--results", "results")), (render, ("claims", "--results", "results")),
    ])),
    st.tuples(st.sampled_from(["tool/kept/delta.json", "tool/kept/patch.safetensors"]), st.sampled_from([
        (delta_patch, ("eval", "tool/kept", "tool/pets", *NET)), (delta_patch, ("info", "tool/kept")),
        (delta_patch, ("predict", "tool/kept", "tool/pets/test/cat", *NET)),
    ])),
)  # fmt: skip
"""Files of junk in places where a command reads them."""

PROGRAMS: dict[Callable[..., Action], str] = {
    bench: "python -m benchmarks", render: "python -m reports", delta_patch: "delta-patch",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class BadInput:
    """A command that is bound to be refused."""

    program: Callable[..., Action]
    words: tuple[str, ...]
    spoilt: str
    """File that holds junk."""
    junk: bytes

    def __str__(self) -> str:
        return f"{PROGRAMS[self.program]} {' '.join(map(ascii, self.words))} with junk in {self.spoilt}"


def _drawn() -> st.SearchStrategy[BadInput]:
    by_words = st.one_of(*(
        st.tuples(st.just(program), strategy, st.just("junk.bin"))
        for program, strategy in ((bench, BENCH), (render, REPORTS), (delta_patch, TOOL))
    ))  # fmt: skip
    by_files = SPOILT.map(lambda spoilt: (*spoilt[1], spoilt[0]))
    return st.builds(
        lambda case, junk: BadInput(program=case[0], words=case[1], spoilt=case[2], junk=junk),
        st.one_of(by_words, by_words, by_words, by_files),
        st.binary(min_size=1, max_size=200),
    )


def _refused(case: BadInput, folder: Path) -> Verdict:
    path = folder / case.spoilt
    whole = path.read_bytes() if path.exists() else b""
    path.write_bytes(case.junk)
    before = _listing(folder)
    ended = run(case.program(*case.words), folder, first=_bound_memory, limit_s=LIMIT_S)
    changed = _listing(folder) != before
    path.write_bytes(whole)
    unlike = []
    if ended.code != 2:
        unlike.append(f"exit code {ended.code}")
    elif not is_one_sentence(ended.err, PROGRAMS[case.program]):
        unlike.append(f"more than a sentence: {ended.err[:200]!r}")
    if changed:
        unlike.append("files were changed")
    found = seen_together([troubles(ended), Verdict(unlike=int(bool(unlike)), notes=tuple(unlike))])
    return found if found.clean else seen_together([Verdict(notes=(str(case),)), found])


def _bound_memory() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))


def _listing(folder: Path) -> list[tuple[str, int, int]]:
    """All files but hidden ones, such as locks."""
    found = (
        path for path in folder.rglob("*") if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    return sorted((str(path), path.lstat().st_size, path.lstat().st_mtime_ns) for path in found if not path.is_dir())


def _batch(world: World, random: Random, folder: Path) -> Verdict:
    world.copy(folder, "results", "cache", "tool")
    seen: list[Verdict] = []

    @seed(random.getrandbits(32))
    @settings(
        max_examples=BATCH, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(_drawn())
    def look(case: BadInput) -> None:
        seen.append(_refused(case, folder))

    look()
    return total(seen)


GROUPS = (Group(fault="bad input", trial=_batch, whole=22),)
