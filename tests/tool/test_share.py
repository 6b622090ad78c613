"""`delta-patch push` and `pull`: what leaves a patch folder, what is replaced, and what a Hub out of reach does."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import errors

from delta_core import read_patch
from delta_core.tool.seen_images import read_seen

PATCH = {
    *("README.md", "confusion.png", "delta.json", "gates.csv", "images.csv", "patch.safetensors", "training.json"),
    "training.png",
}


@pytest.fixture
def kept(world: Path, tmp_path: Path) -> Path:
    """A patch folder with things in it that are nobody else's business."""
    folder = shutil.copytree(world / "kept", tmp_path / "kept")
    (folder / "passwords.txt").write_text("secret")
    (folder / "photos").mkdir()
    (folder / "photos" / "me.png").write_bytes(b"secret")
    (folder / ".git").mkdir()
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Hub in a directory, behind the functions that are used; its cache holds links, as the real one does."""
    root, cache = tmp_path / "hub", tmp_path / "cache"

    class FakeApi:
        def __init__(self, token: str | None = None) -> None:
            assert token is None

        def repo_info(self, repo_id: str, *, revision: str | None, timeout: float) -> SimpleNamespace:
            assert revision is None
            assert timeout <= 5
            if not (root / repo_id).is_dir():
                raise not_found(repo_id)
            return SimpleNamespace(
                siblings=[SimpleNamespace(rfilename=path.name) for path in (root / repo_id).iterdir()]
            )

        def create_repo(self, repo_id: str, *, exist_ok: bool, private: bool | None) -> None:
            assert exist_ok
            (root / repo_id).mkdir(parents=True, exist_ok=True)
            (root / repo_id / ".gitattributes").write_text(str(private))

        def upload_folder(
            self, *, repo_id: str, folder_path: Path, commit_message: str, delete_patterns: list[str]
        ) -> str:
            for name in delete_patterns:
                (root / repo_id / name).unlink(missing_ok=True)
            shutil.copytree(folder_path, root / repo_id, dirs_exist_ok=True)
            return f"hub/{repo_id}/commit/1?{commit_message}"

    def snapshot_download(
        repo_id: str, *, revision: str | None, token: str | None, allow_patterns: list[str], local_files_only: bool
    ) -> str:
        assert (revision, token, local_files_only) == (None, None, False)
        snapshot = cache / repo_id
        shutil.rmtree(snapshot, ignore_errors=True)
        snapshot.mkdir(parents=True)
        for path in (root / repo_id).iterdir():
            if path.name in allow_patterns:
                (snapshot / path.name).symlink_to(path)
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "HfApi", FakeApi)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return root


def not_found(repo_id: str) -> errors.RepositoryNotFoundError:
    response = SimpleNamespace(headers={}, request=None, status_code=404)
    return errors.RepositoryNotFoundError(f"no {repo_id}\nat all", response=response)


def names_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_a_folder_is_pushed_pulled_and_used(
    world: Path, kept: Path, patch_tool: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf = tmp_path / "shelf" / "pets"
    assert patch_tool("push", kept, shelf) == 0
    assert str(shelf) in capsys.readouterr().out
    assert names_in(shelf) == PATCH
    assert patch_tool("pull", shelf, "-o", tmp_path / "mine") == 0
    assert names_in(tmp_path / "mine") == PATCH
    assert read_patch(tmp_path / "mine") == read_patch(kept)
    known = ("--weights", world / "net.pt")
    said = []
    for folder in (kept, tmp_path / "mine"):
        capsys.readouterr()
        assert patch_tool("eval", folder, world / "pets", *known) == 0
        assert patch_tool("predict", folder, world / "pets" / "test", *known) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert "are not counted" in eval_of(patch_tool, tmp_path / "mine", world, capsys)


def eval_of(patch_tool: Callable[..., int], patch: Path, world: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What eval says of training images mixed with others."""
    mixed = shutil.copytree(world / "pets" / "test", patch.parent / "mixed")
    shutil.copy(world / "pets" / "train" / "cat" / "0.png", mixed / "cat" / "trained on.png")
    assert patch_tool("eval", patch, mixed, "--weights", world / "net.pt") == 0
    return capsys.readouterr().out


def test_the_list_of_images_goes_without_names(kept: Path, patch_tool: Callable[..., int], tmp_path: Path) -> None:
    assert patch_tool("push", kept, tmp_path / "shelf") == 0
    here, there = read_seen(kept), read_seen(tmp_path / "shelf")
    assert [(image.part, image.content) for image in here] == [(image.part, image.content) for image in there]
    assert {image.file for image in there} == {""}
    assert all(image.file for image in here), "the folder itself keeps them"


def test_a_link_is_not_shared(kept: Path, patch_tool: Callable[..., int], tmp_path: Path) -> None:
    (kept / "confusion.png").unlink()
    (kept / "confusion.png").symlink_to(kept / "passwords.txt")
    assert patch_tool("push", kept, tmp_path / "shelf") == 0
    assert names_in(tmp_path / "shelf") == PATCH - {"confusion.png"}


