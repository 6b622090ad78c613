"""The store of features: one tensor per key, whole or not there, within its bound, made once by many processes."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import delta_core
from delta_core.training import tensor_store as feature_store
from delta_core.training.identity import content_id
from delta_core.training.lock import locked
from delta_core.training.tensor_store import TensorStore

PATHS = [str(Path(__file__).parent), str(Path(delta_core.__file__).parents[1])]
KB = 1e-6  # in GB


@dataclass(frozen=True, kw_only=True)
class Key:
    name: str


def rows(count: int = 10, shape: tuple[int, ...] = (25,), seed: int = 0) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


class Maker:
    """Hands out a tensor in batches and counts how often it was asked."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.calls = tensor, 0

    def __call__(self) -> Iterator[Tensor]:
        self.calls += 1
        return iter(self.tensor.split(4))


def ask(
    store: TensorStore, name: str, make: Maker, *, data_set: str = "signs", dtype: torch.dtype = torch.float32
) -> Tensor | None:
    return store.tensor(data_set, Key(name=name), len(make.tensor), dtype, make)


@pytest.fixture
def store(tmp_path: Path) -> TensorStore:
    return TensorStore(root=tmp_path, limit_gb=1)


def stores(root: Path) -> set[str]:
    return {"/".join(path.relative_to(root).parts) for path in root.glob("*/*") if path.is_dir()}


def folder(store: TensorStore, name: str, data_set: str = "signs") -> Path:
    return store.root / data_set / content_id(Key(name=name))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("shape", [(25,), (3, 4, 5)], ids=str)
def test_what_comes_back_is_what_was_made(shape: tuple[int, ...], dtype: torch.dtype, store: TensorStore) -> None:
    make = Maker(rows(shape=shape).contiguous())
    for _ in range(2):
        found = ask(store, "a", make, dtype=dtype)
        assert found is not None
        assert found.dtype == dtype
        assert torch.equal(found, make.tensor.to(dtype))
        assert found.ndim == 2 or found[:2].is_contiguous(memory_format=torch.channels_last)
    assert make.calls == 1
    size = (folder(store, "a") / "features.bin").stat().st_size
    assert size == make.tensor.numel() * dtype.itemsize


def test_every_key_has_a_store_of_its_own(store: TensorStore) -> None:
    makers = {name: Maker(rows(seed=seed)) for seed, name in enumerate("abc")}
    for name, make in makers.items():
        ask(store, name, make)
    for name, make in makers.items():
        assert torch.equal(ask(store, name, make), make.tensor)
        assert make.calls == 1


def test_writing_to_the_tensor_never_reaches_the_store(store: TensorStore) -> None:
    make = Maker(rows())
    ask(store, "a", make).zero_()
    assert torch.equal(ask(store, "a", make), make.tensor)


def test_a_bound_of_zero_keeps_nothing(tmp_path: Path) -> None:
    make = Maker(rows())
    assert ask(TensorStore(root=tmp_path / "features", limit_gb=0), "a", make) is None
    assert make.calls == 0
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_fit_is_not_made_and_costs_no_other_store(tmp_path: Path) -> None:
    store = TensorStore(root=tmp_path, limit_gb=1.5 * KB)
    ask(store, "small", Maker(rows()))  # 1000 bytes and a few for meta.json
    with pytest.warns(UserWarning, match="computed anew in every epoch"):
        assert ask(store, "large", Maker(rows(count=16))) is None  # 1600
    assert stores(tmp_path) == {f"signs/{content_id(Key(name='small'))}"}


@pytest.mark.parametrize("damage", ["truncated", "overlong", "no meta", "half a meta", "no data", "empty folder"])
def test_a_damaged_store_is_made_again(damage: str, store: TensorStore) -> None:
    make = Maker(rows())
    ask(store, "a", make)
    data, meta = (folder(store, "a") / name for name in ("features.bin", "meta.json"))
    if damage == "truncated":
        os.truncate(data, 999)
    elif damage == "overlong":
        os.truncate(data, 1001)
    elif damage == "half a meta":
        os.truncate(meta, 20)
    if damage in ("no data", "empty folder"):
        data.unlink()
    if damage in ("no meta", "empty folder"):
        meta.unlink()
    with pytest.warns(UserWarning, match="are damaged or of an older version and are made again"):
        assert torch.equal(ask(store, "a", make), make.tensor)
    assert torch.equal(ask(store, "a", make), make.tensor)
    assert make.calls == 2


@pytest.fixture(scope="module")
def kept_store(tmp_path_factory: pytest.TempPathFactory) -> TensorStore:
    """A store with `SMALL`, for tests that damage it and see it made again."""
    store = TensorStore(root=tmp_path_factory.mktemp("kept"), limit_gb=1)
    ask(store, "a", Maker(SMALL))
    return store


SMALL = rows(6, (2, 3, 3))


