"""Names come from people, file systems and strangers: which are one line of text, and how any other is shown."""

import unicodedata
from typing import Any

LONGEST = 1000
"""Characters of a name."""

UNPRINTED = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Categories of Unicode: control characters, halves of pairs (bytes that were no UTF-8), ends of lines."""

TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Have a terminal write what follows from the other side."""


def is_line(value: Any) -> bool:
    r"""Whether a value is a text that prints as it is, on one line, and is not too long for a name.

    >>> is_line("Ωμέγα <b>$x$</b>"), is_line("tab\t"), is_line("\x1b[31m"), is_line("\udce9")
    (True, False, False, False)
    """
    return type(value) is str and len(value) <= LONGEST and not any(map(_is_unprinted, value))


def shown(text: str) -> str:
    r"""A text on one line that does nothing to a terminal: what does not print as it is becomes an escape.

    >>> print(shown("naïve \x1b[31m\n\udce9"))
    naïve \x1b[31m\n\udce9
    """
    return "".join(
        letter.encode("unicode_escape").decode() if _is_unprinted(letter) or letter in TURNS else letter
        for letter in text
    )


def _is_unprinted(letter: str) -> bool:
    return unicodedata.category(letter) in UNPRINTED
