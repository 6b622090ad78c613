"""Reports: reductions, refusals, what stands in which cell, and the command line."""

import io
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from fake_rows import fake_table2, falling, one_row, paint_run, plain_run, rising
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from benchmarks.records.collected import write_rows
from benchmarks.records.rows import Row, Scale, row_schema, to_frame
from delta_core.training.errors import UserError
from reports import paper
from reports.cli import main
from reports.pages.render import to_latex, to_markdown, to_terminal
from reports.registry import REPORTS
from reports.tables.patching_frame import harmonic_mean, table_frame
from reports.tables.patching_lines import TABLES, PaperTable
from reports.tables.patching_page import Page, page

ROOT = Path(__file__).parents[2]
TABLE2, TABLE10, TABLE8 = (next(table for table in TABLES if table.number == number) for number in (2, 10, 8))
TEXT_FORMATS = {"md": to_markdown, "tex": to_latex}
accuracy = st.floats(0, 100)


def reduced(rows: list[Row], table: PaperTable = TABLE2, scale: Scale = "embedded") -> pd.DataFrame:
    """Table frame of rows that satisfy the row schema."""
    return table_frame(row_schema().validate(to_frame(rows)), table, scale)


def laid_out(rows: list[Row], table: PaperTable = TABLE2, scale: Scale = "embedded") -> Page:
    return page(reduced(rows, table, scale), table, scale)


def line(frame: pd.DataFrame, row_id: str, **where: str) -> pd.Series:
    """The only line of a frame with this row id (and task, ...)."""
    found = frame[frame["row_id"] == row_id]
    for column, value in where.items():
        found = found[found[column] == value]
    assert len(found) == 1
    return found.iloc[0]


def cell(laid: Page, block: str, method: str, column: str) -> str:
    cells = next(b for b in laid.blocks if b.title == block).cells
    return str(cells.loc[cells["method"] == method, column].item())


def delta(**changes: object) -> list[Row]:
    run = {"method": "delta_networks", "variant": "maps", "n_delta_modules": 1, "patch": 80.0}
    return plain_run(**{**run, **changes})  # type: ignore[arg-type]


# --- reductions ---


@given(accuracy, accuracy)
def test_harmonic_mean_lies_between_its_arguments_and_below_their_mean(a: float, b: float) -> None:
    hm = harmonic_mean(pd.Series([a]), pd.Series([b])).item()
    assert min(a, b) - 1e-9 <= hm <= max(a, b) + 1e-9
    assert hm <= (a + b) / 2 + 1e-9
    assert hm == harmonic_mean(pd.Series([b]), pd.Series([a])).item()


@given(accuracy)
def test_harmonic_mean_is_zero_if_one_is_zero_and_blank_if_one_is_blank(a: float) -> None:
    assert harmonic_mean(pd.Series([a]), pd.Series([0.0])).item() == 0
    assert harmonic_mean(pd.Series([a]), pd.Series([float("nan")])).isna().all()


def test_harmonic_mean_matches_the_paper() -> None:
    """Table 10's ResNet-34 PAINT pair on STL-10 gives Table 2's number."""
    assert round(harmonic_mean(pd.Series([74.66]), pd.Series([53.95])).item(), 2) == 62.64


def test_seeds_become_mean_and_sample_standard_deviation() -> None:
    frame = reduced([row for seed, base in enumerate((80.0, 90.0)) for row in delta(seed=seed, base=base, patch=base)])
    found = line(frame, "resnet18/delta1/maps")
    assert (found["mean"], found["n"]) == (85.0, 2)
    assert found["sd"] == pytest.approx(50**0.5)  # ddof = 1: sqrt((5^2 + 5^2) / 1)