@given(place=st.integers(0, 10**6), bit=st.integers(0, 7), name=st.sampled_from(["features.bin", "meta.json"]))
@pytest.mark.filterwarnings("ignore:Features in")
def test_no_flipped_bit_changes_a_number(kept_store: TensorStore, name: str, place: int, bit: int) -> None:
    flip(folder(kept_store, "a") / name, place, bit)
    make = Maker(SMALL)
    assert torch.equal(ask(kept_store, "a", make), SMALL)
    assert make.calls == 1 or name == "meta.json"  # a flipped bit may leave its meaning: 1E5 is 1e5


def flip(file: Path, place: int, bit: int) -> None:
    """Flip a bit of a file, as a disk would between two processes."""
    content = bytearray(file.read_bytes())
    content[place % len(content)] ^= 1 << bit
    file.write_bytes(content)
    feature_store._crc32.cache_clear()


def test_numbers_of_another_key_shape_or_type_are_not_taken(store: TensorStore) -> None:
    """As after a folder was copied to another's name, by hand or by a damaged disk."""
    ask(store, "a", Maker(rows(seed=1)))
    make = Maker(rows())
    shutil.copytree(folder(store, "a"), folder(store, "b"))
    with pytest.warns(UserWarning, match="are damaged"):
        assert torch.equal(ask(store, "b", make), make.tensor)
    shorter = Maker(rows(7))
    with pytest.warns(UserWarning, match="are damaged"):
        assert torch.equal(ask(store, "b", shorter), shorter.tensor)
    with pytest.warns(UserWarning, match="are damaged"):
        assert ask(store, "b", shorter, dtype=torch.float16).dtype == torch.float16


def test_a_store_is_read_through_once_a_process(store: TensorStore) -> None:
    make = Maker(rows())
    for _ in range(3):
        ask(store, "a", make)
    hits = feature_store._crc32.cache_info().hits
    ask(store, "a", make)
    assert feature_store._crc32.cache_info().hits == hits + 1


