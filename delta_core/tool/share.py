"""`delta-patch push` and `pull`: a patch folder, and nothing else, to and from the Hub or another folder.

What is shared is a list of names, not all that lies in the folder. The list of images goes without their names: what
was trained on can still be told by content, by who has the images.
"""

import re
import tempfile
from dataclasses import replace
from pathlib import Path

from delta_core import download_patch, read_patch
from delta_core.hub import upload_folder
from delta_core.patch_file import MAX_TENSOR_FILE_BYTES
from delta_core.patch_io import JSON_NAME, MAX_BESIDE_BYTES, TENSORS_NAME, check_place, read_file, write_folder
from delta_core.tool import card, confusion, curve, record, seen_images, usual_gates
from delta_core.training.errors import UserError

BESIDE = (card.NAME, confusion.NAME, curve.NAME, record.NAME, seen_images.NAME, usual_gates.NAME)
"""What may stand beside the two files of a patch."""


def push_patch(folder: Path, target: str, *, force: bool, private: bool) -> str:
    """Copy a patch folder to a repository of the Hub or to another folder; returns where it is.

    Args:
        folder: the patch folder.
        target: `owner/name` of a repository; or a folder, which is anything else, and what exists or lies in a folder
            that does.
        force: whether a patch that is there may be replaced.
        private: whether a new repository is; else as the account says.

    Raises:
        UserError, DeltaError: if the folder is no patch, there is something in its place, or the Hub is not reached.
    """
    files = _files_to_share(folder)
    if is_repository(target) and not Path(target).parent.is_dir():
        with tempfile.TemporaryDirectory() as staged:
            for name, content in files.items():
                (Path(staged) / name).write_bytes(content)
            return upload_folder(
                Path(staged), target, replace=force, gone=_absent(files), private=True if private else None
            )
    place = Path(target).expanduser()
    if place.resolve() == folder.resolve():
        raise UserError(f"{target!r} is the patch folder itself; give another place.")
    return _put(files, place, force=force)


def pull_patch(source: str, out: Path, *, force: bool) -> str:
    """Copy the patch of a repository of the Hub, or of another folder, to a folder; returns where it is.

    Args:
        source: a folder that exists, else `owner/name` of a repository.
        out: new, empty, or an older patch.
        force: whether an older patch may be replaced.

    Raises:
        UserError, DeltaError: if there is no patch, something else is in its place, or the Hub is not reached.
    """
    check_place(out, may_replace=force)
    folder = Path(source).expanduser()
    if folder.is_dir():
        if folder.resolve() == out.resolve():
            raise UserError(f"{str(out)!r} is the patch folder itself; give another -o.")
        return _put(_files_of(folder), out, force=force)
    if not is_repository(source):
        raise UserError(f"{source!r} is neither a folder nor a repository like owner/name; give one of them.")
    with tempfile.TemporaryDirectory() as staged:
        return _put(_files_of(download_patch(source, staged, also=BESIDE)), out, force=force)


def is_repository(name: str) -> bool:
    """Whether a name has the form of a repository of the Hub.

    >>> is_repository("me/flowers"), is_repository("./flowers"), is_repository("flowers"), is_repository("a/b/c")
    (True, False, False, False)
    """
    return re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name) is not None


def _files_to_share(folder: Path) -> dict[str, bytes]:
    """What is shared of a patch folder, the list of images without their names."""
    files = _files_of(folder)
    if seen_images.NAME in files:
        seen = seen_images.read_seen(folder, recorded=record.read_identity(folder).seen_sha)
        nameless = [replace(image, file="") for image in seen]
        files[seen_images.NAME] = seen_images.seen_as_csv(nameless)
    return files


def _files_of(folder: Path) -> dict[str, bytes]:
    """Name -> content of the files that belong to a patch; links are left out, for they could point anywhere."""
    read_patch(folder)
    files = {name: read_file(folder / name, at_most=MAX_TENSOR_FILE_BYTES) for name in (JSON_NAME, TENSORS_NAME)}
    for name in BESIDE:
        path = folder / name
        if path.is_file() and not path.is_symlink():
            files[name] = read_file(path, at_most=MAX_BESIDE_BYTES)
    return files


def _absent(files: dict[str, bytes]) -> set[str]:
    return {*BESIDE} - {*files}


def _put(files: dict[str, bytes], folder: Path, *, force: bool) -> str:
    write_folder(folder, files, gone=_absent(files), may_replace=force)
    return str(folder)