def test_alpha_is_chosen_on_val_and_oracle_on_test() -> None:
    """Val is best at 0.3 and test at 0.8: the result must be the test value at 0.3."""
    run = paint_run(
        base=(lambda _: 50.0, lambda _: 50.0), patch=(lambda a: 60 - abs(a - 0.3), lambda a: 60 - abs(a - 0.8))
    )
    frame = reduced(run)
    val, oracle = line(frame, "resnet18/paint/lr=0.001"), line(frame, "resnet18/paint/lr=0.001/oracle")
    assert (val["alpha"], val["selection"], val["patch_top1"]) == ("0.3", "val", pytest.approx(59.5))
    assert (oracle["alpha"], oracle["selection"], oracle["patch_top1"]) == ("0.8", "oracle", pytest.approx(60))
    assert oracle["mean"] > val["mean"]
    assert not oracle["best"] and val["best"]
    assert (
        cell(page(frame, TABLE2, "embedded"), "resnet18", "PAINT lr=0.001, oracle", "signs") == f"{oracle['mean']:.2f}"
    )


def test_ties_take_the_smallest_alpha_and_each_seed_has_its_own() -> None:
    flat = paint_run(base=(falling, falling), patch=(falling, falling), seed=0)
    late = paint_run(base=(rising, rising), patch=(rising, rising), seed=1)
    tied = paint_run(base=(lambda _: 50.0,) * 2, patch=(lambda a: 50.0 if a > 0.15 else 0.0,) * 2, seed=2)
    assert line(reduced([*flat, *late, *tied]), "resnet18/paint/lr=0.001")["alpha"] == "0;1;0.2"


def test_alpha_one_is_the_fine_tuning_reference_unless_fine_tuning_ran() -> None:
    paint = paint_run(base=(falling, falling), patch=(rising, rising))
    derived = line(reduced(paint), "resnet18/finetune/lr=0.001")
    assert (derived["base_after"], derived["patch_top1"], derived["role"]) == (10.0, 94.0, "reference")
    own = plain_run(method="finetune", variant="lr=0.001", base=20.0, patch=95.0, base_logits_equal=None)
    assert line(reduced([*paint, *own]), "resnet18/finetune/lr=0.001")["patch_top1"] == 95.0
    assert not reduced([*paint, *own])["row_id"].str.contains("finetune/lr=0.001+bn", regex=False).any()


# --- what stands in a cell ---


GOLDEN = """\
## resnet18

| method | params M | printed M | base before | base after | base frozen | alpha | signs |
|:-|-:|-:|-:|-:|-:|-:|-:|
| FC-only | 0.00 | | 90.00 | 90.00 | yes | | 67.50 |
| PAINT lr=0.001 | 11.18 | 11.2 | 90.00 | 61.20 | | 0.6 | 60.80 |
| PAINT lr=0.001, oracle | 11.18 | | 90.00 | 61.20 | | 0.6 | 60.80 |
| PAINT lr=0.001+bn | | 11.2 | | | | | n/a |
| PAINT lr=0.001+bn, oracle | | | | | | | n/a |
| PAINT lr=1e-05 | | 11.2 | | | | | |
| PAINT lr=1e-05, oracle | | | | | | | |
| PAINT lr=1e-05+bn | | 11.2 | | | | | |
| PAINT lr=1e-05+bn, oracle | | | | | | | |
| Delta (1) paper | | 0.4 | | | | | |
| Delta (1) | 0.44 | | 90.00 | 90.00 | yes | | **84.98 ±0.39 [n=2]** |
| Delta (2) paper | | 0.6 | | | | | |
| Delta (2) | | | | | | | |
| Delta (4) paper | | 0.6 | | | | | |
| Delta (4) | | | | | | | |
| full fine-tuning (lr 0.001) | 11.18 | | 90.00 | 10.00 | | 1 | 18.08 |
| full fine-tuning (lr 1e-05) | | | | | | | |

"""


def test_golden_markdown() -> None:
    rows = plain_run(patch=54.0) + paint_run(base=(falling, falling), patch=(rising, rising), batchnorm=False)
    for seed in (0, 1):
        rows += delta(patch=80.0 + seed, seed=seed, params_delta=30_000, params_delta_full_size=444_564)
    text = to_markdown(laid_out(rows))
    block = text[text.index("## resnet18") : text.index("## Printed")]
    assert re.sub("-+", "-", re.sub(" +", " ", block)) == GOLDEN


