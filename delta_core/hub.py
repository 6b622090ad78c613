"""Patches on the Hugging Face Hub: a repository holds one patch folder, the backbone comes from its own source.

Two functions instead of `huggingface_hub.ModelHubMixin`: the mixin stores how a class was constructed, but a
DeltaModel is constructed from a module, and everything else is in `delta.json` already.
"""

import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

from torch import nn

from delta_core.errors import DeltaError
from delta_core.patch_io import JSON_NAME, TENSORS_NAME, PatchHolder, load_patch, read_patch, save_patch
from delta_core.weights import check_named_architecture, check_named_weights, load_backbone, weights_name

Model = TypeVar("Model", bound=nn.Module)

TIMEOUT_S = 5
"""Seconds after which a Hub that does not answer counts as out of reach."""


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
        if weights is None:
            check_named_weights(source, by=path_or_repo, option="weights=")
        check_named_architecture(file.architecture, by=path_or_repo)
        model = cls(
            load_backbone(file.architecture, source), architecture=file.architecture, weights=weights_name(source)
        )
        load_patch(cast(PatchHolder, model), folder, strict=strict)
    return model.eval()


def download_patch(
    repo_id: str,
    folder: str | Path,
    *,
    also: Collection[str] = (),
    revision: str | None = None,
    token: str | None = None,
) -> Path:
    """Copy the two files of a patch from the Hub to a folder, which `load_patch` then reads; returns the folder.

    Without network a patch that was downloaded before is taken from the Hub's cache.

    Args:
        repo_id: such as "me/flowers".
        folder: is made if needed.
        also: names of further files to copy, where the repository has them.
        revision: branch, tag or commit of the repository.
        token: of the Hub; default: the one that `hf auth login` stored.

    Raises:
        DeltaError: if the repository cannot be reached or holds no patch.
    """
    with _hub(repo_id) as hub:
        is_reached = _info(hub, repo_id, revision, token) is not None
        try:
            # One snapshot, so that all files are of one commit. The cache holds links, which load_patch refuses.
            snapshot = hub.snapshot_download(
                repo_id,
                revision=revision,
                token=token,
                allow_patterns=[JSON_NAME, TENSORS_NAME, *also],
                local_files_only=not is_reached,
            )
        except hub.errors.LocalEntryNotFoundError as error:
            raise _out_of_reach(repo_id) from error
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name in (JSON_NAME, TENSORS_NAME, *also):
            if name not in also or (Path(snapshot) / name).is_file():
                shutil.copyfile(Path(snapshot) / name, folder / name)
    return folder


def upload_folder(
    folder: Path,
    repo_id: str,
    *,
    replace: bool,
    gone: Collection[str] = (),
    private: bool | None = None,
    token: str | None = None,
) -> str:
    """Upload everything in a folder to a repository, made if needed; returns the commit's address.

    Args:
        folder: holds a patch and nothing that nobody should see.
        repo_id: such as "me/flowers".
        replace: whether a patch that is there already may be replaced; the repository's history keeps it.
        gone: names of files of an old patch that would not be true of the new one, and go.
        private: whether a new repository is; default: as the account says.
        token: of the Hub; default: the one that `hf auth login` stored.

    Raises:
        DeltaError: if the repository holds a patch that may not be replaced, or something else, or the Hub refuses.
    """
    with _hub(repo_id) as hub:
        held = _files_on_hub(hub, repo_id, token)
        if JSON_NAME in held and not replace:
            raise DeltaError(f"{repo_id} holds a patch already; give another name, or --force to replace it.")
        if held and JSON_NAME not in held:
            raise DeltaError(f"{repo_id} holds {sorted(held)[0]!r} and no patch; give the name of a new repository.")
        api = hub.HfApi(token=token)
        api.create_repo(repo_id, exist_ok=True, private=private)
        return str(
            api.upload_folder(
                repo_id=repo_id, folder_path=folder, commit_message="Upload Delta patch", delete_patterns=[*gone]
            )
        )


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


def _info(hub: ModuleType, repo_id: str, revision: str | None, token: str | None) -> Any | None:
    """What the Hub says of a repository; None where it cannot be reached.

    It is asked first because what uploads and downloads waits without limit for a server that says nothing.
    """
    try:
        return hub.HfApi(token=token).repo_info(repo_id, revision=revision, timeout=TIMEOUT_S)
    except (hub.errors.HfHubHTTPError, ValueError):  # it was reached and refuses; no repository can have such a name
        raise
    except (OSError, hub.errors.HTTPError):
        return None


def _files_on_hub(hub: ModuleType, repo_id: str, token: str | None) -> set[str]:
    """Names of the files of a repository; none where it does not exist."""
    try:
        found = _info(hub, repo_id, None, token)
    except hub.errors.RepositoryNotFoundError:
        return set()
    if found is None:
        raise _out_of_reach(repo_id)
    return {each.rfilename for each in found.siblings or ()} - {".gitattributes"}  # which the Hub itself puts there


def _out_of_reach(repo_id: str) -> DeltaError:
    return DeltaError(
        f"The Hub cannot be reached for {repo_id!r}; connect to the network, or give a folder like ./{repo_id}."
    )


@contextmanager
def _hub(repo_id: str) -> Iterator[ModuleType]:
    """The package `huggingface_hub`, imported when needed, as it takes its time; its errors become one sentence."""
    import huggingface_hub
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of the HTTP library it uses

    try:
        yield huggingface_hub
    except DeltaError:
        raise
    except (OSError, ValueError, HTTPError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DeltaError(f"{repo_id!r} is not a folder or patch repository that can be used: {reason}") from error
