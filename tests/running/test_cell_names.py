"""Names that a table cannot hold, or that a spreadsheet would run: refused before anything is measured."""

import os
import sys
from pathlib import Path

import pytest
from fake_rows import one_row
from image_folders import write_folder

from benchmarks.cli import main
from benchmarks.records.collected import collect, read_rows
from benchmarks.records.names import UNLABELLED
from benchmarks.records.record_files import write_record

ODD = ["=1+1", "@x", "+a", "-b", "a\tb", "a\nb", "a\u2028b", os.fsdecode(b"a\xff")]
PLAIN = ["a=1", "red, \"blue\"", "größe", "x-y@z", "a  b", "100%"]  # fmt: skip


@pytest.mark.parametrize(
    ("flag", "name"),
    [
        *((flag, name) for flag in ("--task", "--base") for name in ODD),
        *(("--base-images", name) for name in ODD[4:]),  # rows call it unlabelled:NAME, which nothing runs
    ],
    ids=ascii,
)
def test_a_folder_of_an_odd_name_is_refused_in_one_sentence(
    flag: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    odd, plain = (write_folder(tmp_path / "data" / folder) for folder in (name, "plain"))
    task = ["--task", f"imagefolder:{odd if flag == '--task' else plain}"]
    base = [] if flag == "--task" else [flag, str(odd)]
    net = ["--scale", "local", "--arch", "resnet10t", "--weights", "timm:in1k", *task, *base]
    monkeypatch.setattr(sys, "argv", ["bench", "plan", "table2", *net, "--results", str(tmp_path / "results")])
    with pytest.raises(SystemExit) as left:
        main()
    err = capsys.readouterr().err
    assert left.value.code == 2
    told = UNLABELLED + name if flag == "--base-images" else name
    assert f"The name {told!r} " in err and "rename the folder" in err and err.count("\n") == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_rows_with_an_odd_name_are_refused(name: str, tmp_path: Path) -> None:
    for field in ("task", "column", "variant", "transform"):
        with pytest.raises(ValueError, match=f"Run run, .*: {field} "):
            write_record(tmp_path, [one_row(**{field: name})])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", PLAIN)
def test_other_names_come_back_as_they_were(name: str, tmp_path: Path) -> None:
    write_record(tmp_path, [one_row(task=name, column=name)])
    collect(tmp_path)
    assert read_rows(tmp_path)[["task", "column"]].to_numpy().tolist() == [[name, name]]