def test_one_seed_prints_no_spread() -> None:
    laid = laid_out(delta(patch=80.0))
    assert cell(laid, "resnet18", "Delta (1)", "signs") == "84.71"
    assert "±" not in "".join(render(laid) for render in TEXT_FORMATS.values())
    assert "n = 1 seed, no spread" in laid.caption


def test_blanks_stay_blank_and_the_commands_are_merged() -> None:
    rows = [row for row in fake_table2(architectures=("resnet18", "resnet34", "resnet50")) if row.seed == 0]
    rows = [
        row for row in rows if not (row.task == "signs" and row.architecture != "resnet50" and row.method == "paint")
    ]
    frame = reduced(rows)
    missing = line(frame, "resnet34/paint/lr=0.001", task="signs")
    assert (missing["status"], missing["n"]) == ("missing", 0) and pd.isna(missing["mean"])
    laid = page(frame, TABLE2, "embedded")
    assert cell(laid, "resnet34", "PAINT lr=0.001", "signs") == ""
    assert laid.commands == (
        "nox -s table2 -- --scale embedded --arch resnet18 --arch resnet34 --task signs",
        "nox -s table2 -- --scale embedded --arch convnext_tiny --task signs --task textures",
    )
    assert all(command in to_markdown(laid) for command in laid.commands)
    assert "convnext_tiny" not in [block.title for block in laid.blocks]


def test_an_arm_that_cannot_exist_is_not_applicable_rather_than_missing() -> None:
    frame = reduced(fake_table2(architectures=("resnet18", "convnext_tiny"), seeds=(0,)))
    laid = page(frame, TABLE2, "embedded")
    assert cell(laid, "convnext_tiny", "PAINT lr=0.001+bn", "signs") == "n/a"
    assert cell(laid, "resnet18", "PAINT lr=0.001+bn", "signs") != "n/a"
    assert all("resnet18" not in command and "convnext_tiny" not in command for command in laid.commands)


def test_without_base_data_the_harmonic_mean_is_blank_and_patch_top1_shown() -> None:
    rows = delta(base=None, patch=80.0) + paint_run(base=None, patch=(rising, rising))
    found = line(reduced(rows), "resnet18/delta1/maps")
    assert pd.isna(found["mean"]) and (found["status"], found["patch_top1"]) == ("no_base", 80.0)
    assert not found["best"]
    for table in (TABLE2, TABLE10):
        laid = laid_out(rows, table)
        assert cell(laid, "resnet18", "Delta (1)", "signs") == "top-1 80.00"
        assert cell(laid, "resnet18", "PAINT lr=0.001", "signs") == ""
        assert cell(laid, "resnet18", "full fine-tuning (lr 0.001)", "signs") == "top-1 94.00"


def test_without_base_data_the_spread_and_number_of_seeds_are_shown_too() -> None:
    rows = [
        row
        for task in ("signs", "textures")
        for seed, patch in enumerate((79.0, 80.0, 81.0))
        for row in delta(base=None, patch=patch, seed=seed, task=task, column=task)
    ]
    for table in (TABLE2, TABLE10):
        laid = laid_out([*rows, *delta(base=None, patch=50.0, task="photos", column="photos")], table)
        assert cell(laid, "resnet18", "Delta (1)", "signs") == "top-1 80.00 ±1.00"
        assert cell(laid, "resnet18", "Delta (1)", "photos") == "top-1 50.00 [n=1]"
        assert "over n = 3 seeds" in laid.caption


def test_best_method_is_bold_and_neither_oracle_nor_reference() -> None:
    rows = delta(patch=55.0) + paint_run(base=(falling, falling), patch=(rising, lambda a: 99 - 10 * a))
    rows += plain_run(method="finetune", variant="lr=0.001", base=99.0, patch=99.0, base_logits_equal=None)
    frame = reduced(rows)
    assert frame.loc[frame["best"], "row_id"].tolist() == ["resnet18/paint/lr=0.001", "resnet18/paint/lr=0.001+bn"]
    best = f"{line(frame, 'resnet18/paint/lr=0.001')['mean']:.2f}"
    laid = page(frame, TABLE2, "embedded")
    assert f"**{best}**" in to_markdown(laid)
    assert f"\\textbf{{{best}}}" in to_latex(laid)