def test_a_cache_that_may_only_be_read_serves_what_it_holds(
    store: TensorStore, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    make = Maker(rows())
    ask(store, "a", make)
    before = sorted(store.root.rglob("*"))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    for name in ("utime", "open", "mkdir", "rename"):
        monkeypatch.setattr(feature_store.os, name, refuse)
    monkeypatch.setattr(feature_store, "locked", refuse)
    assert torch.equal(ask(store, "a", make), make.tensor)
    assert not recwarn.list
    with pytest.warns(UserWarning, match=r"Features are not kept \(.*Read-only file system\)"):
        assert ask(store, "b", make) is None
    assert make.calls == 1
    assert sorted(store.root.rglob("*")) == before


def test_features_that_may_not_be_read_are_computed_anew(store: TensorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    make = Maker(rows())
    ask(store, "a", make)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.warns(UserWarning, match=r"Features are not kept \(.*Permission denied\)"):
        assert ask(store, "a", make) is None
    monkeypatch.undo()
    assert torch.equal(ask(store, "a", make), make.tensor)
    assert make.calls == 1, "nothing was overwritten"


def test_a_maker_that_fails_leaves_nothing(store: TensorStore) -> None:
    def fail() -> Iterator[Tensor]:
        yield rows(4)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.tensor("signs", Key(name="a"), 10, torch.float32, fail)
    assert stores(store.root) == set()
    with pytest.raises(ValueError, match=r"400 bytes of features were made, 1000 expected"):
        store.tensor("signs", Key(name="a"), 10, torch.float32, lambda: iter([rows(4)]))
    assert stores(store.root) == set()


def test_a_disk_that_is_full_is_told_and_does_not_stop_the_run(
    store: TensorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(feature_store.os, "fsync", full)
    with pytest.warns(UserWarning, match=r"Features are not kept \(.*No space left on device"):
        assert ask(store, "a", Maker(rows())) is None
    assert stores(store.root) == set()


# --- the bound ---------------------------------------------------------------------------------------------------


def aged(store: TensorStore, *names: str) -> None:
    """Make stores `data_set/key` of 1000 bytes and a bit, used in this order."""
    for age, name in enumerate(names):
        data_set, _, key = name.partition("/")
        ask(store, key, Maker(rows()), data_set=data_set)
        os.utime(folder(store, key, data_set), (age, age))


def kept(store: TensorStore, *names: str) -> list[str]:
    found = stores(store.root)
    return [name for name in names if f"{name.split('/')[0]}/{content_id(Key(name=name.split('/')[1]))}" in found]


def test_the_data_set_unused_for_longest_makes_room(tmp_path: Path) -> None:
    names = ("cars/a", "signs/a", "cars/b", "flowers/a")  # cars has the oldest store, signs the oldest last use
    store = TensorStore(root=tmp_path, limit_gb=6 * KB)
    aged(store, *names)
    assert kept(store, *names) == list(names)
    ask(store, "new", Maker(rows(25)), data_set="birds")
    assert kept(store, *names) == ["cars/a", "cars/b", "flowers/a"]
    ask(store, "newer", Maker(rows(15)), data_set="birds")
    assert kept(store, *names, "birds/new") == ["flowers/a", "birds/new"]


def test_the_data_set_at_work_goes_last_and_by_store(tmp_path: Path) -> None:
    names = ("cars/a", "cars/b", "signs/a")
    store = TensorStore(root=tmp_path, limit_gb=4 * KB)
    aged(store, *names)
    ask(store, "c", Maker(rows(15)), data_set="cars")
    assert kept(store, *names) == ["cars/a", "cars/b"]
    ask(store, "d", Maker(rows()), data_set="cars")
    assert kept(store, *names, "cars/c", "cars/d") == ["cars/b", "cars/c", "cars/d"]


def test_use_counts_not_age(tmp_path: Path) -> None:
    names = ("cars/a", "signs/a")
    store = TensorStore(root=tmp_path, limit_gb=3 * KB)
    aged(store, *names)
    ask(store, "a", Maker(rows()), data_set="cars")
    ask(store, "b", Maker(rows()), data_set="birds")
    assert kept(store, *names) == ["cars/a"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.integers(1, 40)), max_size=12))
def test_the_bound_holds_and_numbers_are_right(
    tmp_path_factory: pytest.TempPathFactory, asked: list[tuple[str, int, int]]
) -> None:
    store = TensorStore(root=tmp_path_factory.mktemp("store"), limit_gb=5 * KB)
    for data_set, name, count in asked:
        make = Maker(rows(count, seed=name))
        found = ask(store, f"{name} {count}", make, data_set=data_set)
        assert (found is None) == (count * 100 > 5000)
        assert found is None or torch.equal(found, make.tensor)
        data = [path.stat().st_size for path in store.root.rglob("features.bin")]
        assert sum(data) <= 5000


def test_a_mapped_tensor_outlives_its_store(tmp_path: Path) -> None:
    store = TensorStore(root=tmp_path, limit_gb=1.5 * KB)
    make = Maker(rows())
    found = ask(store, "a", make)
    assert ask(store, "b", Maker(rows(seed=1))) is not None
    assert kept(store, "signs/a", "signs/b") == ["signs/b"]
    assert torch.equal(found, make.tensor)


# --- many processes ----------------------------------------------------------------------------------------------

WORKER = """
import os, sys, time, torch
from pathlib import Path
sys.path[:0] = {paths!r}
from test_feature_store import Key, rows
from delta_core.training.tensor_store import TensorStore

def make():
    with open({log!r}, "a") as log:
        log.write("made\\n")
    for batch in rows(40).split(4):
        time.sleep(0.02)
        {death}
        yield batch

print("ready", flush=True)
sys.stdin.readline()
found = TensorStore(root=Path({store!r}), limit_gb=1).tensor("signs", Key(name="a"), 40, torch.float32, make)
assert torch.equal(found, rows(40))
"""


def start(store: TensorStore, log: Path, death: str = "") -> subprocess.Popen[str]:
    script = WORKER.format(
        paths=PATHS, log=str(log), store=str(store.root), death=death
    )  # fmt: skip
    return subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def go(workers: list[subprocess.Popen[str]]) -> list[int]:
    """Let all workers begin at once; their exit codes."""
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return [(worker.communicate(timeout=400), worker.returncode)[1] for worker in workers]


def test_processes_that_want_one_store_make_it_once(store: TensorStore, tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert go([start(store, log) for _ in range(2)]) == [0, 0]
    assert log.read_text() == "made\n"
    assert stores(store.root) == {f"signs/{content_id(Key(name='a'))}"}


def test_a_maker_that_is_killed_is_replaced(store: TensorStore, tmp_path: Path) -> None:
    key = content_id(Key(name="a"))
    assert go([start(store, tmp_path / "log", death="if batch[0, 0] != rows(40)[0, 0]: os._exit(9)")]) == [9]
    assert stores(store.root) == {f"signs/.{key}.tmp"}
    make = Maker(rows(40))
    assert torch.equal(ask(store, "a", make), make.tensor)
    assert make.calls == 1
    assert stores(store.root) == {f"signs/{key}"}


def test_what_a_killed_maker_left_is_removed_for_room_and_a_live_one_is_not(tmp_path: Path) -> None:
    store = TensorStore(root=tmp_path, limit_gb=2 * KB)
    partial = feature_store._unfinished(folder(store, "dead"))
    partial.mkdir(parents=True)
    (partial / "features.bin").write_bytes(bytes(1900))
    with locked(store._lock_of(content_id(Key(name="dead")))):
        assert ask(store, "a", Maker(rows())) is None
        assert partial.exists()
    assert ask(store, "a", Maker(rows())) is not None
    assert not partial.exists()
