"""Patches on the Hub, offline: a local folder, and a fake Hub that is a directory."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import safetensors.torch
import timm
import torch
from huggingface_hub.errors import HfHubHTTPError, HTTPError, LocalEntryNotFoundError
from patch_folders import edit
from torch import nn

from delta_core import DeltaConfig, DeltaError, DeltaModel, download_patch, read_patch
from delta_core.patch_io import JSON_NAME


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights of a small net that timm can make by name."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        safetensors.torch.save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "base.safetensors")
    return tmp_path / "base.safetensors"


@pytest.fixture
def model(weights: Path) -> DeltaModel:
    net = timm.create_model("test_resnet")
    net.load_state_dict(safetensors.torch.load_file(weights))
    model = DeltaModel(net, weights=str(weights)).eval()
    for name in ("a", "b"):
        model.add_patch(name, num_classes=3, config=DeltaConfig.paper(n_modules=1))
    return model


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Hub in a directory, behind the functions that are used; its cache holds links, as the real one does.

    It is out of reach while there is a file `unreached` beside it.
    """
    root, cache, unreached = tmp_path / "hub", tmp_path / "cache", tmp_path / "unreached"

    class FakeApi:
        def __init__(self, token: str | None = None) -> None:
            self.token = token

        def repo_info(self, repo_id: str, *, revision: str | None, timeout: float) -> object:
            if unreached.exists():
                raise HTTPError(f"no answer in {timeout} s")
            if not (root / repo_id).is_dir() or revision == "nowhere":
                response = SimpleNamespace(headers={}, request=None, status_code=404)
                raise HfHubHTTPError(f"no {repo_id}\nat all, {self.token}", response=response)
            return object()

        def create_repo(self, repo_id: str, *, exist_ok: bool, private: bool | None) -> None:
            assert exist_ok
            (root / repo_id).mkdir(parents=True, exist_ok=True)
            (root / repo_id / "settings").write_text(f"{self.token} {private}")

        def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str) -> str:
            shutil.copytree(folder_path, root / repo_id, dirs_exist_ok=True)
            return f"hub/{repo_id}/commit/1?{commit_message}"

    def snapshot_download(repo_id: str, *, allow_patterns: list[str], local_files_only: bool, **_: object) -> str:
        assert local_files_only == unreached.exists()
        snapshot = cache / repo_id
        if local_files_only and not snapshot.is_dir():
            raise LocalEntryNotFoundError(f"no {repo_id} here")
        snapshot.mkdir(parents=True, exist_ok=True)
        for path in (root / repo_id).iterdir():
            if path.name in allow_patterns and not (snapshot / path.name).exists():
                (snapshot / path.name).symlink_to(path)
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "HfApi", FakeApi)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return root


def equal(a: nn.Module, b: nn.Module) -> bool:
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return torch.equal(a(x), b(x))


def test_a_local_folder_gives_backbone_and_patch(model: DeltaModel, weights: Path, tmp_path: Path) -> None:
    other = DeltaModel.from_pretrained(model.save_patch(tmp_path / "p"), weights=str(weights))
    assert isinstance(other, DeltaModel)
    assert (other.architecture, other.weights, other.active_patch) == ("test_resnet", f"file:{weights.name}", "b")
    assert not any(module.training for module in other.modules())
    assert equal(other, model)
    other.assert_frozen()


