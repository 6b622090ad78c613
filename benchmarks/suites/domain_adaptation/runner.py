"""The runner of Table 6: one DomainSpec in, its rows out, its diagnostics beside them."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from benchmarks.env import Env
from benchmarks.methods.base import Measurement, Outcome
from benchmarks.nets.slim import PREPROCESSING
from benchmarks.records.names import VALIDATED
from benchmarks.records.record_files import diagnostics_path
from benchmarks.records.rows import Row
from benchmarks.run_log import callbacks_of
from benchmarks.stages import Stages, stages_of
from benchmarks.suites.domain_adaptation.adda import AddaObjective, target_encoder
from benchmarks.suites.domain_adaptation.data import Domains, Seen, load_domains
from benchmarks.suites.domain_adaptation.diagnostics import Looks, Monitor, diagnostics_of, target_top1, write_arrays
from benchmarks.suites.domain_adaptation.encoder import Classifier, Embedding
from benchmarks.suites.domain_adaptation.spec import DomainSpec
from benchmarks.suites.domain_adaptation.start import TrainedNet, new_net, start_of, train_kept_start
from benchmarks.suites.domain_adaptation.validators import VALIDATORS
from benchmarks.suites.to_rows import rows_of
from delta_core import assert_frozen, backbone_fingerprint
from delta_core.freeze import freeze
from delta_core.training.data.splits import Split, eval_batches
from delta_core.training.engine import predict, train_module
from delta_core.training.fabric import make_fabric
from delta_core.training.provenance import provenance

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What a run came to."""

    trained: TrainedNet
    source_net: Classifier
    """Embeds the source: the fixed source encoder under ADDA, else the trained net itself."""
    sha_before: str
    """Of the fresh net, or of the source net that ADDA started from."""
    monitor: Monitor


def execute(spec: DomainSpec, env: Env) -> list[Row]:
    """Measure one cell.

    Raises:
        DivergedError: when training ends in a loss that is not finite, or a discriminator that collapsed.
        FrozenError: if the source encoder changed during adaptation.
    """
    fabric = make_fabric(env.device, env.precision, callbacks_of(spec, env))
    stages = stages_of(spec.run_id, env, fabric)
    domains = load_domains(spec, env)
    seen = domains.seen(spec.method.setting)
    learn = _on_labels if spec.method.adda is None else _by_adda
    found = learn(spec, env, domains, seen, fabric, stages)
    net = found.trained.net
    outcome = Outcome(
        measurements=tuple(_measurements(spec, domains, found, fabric)),
        params_delta=_count(net) - _count(net.head),
        params_head=_count(net.head),
        steps=found.trained.steps,
        train_s=found.trained.train_s,
        backbone_sha_after=backbone_fingerprint(net),
        base_logits_equal=None,
    )
    arrays = diagnostics_of(net, found.source_net, domains.source.test, domains.target.test, found.monitor.curves)
    write_arrays(diagnostics_path(env.results, spec.run_id), arrays)
    return rows_of(
        spec,
        outcome,
        backbone_sha_before=found.sha_before,
        params_backbone=_count(net) - _count(net.head),
        data_sha=f"{domains.source.sha}/{domains.target.sha}",
        transform=str(PREPROCESSING),
        elapsed_s=stages.clock.seconds(),
        origin=provenance(fabric.device, env.precision),
    )


def _on_labels(spec: DomainSpec, env: Env, domains: Domains, seen: Seen, fabric: "Fabric", stages: Stages) -> _Found:
    """Train on the labels of the source, or of the target for the upper reference."""
    net = new_net(spec.start, domains.source.classes, fabric)
    sha_before = backbone_fingerprint(net)
    monitor = _monitor(net, spec, domains, seen, fabric)
    trained = train_kept_start(net, spec.start, seen.train, fabric, env, stages, monitor)
    return _Found(trained=trained, source_net=trained.net, sha_before=sha_before, monitor=monitor)


def _by_adda(spec: DomainSpec, env: Env, domains: Domains, seen: Seen, fabric: "Fabric", stages: Stages) -> _Found:
    """Start from the net of the zero-shot row of the same seed and adapt a copy to unlabelled target images."""
    adda, images = spec.method.adda, seen.unlabelled
    assert adda is not None and images is not None
    unheard = make_fabric(env.device, env.precision)  # the zero-shot row logs this training
    start = start_of(spec.start, domains.source.classes, seen.train, unheard, env)
    stages.clock.add(start.borrowed_s)
    source_net = start.net
    freeze(source_net)
    sha_before = backbone_fingerprint(source_net)
    started = stages.clock.seconds()
    net = target_encoder(source_net)
    monitor = _monitor(net, spec, domains, seen, fabric)
    monitor.look(0, None)
    what = source_net if adda.sees == "logits" else Embedding(source_net)
    objective = AddaObjective(
        net,
        predict(what, eval_batches(seen.train, fabric.device)),
        adda,
        fabric,
        seed=spec.start.draw("adversary"),
    )
    recipe = adda.schedule.recipe(len(images.labels))
    steps = train_module(
        net,
        net.head,
        images,
        recipe,
        fabric,
        seed=spec.start.draw(f"order of {spec.target}"),
        objective=objective,
        watch=Looks(
            monitor,
            epochs=recipe.epochs,
            steps_per_epoch=math.ceil(len(images.labels) / recipe.batch_size),
            take=objective.adversary.take_top1,
        ),
        checkpoint=stages.training("adaptation"),
    )
    net.eval()
    assert_frozen(source_net, sha_before)
    own_s = stages.clock.seconds() - started - monitor.seconds
    trained = TrainedNet(net=net, steps=start.steps + steps, train_s=start.train_s + own_s)
    return _Found(trained=trained, source_net=source_net, sha_before=sha_before, monitor=monitor)


def _monitor(net: Classifier, spec: DomainSpec, domains: Domains, seen: Seen, fabric: "Fabric") -> Monitor:
    return Monitor(net, VALIDATORS[spec.method.setting], seen, domains.target.test, fabric.device)


def _measurements(spec: DomainSpec, domains: Domains, found: _Found, fabric: "Fabric") -> list[Measurement]:
    """Top-1 on the target's test split, of the last weights and of those the validator picked, and on the source's."""

    def measured(net: Classifier, name: str, test: Split, **where: str) -> Measurement:
        return Measurement(
            column=name,
            split="test",
            value=target_top1(net, test, fabric.device),
            n_examples=len(test.labels),
            **where,  # type: ignore[arg-type]
        )

    net, target = found.trained.net, domains.target
    picked = spec.method.variant + VALIDATED
    return [
        measured(net, target.name, target.test),
        measured(found.monitor.selected(), target.name, target.test, variant=picked, selection="val"),
        measured(net, domains.source.name, domains.source.test),
    ]


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
