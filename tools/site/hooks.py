"""What MkDocs does beside its plugins: pages that lie elsewhere or are made of code, links to them, formulas.

All that is read lies in the checkout; what is made is never written into it.
"""

import ast
import html
import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe
import jupytext
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbformat.v4 import new_markdown_cell, new_notebook

ROOT = Path(__file__).parents[2]
ELSEWHERE = {
    "delta_core/DECISIONS.md": "decisions.md",
    "detection/README.md": "detection.md",
    "segmentation/README.md": "segmentation.md",
}
"""Pages that lie outside docs/, and where the site has them."""
PACKAGES = ("delta_core", "delta_core.training", "delta_core.families", "delta_core.openmmlab")
"""What most people import from; `__all__` says what."""
REST = {"training-modules": "delta_core.training", "tool": "delta_core.tool", "modules": "delta_core"}
"""Pages with everything else that is public, each below a package."""
INTRO = "<!-- what README.md says before its first section -->"
LINK = re.compile(r"(?P<text>\[[^\]]*\])\((?P<target>[^)#\s:]+)(?P<anchor>#[^)\s]*)?\)")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what does not lie in docs/."""
    for source, uri in ELSEWHERE.items():
        files.append(File.generated(config, uri, content=(ROOT / source).read_text(encoding="utf-8")))
    for uri, content in {**dict(example_files()), **dict(reference_pages())}.items():
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Links as the site has them; on the front page what README says first."""
    uri = page.file.src_uri
    home = next((source for source, other in ELSEWHERE.items() if other == uri), f"docs/{uri}")
    markdown = relinked(markdown, home, uri)
    intro = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## ")[0]
    return markdown.replace(INTRO, relinked(intro, "README.md", uri))


def on_page_content(html_text: str, **_: Any) -> str:
    """Formulas as MathML, which browsers draw themselves."""

    def drawn(match: re.Match[str]) -> str:
        tag, formula = match[1], html.unescape(match[2])
        drawn = convert(formula, display="block" if tag == "div" else "inline")
        return f'<{tag} class="formula">{drawn}</{tag}>'

    return FORMULA.sub(drawn, html_text)


def relinked(markdown: str, home: str, uri: str) -> str:
    """The text with links that hold on the site.

    Args:
        markdown: the text of a page.
        home: its place in the checkout, from which its links are meant.
        uri: its place on the site.
    """

    def link(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(home), match["target"]))
        if not (ROOT / path).exists():
            return match[0]
        if path.startswith("docs/examples/") and not uri.startswith("examples/"):
            target = posixpath.splitext(path.removeprefix("docs/"))[0] + ".md"
        elif path.startswith("docs/"):
            target = path.removeprefix("docs/")
        elif path in ELSEWHERE:
            target = ELSEWHERE[path]
        else:  # a file that the site does not have
            return match["text"][1:-1]
        return f"{match['text']}({posixpath.relpath(target, posixpath.dirname(uri) or '.')}{match['anchor'] or ''})"

    return LINK.sub(link, markdown)


def example_files() -> Iterator[tuple[str, str]]:
    """Every Python script of docs/examples as a page and as a notebook, every other one and every folder as a page."""
    for script in sorted((ROOT / "docs" / "examples").glob("*.py")):
        notebook = as_notebook(script.read_text(encoding="utf-8"))
        shown = "\n\n".join(
            cell.source if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```" for cell in notebook.cells
        )
        files = f"[{script.name}]({script.name}), which the tests run; [as a notebook]({script.stem}.ipynb)."
        yield f"examples/{script.stem}.md", f"# `{script.name}`\n\n{files}\n\n{shown}\n"
        yield f"examples/{script.stem}.ipynb", jupytext.writes(notebook, fmt="ipynb")
    for script in sorted((ROOT / "docs" / "examples").glob("*.sh")):
        yield f"examples/{script.stem}.md", f"# `{script.name}`\n\n```bash\n{script.read_text(encoding='utf-8')}```\n"
    for folder in sorted((ROOT / "docs" / "examples").iterdir()):
        scripts = sorted(folder.glob("*.py"))
        if scripts:
            shown = "\n\n".join(
                f"## `{script.name}`\n\n```python\n{script.read_text(encoding='utf-8')}```" for script in scripts
            )
            yield f"examples/{folder.name}.md", f"# `{folder.name}/`\n\n{shown}\n"


def as_notebook(script: str) -> Any:
    """A script in the percent format as a notebook, with its docstring as text."""
    notebook = new_notebook(cells=jupytext.reads(script, fmt="py:percent").cells)
    first = ast.parse(notebook.cells[0].source).body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        rest = "\n".join(notebook.cells[0].source.splitlines()[first.end_lineno or 0 :]).strip()
        notebook.cells[0].source = rest
        notebook.cells = [
            new_markdown_cell(first.value.value.strip()),
            *(notebook.cells if rest else notebook.cells[1:]),
        ]
    return notebook


def reference_pages() -> Iterator[tuple[str, str]]:
    """Pages of directives for mkdocstrings: a name of an `__all__` stands there, any other where it is defined."""
    library = griffe.load("delta_core", search_paths=[ROOT], resolve_aliases=True)
    shown: set[str] = set()
    for path in PACKAGES:
        package = library if path == library.path else library[path.removeprefix("delta_core.")]
        members = [name for name in package.exports if package[name].canonical_path not in shown]
        shown |= {package[name].canonical_path for name in members}
        yield f"reference/{path}.md", directive(path, heading_level=1, members=members)
    blocks: dict[str, list[str]] = {page: [] for page in REST}
    for module in modules(library):
        if module.path not in PACKAGES:
            page = next(page for page, path in REST.items() if f"{module.path}.".startswith(f"{path}."))
            elsewhere = [f"!^{name}$" for name in module.members if f"{module.path}.{name}" in shown]
            blocks[page].append(directive(module.path, heading_level=2, filters=["!^_", *elsewhere]))
    for page, texts in blocks.items():
        yield f"reference/{page}.md", f"# Modules of `{REST[page]}`\n\n" + "\n\n".join(texts)


def modules(module: griffe.Module) -> Iterator[griffe.Module]:
    """A package and all public modules below it."""
    yield module
    for name, inner in sorted(module.modules.items()):
        if not name.startswith("_") and not inner.is_alias:
            yield from modules(inner)


def directive(path: str, **options: int | list[str]) -> str:
    """What mkdocstrings replaces by the docstrings of a module."""
    lines = "".join(f"        {name}: {json.dumps(value)}\n" for name, value in options.items())
    return f"::: {path}\n    options:\n{lines}"
