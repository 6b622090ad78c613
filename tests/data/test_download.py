"""Fetching from a server on this machine: mirrors, resuming, checksums, web pages, archives, what to do by hand."""

import gzip
import hashlib
import io
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lookalikes import packed, small, write

from benchmarks.data.catalogue import download, files
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


def member(name: str, content: bytes = b"", **said: Any) -> tuple[tarfile.TarInfo, bytes]:
    found = tarfile.TarInfo(name)
    found.size = len(content)
    for key, value in said.items():
        setattr(found, key, value)
    return found, content


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for found, content in members:
            archive.addfile(found, io.BytesIO(content))
    return path


def test_a_tar_inside_by_an_absolute_name_is_not_the_user_s(tmp_path: Path) -> None:
    mine = tar_of(tmp_path / "mine.tar", member("letter.txt", b"dear"))
    inner = tar_of(tmp_path / "inner.tar", member("1.txt", b"one")).read_bytes()
    before = mine.read_bytes()
    unpack(tar_of(tmp_path / "outer.tar", member(str(mine), inner)), tmp_path / "out")
    assert mine.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inner.tar", "mine.tar", "out", "outer.tar"]
    assert [path.name for path in (tmp_path / "out").rglob("*.*")] == ["1.txt"]


@pytest.mark.parametrize(
    "said",
    [
        {"type": tarfile.SYMTYPE, "linkname": "../mine"},
        {"type": tarfile.SYMTYPE, "linkname": "inside"},
        {"type": tarfile.LNKTYPE, "linkname": "inside"},
        {"type": tarfile.FIFOTYPE},
        {"type": tarfile.CHRTYPE},
        {"type": tarfile.BLKTYPE},
    ],
    ids=["link that leaves", "link", "hard link", "pipe", "character device", "block device"],
)
def test_links_and_devices_are_refused(said: dict[str, Any], tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "odd.tar", member("inside", b"x"), member("odd", **said))
    with pytest.raises(UserError, match=r"odd\.tar is not unpacked further: 'odd' in it is a link or a device") as told:
        unpack(archive, tmp_path / "out")
    assert "\n" not in str(told.value)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["inside"]


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as archive:
        link = zipfile.ZipInfo("odd")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc")
    with pytest.raises(UserError, match="'odd' in it is a link"):
        unpack(tmp_path / "odd.zip", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("kind", ["tar", "tar in a tar", "zip", "gz"])
def test_an_archive_that_grows_beyond_measure_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SPARE", 1000)
    much, path = b"x" * 10**6, tmp_path / "bomb"
    if kind == "gz":
        path.write_bytes(gzip.compress(much))
    elif kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("much", much)
    else:
        tar_of(path, member("much", much))
        if kind == "tar in a tar":
            path = tar_of(tmp_path / "outer", member("bomb.tar", path.read_bytes()))
    with pytest.raises(UserError, match=r"is not unpacked further: it holds more than 20 times its own size"):
        unpack(path, tmp_path / "out")
    left = [each for each in (tmp_path / "out").rglob("*") if each.is_file()]
    assert sum(each.stat().st_size for each in left) < 10**5


def test_a_tar_three_deep_stays_packed(tmp_path: Path) -> None:
    third = tar_of(tmp_path / "3", member("1.txt", b"one")).read_bytes()
    second = tar_of(tmp_path / "2", member("third.tar", third)).read_bytes()
    unpack(tar_of(tmp_path / "1", member("second.tar", second)), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["third.tar"]


NAMES = st.text(st.sampled_from("ab./\\~ "), min_size=1, max_size=12).map(lambda name: name.replace("~", ".tar"))


@given(names=st.lists(NAMES, min_size=1, max_size=4), as_zip=st.booleans())
@example(names=["/"], as_zip=True)
def test_whatever_it_is_called_nothing_lands_outside(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], as_zip: bool
) -> None:
    root = tmp_path_factory.mktemp("unpacked")
    (root / "a.tar").write_bytes(b"mine")
    if as_zip:
        with zipfile.ZipFile(root / "packed", "w") as archive:
            for name in dict.fromkeys(names):
                archive.writestr(name, "x")
    else:
        tar_of(root / "packed", *(member(name, b"x") for name in names))
    with suppress(UserError, OSError, tarfile.TarError, zipfile.BadZipFile):
        unpack(root / "packed", root / "deep" / "out")
    assert sorted(path.name for path in root.iterdir()) == ["a.tar", "deep", "packed"]
    assert [path.name for path in (root / "deep").iterdir()] == ["out"]
    assert (root / "a.tar").read_bytes() == b"mine"


def test_a_zip_with_a_password_is_a_damaged_one(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "open", "w") as archive:
        archive.writestr("a", "x")
    packed = bytearray((tmp_path / "open").read_bytes())
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # of the file, and of its line in the directory
        packed[packed.index(header) + flags] |= 1
    (tmp_path / "locked").write_bytes(packed)
    with pytest.raises(zipfile.BadZipFile, match="password"):
        unpack(tmp_path / "locked", tmp_path / "out")


def test_a_server_that_sends_without_end_is_left(site: Site, tmp_path: Path) -> None:
    site.files |= {"/endless": bytes(3 * 10**6), "/right": CONTENT}
    entry = one_file(site, "endless", "right")
    entry = replace(entry, downloads=(replace(entry.downloads[0], at_most_mb=1),))
    assert get(entry, tmp_path) == CONTENT
    site.files.pop("/right")
    with pytest.raises(UserError, match=r"/endless \(sends more than 1 MB, which the file has not\)"):
        get(entry, tmp_path / "other")
    assert list((tmp_path / "other/usps/sub").iterdir()) == []
