"""`benchmarks list` names everything that flags take; errors about a name point there."""

import sys

import pytest

from benchmarks.cli import main
from benchmarks.data.catalogue import CATALOGUE
from benchmarks.data.embedded import ALL_TASKS
from benchmarks.methods.listing import JOINING, LABELS, PEERS
from benchmarks.nets.slim import SLIM
from benchmarks.suites.transfer.methods.listing import LABELS as TRANSFER_LABELS
from benchmarks.tables import TABLES
from benchmarks.worlds.paper import PAPER_WEIGHTS
from delta_core import list_backbones


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def call(*words: str) -> tuple[int, list[str], str]:
        monkeypatch.setattr(sys, "argv", ["benchmarks", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out.splitlines(), err

    return call


def listed(benchmarks, kind: str) -> list[str]:
    code, lines, err = benchmarks("list", kind)
    assert (code, err) == (0, "")
    return lines


def test_every_table_is_listed_with_what_it_is(benchmarks) -> None:
    lines = listed(benchmarks, "tables")
    assert [line.split()[0] for line in lines] == list(TABLES)
    said = [line.partition(" ")[2].strip() for line in lines]
    assert len(set(said)) == len(said) - 1, "Tables 4 and 11 are the same runs"
    assert "Table 6, domain adaptation of digits" in lines[5]
    assert lines[5].endswith("Scales: embedded, paper, local.")


def test_every_method_is_listed_with_its_label_and_tables(benchmarks) -> None:
    lines = {line.split()[0]: line for line in listed(benchmarks, "methods")}
    assert set(LABELS) | set(TRANSFER_LABELS) | {"standard", "adda", "faster_rcnn"} <= set(lines)
    for name, label in LABELS.items():
        assert f" {label} " in lines[name]
    for each in JOINING:
        assert "[table1" in lines[each.name]
        assert "if named table2, table3" in lines[each.name]
    for each in PEERS:
        assert "[adapters_search" in lines[each.name]
    assert " ADDA + uniform prior " in lines["adda+uniform_prior"]
    assert lines["lwf"].endswith("[table5]")


def test_tasks_stand_by_scale_with_the_tables_that_have_them(benchmarks) -> None:
    lines = [line.split(maxsplit=2) for line in listed(benchmarks, "tasks")]
    found = {(scale, name) for scale, name, _ in lines}
    assert len(found) == len(lines)
    for table in TABLES.values():
        for scale in ("embedded", "real", "paper"):
            assert {(scale, name) for name in getattr(table.tasks, scale)} <= found
    assert ("local", "imagefolder:DIR") in found
    (signs,) = [told for scale, name, told in lines if (scale, name) == ("embedded", "signs")]
    assert signs.startswith("traffic-like signs")
    assert "table2" in signs


def test_nets_stand_by_scale_and_the_librarys_own_are_counted(benchmarks) -> None:
    lines = listed(benchmarks, "nets")
    found = {tuple(line.split()[:2]) for line in lines}
    assert {("embedded", name) for name in SLIM} | {("paper", name) for name in PAPER_WEIGHTS} <= found
    assert f"{len(list_backbones())} nets" in lines[-1]


def test_data_sets_are_listed_with_size_licence_and_whether_they_are_here(benchmarks) -> None:
    lines = {line.split()[0]: line for line in listed(benchmarks, "data")}
    assert set(CATALOGUE) | set(ALL_TASKS) <= set(lines)
    for name, entry in CATALOGUE.items():
        assert entry.title in lines[name]
        assert entry.licence in lines[name]
        assert f"{max(entry.counts.values()):,}" in lines[name]
    assert " by hand " in lines["cars"]
    assert " there " in lines["packaged:optdigits"]


@pytest.mark.parametrize(
    ("words", "near", "listed_by"),
    [
        (("plan", "tabel2"), "table2", "tables"),
        (("plan", "table2", "--method", "lorra"), "lora", "methods"),
        (("plan", "table2", "--task", "sings"), "signs", "tasks"),
        (("plan", "table3", "--task", "sings+photos"), "signs", "tasks"),
        (("plan", "table2", "--arch", "resnet-18"), "resnet18", "nets"),
        (("plan", "table2", "--scale", "real", "--arch", "efficientnet_lite0"), "tf_efficientnet_lite0", "nets"),
        (("fetch", "flower"), "flowers", "data"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_an_unknown_name_gets_the_nearest_three_and_the_command(
    words: tuple[str, ...], near: str, listed_by: str, benchmarks
) -> None:
    code, _, err = benchmarks(*words)
    assert (code, err.count("\n")) == (2, 1)
    nearest = err.partition("nearest")[2].partition(": ")[2].partition("; ")[0].split(", ")
    assert nearest[0] == near
    assert len(nearest) == 3
    assert err.endswith(f"; python -m benchmarks list {listed_by} lists all.\n")
