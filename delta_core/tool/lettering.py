"""Names of any script in pictures: fonts that have their letters, and something else where no font has."""

from collections.abc import Iterable
from functools import cache
from typing import Any
from unicodedata import category

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text

NO_FONTS = ("Last Resort", "Adobe Blank")
"""Fonts that have a box, or nothing, for every letter there is."""


class Lettering:
    """How some texts can be written: `families` of fonts, tried letter by letter, and letters that none of them has.

    Example:
        >>> Lettering(["ant", "bee"]).written("bee", "class 2")
        'bee'
    """

    families: list[str]
    missing: set[str]

    def __init__(self, texts: Iterable[str]) -> None:
        usual = findfont(FontProperties())
        self.families = [get_font(usual).family_name]
        self.missing = set("".join(map(_on_one_line, texts))) - _letters_of(usual) - {" "}
        for entry in sorted(fontManager.ttflist, key=lambda entry: (entry.name, entry.weight != 400, entry.fname)):
            if not self.missing:
                break
            found = set() if entry.name.startswith(NO_FONTS) else self.missing & _letters_of(entry.fname)
            if found:
                self.families.append(entry.name)
                self.missing -= found

    @property
    def style(self) -> dict[str, Any]:
        """Arguments for a text of matplotlib; a $ in a name is no formula."""
        return {"family": self.families, "parse_math": False}

    def written(self, text: str, instead: str) -> str:
        """The text on one line, or something else in plain letters where some of its own cannot be written."""
        text = _on_one_line(text)
        return instead if self.missing & set(text) else text


def letter(figure: Figure) -> None:
    """Have the titles of a figure written as `Lettering` says; letters that no font has become question marks."""
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]
    lettering = Lettering(text.get_text() for text in texts)
    for text in texts:
        text.set(**lettering.style)
        shown = _on_one_line(text.get_text())
        text.set_text("".join("?" if each in lettering.missing else each for each in shown))


def _on_one_line(text: str) -> str:
    return " ".join("".join(" " if category(each) == "Cc" else each for each in text).split())


@cache
def _letters_of(file: str) -> frozenset[str]:
    try:
        return frozenset(map(chr, get_font(file).get_charmap()))
    except (OSError, RuntimeError):  # bitmap fonts, which matplotlib cannot draw
        return frozenset()
