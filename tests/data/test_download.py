"""Fetching from a server on this machine: mirrors, resuming, checksums, web pages, archives, what to do by hand."""

import gzip
import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from lookalikes import small, write

from benchmarks.data.catalogue import download
from benchmarks.data.catalogue.check import check
from benchmarks.data.catalogue.download import fetch
from benchmarks.data.catalogue.entry import DataSet, Download
from benchmarks.data.catalogue.files import unpack
from delta_core.training.errors import UserError


@dataclass
class Site:
    """Files of a server, what it was asked, and how it misbehaves."""

    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    breaks_off_after: int | None = None
    ranges: bool = True
    address: str = ""


class Handler(BaseHTTPRequestHandler):
    def __init__(self, site: Site, *arguments: object) -> None:
        self.site = site
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.site.asked.append((self.path, wanted))
        if self.path not in self.site.files:
            self.send_error(404)
            return
        content = self.site.files[self.path]
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.site.ranges else 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = len(content) if self.site.breaks_off_after is None else start + self.site.breaks_off_after
        self.wfile.write(content[start:end])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, found)) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        found.address = f"http://127.0.0.1:{server.server_port}"
        yield found
        server.shutdown()


def quiet(*_: object) -> None:
    pass


CONTENT = bytes(range(256)) * 40
DIGEST = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


def one_file(site: Site, *names: str, digest: str = DIGEST) -> DataSet:
    urls = tuple(f"{site.address}/{name}" for name in names)
    return replace(small("usps"), downloads=(Download(path="sub/a.bin", urls=urls, digest=digest),))


def get(entry: DataSet, root: Path, mirror: str | None = None) -> bytes:
    fetch(entry, root, mirror=mirror, progress=quiet)
    return (root / "usps/sub/a.bin").read_bytes()


def test_a_file_is_fetched_once(site: Site, tmp_path: Path) -> None:
    site.files["/a"] = CONTENT
    seen: list[tuple[str, int, int | None]] = []
    fetch(one_file(site, "a"), tmp_path, mirror=None, progress=lambda *told: seen.append(told))
    assert seen[-1] == ("sub/a.bin", len(CONTENT), len(CONTENT))
    assert get(one_file(site, "a"), tmp_path) == CONTENT
    assert len(site.asked) == 1
    assert [path.name for path in (tmp_path / "usps/sub").iterdir()] == ["a.bin"]


def test_mirrors_are_tried_in_turn(site: Site, tmp_path: Path) -> None:
    site.files |= {"/wrong": b"x" * 99, "/page": b"<!DOCTYPE html><p>moved", "/right": CONTENT}
    assert get(one_file(site, "gone", "wrong", "page", "right"), tmp_path) == CONTENT
    assert [path for path, _ in site.asked] == ["/gone", "/wrong", "/page", "/right"]


def test_ones_own_mirror_comes_first(site: Site, tmp_path: Path) -> None:
    site.files |= {"/copy/usps/sub/a.bin": CONTENT}
    assert get(one_file(site, "a"), tmp_path, mirror=f"{site.address}/copy/") == CONTENT


def test_what_broke_off_is_continued(site: Site, tmp_path: Path) -> None:
    site.files["/a"], site.breaks_off_after = CONTENT, 3000
    entry = one_file(site, "a")
    for _ in range(3):
        with pytest.raises(UserError, match=r"could not be fetched.*fetch again"):
            get(entry, tmp_path)
    site.breaks_off_after = None
    assert get(entry, tmp_path) == CONTENT
    assert [wanted for _, wanted in site.asked] == [None, "bytes=3000-", "bytes=6000-", "bytes=9000-"]


def test_a_server_that_cannot_continue_starts_anew(site: Site, tmp_path: Path) -> None:
    site.files["/a"], site.ranges = CONTENT, False
    (tmp_path / "usps/sub").mkdir(parents=True)
    (tmp_path / "usps/sub/a.bin.part").write_bytes(b"something old")
    assert get(one_file(site, "a"), tmp_path) == CONTENT


def test_a_whole_part_needs_no_more_bytes(site: Site, tmp_path: Path) -> None:
    site.files["/a"] = CONTENT
    (tmp_path / "usps/sub").mkdir(parents=True)
    (tmp_path / "usps/sub/a.bin.part").write_bytes(CONTENT)
    assert get(one_file(site, "a"), tmp_path) == CONTENT


