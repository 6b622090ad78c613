"""Triton's kernels of skip sums: right in its interpreter, compiled for GPUs, and left where they do not work."""

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from delta_core import skip_sum

pytest.importorskip("triton", reason="Triton has no wheels for this system")
INTERPRETED = Path(__file__).with_name("kernels_in_interpreter.py")


def test_values_and_gradients_in_the_interpreter_are_those_of_torch() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", str(INTERPRETED)]
    ended = subprocess.run(command, env=os.environ | {"TRITON_INTERPRET": "1"}, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]


@pytest.mark.parametrize("capability", [75, 80, 90], ids=lambda capability: f"sm_{capability}")
def test_kernels_compile_for_gpus_that_are_not_here(capability: int) -> None:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from delta_core import skip_sum_triton as kernels

    target = GPUTarget("cuda", capability, 32)
    nodes = ("*fp16",) * kernels.TERMS
    constants = {"accumulator": triton.language.float32, "block": kernels.BLOCK}
    for kernel, types_of, also in (
        (
            kernels._weighted_kernel,
            {"out": "*fp16", "start": "*fp16", "terms": nodes, "weights": "*fp16", "size": "i32"}
            | dict.fromkeys(("sample_stride", "term_stride"), "i32"),
            {"has_start": True},
        ),
        (
            kernels._products_kernel,
            {"out": "*fp32", "values": "*fp16", "terms": nodes, "size": "i32", "blocks": "i32"},
            {},
        ),
    ):
        fixed = constants | also
        source = ASTSource(fn=kernel, signature=types_of | dict.fromkeys(fixed, "constexpr"), constexprs=fixed)
        assert "cubin" in triton.compile(source, target=target).asm


def test_on_cpu_there_are_none() -> None:
    assert skip_sum.fused_kernels(torch.device("cpu")) is None


def test_kernels_that_do_not_work_are_told_of_once_and_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(_: torch.device) -> None:
        raise RuntimeError("Failed to find C compiler.")

    monkeypatch.setitem(sys.modules, "delta_core.skip_sum_triton", types.SimpleNamespace(check=check))
    monkeypatch.setattr("delta_core.skip_sum_triton", types.SimpleNamespace(check=check), raising=False)
    device = torch.device("cuda", 7)
    with pytest.warns(UserWarning, match="cuda:7.*torch's own products.*RuntimeError: Failed to find C compiler"):
        assert skip_sum.fused_kernels(device) is None
    assert skip_sum.fused_kernels(device) is None  # a second warning would be an error
    skip_sum.fused_kernels.cache_clear()
