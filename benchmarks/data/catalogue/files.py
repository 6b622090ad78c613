"""Single files: digests, archives, and web pages that stand where an archive should."""

import gzip
import hashlib
import stat
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from delta_core.training.errors import UserError
from delta_core.training.whole_files import whole_file

MOST_GROWTH = 20
"""Times its own size that an archive may hold. Of the catalogue's, MNIST's images grow most, to five times."""
SPARE = 10**9
"""Bytes that any archive may hold, however small it is."""


def digest_of(path: Path, kind: str) -> str:
    """Digest of a file, `md5` or `sha256`, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def is_web_page(path: Path) -> bool:
    """Whether a file is HTML: what a dead link leaves instead of data."""
    with path.open("rb") as stream:
        return stream.read(200).lstrip().lower().startswith((b"<!doctype html", b"<html"))


@dataclass
class _Room:
    """Bytes that what comes out of an archive may still take, its inner archives included."""

    archive: Path
    left: int

    def take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise UserError(
                f"Archive {self.archive} is not unpacked further: it holds more than {MOST_GROWTH} times its own size, "
                "as no data set does; compare it with its source."
            )

    def refuse(self, name: str) -> NoReturn:
        raise UserError(
            f"Archive {self.archive} is not unpacked further: {name!r} in it is a link or a device, and a data set has "
            "files and folders alone; compare it with its source."
        )


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar, a zip or a single gz file; a tar inside a tar is unpacked too (the decathlon holds nine).

    Nothing is written outside the folder, nor removed there.

    Raises:
        UserError: for an archive that holds links or devices, or grows beyond all measure.
        OSError, EOFError, TarError, BadZipFile: for one that is damaged, or names a place outside the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    room = _Room(archive, MOST_GROWTH * archive.stat().st_size + SPARE)
    if zipfile.is_zipfile(archive):
        _unpack_zip(archive, folder, room)
    elif tarfile.is_tarfile(archive):
        for inner in _unpack_tar(archive, folder, room):
            if tarfile.is_tarfile(inner):
                _unpack_tar(inner, inner.parent, room)
                inner.unlink()
    else:
        _unpack_gz(archive, folder / archive.stem, room)


def _unpack_zip(archive: Path, folder: Path, room: _Room) -> None:
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            room.take(member.file_size)  # no more comes out, whatever is in there
            if stat.S_ISLNK(member.external_attr >> 16):
                room.refuse(member.filename)
        try:
            packed.extractall(folder)  # drops what would lead out of the folder
        except (ValueError, RuntimeError) as error:  # a member without a name, since Python 3.12; one with a password
            raise zipfile.BadZipFile(f"{archive}: {error}") from error


def _unpack_tar(archive: Path, folder: Path, room: _Room) -> list[Path]:
    """Returns where the tars inside are now."""
    inner: list[Path] = []

    def checked(member: tarfile.TarInfo, place: str) -> tarfile.TarInfo:
        if not (member.isreg() or member.isdir()):
            room.refuse(member.name)
        room.take(member.size)
        safe = tarfile.data_filter(member, place)  # no paths that leave the folder; "/a" becomes "a"
        if safe.isreg() and safe.name.endswith(".tar"):
            inner.append(folder / safe.name)
        return safe

    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter=checked)
    return inner


def _unpack_gz(archive: Path, target: Path, room: _Room) -> None:
    with gzip.open(archive) as packed, whole_file(target) as partial, partial.open("wb") as stream:
        while block := packed.read(2**20):
            room.take(len(block))
            stream.write(block)
