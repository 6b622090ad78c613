"""LaTeX of every report compiles: with rows of all tables, with none, and with names that mean something to TeX."""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from fake_rows import fake_table2
from synthetic import synthetic

from benchmarks.records.rows import Row, Scale, to_frame
from reports.pages.page import Page
from reports.pages.render import to_latex
from reports.registry import REPORTS, Question

COMPILERS = {
    "pdflatex": ("-interaction=nonstopmode", "-halt-on-error"),
    "tectonic": (),
}
COMPILER = next((found for name in COMPILERS if (found := shutil.which(name))), None)

PREAMBLE = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{booktabs,graphicx}
\begin{document}
"""


def pages(rows: Iterable[Row], scale: Scale) -> list[Page]:
    frame = to_frame(rows)
    by_report = {name: frame[frame["suite"].isin(report.suites)] for name, report in REPORTS.items()}
    return [
        report.answer(Question(rows=by_report[name], scale=scale)).page
        for name, report in REPORTS.items()
        if len(by_report[name]) or report.printed or not report.needs_rows
    ]


def compiled(laid: list[Page], folder: Path) -> Path:
    """The document with all pages; what the compiler says is shown if it fails."""
    if COMPILER is None:
        pytest.skip("needs pdflatex or tectonic on the PATH (Debian: apt-get install texlive-latex-recommended)")
    # Each page on a sheet of its own: LaTeX keeps no more than some fifty tables that wait for their place.
    body = "\\clearpage\n".join(to_latex(page) for page in laid)
    (folder / "all.tex").write_text(f"{PREAMBLE}{body}\\end{{document}}\n", encoding="utf-8")
    command = [COMPILER, *COMPILERS[Path(COMPILER).stem], "all.tex"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return folder / "all.pdf"


def test_every_report_compiles_with_rows(tmp_path: Path) -> None:
    laid = pages(list(synthetic()), "embedded")
    assert [page.name for page in laid] == list(REPORTS)
    assert compiled(laid, tmp_path).stat().st_size > 0


def test_every_report_compiles_without_rows_and_with_any_name(tmp_path: Path) -> None:
    names = ("a_b%&#$", r"\c~^{}|<>")
    odd = fake_table2(scale="local", architectures=("resnet18",), seeds=(0, 1), tasks=names)
    laid = [*pages([], "paper"), *pages([], "embedded"), *pages(odd, "local")]
    assert compiled(laid, tmp_path).stat().st_size > 0
