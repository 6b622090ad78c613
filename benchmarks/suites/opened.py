"""What runners of pre-trained nets share: the net of a run on its device, its base task, and its rows at the end."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from benchmarks.data.load import load_base_task
from benchmarks.env import Env
from benchmarks.methods.base import Outcome
from benchmarks.nets.base_check import prove_base
from benchmarks.nets.base_transforms import BaseTransform
from benchmarks.nets.open import open_backbone
from benchmarks.nets.untouched import Untouched
from benchmarks.records.rows import Row
from benchmarks.run_log import callbacks_of
from benchmarks.spec import Run
from benchmarks.stages import Stages, stages_of
from benchmarks.suites.to_rows import rows_of
from delta_core import Preprocessing, backbone_fingerprint
from delta_core.training.data.splits import TaskData
from delta_core.training.errors import UserError
from delta_core.training.fabric import make_fabric, to_device
from delta_core.training.provenance import provenance

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A run whose net is there."""

    run: Run
    env: Env
    fabric: "Fabric"
    backbone: nn.Module
    """Pre-trained, in eval mode, on the device."""
    fingerprint: str
    """Of the backbone, before any method touched it."""
    stages: Stages
    """Their clock goes since before anything was read."""

    def base_task(self, name: str, preprocessing: Preprocessing, *, accepted: BaseTransform | None) -> TaskData | None:
        """The task of the net's own head, if the run names one; at scale paper the net is proven on it first.

        Images without labels get the net's own answers for labels. `accepted` is the transform in which the user takes
        the base whatever it reaches.
        """
        if not name:
            return None
        classes: int = self.backbone.num_classes  # type: ignore[assignment]
        if not classes:
            raise UserError(f"Weights {self.run.weights!r} have no head to measure the base task with; leave that out.")
        base = load_base_task(name, self.env, preprocessing, classes=classes)
        if self.run.scale == "paper":
            prove_base(self.run.weights, self.env, self.backbone, base, accepted)
        return self.untouched(base).base_with_labels()

    def untouched(self, base: TaskData) -> Untouched:
        """The net as it is now, before any method, with its base task."""
        return Untouched(
            sha=self.fingerprint,
            data_sha=base.sha,
            device=self.fabric.device,
            fabric=self.fabric,
            backbone=self.backbone,
            base=base,
        )

    def rows(self, outcome: Outcome, *, data_sha: str, preprocessing: Preprocessing) -> list[Row]:
        """Rows of what was measured on data of that identity, prepared in that way."""
        return rows_of(
            self.run,
            outcome,
            backbone_sha_before=self.fingerprint,
            params_backbone=sum(parameter.numel() for parameter in self.backbone.parameters()),
            data_sha=data_sha,
            transform=str(preprocessing),
            elapsed_s=self.stages.clock.seconds(),
            origin=provenance(self.fabric.device, self.env.precision, world_size=self.fabric.world_size),
        )


def open_run(run: Run, env: Env) -> Opened:
    """Load the net of a run onto the device of `env`.

    Raises:
        UserError, DeltaError: if its weights cannot be loaded or the device is not there.
    """
    fabric = make_fabric(env.device, env.precision, callbacks_of(run, env), rank=env.rank)
    stages = stages_of(run.run_id, env, fabric)
    backbone = to_device(open_backbone(run, env), fabric.device).eval()
    return Opened(
        run=run,
        env=env,
        fabric=fabric,
        backbone=backbone,
        fingerprint=backbone_fingerprint(backbone),
        stages=stages,
    )
