"""Single files: digests, archives, and web pages that stand where an archive should."""

import gzip
import hashlib
import shutil
import tarfile
import zipfile
from pathlib import Path


def digest_of(path: Path, kind: str) -> str:
    """Digest of a file, `md5` or `sha256`, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def is_web_page(path: Path) -> bool:
    """Whether a file is HTML: what a dead link leaves instead of data."""
    with path.open("rb") as stream:
        return stream.read(200).lstrip().lower().startswith((b"<!doctype html", b"<html"))


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar, a zip or a single gz file; a tar inside is unpacked too (the decathlon holds nine)."""
    folder.mkdir(parents=True, exist_ok=True)
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder)
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")  # no links or paths that leave the folder
            inner = [folder / name for name in tar.getnames() if name.endswith(".tar")]
        for each in inner:
            unpack(each, each.parent)
            each.unlink()
    else:
        target = folder / archive.stem
        partial = target.with_name(f"{target.name}.part")
        with gzip.open(archive) as packed, partial.open("wb") as stream:
            shutil.copyfileobj(packed, stream)
        partial.replace(target)
