"""Page -> markdown, LaTeX, terminal. Differences to the paper stand in the HTML report alone."""

from rich import box
from rich.console import Console, Group
from rich.table import Table as RichTable
from rich.text import Text

from reports.pages.page import Page, PageBlock

NAME_COLUMNS = ("architecture", "method")
"""Columns that name a line; the others hold numbers."""

LATEX = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "<": r"$<$",
        ">": r"$>$",
        "|": r"$|$",
    }
)


def to_markdown(page: Page) -> str:
    """GitHub-flavoured markdown; best cells bold."""
    parts = [f"# {page.title}", page.caption]
    for block in _shown(page):
        parts += [f"## {block.title}", markdown_grid(block)]
    if page.notes:
        parts.append("\n".join(f"- {note}" for note in page.notes))
    if page.commands:
        parts.append("Blank cells are filled by\n\n```\n" + "\n".join(page.commands) + "\n```")
    return "\n\n".join(parts) + "\n"


def markdown_grid(block: PageBlock) -> str:
    """The grid of a block without its title."""
    text = block.cells.map(lambda cell: cell.replace("|", r"\|"))
    bold = text.where(~block.best, "**" + text + "**")
    align = ["left" if name in NAME_COLUMNS else "right" for name in bold.columns]
    return bold.to_markdown(index=False, disable_numparse=True, colalign=align)


def to_latex(page: Page) -> str:
    """One booktabs table per block, notes below; needs the packages booktabs and graphicx."""
    parts = ["% needs \\usepackage{booktabs,graphicx}"]
    for number, block in enumerate(_shown(page)):
        caption = f"{page.title}. {page.caption} " if number == 0 else ""
        parts.append(
            "\\begin{table}\n"
            f"\\caption{{{_latex(caption + block.title)}}}\\label{{tab:{page.name}-{number}}}\n"
            f"\\resizebox{{\\linewidth}}{{!}}{{%\n{_tabular(block)}}}\n"
            "\\end{table}"
        )
    if page.notes:
        parts.append("{\\footnotesize " + "\\par\n".join(map(_latex, page.notes)) + "\\par}")
    if page.commands:
        # `{}` keeps the two dashes of a flag from becoming one long dash.
        commands = [_latex(command).replace("--", "-{}-") for command in page.commands]
        lines = "".join(f"\\par\n\\texttt{{{command}}}" for command in commands)
        parts.append(f"{{\\footnotesize Blank cells are filled by{lines}\\par}}")
    return "\n\n".join(parts) + "\n"


def to_terminal(page: Page, console: Console) -> None:
    """Print with rich: one table per architecture, cut between columns where the terminal is too narrow for it.

    Into a pipe or a file, which have neither width nor bold, tables take the width they need and `*` marks the best.
    """
    plain = not console.is_terminal
    max_width_chars = 10_000 if plain else console.width
    body = Group(
        *(
            _rich_table(block, columns, best_sign="*" if plain else "")
            for block in _shown(page)
            for columns in _fitting_columns(block, max_width_chars)
        )
    )
    if plain:
        unbounded = console.options.update(max_width=max_width_chars)
        console = Console(file=console.file, width=console.measure(body, options=unbounded).maximum)
    console.print(Text(page.title, style="bold"))
    console.print(Text(page.caption))
    console.print(body)
    if plain:
        console.print(Text("*: bold"))
    for note in page.notes:
        console.print(Text(note))
    if page.commands:
        console.print(Text("Blank cells are filled by"))
        for command in page.commands:
            console.print(Text(f"  {command}"), soft_wrap=True)  # stays one line, to be copied


def _shown(page: Page) -> list[PageBlock]:
    return [block for block in page.blocks if block.source != "difference"]


def _latex(text: object) -> str:
    return str(text).translate(LATEX)


def _tabular(block: PageBlock) -> str:
    """LaTeX `tabular` of a block: first column left-aligned, the others right-aligned."""
    bold = block.best.map(lambda best: "textbf:--rwrap;" if best else "")
    styler = block.cells.style.format(_latex).format_index(_latex, axis="columns").hide(axis="index")
    styler = styler.apply(lambda _: bold, axis=None)
    return styler.to_latex(hrules=True, column_format="l" + "r" * (block.cells.shape[1] - 1))


def _fitting_columns(block: PageBlock, max_width_chars: int) -> list[list[str]]:
    """Columns of the block in groups that fit the width, each group led by the columns that name the line."""
    edges, gap = 2, 3  # as rich draws this box
    columns = [str(name) for name in block.cells.columns]
    width = {name: max(len(name), int(block.cells[name].str.len().max())) + gap for name in columns}
    names = [name for name in columns if name in NAME_COLUMNS]
    groups: list[list[str]] = []
    room = 0
    for name in columns[len(names) :]:
        if not groups or width[name] > room:
            groups.append(list(names))
            room = max_width_chars - edges - sum(width[lead] for lead in names)
        groups[-1].append(name)
        room -= width[name]
    return groups


def _rich_table(block: PageBlock, columns: list[str], best_sign: str) -> RichTable:
    table = RichTable(title=block.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for name in columns:
        table.add_column(Text(name), justify="left" if name in NAME_COLUMNS else "right", overflow="fold")
    for cells, best in zip(block.cells[columns].to_numpy(), block.best[columns].to_numpy(), strict=True):
        texts = zip(cells, best, strict=True)
        table.add_row(*(Text(best_sign + cell, style="bold") if is_best else Text(cell) for cell, is_best in texts))
    return table
