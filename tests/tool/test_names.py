"""Names of classes, tasks and files are data: they are refused before a training, or written and shown as they are."""

import csv
import io
import re
import shutil
from collections.abc import Callable
from html import escape
from pathlib import Path

import pytest
from fitted_worlds import fitted
from huggingface_hub import ModelCard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from patch_tool_world import fit_words, write_classes
from rich.console import Console

from delta_core import read_patch
from delta_core.exchange import only_writer
from delta_core.plain_text import is_line, shown
from delta_core.tool.data import check_names, check_photos
from delta_core.tool.fitted import write_fitted
from delta_core.tool.predict import Prediction
from delta_core.tool.prediction_forms import pieces_of
from delta_core.training.errors import UserError
from delta_core.training.progress import RichProgress

ODD = (
    "![x](http://a.b/c.png)", "$\\frac{1}{0}$", "---", "a|b`c`", "**bold** _it_ ~~no~~",
    "[red]rich[/red]", "=HYPERLINK(1)", "&lt;", "<script>alert(1)</script>", "# head", "- item", ":smile:", "null",
    "@someone", "\\", "{'a': 1}", "naïve Ωμέγα 花", "  ", "%", "'", '"', "\u200f\u200d", "\U0001f468\u200d\U0001f33e",
    "]](x)",
)  # fmt: skip
REFUSED = ("tab\t", "two\nlines", "\x1b[31mred", "\udce9", "\x85", "\u2028", "\x00")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(names=list(ODD[:8]), task=ODD[0])
@example(names=list(ODD[8:16]), task=ODD[1])
@example(names=list(ODD[16:]), task=ODD[2])
@example(names=[*REFUSED], task="x")
@given(names=st.lists(st.text(min_size=1, max_size=60), min_size=2, max_size=4, unique=True), task=st.text(min_size=1))
@pytest.mark.filterwarnings("ignore:No font here")
def test_any_names_are_refused_before_or_written(
    names: list[str], task: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    try:
        for name in (task, *names):
            check_names(Path("pets"), [name])
    except UserError as error:
        assert not all(map(is_line, (task, *names)))
        assert "\n" not in str(error)
        return
    out, said = tmp_path_factory.mktemp("out") / "kept", []
    made = fitted(names, data=task)
    with only_writer(out, wait=False):
        write_fitted(made.model, made.accuracy, made.record, made.gates, made.seen, out, say=said.append)
    assert said == [], "pictures are drawn of any names"
    assert read_patch(out).class_names == tuple(names)
    card = ModelCard.load(out / "README.md")
    assert card.data.eval_results[0].dataset_name == task
    html = MarkdownIt("commonmark").enable("table").render(card.text)
    cells = re.findall(r"<tr>\n<td>(.*)</td>\n<td>[\d.]+</td>\n<td>1 of 2</td>", html)
    assert [cell.strip() for cell in cells] == [
        escape(name.strip(), quote=False).replace('"', "&quot;") for name in names
    ]
    assert html.count("<img") == 2, "the pictures of the card and no other"
    assert "<script" not in html


@pytest.mark.parametrize("name", [name for name in REFUSED if name != "\x00"], ids=ascii)
@pytest.mark.parametrize("where", ["class", "task", "weights"])
def test_names_that_no_patch_can_hold_are_refused_before_the_training(
    name: str,
    where: str,
    world: Path,
    patch_tool: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = write_classes(tmp_path / (name if where == "task" else "data"), 2)
    if where == "class":
        (data / "cat").rename(data / name)
    weights = shutil.copy(world / "net.pt", tmp_path / (f"{name}.pt" if where == "weights" else "net.pt"))
    assert patch_tool(*fit_words(tmp_path, "kept", str(data), weights=weights)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "rename" in err
    assert err == f"{shown(err.rstrip())}\n", "what tells of it prints as it is"
    assert not (tmp_path / "kept").exists()
    assert not (tmp_path / ".kept.partial").exists()


def test_more_names_than_a_patch_holds_are_refused() -> None:
    check_names(Path("pets"), [f"{number}" for number in range(20000)])
    with pytest.raises(UserError, match=r"holds 20000 classes whose names have \d+ bytes"):
        check_names(Path("pets"), [f"{number}" + "x" * 200 for number in range(20000)])


def test_odd_folders_of_one_kind_or_the_other_are_fitted_and_used(
    world: Path, patch_tool: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("=1+1", "$\\frac$", "[red]<b>|`")
    data = write_classes(tmp_path / "$\\bad$ [x](y)", 3, names)
    check_photos(data)
    assert patch_tool(*fit_words(tmp_path, "kept", str(data), weights=world / "net.pt", modules=0, epochs=1)) == 0
    image = data / names[0] / "0.png"
    odd = shutil.copy(image, tmp_path / "\x1b[31m\nred\udce9.png")
    capsys.readouterr()
    known = ("--weights", world / "net.pt")
    assert patch_tool("predict", tmp_path / "kept", odd, tmp_path / "absent\x1b.png", *known) == 1
    out, err = capsys.readouterr()
    assert out.startswith(f"{tmp_path}/\\x1b[31m\\nred\\udce9.png  kept: ")
    assert out.count("\n") == 1
    assert "\x1b" not in out + err
    assert patch_tool("predict", tmp_path / "kept", image, "--csv", *known) == 0
    cells = {cell for row in csv.reader(io.StringIO(capsys.readouterr().out)) for cell in row}
    assert "'=1+1" in cells
    assert patch_tool("eval", tmp_path / "kept", data, *known) == 0
    assert patch_tool("inspect", world / "kept", odd, "-o", tmp_path / "gates.png", *known) == 0
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert all(name in out for name in names)


@given(image=st.text(), name=st.text())
@example(image="=1", name="\t=1")
@example(image="\r=1", name="@x")
def test_csv_is_a_line_for_each_image_and_no_formula(image: str, name: str) -> None:
    prediction = Prediction(image=image, patch="kept", classes=((name, 0.5),))
    text = "".join(pieces_of([prediction], "csv", topk=1))
    _, row = list(csv.reader(io.StringIO(text)))
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)
    assert text.count("\n") == 2
    assert [cell.removeprefix("'") for cell in row[:3:2]] == [shown(each).removeprefix("'") for each in (image, name)]


@given(line=st.text())
def test_what_is_said_is_one_line_that_does_nothing_to_a_terminal(
    line: str,
) -> None:
    heard = io.StringIO()
    RichProgress(Console(file=heard, force_terminal=False, width=80)).say(line)
    assert heard.getvalue() == f"{shown(line)}\n"
    assert is_line(shown(line)[:1000])