def test_unlisted_methods_architectures_and_tasks_appear_in_order() -> None:
    rows = delta(scale="local", architecture="tf_efficientnet_lite0", task="flowers17", column="flowers17")
    rows += plain_run(
        scale="local",
        architecture="tf_efficientnet_lite0",
        task="dtd 10",
        column="dtd 10",
        method="lora",
        variant="rank=4",
        patch=70.0,
    )
    laid = laid_out(rows, scale="local")
    assert laid.blocks[0].title == "tf_efficientnet_lite0"
    cells = laid.blocks[0].cells
    assert list(cells.columns)[-2:] == ["flowers17", "dtd 10"]
    assert cells["method"].iloc[-1] == "LoRA (ours) rank=4"
    assert laid.commands == (
        "nox -s table2 -- --scale local --weights WEIGHTS --data-root DATA --arch tf_efficientnet_lite0 "
        "--task imagefolder:flowers17 --task 'imagefolder:dtd 10'",
    )


@pytest.mark.parametrize(
    "broken", [{"backbone_sha_after": "zz"}, {"base_logits_equal": False}, {"base_logits_equal": None}]
)
def test_a_base_that_moved_is_named(broken: dict[str, object]) -> None:
    rows = [row for seed in (0, 1) for row in delta(seed=seed)]
    assert cell(laid_out(rows), "resnet18", "Delta (1)", "base frozen") == "yes"
    rows = [replace(row, **broken) if row.seed == 1 else row for row in rows]  # type: ignore[arg-type]
    laid = laid_out(rows)
    assert cell(laid, "resnet18", "Delta (1)", "base frozen") == "NO"
    assert laid.notes[0].startswith("WARNING: base frozen = NO for resnet18/delta1/maps")


def test_methods_that_change_the_base_claim_nothing() -> None:
    frame = reduced(paint_run(base=(falling, falling), patch=(rising, rising)))
    assert pd.isna(line(frame, "resnet18/paint/lr=0.001")["base_frozen"])


# --- the paper's numbers ---


@pytest.mark.parametrize(("table", "n_values"), [(TABLE2, 96), (TABLE10, 192)])
def test_every_printed_number_stands_in_its_cell(table: PaperTable, n_values: int) -> None:
    """Without any run: what is laid out, read back, equals the CSV, at scale paper and in the block set apart."""
    targets = pd.read_csv(paper.TARGETS / f"{table.name}.csv", dtype=str)
    assert len(targets) == n_values
    laid = laid_out([], table, "paper")
    apart = laid_out(delta(), table).blocks[-1].cells
    methods = {"paint": "PAINT lr=0.001", "delta1": "Delta (1)", "delta2": "Delta (2)", "delta4": "Delta (4)"}
    n_counts = 0
    for row_id, row in targets.groupby("row_id", sort=False):
        architecture, method = str(row_id).split("/")
        own_line = apart[(apart["architecture"] == architecture) & (apart["method"] == methods[method].split(" lr")[0])]
        count = row["params_millions"].iloc[0]
        reading = methods[method] + (" paper" if method.startswith("delta") else "")
        assert _unmarked(cell(laid, architecture, reading, "printed M")) == count
        assert _unmarked(own_line["printed M"].item()) == count
        n_counts += 1
        for task, values in row.groupby("task", sort=False):
            printed = " / ".join(values["value"])
            assert _unmarked(cell(laid, architecture, reading, str(task))) == f"({printed})"
            assert _unmarked(own_line[task].item()) == printed
    assert n_counts == 16


def _unmarked(text: str) -> str:
    return re.sub(r"\[E\d+\]", "", text)


