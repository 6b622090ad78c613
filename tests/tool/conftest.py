"""A patch that was fitted to a folder of images, once for each file of tests, and the tool in this process."""

from collections.abc import Callable
from pathlib import Path

import pytest
from patch_tool_world import call, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def patch_tool(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    return lambda *words: call(monkeypatch, *words)
