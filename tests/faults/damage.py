"""What can happen to a file while nobody looks."""

from collections.abc import Callable
from pathlib import Path
from random import Random

Damage = Callable[[bytes, Random], bytes]


def flipped_bit(content: bytes, random: Random) -> bytes:
    """One bit anywhere."""
    return _with_byte(content, random.randrange(len(content)), 1 << random.randrange(8))


def flipped_exponent(content: bytes, random: Random) -> bytes:
    """The highest bit of an exponent, where the file holds numbers of four bytes."""
    return _with_byte(content, random.randrange(len(content)) | 3, 1 << 6)


def cut(content: bytes, random: Random) -> bytes:
    """The end is gone."""
    return content[: random.randrange(1, len(content))]


def emptied(content: bytes, random: Random) -> bytes:  # noqa: ARG001 - as all damages
    """Nothing is left, as after a power cut."""
    return b""


def zeroed_block(content: bytes, random: Random) -> bytes:
    """Zeros in place of a block, as of a disk that lost it."""
    start = random.randrange(len(content))
    block = content[start : start + 512]
    return content[:start] + bytes(len(block)) + content[start + 512 :]


def doubled_line(content: bytes, random: Random) -> bytes:
    """One line stands there twice."""
    lines = content.splitlines(keepends=True)
    place = random.randrange(len(lines))
    return b"".join((*lines[: place + 1], *lines[place:]))


def missing_line(content: bytes, random: Random) -> bytes:
    """One line is gone."""
    lines = content.splitlines(keepends=True)
    place = random.randrange(len(lines))
    return b"".join((*lines[:place], *lines[place + 1 :]))


def changed_digit(content: bytes, random: Random) -> bytes:
    """One digit is another."""
    place = random.choice([index for index, byte in enumerate(content) if chr(byte).isdigit()])
    other = random.choice([digit for digit in b"0123456789" if digit != content[place]])
    return content[:place] + bytes([other]) + content[place + 1 :]


def _with_byte(content: bytes, place: int, flipped: int) -> bytes:
    place = min(place, len(content) - 1)
    return content[:place] + bytes([content[place] ^ flipped]) + content[place + 1 :]


BINARY: tuple[Damage, ...] = (flipped_bit, flipped_exponent, cut, emptied, zeroed_block)
TEXT: tuple[Damage, ...] = (flipped_bit, cut, emptied, doubled_line, missing_line, changed_digit)


def damage_one(files: list[Path], random: Random) -> tuple[Path, str]:
    """Damage one of some files in one way; which, and how."""
    path = random.choice(sorted(files))
    content = path.read_bytes()
    is_text = path.suffix in (".csv", ".json", ".jsonl")
    while True:
        how = random.choice(TEXT if is_text else BINARY)
        changed = how(content, random)
        if changed != content:
            path.write_bytes(changed)
            return path, how.__name__.replace("_", " ")
