"""Servers that take no connection are told apart within a bound, and nothing is downloaded from them."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from delta_core import DeltaError
from delta_core import weights as weights_module
from delta_core.reachable import reachable
from delta_core.weights import load_backbone


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.getproxies", dict)


@pytest.fixture
def server() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/file"


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}/file"


def test_a_server_that_listens_is_told_from_one_that_does_not(server: str) -> None:
    assert reachable([server, free_address()]) == {server}


@pytest.mark.timeout(30)
def test_a_name_that_is_looked_up_for_ever_holds_nobody_up(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    connect = socket.create_connection

    def hang(address: tuple[str, int], timeout: float) -> socket.socket:
        if address[0] != "127.0.0.1":
            released.wait()
            raise OSError
        return connect(address, timeout)

    monkeypatch.setattr(socket, "create_connection", hang)
    mirrors = [f"https://mirror{number}.invalid/file" for number in range(20)]
    assert reachable([server, *mirrors], patience_s=0.5) == {server}
    released.set()


def test_behind_a_proxy_the_proxy_is_asked(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"https": server.removesuffix("/file")})
    assert reachable(["https://weights.invalid/file"]) == {"https://weights.invalid/file"}


@pytest.mark.parametrize(("architecture", "weights"), [
    ("resnet10t", "timm:c3_in1k"), ("torchvision:resnet18", "default"),
])  # fmt: skip
def test_weights_out_of_reach_are_refused_before_a_library_tries(
    architecture: str, weights: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("it tried")

    monkeypatch.setattr("delta_core.weights.reachable", lambda _: set())
    monkeypatch.setattr("delta_core.torchvision_nets.reachable", lambda _: set())
    monkeypatch.setattr("delta_core.weights.try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(timm, "create_model", never)
    monkeypatch.setattr("torchvision.models.get_model", never)
    with pytest.raises(DeltaError, match=r"cannot be downloaded \(https://.* takes no connection\); connect") as told:
        load_backbone(architecture, weights)
    assert "\n" not in str(told.value)


def test_weights_that_are_kept_need_no_connection(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    net = timm.create_model("resnet10t")
    kept = tmp_path / "model.safetensors"
    save_file(net.state_dict(), kept)
    monkeypatch.setattr("delta_core.weights.reachable", lambda _: set())
    monkeypatch.setattr("delta_core.weights.try_to_load_from_cache", lambda *_: str(kept))
    monkeypatch.setattr("timm.models._hub.hf_hub_download", lambda *_, **__: str(kept))
    loaded = load_backbone("resnet10t", "timm:c3_in1k")
    assert torch.equal(loaded.state_dict()["fc.weight"], net.state_dict()["fc.weight"])


def test_the_hub_is_the_one_that_the_person_set(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def ask(addresses: list[str]) -> set[str]:
        asked.extend(addresses)
        return set()

    monkeypatch.setattr(weights_module, "reachable", ask)
    monkeypatch.setattr("delta_core.weights.try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(weights_module.constants, "ENDPOINT", "https://hub.invalid")
    with pytest.raises(DeltaError, match=r"https://hub\.invalid takes no connection"):
        load_backbone("resnet10t", "timm:c3_in1k")
    assert asked == ["https://hub.invalid"]