def test_ours_and_printed_stand_side_by_side_at_scale_paper_only() -> None:
    at_paper = {"scale": "paper", "task": "stl10", "column": "stl10"}
    frame = reduced(delta(**at_paper) + delta(**at_paper, variant="paper"), scale="paper")
    found = line(frame, "resnet18/delta1/paper", task="stl10")
    assert (found["paper_value"], found["difference"]) == (79.55, pytest.approx(found["mean"] - 79.55))
    assert cell(page(frame, TABLE2, "paper"), "resnet18", "Delta (1) paper", "stl10") == "84.71 (79.55)"
    assert cell(page(frame, TABLE2, "paper"), "resnet18", "Delta (1)", "stl10") == "84.71", "no reading of the paper's"
    embedded = reduced(delta(**{**at_paper, "scale": "embedded"}))
    assert embedded["paper_value"].isna().all() and embedded["difference"].isna().all()


def test_errata_are_marked_and_explained() -> None:
    laid = laid_out([], TABLE10, "paper")
    assert cell(laid, "convnext_large", "PAINT lr=0.001", "aircraft") == "(8.02[E8] / 61.33[E8])"
    assert cell(laid, "resnet101", "PAINT lr=0.001", "stl10") == "(74.66[E7] / 56.79)"
    assert cell(laid, "resnet34", "PAINT lr=0.001", "printed M") == "21.8[E11]"
    assert cell(laid_out([], scale="paper"), "resnet18", "Delta (4) paper", "cars") == "(76.23[E2])"
    assert [note[:5].strip() for note in laid.notes] == ["[E1]", "[E6]", "[E7]", "[E8]", "[E11]"]


def test_every_erratum_points_at_printed_numbers() -> None:
    for table in TABLES:
        printed = paper.printed(table.number)
        cells = [c for erratum in paper.ERRATA for c in erratum.cells if c.table == table.number]
        assert (printed["erratum"] != "").sum() == sum(c.quantity != "params" for c in cells)
        assert len(set(cells)) == len(cells)


# --- refusals ---


@pytest.mark.parametrize(
    ("field", "values", "fix"),
    [
        ("scale", ("embedded", "local"), "own folder"),
        ("protocol", ("epochs=6", "epochs=12"), "--protocol epochs=6"),
        ("weights", ("w1", "w2"), "--results"),
        ("data_sha", ("d1", "d2"), "--results"),
    ],
)
def test_mixtures_are_refused_with_the_values_and_the_fix(field: str, values: tuple[str, str], fix: str) -> None:
    rows = [row for seed, value in enumerate(values) for row in delta(seed=seed, **{field: value})]
    with pytest.raises(UserError) as refusal:
        reduced(rows)
    assert all(part in str(refusal.value) for part in (*values, fix))
    assert "\n" not in str(refusal.value)


def test_methods_compared_with_each_other_must_share_the_data() -> None:
    with pytest.raises(UserError, match="data_sha"):
        reduced(delta() + plain_run(patch=50.0, data_sha="other"))


def test_a_seed_is_not_counted_twice() -> None:
    again = [replace(row, run_id="again") for row in delta()]
    with pytest.raises(UserError, match="again"):
        reduced(delta() + again)


# --- formats and command line ---


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("scale", ["embedded", "paper"])
def test_latex_is_balanced(table: PaperTable, scale: Scale) -> None:
    rows = fake_table2(architectures=("resnet18",), seeds=(0, 1), scale=scale, tasks=("a_b%&#", "stl10"))
    text = to_latex(laid_out([row for row in rows if row.method != "fc_only"], table, scale))
    bare = re.sub(r"\\[{}%&#_$\\]", "", text.split("\n", 1)[1])
    depth = 0
    for character in bare:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    assert "%" not in bare.replace("{!}{%\n", "") and "#" not in bare and bare.count("$") % 2 == 0
    assert f"nox -s {table.name} -{{}}- -{{}}-scale" in text and "--" not in text
    assert text.count("\\begin{table}") == text.count("\\end{table}")
    assert text.count("\\begin{tabular}") == text.count("\\end{tabular}")
    for tabular in re.findall(r"\\midrule\n(.+?)\\bottomrule", text, flags=re.S):
        assert len({len(re.findall(r"(?<!\\)&", row)) for row in tabular.strip().split("\n")}) == 1