def test_a_source_that_the_patch_names_is_used_unless_it_is_a_file(
    model: DeltaModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def load(architecture: str, source: str) -> nn.Module:
        asked.append((architecture, source))
        return model.backbone

    monkeypatch.setattr("delta_core.hub.load_backbone", load)
    folder = model.save_patch(tmp_path / "p")
    for source in ("", "/etc/passwd", "../base.safetensors", str(tmp_path / "base.safetensors")):
        edit(folder, lambda raw, source=source: raw["base"].update(weights=source))
        with pytest.raises(DeltaError, match="no timm:TAG, torchvision:TAG or pypi:NAME; pass weights="):
            DeltaModel.from_pretrained(folder)
    assert asked == []
    edit(folder, lambda raw: raw["base"].update(weights="timm:test_resnet.r160_in1k"))
    assert equal(DeltaModel.from_pretrained(str(folder)), model)
    assert asked == [("test_resnet", "timm:test_resnet.r160_in1k")]


def test_another_backbone_is_refused_unless_asked_for(model: DeltaModel, weights: Path, tmp_path: Path) -> None:
    folder = model.save_patch(tmp_path / "p")
    state = safetensors.torch.load_file(weights)
    safetensors.torch.save_file({name: t + 1 if "fc" in name else t for name, t in state.items()}, weights)
    with pytest.raises(DeltaError, match="another backbone"):
        DeltaModel.from_pretrained(folder, weights=str(weights))
    with pytest.warns(UserWarning, match="another backbone"):
        other = DeltaModel.from_pretrained(folder, weights=str(weights), strict=False)
    assert equal(other, model), "the base head is no part of the patch"


def test_a_round_trip_over_the_hub(model: DeltaModel, weights: Path, hub: Path, tmp_path: Path) -> None:
    address = model.push_to_hub("me/flowers", "a", metrics={"accuracy": 0.5}, private=True, token="t")
    assert address.startswith("hub/me/flowers/commit/1")
    assert (hub / "me/flowers/settings").read_text() == "t True"
    other = DeltaModel.from_pretrained("me/flowers", weights=str(weights), revision="main")
    model.set_patch("a")
    assert other.active_patch == "a"
    assert equal(other, model)
    model.push_to_hub("me/more", "b")
    other.load_patch(download_patch("me/more", tmp_path / "more"))
    model.set_patch("b")
    assert list(other.patches) == ["a", "b"]
    assert equal(other, model)
    assert read_patch(tmp_path / "more").name == "b"


def test_pushing_again_leaves_other_files_alone(model: DeltaModel, hub: Path) -> None:
    model.push_to_hub("me/flowers", "a")
    (hub / "me/flowers/README.md").write_text("card")
    model.push_to_hub("me/flowers", "b")
    assert (hub / "me/flowers/README.md").read_text() == "card"
    assert read_patch(hub / "me/flowers").name == "b"


def test_what_cannot_be_saved_is_not_pushed(model: DeltaModel, hub: Path) -> None:
    with pytest.raises(DeltaError, match="'c' is not there"):
        model.push_to_hub("me/flowers", "c")
    assert not hub.exists()


@pytest.mark.parametrize("options", [{}, {"revision": "nowhere"}])
@pytest.mark.usefixtures("hub")
def test_no_such_repository_is_one_sentence(options: dict[str, Any]) -> None:
    with pytest.raises(DeltaError, match=r"'me/nothing' is not a folder or patch repository.*no me/nothing at all"):
        DeltaModel.from_pretrained("me/nothing", **options)


@pytest.mark.usefixtures("hub")
def test_without_network_what_was_downloaded_before_is_used(model: DeltaModel, weights: Path, tmp_path: Path) -> None:
    model.push_to_hub("me/flowers", "b")
    (tmp_path / "unreached").touch()
    with pytest.raises(DeltaError, match="Hub cannot be reached for 'me/flowers'; connect to the network, or give a"):
        DeltaModel.from_pretrained("me/flowers", weights=str(weights))
    (tmp_path / "unreached").unlink()
    DeltaModel.from_pretrained("me/flowers", weights=str(weights))
    (tmp_path / "unreached").touch()
    assert equal(DeltaModel.from_pretrained("me/flowers", weights=str(weights)), model)


def test_a_repository_of_something_else_is_refused(model: DeltaModel, hub: Path, weights: Path) -> None:
    model.push_to_hub("me/flowers", "a")
    (hub / "me/flowers" / JSON_NAME).unlink()
    with pytest.raises(DeltaError, match="'me/flowers' is not a folder or patch repository"):
        DeltaModel.from_pretrained("me/flowers", weights=str(weights))


def test_a_name_that_no_repository_can_have_is_refused_without_network() -> None:
    with pytest.raises(DeltaError, match="is not a folder or patch repository"):
        DeltaModel.from_pretrained("./no/such/folder")
