"""What the configs here ask of mmengine beside a Runner: settled values, and one data set a checkpoint.

`runner_type = "DenseRunner"` in a config makes `mim train` and `mim test` take this one.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS, RUNNERS
from mmengine.runner import Runner

from benchmarks.suites.dense.settled import settled
from delta_core.errors import DeltaError
from delta_core.training.command_line import told_in_one_sentence
from delta_core.training.errors import UserError


@RUNNERS.register_module()
class DenseRunner(Runner):  # type: ignore[misc]
    """mmengine's Runner on a config with late values, for command lines: what goes wrong is told in one sentence."""

    @classmethod
    def from_cfg(cls, cfg: Config) -> Self:
        """Settle the config, then build as mmengine does."""
        with _told():
            if cfg.get("launcher", "none") != "none" and not torch.distributed.is_torchelastic_launched():
                raise UserError(
                    f"--launcher {cfg.launcher} is for processes that a launcher started; run torchrun "
                    "--nproc-per-node=GPUS, or leave --launcher."
                )
            return super().from_cfg(settled(cfg))  # type: ignore[no-any-return]

    def train(self) -> Any:
        """Train as mmengine does."""
        with _told():
            return super().train()

    def test(self) -> dict[str, float]:
        """Test as mmengine does."""
        with _told():
            return super().test()  # type: ignore[no-any-return]


@contextmanager
def _told() -> Iterator[None]:
    with told_in_one_sentence(
        f"mim {'train' if 'train' in sys.argv[0] else 'test'}",
        interrupted="checkpoints are kept; add --resume to go on.",
        refusals=(UserError, DeltaError, FileNotFoundError),
    ):
        yield


@HOOKS.register_module()
class SameDataHook(Hook):  # type: ignore[misc]
    """A checkpoint is trained on or tested with the classes and the heads that it was made for."""

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Compare what lies in the checkpoint with the config.

        Raises:
            UserError: naming the first that differs; mmengine would leave it out and go on.
        """
        theirs = tuple(((checkpoint.get("meta") or {}).get("dataset_meta") or {}).get("classes") or ())
        classes = tuple(runner.cfg.get("classes") or ())
        if theirs and classes and theirs != classes:
            raise UserError(
                f"The checkpoint was trained for {len(theirs)} classes ({_some(theirs)}) and the data have "
                f"{len(classes)} ({_some(classes)}); name the data it was trained on, or data.classes in its order."
            )
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        own = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        saved = {name: tuple(tensor.shape) for name, tensor in checkpoint.get("state_dict", {}).items()}
        wrong = [name for name in own if name in saved and own[name] != saved[name]]
        if wrong and not wrong[0].startswith("backbone."):  # which says more of it itself
            raise UserError(
                f"The checkpoint has other heads than the config: {wrong[0]} is {saved[wrong[0]]} there and "
                f"{own[wrong[0]]} here; set heads='narrow' or 'stock', as it was trained."
            )


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
