"""Is the built site whole? `python tools/site/check.py SITE` counts pages, broken links, and public names it lacks.

With the standard library alone, and by another reading of the sources than that which made the site.
"""

import ast
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parents[2]
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
"""Tags whose target a browser fetches by itself, and the attribute that names it."""


@dataclass
class Anchors(HTMLParser):
    """Ids and targets of one page."""

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for every tag."""
        found = {name: value for name, value in attrs if value}
        self.ids |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if LOADED.get(tag) in found:
            self.loaded.append(found[LOADED[tag]])


def pages_of(site: Path) -> dict[Path, Anchors]:
    """Every page by its file."""
    pages = {}
    for file in sorted(site.rglob("*.html")):
        pages[file] = Anchors()
        pages[file].feed(file.read_text(encoding="utf-8"))
    return pages


def broken_links(site: Path, pages: dict[Path, Anchors]) -> Iterator[str]:
    """Targets within the site that are not there, and what is fetched from elsewhere."""
    for file, page in pages.items():
        of = file.relative_to(site)
        yield from (f"{of}: loads {target}" for target in page.loaded if urlsplit(target).netloc)
        for target in (*page.links, *page.loaded):
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            path = unquote(parts.path)
            place = site / path.lstrip("/") if path.startswith("/") else file.parent / path if path else file
            place = (place / "index.html" if place.is_dir() else place).resolve()
            ids = pages[place].ids if place in pages else None
            if not place.is_file() or (parts.fragment and ids is not None and unquote(parts.fragment) not in ids):
                yield f"{of}: {target}"


def public_names(package: Path) -> Iterator[str]:
    """Modules, names and members of classes that do not begin with an underscore, and what an `__all__` lists."""
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package.parent).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if any(part.startswith("_") for part in parts):
            continue
        module = ".".join(parts)
        tree = ast.parse(file.read_text(encoding="utf-8"))
        yield module
        yield from (f"{module}.{name}" for name in dict.fromkeys([*_listed(tree), *_defined(tree)]))
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield from (f"{module}.{node.name}.{name}" for name in _defined(node))


def _listed(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def _defined(tree: ast.Module | ast.ClassDef) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
        else:
            continue
        yield from (name for name in names if not name.startswith("_"))


def names_with_a_place(site: Path, pages: dict[Path, Anchors]) -> set[str]:
    """Names of the inventory (objects.inv, as Sphinx writes it) whose anchor is on its page."""
    content = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    found = set()
    for line in zlib.decompress(content).decode().splitlines():
        name, _, _, uri, *_ = line.split(" ")
        path, _, anchor = uri.replace("$", name).partition("#")
        page = pages.get((site / path).resolve())
        if page and anchor in page.ids:
            found.add(name)
    return found


def main() -> int:
    """Print what is wrong, a line each, and the counts last."""
    site = Path(sys.argv[1]).resolve()
    pages = pages_of(site)
    broken = list(broken_links(site, pages))
    public = set(public_names(ROOT / "delta_core"))
    missing = sorted(public - names_with_a_place(site, pages))
    print(*(f"broken: {each}" for each in broken), *(f"missing: {name}" for name in missing), sep="\n", end="")
    print(f"\n{len(pages)} pages, {len(broken)} broken links, {len(missing)} of {len(public)} public names missing")
    return bool(broken or missing)


if __name__ == "__main__":
    sys.exit(main())
