"""What checks the built site sees broken links, things from elsewhere, and names without a place."""

import importlib.util
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def check() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("site_check", ROOT / "tools" / "site" / "check.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["site_check"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    yield module
    del sys.modules["site_check"]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "inner").mkdir()
    (tmp_path / "index.html").write_text('<a href="inner/a.html#here">a</a><a href="#top">up</a><p id="top">')
    (tmp_path / "inner" / "a.html").write_text('<a href="../index.html">up</a><h1 id="here">A</h1><h2 id="pkg.Thing">')
    inventory = "pkg.Thing py:class 1 inner/a.html#$ -\npkg.gone py:function 1 inner/a.html#pkg.gone -\n"
    header = b"# Sphinx inventory version 2\n# Project: p\n# Version: 0\n# zlib\n"
    (tmp_path / "objects.inv").write_bytes(header + zlib.compress(inventory.encode()))
    return tmp_path


def test_a_whole_site_has_nothing_broken(check: ModuleType, site: Path) -> None:
    assert list(check.broken_links(site, check.pages_of(site))) == []


@pytest.mark.parametrize(
    ("html", "told"),
    [
        ('<a href="gone.html">x</a>', "bad.html: gone.html"),
        ('<a href="inner/a.html#gone">x</a>', "bad.html: inner/a.html#gone"),
        ('<img src="gone.svg">', "bad.html: gone.svg"),
        ('<a href="#gone">x</a>', "bad.html: #gone"),
        ('<script src="https://example.org/x.js"></script>', "bad.html: loads https://example.org/x.js"),
    ],
)
def test_what_is_broken_is_told(check: ModuleType, site: Path, html: str, told: str) -> None:
    (site / "bad.html").write_text(html)
    assert list(check.broken_links(site, check.pages_of(site))) == [told]


def test_a_name_has_a_place_where_its_page_has_the_anchor(check: ModuleType, site: Path) -> None:
    assert check.names_with_a_place(site, check.pages_of(site)) == {"pkg.Thing"}


def test_public_names_are_modules_names_and_members(check: ModuleType) -> None:
    names = list(check.public_names(ROOT / "delta_core"))
    assert len(names) == len(set(names))
    wanted = {
        "delta_core", "delta_core.DeltaModel", "delta_core.__version__", "delta_core.model.DeltaModel.assert_frozen",
        "delta_core.config.DeltaConfig.n_modules", "delta_core.training.fit", "delta_core.families.base.Wiring",
    }  # fmt: skip
    assert wanted <= set(names)
    assert [name for name in names if "._" in name.replace("__version__", "")] == []
