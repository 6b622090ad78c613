"""Whether a pass is being recorded: by a compiler, an export or a tracer, which see plain operations and any size."""

import torch


def is_recorded() -> bool:
    """Whether a compiler (`torch.compile`, `torch.export`, ONNX) or `torch.jit.trace` records what runs now.

    Then operations are the plain ones, which it fuses or writes down itself, and no size of a batch is looked at:
    `len` and loops over samples would fix it in what is recorded.
    """
    tracing: bool = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    return tracing or torch.compiler.is_compiling()