@pytest.fixture(scope="module")
def wide_page() -> Page:
    return laid_out(fake_table2(seeds=(0, 1)), TABLE10)


@pytest.mark.parametrize(("width", "is_terminal"), [(80, True), (200, True), (80, False)])
def test_the_terminal_never_cuts_a_cell(wide_page: Page, width: int, is_terminal: bool) -> None:
    laid = wide_page
    stream = io.StringIO()
    to_terminal(laid, Console(file=stream, width=width, force_terminal=is_terminal, color_system=None))
    text = stream.getvalue()
    for block in laid.blocks:
        for value in block.cells.to_numpy().ravel():
            assert value in text
    assert "…" not in text
    assert all(command in text for command in laid.commands)
    if is_terminal:
        assert max(len(row) for row in text.split("\n") if "nox" not in row) <= width


def delta_report(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reports", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder with the runs of a fake Table 2 at scale embedded."""
    (tmp_path / "results" / "embedded").mkdir(parents=True)
    write_rows(tmp_path / "results" / "embedded", to_frame(fake_table2(tasks=("signs",))))
    return tmp_path


def test_command_line_prints_and_writes(results: Path) -> None:
    done = delta_report("table2", "--scale", "embedded", "--arch", "resnet18", cwd=results)
    assert (done.returncode, done.stderr) == (0, "")
    paths = [Path("results/embedded/tables") / f"table2.{suffix}" for suffix in ("csv", "md", "tex")]
    assert done.stdout.split()[-3:] == [str(path) for path in paths]
    written = pd.read_csv(results / paths[0])
    assert set(written["architecture"]) == {"resnet18"}
    assert line(written, "resnet18/delta4/maps")["mean"] == pytest.approx(83.857, abs=1e-3)
    assert "*83.86 ±0.29" in done.stdout
    assert sorted(path.name for path in (results / "results/embedded/tables").iterdir()) == [p.name for p in paths]


def test_bad_input_exits_with_code_2(results: Path) -> None:
    done = delta_report("table99", cwd=results)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "python -m reports: Command 'table99' is not known; nearest: table9, table8, table7; "
        "python -m reports --help lists all.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("table2", "--scale", "paper"), "python -m benchmarks run table2 --scale paper"),
        (("table2", "--arch", "resnet99"), "'convnext_tiny', 'resnet18'"),
        (("table2", "--protocol", "epochs=99"), "epochs=6,px=32,views=1"),
        (("table2", "--scale", "local"), "are not result files"),
        (("table2", "--results", "unreadable"), "unreadable"),
        (("table2", "--results", "mixed"), "'local'"),
        (("table2", "--out", "file"), "--out"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(
    results: Path,
    arguments: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (results / "results" / "local").mkdir()
    (results / "results" / "local" / "runs.csv").write_text("a,b\n1,2\n")
    (results / "unreadable" / "embedded" / "runs.csv").mkdir(parents=True)
    (results / "mixed" / "embedded").mkdir(parents=True)
    write_rows(results / "mixed" / "embedded", to_frame([one_row(scale="local")]))
    (results / "file").write_text("a file where a folder is needed")
    before = sorted(results.rglob("*"))
    monkeypatch.chdir(results)
    monkeypatch.setattr(sys, "argv", ["python -m reports", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert said in err and err.count("\n") == 1
    assert sorted(results.rglob("*")) == before


def test_help_says_of_each_report_which_table_it_is_and_what_it_shows() -> None:
    shown = [report.shows for report in REPORTS.values()]
    assert len(set(shown)) == len(shown)
    for name, report in REPORTS.items():
        number = re.fullmatch(r"table(\d+)", name)
        begins = f"Table {number[1]}: " if number else "Ours: " if name not in ("claims", "lint") else ""
        assert report.shows.startswith(begins), name
        assert report.shows.endswith(".")
    done = delta_report("--help", cwd=Path())
    assert "Table 8: what to do with the skips" in done.stdout
    assert "from finished runs" not in done.stdout
