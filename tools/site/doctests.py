"""An extension of griffe: examples in docstrings are code, whatever section they stand in."""

import re
from typing import Any

import griffe

DOCTEST = re.compile(r"^(?P<indent> *)>>> .*(?:\n(?P=indent)\S.*|\n(?P=indent) +\S.*)*", re.MULTILINE)


class FencedDoctests(griffe.Extension):
    """Puts a fence around every run of lines that begins with `>>>` and ends before an empty line."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for everything that griffe has read."""
        if obj.docstring:
            obj.docstring.value = DOCTEST.sub(fenced, obj.docstring.value)


def fenced(match: re.Match[str]) -> str:
    """The lines between fences of their own indentation."""
    indent = match["indent"]
    return f"{indent}```pycon\n{match[0]}\n{indent}```"
