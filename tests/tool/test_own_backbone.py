"""`delta-patch` on a net of one's own: a file with another number of classes, or without a head."""

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from patch_tool_world import ARCH, fit_words, write_classes
from torch import Tensor

from delta_core import read_patch
from delta_core.tool import evaluate
from delta_core.tool.base import open_net


@pytest.mark.parametrize(("classes", "width"), [(5, 5), (0, 512)])
def test_every_command_takes_it_and_the_base_is_proven(
    classes: int,
    width: int,
    patch_tool: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_classes(tmp_path / "pets", 5)
    own, weights = timm.create_model(ARCH, num_classes=classes), tmp_path / "own.pth"
    torch.save({"epoch": 7, "model": own.state_dict()}, weights)
    assert patch_tool(*fit_words(tmp_path, "kept", weights=weights, epochs=1)) == 0
    assert "base net bit-identical" in capsys.readouterr().out
    known = ("--weights", weights)
    image = tmp_path / "pets" / "cat" / "0.png"
    assert patch_tool("predict", tmp_path / "kept", image, *known) == 0
    assert patch_tool("inspect", tmp_path / "kept", image, "-o", tmp_path / "gates.png", *known) == 0
    assert patch_tool("info", tmp_path / "kept") == 0
    assert "with the head that the library makes; that of the file is not known here" in capsys.readouterr().out
    assert read_patch(tmp_path / "kept").weights == "file:own.pth"

    compared: list[tuple[int, ...]] = []
    equal = torch.equal

    def seen(one: Tensor, other: Tensor) -> bool:
        compared.append(tuple(one.shape))
        return equal(one, other)

    monkeypatch.setattr(evaluate.torch, "equal", seen)
    assert patch_tool("eval", tmp_path / "kept", tmp_path / "pets", *known) == 0
    assert "logits bit-identical with and without the patch" in capsys.readouterr().out
    assert compared == [(3, width)], "what is compared is not empty"


def test_the_same_file_is_the_same_net(tmp_path: Path) -> None:
    own = timm.create_model(ARCH, num_classes=5).eval()
    torch.save(own.state_dict(), tmp_path / "own.pth")
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(open_net(ARCH, str(tmp_path / "own.pth"))(images), own(images))
