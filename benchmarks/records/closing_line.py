"""The last line of a file of one run: how many values stand above it, below a head line, and the SHA-256 of all that.

A file that was cut, or changed by a single character, does not fit its closing line.
"""

import hashlib
import re
from collections.abc import Iterable

_CLOSING = re.compile(rb'\{"values": (\d+), "sha256": "([0-9a-f]{64})"\}\n')
_LENGTH = 120
"""More bytes than a closing line has."""


def closed(lines: Iterable[str]) -> str:
    """A head line and lines of values as the text of a file, with the closing line at its end."""
    text = "".join(f"{line}\n" for line in lines)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f'{text}{{"values": {text.count(chr(10)) - 1}, "sha256": "{digest}"}}\n'


def above_closing_line(content: bytes) -> bytes | None:
    """What stands above the closing line of a file; None if it has none.

    Raises:
        ValueError: if that is not what the closing line was written for.
    """
    place = content.rfind(b"\n", max(0, len(content) - _LENGTH), len(content) - 1) + 1
    found = _CLOSING.fullmatch(content, place)
    if found is None:
        return None
    above = content[:place]
    if int(found[1]) != above.count(b"\n") - 1 or found[2].decode() != hashlib.sha256(above).hexdigest():
        raise ValueError("it is not what its closing line says")
    return above
