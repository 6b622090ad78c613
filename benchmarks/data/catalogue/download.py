"""Files from the network: mirrors in turn, resumed where they broke off, compared with their checksum, then unpacked.

An archive that lies in its place already, by whatever way it came, is compared and unpacked without a network.
"""

import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

from benchmarks.data.catalogue.entry import DataSet, Download
from benchmarks.data.catalogue.files import digest_of, is_web_page, unpack
from delta_core.reachable import reachable
from delta_core.training.errors import UserError, trouble_of_the_machine

CHUNK = 2**20
TIMEOUT_S = 60
HEADERS = {"User-Agent": "delta-patching"}

Progress = Callable[[str, int, int | None], None]
"""Called with what is fetched, its bytes so far and all of its bytes, if the server says so."""


def fetch(entry: DataSet, data_root: Path, *, mirror: str | None, progress: Progress) -> None:
    """Put every file of a data set into its place and unpack the archives.

    Args:
        entry: the data set.
        data_root: folder below which it will lie.
        mirror: address of a copy of somebody's data root, tried first.
        progress: told after every chunk.

    Raises:
        UserError: if there is nothing to fetch, or no mirror gave the right bytes; it says what to do by hand.
    """
    folder = entry.at(data_root)
    if not entry.downloads:
        raise UserError(f"Data set {entry.name} cannot be downloaded. {by_hand(entry, data_root)}")
    for each in entry.downloads:
        stamp = _stamp(folder, each)
        if stamp.exists():
            continue
        addresses = (f"{mirror.rstrip('/')}/{entry.folder}/{each.path}",) if mirror else ()
        try:
            _place(each, folder, (*addresses, *each.urls), progress)
        except UserError as error:
            raise UserError(f"Data set {entry.name}: {error} {by_hand(entry, data_root)}") from error
        if each.unpack_to is not None:
            progress(f"unpacking {each.path}", 0, None)
            try:
                unpack(folder / each.path, folder / each.unpack_to)
            except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile) as error:
                told = f"cannot be unpacked ({type(error).__name__}: {error}); delete it and fetch again."
                raise UserError(trouble_of_the_machine(error) or f"Archive {folder / each.path} {told}") from error
            stamp.touch()  # an unpacking that was cut off is done again


def is_cut_off(entry: DataSet, data_root: Path) -> bool:
    """Whether an archive lies there that was never unpacked to its end."""
    folder = entry.at(data_root)
    packed = [each for each in entry.downloads if each.unpack_to is not None and (folder / each.path).exists()]
    return any(not _stamp(folder, each).exists() for each in packed)


def _stamp(folder: Path, each: Download) -> Path:
    """Empty file that says that an archive was unpacked to its end."""
    return folder / f".{Path(each.path).name}.unpacked"


def by_hand(entry: DataSet, data_root: Path) -> str:
    """What a person does where nothing can be fetched."""
    folder = entry.at(data_root)
    if entry.recipe:
        return "By hand: " + entry.recipe.replace("{folder}", str(folder))
    paths = ", ".join(str(folder / each.path) for each in entry.downloads)
    return f"By hand: put {paths} there from another source and fetch again, or name a copy with --mirror URL."


def _place(each: Download, folder: Path, addresses: tuple[str, ...], progress: Progress) -> None:
    path = folder / each.path
    if path.exists():
        fault = _fault(path, each.digest)
        if not fault:
            return
        raise UserError(f"{path} is there but {fault}; delete it and fetch again.")
    path.parent.mkdir(parents=True, exist_ok=True)
    tried = []
    within_reach = reachable(addresses)
    for address in addresses:
        if address not in within_reach:
            tried.append(f"{address} (takes no connection)")
            continue
        partial = path.with_name(f"{path.name}.part")
        try:
            _load(address, partial, each.at_most_mb, lambda done, total: progress(each.path, done, total))
        except _TooLargeError as error:
            partial.unlink()
            tried.append(f"{address} ({error})")
            continue
        except (OSError, HTTPException, ValueError) as error:  # URLError and timeouts are OSErrors
            tried.append(f"{address} ({_reason(error)})")
            continue
        fault = _fault(partial, each.digest)
        if fault:
            partial.unlink()
            tried.append(f"{address} ({fault})")
            continue
        partial.replace(path)
        return
    raise UserError(f"{each.path} could not be fetched from {' nor from '.join(tried)}.")


class _TooLargeError(Exception):
    """A server sends more than the file has."""


def _load(address: str, partial: Path, at_most_mb: int, progress: Callable[[int, int | None], None]) -> None:
    """Append what is missing to `partial`; starts anew where a server cannot continue.

    Raises:
        _TooLargeError: for more bytes than `at_most_mb`.
        OSError, HTTPException, ValueError: where the connection fails.
    """
    done = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(address, headers=HEADERS | ({"Range": f"bytes={done}-"} if done else {}))
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is missing, or this file is another one: the checksum will tell
            return
        raise
    with response:
        continued = response.status == 206
        length = response.headers.get("Content-Length")
        done = done if continued else 0
        total = done + int(length) if length else None
        with partial.open("ab" if continued else "wb") as stream:
            while chunk := response.read(CHUNK):
                done += len(chunk)
                if done > at_most_mb * 10**6:
                    raise _TooLargeError(f"sends more than {at_most_mb} MB, which the file has not")
                stream.write(chunk)
                progress(done, total)
    if total is not None and done < total:
        raise OSError(f"broke off after {done} of {total} bytes; fetch again to continue")


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return f"{type(error).__name__}: {error}"


def _fault(path: Path, digest: str) -> str:
    """Why a file is not the one that was published; empty if it is."""
    if is_web_page(path):
        return "is a web page"
    if not digest:
        return ""
    kind, _, expected = digest.partition(":")
    found = digest_of(path, kind)
    return "" if found == expected else f"has the {kind} {found}, expected {expected}"