def test_an_older_patch_is_replaced_with_force_alone_and_as_a_whole(
    kept: Path, patch_tool: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("delta.json", "patch.safetensors"):  # as save_patch leaves it
        shutil.copy(kept / name, bare / name)
    for words in (("push", bare, tmp_path / "there"), ("pull", bare, "-o", tmp_path / "there")):
        shutil.copytree(kept, tmp_path / "there")
        before = {path: path.read_bytes() for path in (tmp_path / "there").iterdir() if path.is_file()}
        assert patch_tool(*words) == 2
        assert "holds a patch already; give another place, or --force to replace it" in capsys.readouterr().err
        assert before == {path: path.read_bytes() for path in (tmp_path / "there").iterdir() if path.is_file()}
        assert patch_tool(*words, "--force") == 0
        left = {"delta.json", "patch.safetensors", "passwords.txt", "photos", "photos/me.png", ".git"}
        assert names_in(tmp_path / "there") == left, "no picture of the old patch beside the new one"
        shutil.rmtree(tmp_path / "there")


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_what_is_no_patch_is_never_replaced(
    force: tuple[str, ...],
    kept: Path,
    patch_tool: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "thesis.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for words, message in [
        (("push", kept, thesis), "exists and is not a patch folder"),
        (("push", kept, tmp_path / "file"), "exists and is not a patch folder"),
        (("push", kept, kept), "is the patch folder itself"),
        (("push", thesis, tmp_path / "new"), "cannot be read"),
        (("push", tmp_path / "absent", tmp_path / "new"), "is not a folder"),
        (("pull", kept, "-o", thesis), "exists and is not a patch folder"),
        (("pull", thesis, "-o", tmp_path / "new"), "cannot be read"),
        (("pull", "nowhere", "-o", tmp_path / "new"), "'nowhere' is neither a folder nor a repository"),
        (("pull", tmp_path / "absent", "-o", tmp_path / "new"), "is neither a folder nor a repository"),
    ]:
        assert patch_tool(*words, *force) == 2, words
        told = capsys.readouterr().err
        if message != "is the patch folder itself" or force:
            assert message in told, told
        assert told.count("\n") == 1
    assert (thesis / "thesis.txt").read_text() == "mine"
    assert not (tmp_path / "new").exists()
    assert names_in(kept) > PATCH


def test_a_repository_gets_the_patch_alone(
    kept: Path, hub: Path, patch_tool: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert patch_tool("push", kept, "me/pets", "--private") == 0
    assert "hub/me/pets/commit/1" in capsys.readouterr().out
    assert names_in(hub / "me/pets") == PATCH | {".gitattributes"}
    assert (hub / "me/pets/.gitattributes").read_text() == "True"
    assert {image.file for image in read_seen(hub / "me/pets")} == {""}
    assert patch_tool("pull", "me/pets", "-o", tmp_path / "mine") == 0
    assert names_in(tmp_path / "mine") == PATCH
    assert not any(path.is_symlink() for path in (tmp_path / "mine").iterdir())
    assert read_patch(tmp_path / "mine") == read_patch(kept)


def test_a_repository_is_replaced_with_force_alone(
    kept: Path, hub: Path, patch_tool: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert patch_tool("push", kept, "me/pets") == 0
    assert (hub / "me/pets/.gitattributes").read_text() == "None", "public or private as the account says"
    for name in ("README.md", "confusion.png"):
        (kept / name).unlink()
    assert patch_tool("push", kept, "me/pets") == 2
    assert "me/pets holds a patch already; give another name, or --force to replace it" in capsys.readouterr().err
    assert patch_tool("push", kept, "me/pets", "--force") == 0
    assert names_in(hub / "me/pets") == PATCH - {"README.md", "confusion.png"} | {".gitattributes"}
    (hub / "me/model").mkdir()
    (hub / "me/model/config.json").write_text("{}")
    assert patch_tool("push", kept, "me/model", "--force") == 2
    assert "me/model holds 'config.json' and no patch" in capsys.readouterr().err
    assert names_in(hub / "me/model") == {"config.json"}


def test_a_folder_that_exists_is_meant_before_the_hub(
    kept: Path, hub: Path, patch_tool: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "me").mkdir()
    monkeypatch.chdir(tmp_path)
    assert patch_tool("push", kept, "me/pets") == 0
    assert names_in(tmp_path / "me/pets") == PATCH
    assert patch_tool("pull", "me/pets", "-o", "mine") == 0
    assert not hub.exists()


@contextmanager
def silent_server() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def no_server() -> Iterator[str]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
    yield address


@pytest.mark.parametrize("hub_out_of_reach", [silent_server, no_server])
@pytest.mark.timeout(120)  # a client without a limit of its own would wait for ever
def test_a_hub_out_of_reach_is_one_sentence(
    hub_out_of_reach: Callable[[], Iterator[str]], kept: Path, tmp_path: Path
) -> None:
    code = "import sys; from delta_core.tool.__main__ import main; main()"
    with hub_out_of_reach() as address:
        for words in (("push", kept, "me/pets"), ("pull", "me/pets", "-o", tmp_path / "new")):
            done = subprocess.run(
                [sys.executable, "-c", code, *map(str, words)],
                env=os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode, done.stdout) == (2, "")
            assert done.stderr == (
                "delta-patch: The Hub cannot be reached for 'me/pets'; connect to the network, or give a folder like "
                "./me/pets.\n"
            )
    assert not (tmp_path / "new").exists()


def test_a_patch_without_history_is_shared_as_it_is(kept: Path, patch_tool: Callable[..., int], tmp_path: Path) -> None:
    """As earlier versions wrote it."""
    record = json.loads((kept / "training.json").read_text())
    del record["history"]
    (kept / "training.json").write_text(json.dumps(record))
    (kept / "training.png").unlink()
    assert patch_tool("push", kept, tmp_path / "shelf") == 0
    assert names_in(tmp_path / "shelf") == PATCH - {"training.png"}
