"""`python -m benchmarks fetch` as the command line has it."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from lookalikes import packed, write

from benchmarks import cli as command
from benchmarks import fetch
from benchmarks.data.catalogue import CATALOGUE
from benchmarks.data.catalogue.download import by_hand
from benchmarks.data.catalogue.entry import Download
from delta_core.training.tensor_store import TensorStore


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["python -m benchmarks", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            command.main()
        found = capsys.readouterr()
        return int(left.value.code or 0), found.out, found.err

    monkeypatch.chdir(tmp_path)
    return run


def test_without_a_name_all_data_sets_are_listed(call) -> None:
    code, out, _ = call("fetch")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(CATALOGUE)
    assert "cars                       by hand  Stanford Cars: 196 classes, train 8,144, test 8,041" in out
    assert "flowers                    missing  Flowers102" in out


def test_a_check_tells_faults_and_says_what_helps(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = write("cars", tmp_path / "data")
    monkeypatch.setattr(fetch, "data_set", {"cars": found}.__getitem__)
    assert call("fetch", "cars", "--check")[:2] == (0, "cars: 4 classes, train 36, test 24: as declared\n")
    (tmp_path / "data/cars/stanford_cars/cars_test/00036.jpg").unlink()
    code, out, _ = call("fetch", "cars", "--check")
    assert code == 1
    assert "cars: 1 images of test are missing, first stanford_cars/cars_test/00036.jpg" in out
    assert "By hand: The official address is dead" in out


def test_a_check_needs_no_network(call, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("the network was asked")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    code, out, _ = call("fetch", "all", "--check")
    assert code == 1
    for entry in CATALOGUE.values():
        assert f"{entry.name}: there is no folder data/{entry.folder}" in out
        helps = f"{entry.name}: run: python -m benchmarks fetch {entry.name} --data-root data"
        assert (helps if entry.downloads else by_hand(entry, Path("data"))) in out


def test_what_is_damaged_is_moved_away_first(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = write("usps", tmp_path / "data")
    monkeypatch.setattr(fetch, "data_set", {"usps": found}.__getitem__)
    (tmp_path / "data/usps/usps.bz2").write_bytes(b"BZh")
    assert "usps: move data/usps away, then run: python -m benchmarks fetch usps" in call("fetch", "usps", "--check")[1]


def test_an_unpacking_that_was_cut_off_is_finished(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = write("cifar100", tmp_path / "data")
    folder = found.at(tmp_path / "data")
    content = packed(folder, "tar")
    (folder / "all.tar.gz").write_bytes(content)
    (folder / "cifar-100-python/meta").unlink()
    found = replace(found, downloads=(Download(path="all.tar.gz", urls=(), digest="", unpack_to="."),))
    monkeypatch.setattr(fetch, "data_set", {"cifar100": found}.__getitem__)
    assert call("fetch", "cifar100", "--check")[0] == 1
    for _ in range(2):
        assert call("fetch", "cifar100")[:2] == (0, "cifar100: 4 classes, train 36, test 24: as declared\n")


def test_one_failure_does_not_stop_the_others(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = write("usps", tmp_path / "data")
    monkeypatch.setattr(fetch, "data_set", {"usps": found, "imagenet": CATALOGUE["imagenet"]}.__getitem__)
    code, out, error = call("fetch", "imagenet", "usps")
    assert code == 1
    assert error.startswith("python -m benchmarks: Data set imagenet cannot be downloaded. By hand: Accept the terms")
    assert str(Path("data/imagenet")) in error
    assert "{folder}" not in error
    assert "usps: 10 classes, train 20, test 10: as declared" in out


def test_an_unknown_name_is_bad_input(call) -> None:
    code, _, error = call("fetch", "flower")
    assert code == 2
    assert "Data set 'flower' is not known; nearest: flowers, decathlon_flowers" in error


def test_prune_frees_the_cache(call, tmp_path: Path) -> None:
    store = tmp_path / ".cache/features/a/b"
    store.mkdir(parents=True)
    (store / "features.bin").write_bytes(bytes(10**7))
    assert TensorStore(root=tmp_path / ".cache/features", limit_gb=0).size_bytes() == 10**7
    assert (
        "0.01 GB of decoded images and features" in call("plan", "table2", "--arch", "resnet18", "--task", "signs")[1]
    )
    code, out, _ = call("fetch", "--prune")
    assert (code, out) == (0, "0.01 GB freed in .cache/features\n")
    assert not store.exists()


def test_a_plan_of_all_tables_names_what_blocks_and_what_it_costs(call) -> None:
    code, out, _ = call("plan", "all", "--scale", "paper")
    assert code == 0
    lines = out.splitlines()
    assert not [line for line in lines if line.startswith(("todo", "done"))]
    assert "blocked: stl10, run: python -m benchmarks fetch stl10 --data-root data; imagenet_val, run:" in out
    assert [line for line in lines if line.startswith("table2, not yet done: 216 runs, 106,308,000 training images")]
    assert re.search(r"^table2, kept in the cache: 1[67]\.\d GB of decoded images$", out, re.MULTILINE)
    assert "table5, kept in the cache: 2.3 GB of decoded images" in lines
    assert lines[-2].startswith("all tables, shared runs once: ")
    assert lines[-1].startswith("all tables, kept once in the cache: ")
