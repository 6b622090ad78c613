"""Two files that belong together, changed as one."""

from pathlib import Path

from delta_core.training.whole_files import sync_folder, whole_text


def write_pair(first: Path, second: Path, texts: tuple[str, str]) -> None:
    """Replace two files of one folder by texts that belong together; for one writer at a time.

    Both texts are laid down under waiting names; then the first file takes its place, which is the moment the change
    counts from, and then the second. Killed between the two, the second is still found by `read_pair`.
    """
    _settle(first, second)
    for path, text in zip((first, second), texts, strict=True):
        with whole_text(_waiting(path)) as stream:
            stream.write(text)
    _waiting(first).replace(first)
    _waiting(second).replace(second)
    sync_folder(first.parent)


def read_pair(first: Path, second: Path) -> tuple[bytes, bytes | None]:
    """Contents of two files that belong together; None for a second that is not there.

    It takes no lock, so that folders of others can be read: what a writer changed meanwhile is read again.

    Raises:
        FileNotFoundError: if the first is not there.
    """
    while True:
        version, place = _version(first), _place(first, second)
        text = first.read_bytes()
        try:
            text_of_second: bytes | None = place.read_bytes()
        except FileNotFoundError:
            text_of_second = None
        # In the opposite order, so that nothing was looked at outside the time in which the first file stayed the same.
        if (_place(first, second), _version(first)) == (place, version):
            return text, text_of_second


def _version(path: Path) -> tuple[int, int]:
    """Tells a file from the one that replaces it."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


def _place(first: Path, second: Path) -> Path:
    """Where the second file lies: in its place, or still waiting for it though the first is there."""
    return _waiting(second) if _waiting(second).exists() and not _waiting(first).exists() else second


def _settle(first: Path, second: Path) -> None:
    """Finish what a killed process had begun: a change that counts is completed, another forgotten."""
    if _waiting(first).exists():
        _waiting(second).unlink(missing_ok=True)  # before the first: alone it would seem to count
        _waiting(first).unlink()
    elif _waiting(second).exists():
        _waiting(second).replace(second)


def _waiting(path: Path) -> Path:
    return path.with_name(f".{path.name}.waiting")
