"""Table 6's parts: who moves whom, who sees what, and what ends a run."""

import dataclasses
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from event_files import scalars_in
from lightning_fabric import Fabric
from tiny_domains import ADDA, PAPERS_DELTA, domain, execute, method_of, spec_of, split, start_spec
from torch import Tensor, nn

from benchmarks.env import Env
from benchmarks.grid.work import Task, work_on
from benchmarks.records.record_files import diagnostics_path
from benchmarks.run_log import log_folder
from benchmarks.stages import Stages
from benchmarks.suites.domain_adaptation import runner, start
from benchmarks.suites.domain_adaptation.adda import AddaObjective, target_encoder
from benchmarks.suites.domain_adaptation.data import Domains
from benchmarks.suites.domain_adaptation.discriminator import Adversary
from benchmarks.suites.domain_adaptation.encoder import Classifier, Embedding, new_classifier
from benchmarks.suites.domain_adaptation.spec import DomainMethod, PriorConfig
from benchmarks.suites.domain_adaptation.start import (
    TrainedNet,
    checkpoint_path,
    load_start,
    new_net,
    save_start,
    start_of,
    train_start,
)
from benchmarks.suites.domain_adaptation.table import methods
from benchmarks.suites.domain_adaptation.uniform_prior import UniformPriorObjective
from benchmarks.suites.domain_adaptation.validators import VALIDATORS
from delta_core import backbone_fingerprint
from delta_core.training.engine import DivergedError, predict, train_module
from delta_core.training.process import peak_resident_mb

FABRIC = Fabric(accelerator="cpu", devices=1)


# --- who moves whom ---------------------------------------------------------------------------------------------
def adda_game(sees: Literal["features", "logits"] = "features") -> tuple[Classifier, Classifier, AddaObjective]:
    source = new_classifier(start_spec(delta=PAPERS_DELTA), 10).eval().requires_grad_(False)
    target = target_encoder(source)
    what = source if sees == "logits" else Embedding(source)
    seen = predict(what, split(40, 1).batches(20, device=FABRIC.device))
    return source, target, AddaObjective(target, seen, dataclasses.replace(ADDA, sees=sees), FABRIC, seed=0)


def test_the_discriminators_step_moves_nothing_else() -> None:
    source, target, objective = adda_game()
    nets: list[nn.Module] = [source, target]
    before = [backbone_fingerprint(net) for net in nets]
    own = backbone_fingerprint(objective.adversary.net)
    seen = torch.randn(16, 128, requires_grad=True)
    objective.adversary.learn(torch.randn(16, 128), seen)
    assert [backbone_fingerprint(net) for net in nets] == before
    assert backbone_fingerprint(objective.adversary.net) != own
    assert seen.grad is None, "its gradient must not reach who it judges"


@pytest.mark.parametrize("sees", ["features", "logits"])
def test_adaptation_moves_the_target_encoder_alone(sees: Literal["features", "logits"]) -> None:
    source, target, objective = adda_game(sees)
    source_before, head_before = backbone_fingerprint(source), backbone_fingerprint(target.head)
    parts = {"net": target.net, "discriminator": objective.adversary.net}
    before = {name: backbone_fingerprint(part) for name, part in parts.items()}
    train_module(target, target.head, split(40, 2), ADDA.schedule.recipe(40), FABRIC, seed=0, objective=objective)
    assert backbone_fingerprint(source) == source_before
    assert backbone_fingerprint(target.head) == head_before
    assert all(backbone_fingerprint(part) != before[name] for name, part in parts.items())


def test_the_fooling_loss_moves_the_encoder_and_leaves_the_discriminator() -> None:
    _, target, objective = adda_game()
    optimizer = torch.optim.SGD([p for p in target.parameters() if p.requires_grad], lr=0.1)
    own = backbone_fingerprint(objective.adversary.net)
    fake = target.embed(torch.randn(16, 3, 32, 32))
    objective.adversary.fooling_loss(fake).backward()
    encoder = backbone_fingerprint(target.net)
    optimizer.step()
    assert backbone_fingerprint(target.net) != encoder
    assert backbone_fingerprint(objective.adversary.net) == own


