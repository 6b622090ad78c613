"""mmcv's wheel is of one kind of device, and its ops are tried on the one that trainings will use."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

TOOL = Path(__file__).parents[2] / "tools" / "install_mmcv.py"


@pytest.fixture
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("install_mmcv", TOOL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def ops(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Stand-ins for mmcv's ops, as this environment has none."""

    def put(kept: list[int] = [0, 2], value: float = 1.0, error: str = "") -> None:  # noqa: B006
        def nms(*_: Tensor, **__: float) -> tuple[Tensor, Tensor]:
            if error:
                raise RuntimeError(error)
            return torch.empty(0), torch.tensor(kept)

        module = ModuleType("mmcv.ops")
        module.nms = nms  # type: ignore[attr-defined]
        module.roi_align = lambda *_: torch.full((1, 1, 2, 2), value)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "mmcv", ModuleType("mmcv"))
        monkeypatch.setitem(sys.modules, "mmcv.ops", module)

    return put


def test_wheels_of_two_gpus_and_of_the_cpu_lie_apart(tool: ModuleType) -> None:
    homes = [tool.home_of("2.14.1", capability) for capability in (None, (8, 6), (9, 0))]
    assert homes == ["torch-2.14.1", "torch-2.14.1-sm86", "torch-2.14.1-sm90"]


def test_a_wheel_is_looked_for_under_the_gpu_that_is_there(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def wheel(home: Path) -> Path:
        asked.append(home)
        raise SystemExit

    monkeypatch.setitem(sys.modules, "mmcv", None)
    monkeypatch.setattr(tool, "_wheel", wheel)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 6))
    for there in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        with pytest.raises(SystemExit):
            tool.main(Path("wheels"))
    assert [home.name for home in asked] == [f"torch-{torch.__version__}-sm86", f"torch-{torch.__version__}"]


def test_ops_that_answer_are_fine(tool: ModuleType, ops: Callable[..., None]) -> None:
    ops()
    assert tool.probe("cpu") == ""


def test_a_build_for_the_cpu_is_refused_on_a_gpu_in_one_sentence(tool: ModuleType, ops: Callable[..., None]) -> None:
    ops(error="nms_impl: implementation for device cuda:0 not found.\nstack")
    problem = tool.probe("cpu")
    assert problem.startswith("mmcv's ops do not run on cpu (nms_impl: implementation for device cuda:0 not found.): ")
    assert "pip uninstall mmcv" in problem
    assert "\n" not in problem


@pytest.mark.parametrize("wrong", [{"kept": [0, 1, 2]}, {"value": 0.5}])
def test_wrong_answers_are_refused(wrong: dict[str, object], tool: ModuleType, ops: Callable[..., None]) -> None:
    ops(**wrong)
    assert "wrong answers on cpu" in tool.probe("cpu")


def test_a_gpu_without_a_compiler_for_it_is_told_before_a_build(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(tool, "CUDA_HOME", None)
    monkeypatch.setattr(tool, "_pip", lambda *_, **__: pytest.fail("a build was started"))
    with pytest.raises(SystemExit, match="no nvcc to build mmcv"):
        tool._build(Path(), Path(), Path())