def test_a_mirror_that_takes_no_connection_is_not_waited_for(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.files["/good"] = CONTENT
    entry = one_file(site, "good")
    dead = "https://dead.invalid/a.bin"
    entry = replace(entry, downloads=(replace(entry.downloads[0], urls=(dead, *entry.downloads[0].urls)),))
    monkeypatch.setattr(download, "reachable", lambda addresses: set(addresses) - {dead})
    assert get(entry, tmp_path) == CONTENT
    monkeypatch.setattr(download, "reachable", lambda _: set())
    with pytest.raises(UserError, match=rf"from {dead} \(takes no connection\) nor from .*\(takes no connection\)"):
        get(entry, tmp_path / "other")


def test_wrong_bytes_are_never_kept(site: Site, tmp_path: Path) -> None:
    site.files["/a"] = CONTENT[:-1]
    with pytest.raises(UserError, match=r"has the md5 [0-9a-f]{32}, expected [0-9a-f]{32}.* By hand: put .*a\.bin"):
        get(one_file(site, "a"), tmp_path)
    assert list((tmp_path / "usps/sub").iterdir()) == []


def test_a_web_page_without_checksum_is_not_an_archive(site: Site, tmp_path: Path) -> None:
    site.files["/a"] = b"  <html>sign in"
    with pytest.raises(UserError, match="is a web page"):
        get(one_file(site, "a", digest=""), tmp_path)


def test_a_file_that_is_there_is_not_overwritten(site: Site, tmp_path: Path) -> None:
    (tmp_path / "usps/sub").mkdir(parents=True)
    (tmp_path / "usps/sub/a.bin").write_bytes(b"mine")
    with pytest.raises(UserError, match="is there but has the md5"):
        get(one_file(site, "a"), tmp_path)
    assert (tmp_path / "usps/sub/a.bin").read_bytes() == b"mine"
    assert site.asked == []


def test_dead_links_end_in_the_recipe(site: Site, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        get(replace(one_file(site, "gone", "lost"), recipe="Put it into {folder}."), tmp_path)
    text = str(caught.value)
    assert f"{site.address}/gone (HTTP 404) nor from {site.address}/lost (HTTP 404)" in text
    assert text.endswith(f"By hand: Put it into {tmp_path / 'usps'}.")


def test_what_needs_a_login_says_how(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cars cannot be downloaded\. By hand: .*kaggle\.com"):
        fetch(small("cars"), tmp_path, mirror=None, progress=quiet)


# --- archives ----------------------------------------------------------------------------------------------------


def packed(folder: Path, kind: str) -> bytes:
    """All of a folder as an archive."""
    stream = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(stream, "w") as archive:
            for path in folder.rglob("*"):
                archive.write(path, path.relative_to(folder))
    else:
        with tarfile.open(fileobj=stream, mode="w:gz") as archive:
            for path in folder.iterdir():
                archive.add(path, path.name)
    return stream.getvalue()


@pytest.mark.parametrize(("name", "kind"), [("resisc45", "zip"), ("cifar100", "tar")])
def test_a_data_set_arrives_as_declared(name: str, kind: str, site: Site, tmp_path: Path) -> None:
    entry = write(name, tmp_path / "there")
    site.files["/all"] = packed(entry.at(tmp_path / "there"), kind)
    digest = f"sha256:{hashlib.sha256(site.files['/all']).hexdigest()}"
    archive = Download(path=f"all.{kind}", urls=(f"{site.address}/all",), digest=digest, unpack_to=".")
    entry = replace(entry, downloads=(archive,))
    fetch(entry, tmp_path / "here", mirror=None, progress=quiet)
    assert check(entry, tmp_path / "here") == []
    site.files.clear()
    (entry.at(tmp_path / "here") / f"all.{kind}").unlink()  # whoever needs the room may delete it
    fetch(entry, tmp_path / "here", mirror=None, progress=quiet)
    assert check(entry, tmp_path / "here") == []


def test_an_unpacking_that_was_cut_off_is_done_again(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = write("cifar100", tmp_path / "there")
    site.files["/all"] = packed(entry.at(tmp_path / "there"), "tar")
    archive = Download(path="all.tar.gz", urls=(f"{site.address}/all",), digest="", unpack_to=".")
    entry = replace(entry, downloads=(archive,))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("benchmarks.data.catalogue.download.unpack", killed)
        fetch(entry, tmp_path, mirror=None, progress=quiet)
    fetch(entry, tmp_path, mirror=None, progress=quiet)
    assert check(entry, tmp_path) == []
    assert len(site.asked) == 1


def test_a_damaged_archive_is_told(site: Site, tmp_path: Path) -> None:
    site.files["/all"] = b"\x1f\x8b not really gz"
    archive = Download(path="all.tar.gz", urls=(f"{site.address}/all",), digest="", unpack_to=".")
    with pytest.raises(UserError, match=r"all\.tar\.gz cannot be unpacked .*delete it and fetch again"):
        fetch(replace(small("usps"), downloads=(archive,)), tmp_path, mirror=None, progress=quiet)


def test_tars_inside_a_tar_and_single_gz_files_are_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a/dtd").mkdir(parents=True)
    (tmp_path / "a/dtd/1.txt").write_text("one")
    inner = tmp_path / "b/dtd.tar"
    inner.parent.mkdir()
    with tarfile.open(inner, "w") as archive:
        archive.add(tmp_path / "a/dtd", "dtd")
    with tarfile.open(tmp_path / "outer.tar.gz", "w:gz") as archive:
        archive.add(inner, "dtd.tar")
    unpack(tmp_path / "outer.tar.gz", tmp_path / "out")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")] == ["dtd/1.txt"]
    (tmp_path / "t10k-ubyte.gz").write_bytes(gzip.compress(b"digits"))
    unpack(tmp_path / "t10k-ubyte.gz", tmp_path / "raw")
    assert (tmp_path / "raw/t10k-ubyte").read_bytes() == b"digits"


def test_an_archive_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "evil").write_text("evil")
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        archive.add(tmp_path / "evil", "../../escaped")
    with pytest.raises(tarfile.TarError):
        unpack(tmp_path / "evil.tar", tmp_path / "x/y")
    assert not (tmp_path / "escaped").exists()