def test_what_a_fooling_loss_leaves_in_the_discriminator_is_forgotten() -> None:
    def learn(*, fooled_first: bool) -> str:
        adversary = Adversary(4, lr=0.1, beta1=0.5, fabric=FABRIC, seed=0)
        real, fake = (torch.randn(8, 4, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
        if fooled_first:
            adversary.fooling_loss(fake).backward()
        adversary.learn(real, fake)
        return backbone_fingerprint(adversary.net)

    assert learn(fooled_first=True) == learn(fooled_first=False)


# --- uniform prior ------------------------------------------------------------------------------------------------
@torch.no_grad()
def energy_distance(x: Tensor, y: Tensor) -> float:
    """2 E|x - y| - E|x - x'| - E|y - y'|: 0 for equal distributions (Szekely and Rizzo 2013)."""
    return float(2 * torch.cdist(x, y).mean() - torch.cdist(x, x).mean() - torch.cdist(y, y).mean())


class Toy(nn.Module):
    """Two numbers in, an embedding (B, 2) in (-1, 1) out."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 2), nn.Tanh())
        self.head = nn.Linear(2, 3)

    def embed(self, x: Tensor) -> Tensor:
        embedded: Tensor = self.layers(x)
        return embedded


def test_the_prior_alone_brings_a_toy_embedding_closer_to_uniform() -> None:
    torch.manual_seed(0)
    toy = Toy()
    objective = UniformPriorObjective(toy, PriorConfig(weight=1.0), FABRIC, seed=0)  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(toy.layers.parameters(), lr=1e-3)
    x, uniform = torch.randn(500, 2), torch.rand(500, 2) * 2 - 1
    before = energy_distance(toy.embed(x), uniform)
    for _ in range(250):
        optimizer.zero_grad()
        batch = torch.randn(128, 2)
        embedding = toy.embed(batch)
        draws = torch.rand(embedding.shape, generator=objective._draws) * 2 - 1
        objective.adversary.learn(draws, embedding)
        (objective.weight * objective.adversary.fooling_loss(embedding)).backward()
        optimizer.step()
    after = energy_distance(toy.embed(x), uniform)
    assert after < before / 5, (before, after)


def test_the_prior_is_in_the_loss_with_its_weight() -> None:
    def loss(weight: float) -> float:
        net = new_classifier(start_spec(prior=PriorConfig()), 10).eval()
        objective = UniformPriorObjective(net, PriorConfig(weight=weight), FABRIC, seed=0)
        return objective.loss(net, torch.ones(8, 3, 32, 32), torch.arange(8), torch.arange(8)).item()

    plain, once, twice = loss(0.0), loss(0.5), loss(1.0)
    assert plain < once
    assert math.isclose(twice - plain, 2 * (once - plain), rel_tol=1e-4)


def test_embeddings_under_the_prior_fill_both_signs_and_stay_inside_one() -> None:
    x = torch.randn(8, 3, 32, 32)
    squashed = new_classifier(start_spec(prior=PriorConfig()), 10).eval().embed(x)
    assert squashed.abs().max() < 1
    assert squashed.min() < 0 < squashed.max()
    assert new_classifier(start_spec(), 10).eval().embed(x).min() >= 0


# --- what stays the same between rows -------------------------------------------------------------------------------
def test_rows_share_the_backbones_first_weights() -> None:
    plain = new_classifier(start_spec(), 10)
    both = new_classifier(start_spec(delta=PAPERS_DELTA, prior=PriorConfig()), 10)
    assert backbone_fingerprint(both.net.backbone) == backbone_fingerprint(plain.net)
    assert backbone_fingerprint(new_classifier(start_spec(seed=1), 10).net) != backbone_fingerprint(plain.net)


def test_adda_starts_from_the_bits_of_the_zero_shot_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vanilla = execute(method_of(), tmp_path / "a", monkeypatch)[0]
    from_cache = execute(method_of(adda=ADDA), tmp_path / "a", monkeypatch)[0]
    alone = execute(method_of(adda=ADDA), tmp_path / "b", monkeypatch)[0]
    assert from_cache.backbone_sha_before == alone.backbone_sha_before == vanilla.backbone_sha_after
    assert from_cache.backbone_sha_after == alone.backbone_sha_after != vanilla.backbone_sha_after
    assert (from_cache.value, from_cache.steps) == (alone.value, vanilla.steps + 6)


def test_a_start_that_lies_in_the_cache_is_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a cache that holds everything may be for reading alone; the row says what its own training did."""
    first = execute(method_of(), tmp_path, monkeypatch)[0]
    monkeypatch.delattr(start, "save_start")
    monkeypatch.delattr(start, "locked")
    again = execute(method_of(), tmp_path, monkeypatch)[0]
    assert (again.value, again.steps, again.backbone_sha_after) == (first.value, first.steps, first.backbone_sha_after)


def test_the_cost_of_a_start_that_was_there_counts_as_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of(method_of(adda=ADDA)).start
    net = new_classifier(spec, 10).eval()
    save_start(checkpoint_path(tmp_path / "cache", spec), TrainedNet(net=net, steps=7, train_s=1000.0))
    row = execute(method_of(adda=ADDA), tmp_path, monkeypatch)[0]
    assert row.train_s > 1000
    assert row.eval_s > 0
    assert row.steps == 7 + 6


def test_a_cached_start_that_is_damaged_is_not_used(tmp_path: Path) -> None:
    spec = start_spec()
    path = checkpoint_path(tmp_path, spec)
    assert load_start(path, new_classifier(spec, 10)) is None
    trained = train_start(new_net(spec, 10, FABRIC), spec, split(40, 1), FABRIC, Stages())
    save_start(path, trained)
    found = load_start(path, new_classifier(spec, 10))
    assert found is not None
    assert backbone_fingerprint(found.net) == backbone_fingerprint(trained.net)
    assert (found.steps, found.train_s) == (trained.steps, trained.train_s)
    assert found.borrowed_s == found.train_s
    content = bytearray(path.read_bytes())
    content[-1] ^= 64
    for damaged in (bytes(content), path.read_bytes()[:-100], b""):
        path.write_bytes(damaged)
        with pytest.warns(UserWarning, match=r"^Start .* is damaged.* It is trained anew\.$"):
            assert load_start(path, new_classifier(spec, 10)) is None
        with pytest.warns(UserWarning, match="is trained anew"):
            again = start_of(spec, 10, split(40, 1), FABRIC, Env(results=tmp_path, cache=tmp_path))
        assert backbone_fingerprint(again.net) == backbone_fingerprint(trained.net)
        assert load_start(path, new_classifier(spec, 10)) is not None


def test_two_processes_train_a_start_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that waits for the lock finds the net when it has it."""
    spec = start_spec()
    trained = train_start(new_classifier(spec, 10), spec, split(40, 1), FABRIC, Stages())

    @contextmanager
    def after_another(path: Path, *, waiting_for: str) -> Iterator[None]:
        assert path.parent == tmp_path / "starts"
        assert waiting_for == f"the start {spec.run_id} of an adaptation"
        save_start(checkpoint_path(tmp_path, spec), trained)
        yield

    monkeypatch.setattr(start, "locked", after_another)
    monkeypatch.delattr(start, "train_module")
    found = start_of(spec, 10, split(40, 1), FABRIC, Env(results=tmp_path, cache=tmp_path))
    assert backbone_fingerprint(found.net) == backbone_fingerprint(trained.net)


# --- who sees what ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "method",
    [method_of(), method_of(adda=ADDA), method_of(adda=ADDA, prior=PriorConfig(), delta=PAPERS_DELTA)],
    ids=lambda method: method.name,
)
def test_shuffled_target_labels_change_nothing_but_the_reported_numbers(
    method: DomainMethod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = execute(method, tmp_path / "right", monkeypatch)
    mixed = execute(method, tmp_path / "mixed", monkeypatch, shuffle_target=True)
    assert [row.backbone_sha_after for row in mixed] == [row.backbone_sha_after for row in right]
    arrays = [np.load(diagnostics_path(tmp_path / name / "results", right[0].run_id)) for name in ("right", "mixed")]
    for name in ("curve_score", "curve_discriminator_top1", "curve_step", "plane"):
        assert np.array_equal(arrays[0][name], arrays[1][name], equal_nan=True), name
    changed = {(row.column, row.variant) for row, other in zip(right, mixed, strict=True) if row.value != other.value}
    assert changed <= {("there", method.variant), ("there", f"{method.variant}, validated")}


def test_the_reference_does_learn_from_target_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = method_of(learns_from="target")
    right = execute(method, tmp_path / "right", monkeypatch)[0]
    mixed = execute(method, tmp_path / "mixed", monkeypatch, shuffle_target=True)[0]
    assert mixed.backbone_sha_after != right.backbone_sha_after, "or the test above could not fail"


def test_a_setting_hands_over_what_it_names_and_validators_ask_for_no_more() -> None:
    domains = Domains(source=domain("here", 1), target=domain("there", 50))
    net = new_classifier(start_spec(), 10)
    for setting, validator in VALIDATORS.items():
        seen = domains.seen(setting)
        own = domains.target if setting == "target labels" else domains.source
        assert (seen.train, seen.val) == (own.train, own.val)
        assert (seen.unlabelled is not None) == (setting == "unsupervised DA")
        assert math.isfinite(validator.score(net, seen, FABRIC.device))
        if seen.unlabelled is not None:
            assert not seen.unlabelled.labels.any()
    with pytest.raises(AssertionError, match="asks for unlabelled"):
        VALIDATORS["unsupervised DA"].score(net, domains.seen("zero-shot"), FABRIC.device)


# --- what ends a run --------------------------------------------------------------------------------------------------
def collapse(adversary: Adversary) -> None:
    last = adversary.net.layers[-1]
    with torch.no_grad():
        last.weight.zero_()


def spoil(adversary: Adversary) -> None:
    with torch.no_grad():
        adversary.net.layers[0].weight.fill_(torch.nan)


@pytest.mark.parametrize(("harm", "reason"), [(collapse, "collapsed"), (spoil, "must be finite")])
def test_a_broken_discriminator_ends_the_run_as_failed_with_a_reason(
    harm: Callable[[Adversary], None], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = Adversary.learn

    def learn_then_break(self: Adversary, real: Tensor, fake: Tensor) -> None:
        harm(self)
        learn(self, real, fake)

    monkeypatch.setattr(Adversary, "learn", learn_then_break)
    domains = Domains(source=domain("here", 1), target=domain("there", 50))
    monkeypatch.setattr(runner, "load_domains", lambda *_: domains)
    spec = spec_of(method_of(adda=ADDA))
    env = Env(results=tmp_path / "results", cache=tmp_path / "cache")
    result = work_on(Task(job=spec), env)
    assert result.error.startswith("DivergedError")
    assert reason in result.error
    assert "DivergedError" in (tmp_path / "results" / "failed" / f"{spec.run_id}.json").read_text()
    good = work_on(Task(job=spec_of(method_of())), env)
    assert not good.error, "the other rows go on"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process begin its peak anew")
def test_a_run_reports_its_own_peak_of_memory_and_not_that_of_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    domains = Domains(source=domain("here", 1), target=domain("there", 50))
    monkeypatch.setattr(runner, "load_domains", lambda *_: domains)
    torch.ones(2**28)  # 1 GiB, as a larger run would hold
    before = peak_resident_mb()
    rows = work_on(Task(job=spec_of(method_of())), Env(results=tmp_path / "results", cache=tmp_path / "cache")).rows
    assert rows
    assert max(row.peak_mem_mb for row in rows) < before - 512


def test_a_loss_that_is_not_finite_ends_the_training() -> None:
    spec = start_spec(prior=PriorConfig(weight=math.inf))
    with pytest.raises(DivergedError, match="must be finite"):
        train_start(new_classifier(spec, 10), spec, split(40, 1), FABRIC, Stages())


# --- rows -----------------------------------------------------------------------------------------------------------
def test_a_log_of_an_adaptation_is_of_itself_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether its start lay in the cache or not: that training is logged by the row of its own."""
    domains = Domains(source=domain("here", 1), target=domain("there", 50))
    monkeypatch.setattr(runner, "load_domains", lambda *_: domains)
    spec = spec_of(method_of(adda=ADDA, delta=PAPERS_DELTA))
    silent = runner.execute(spec, Env(results=tmp_path / "results", cache=tmp_path / "other"))
    for name in ("fresh", "again"):
        env = Env(results=tmp_path / "results", cache=tmp_path / "cache", log_dir=tmp_path / name)
        rows = runner.execute(spec, env)
        assert [row.value for row in rows] == [row.value for row in silent]
    fresh, again = (scalars_in(log_folder(spec, tmp_path / name)) for name in ("fresh", "again"))
    assert fresh == again
    steps = ADDA.schedule.recipe(40).epochs * math.ceil(40 / 16)
    assert [step for step, _ in fresh["loss/step"]] == list(range(1, steps + 1))
    assert sum(tag.startswith("gates/mean/") for tag in fresh) == PAPERS_DELTA.n_modules


def test_a_run_measures_both_domains_and_leaves_its_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = execute(method_of(adda=ADDA, prior=PriorConfig(), delta=PAPERS_DELTA), tmp_path, monkeypatch)
    assert [(row.column, row.variant, row.selection) for row in rows] == [
        ("there", "unsupervised DA", "last"),
        ("there", "unsupervised DA, validated", "val"),
        ("here", "unsupervised DA", "last"),
    ]
    assert {(row.method, row.n_delta_modules, row.task, row.weights) for row in rows} == {
        ("adda+uniform_prior+delta_networks", 4, "here->there", "scratch")
    }
    assert rows[0].params_delta > rows[0].params_head > 0
    with np.load(diagnostics_path(tmp_path / "results", rows[0].run_id)) as arrays:
        assert arrays["confusion"].sum() == 30
        assert arrays["confusion"].trace() / 30 * 100 == pytest.approx(rows[0].value)
        assert arrays["plane"].shape == (60, 2)
        assert arrays["is_target"].sum() == 30
        assert len(arrays["curve_step"]) == len(arrays["curve_target_top1"]) > 1
        assert arrays["curve_target_top1"][-1] == pytest.approx(rows[0].value)


def test_adda_on_logits_shows_the_discriminator_ten_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    widths = []
    learn = Adversary.learn

    def spy(self: Adversary, real: Tensor, fake: Tensor) -> None:
        widths.append((real.shape[1], fake.shape[1]))
        learn(self, real, fake)

    monkeypatch.setattr(Adversary, "learn", spy)
    rows = execute(method_of(adda=dataclasses.replace(ADDA, sees="logits")), tmp_path, monkeypatch)
    assert set(widths) == {(10, 10)}
    assert rows[0].variant == "unsupervised DA, on logits"


def test_nine_rows_are_those_of_the_paper() -> None:
    rows = methods("paper")
    printed = (Path(__file__).parents[2] / "reports" / "targets" / "table6.csv").read_text().splitlines()[1:]
    assert {row.name for row in rows} == {line.split(",")[3] for line in printed}
    assert len(rows) == 9
    assert [row.setting for row in rows] == ["zero-shot"] * 4 + ["target labels"] + ["unsupervised DA"] * 4
    assert {row.recipe.steps for row in rows} == {10_000}
