"""Table 5's losses against hand-computed cases, independent references and numerical gradients."""

import copy
import math

import numpy as np
import pytest
import torch
from tiny import RECIPE, basic_block_net, efficientnet_lite_net, images
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.suites.transfer.methods import bi_tuning, channel_attention
from benchmarks.suites.transfer.methods.bi_tuning import BiTuning, BiTuningObjective, KeyQueue, contrastive_loss
from benchmarks.suites.transfer.methods.bss import BssObjective, smallest_energy
from benchmarks.suites.transfer.methods.co_tuning import CoTuningObjective
from benchmarks.suites.transfer.methods.delta_regularizer import DeltaRegularizerObjective, feature_distance
from benchmarks.suites.transfer.methods.lwf import LwfObjective, distillation
from benchmarks.suites.transfer.methods.relationship import calibrated_relationship, direct_relationship
from benchmarks.suites.transfer.methods.stochnorm import StochasticNorm, replace_norms_
from delta_core import DeltaModel, JointDelta
from delta_core.families import base_head, pool
from delta_core.training.objective import Objective

CLASSES = 3


def joint(net: nn.Module | None = None) -> JointDelta:
    """Without modules, as eight of the nine methods train; deterministic."""
    model = DeltaModel(net or basic_block_net())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model.add_patch("task", num_classes=CLASSES)
    return JointDelta(model)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def value_and_parts(objective: Objective, net: JointDelta, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The objective's loss, and cross-entropy and pooled features computed on a copy, all in train mode."""
    apart = copy.deepcopy(net)
    labels, index = torch.arange(len(x)) % CLASSES, torch.arange(len(x))
    pooled = pool(apart.backbone, apart.forward_features(x))
    return objective.loss(net, x, labels, index), F.cross_entropy(apart.head(pooled), labels), pooled


# --- LWF ---------------------------------------------------------------------------------------------------------


def test_distillation_of_a_hand_computed_case() -> None:
    # softmax((0, 3 ln 3) / 3) = (1/4, 3/4) against (1/2, 1/2): KL = 1/4 ln(1/2) + 3/4 ln(3/2), and no factor T^2.
    wanted, said = torch.tensor([[0.0, 3 * math.log(3)]]), torch.tensor([[1.0, 1.0]])
    assert distillation(said, wanted, 3.0).item() == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5))
    assert distillation(said.repeat(5, 1), wanted.repeat(5, 1), 3.0).item() == pytest.approx(
        distillation(said, wanted, 3.0).item()
    ), "a mean over the batch"


def test_distillation_gradient() -> None:
    wanted = random(4, 5, seed=1)
    assert torch.autograd.gradcheck(lambda x: distillation(x, wanted, 3.0), random(4, 5).requires_grad_())


def test_lwf_adds_distillation_on_the_source_head_by_place_in_the_split() -> None:
    net, source = joint(), random(6, 7).float()
    objective = LwfObjective(net, source.flip(0), 4.0, 3.0)
    x, labels = images(6), torch.arange(6) % CLASSES
    apart = copy.deepcopy(net)
    loss = objective.loss(net, x, labels, torch.arange(6).flip(0))
    pooled = pool(apart.backbone, apart.forward_features(x))
    expected = F.cross_entropy(apart.head(pooled), labels)
    expected += 4 * distillation(base_head(apart.backbone)(pooled), source, 3.0)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert all(parameter.grad is None for parameter in base_head(net.backbone).parameters()), "the source head is fixed"


# --- BSS ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "k"), [((6, 9), 1), ((9, 6), 2), ((5, 5), 5)])
def test_smallest_energy_equals_singular_values_and_eigenvalues(shape: tuple[int, int], k: int) -> None:
    features = random(*shape)
    singular = torch.linalg.svdvals(features).sort().values[:k]
    assert torch.allclose(smallest_energy(features, k), singular.square().sum())
    gram = features @ features.T if shape[0] <= shape[1] else features.T @ features
    assert torch.allclose(smallest_energy(features, k), torch.linalg.eigvalsh(gram)[:k].sum()), "another algorithm"


def test_smallest_energy_gradient() -> None:
    assert torch.autograd.gradcheck(lambda x: smallest_energy(x, 2), random(4, 6).requires_grad_())


def test_bss_adds_the_energy_of_the_batch_of_features() -> None:
    net = joint()
    loss, plain, pooled = value_and_parts(BssObjective(net, 0.5, 1), net, images(6))
    assert loss.item() == pytest.approx((plain + 0.5 * torch.linalg.svdvals(pooled)[-1] ** 2).item(), rel=1e-5)


# --- DELTA -------------------------------------------------------------------------------------------------------


def test_feature_distance_of_a_hand_computed_case() -> None:
    maps = torch.zeros(2, 2, 1, 2)
    maps[0, 0], maps[1, 1, 0, 0] = 1.0, 3.0  # squares (2, 0) and (0, 9)
    # C / (H W) = 1; attention (0.75, 0.25): 1/2 (0.75 * 2 + 0.25 * 9), summed over the batch
    assert feature_distance(maps, torch.zeros_like(maps), torch.tensor([0.75, 0.25])).item() == 1.875
    larger = maps.repeat(1, 1, 2, 1)
    assert feature_distance(larger, torch.zeros_like(larger), torch.tensor([0.75, 0.25])).item() == 1.875


def test_feature_distance_gradient() -> None:
    source, attention = random(2, 3, 2, 2, seed=1), torch.softmax(random(3, seed=2), 0)
    assert torch.autograd.gradcheck(
        lambda x: feature_distance(x, source, attention), random(2, 3, 2, 2).requires_grad_()
    )


def test_delta_adds_distances_of_every_stage_and_the_size_of_the_head() -> None:
    net, source = joint(), basic_block_net().eval()
    with torch.no_grad():
        for parameter in net.backbone.parameters():
            parameter.add_(0.01)
    names = channel_attention.last_convolutions(net)
    attentions = [torch.full((net.backbone.get_submodule(name).out_channels,), 0.1) for name in names]  # type: ignore[arg-type]
    x = images(4)
    net.eval()  # so that the reference below sees the same maps
    labels = torch.arange(4) % CLASSES
    loss = DeltaRegularizerObjective(net, source, attentions, 0.5, 0.25).loss(net, x, labels, labels)
    expected = F.cross_entropy(net(x), labels)
    expected = expected + 0.125 * sum(p.square().sum() for p in net.head.parameters())
    for name, attention in zip(names, attentions, strict=True):
        found = []
        for each in (net.backbone, source):
            handle = each.get_submodule(name).register_forward_hook(lambda _m, _i, out, to=found: to.append(out))
            each(x)
            handle.remove()
        _, c, h, w = found[0].shape
        for channel in range(c):
            distance = (found[0][:, channel] - found[1][:, channel]).square().sum()
            expected = expected + 0.5 * 0.5 * attention[channel] * c / (h * w) * distance
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


# --- Co-Tuning ---------------------------------------------------------------------------------------------------


def source_says(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Probabilities of five source classes, of which class t of three makes source class t likelier."""
    labels = torch.arange(count) % CLASSES
    logits = random(count, 5, seed=seed).float() + 3 * F.one_hot(labels, 5)
    return torch.softmax(logits, dim=1), labels


def test_direct_relationship_is_the_mean_of_each_class() -> None:
    probabilities, labels = source_says(30, 0)
    found = direct_relationship(probabilities, labels, CLASSES)
    expected = np.stack([probabilities.numpy()[labels.numpy() == label].mean(0) for label in range(CLASSES)])
    assert np.allclose(found.numpy(), expected, atol=1e-6)
    assert torch.allclose(found.sum(1), torch.ones(CLASSES))


@pytest.mark.parametrize("classes", [2, 3])
def test_calibrated_relationship_is_a_distribution_that_knows_the_classes(classes: int) -> None:
    (kept, labels), (held, held_labels) = source_says(120, 0), source_says(60, 1)
    kept, labels = kept[labels < classes], labels[labels < classes]
    held, held_labels = held[held_labels < classes], held_labels[held_labels < classes]
    found = calibrated_relationship(kept, labels, held, held_labels)
    assert found.shape == (classes, 5)
    assert torch.allclose(found.sum(1), torch.ones(classes))
    assert found.argmax(1).tolist() == list(range(classes))
    assert found.min().item() >= 0


def test_calibrated_relationship_meets_bayes_rule_where_it_is_known() -> None:
    # Source says with certainty one of two classes; target class 0 is source class 0 in 3 of 4 images, 1 in 1 of 4.
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1] * 50)
    said = torch.tensor([0, 0, 0, 1, 1, 1, 1, 0] * 50)
    probabilities = F.one_hot(said, 2).float()
    found = calibrated_relationship(probabilities, labels, probabilities, labels)
    assert torch.allclose(found, torch.tensor([[0.75, 0.25], [0.25, 0.75]]), atol=0.01)


def test_co_tuning_trains_the_source_head_on_the_relationship() -> None:
    net = joint()
    base_head(net.backbone).requires_grad_(True)
    relationship = torch.softmax(random(CLASSES, 7), dim=1).float()
    loss, plain, pooled = value_and_parts(CoTuningObjective(net, relationship, 2.3), net, images(6))
    labels = torch.arange(6) % CLASSES
    log_source = F.log_softmax(base_head(net.backbone)(pooled), dim=1)
    expected = plain - 2.3 * (relationship[labels] * log_source).sum(1).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    # Gradient of a cross-entropy with soft targets: (softmax - target)' features / B.
    wanted = (log_source.exp() - relationship[labels]).T @ pooled * 2.3 / 6
    assert torch.allclose(base_head(net.backbone).weight.grad, wanted, atol=1e-5)  # type: ignore[arg-type]


# --- StochNorm ---------------------------------------------------------------------------------------------------


def norm_of(channels: int = 6) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels)
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            tensor.copy_(torch.rand(channels, generator=torch.Generator().manual_seed(1)) + 0.5)  # type: ignore[union-attr]
    return norm


@pytest.mark.parametrize(("probability", "train"), [(1.0, True), (0.0, False)])
def test_stochnorm_is_batchnorm_at_both_ends(probability: float, train: bool) -> None:
    x, stochastic, plain = random(4, 6, 3, 3).float(), StochasticNorm(norm_of(), probability), norm_of().train(train)
    assert torch.equal(stochastic(x), plain(x))
    plain = norm_of().train()
    plain(x)
    assert torch.equal(stochastic.norm.running_mean, plain.running_mean), "statistics move at either end, once"  # type: ignore[arg-type]
    assert torch.equal(stochastic.eval()(x), plain.eval()(x))


def test_stochnorm_takes_whole_channels_from_either_and_draws_anew() -> None:
    x = random(4, 64, 3, 3).float()
    chosen = []
    for _ in range(2):
        stochastic = StochasticNorm(norm_of(64), 0.5)
        mixed = stochastic(x)
        moving, batch = norm_of(64).eval()(x), norm_of(64).train()(x)
        is_batch = (mixed == batch).flatten(2).all(2).all(0)
        assert ((mixed == moving).flatten(2).all(2).all(0) ^ is_batch).all()
        chosen.append(is_batch)
    assert 10 < int(chosen[0].sum()) < 54
    assert not torch.equal(chosen[0], chosen[1])


def test_stochnorm_gradient_of_each_branch() -> None:
    for probability in (0.0, 1.0):
        # A fresh one for every evaluation: each moves the statistics.
        assert torch.autograd.gradcheck(
            lambda x, p=probability: StochasticNorm(norm_of(2).double(), p)(x), random(3, 2, 2, 2).requires_grad_()
        )


@pytest.mark.parametrize("make_net", [basic_block_net, efficientnet_lite_net])
def test_every_norm_is_replaced_and_eval_mode_stays_the_same(make_net) -> None:  # type: ignore[no-untyped-def]
    net, replaced = make_net().eval(), make_net()
    replace_norms_(replaced, 0.5)
    count = sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())
    assert sum(isinstance(module, StochasticNorm) for module in replaced.modules()) == count > 0
    with torch.no_grad():
        assert torch.equal(replaced.eval()(images(2)), net(images(2)))


# --- Bi-Tuning ---------------------------------------------------------------------------------------------------


def test_contrastive_loss_against_targets_of_one_in_forty_one() -> None:
    batch, classes, keys = 5, 4, 40
    own, queued = random(batch), random(batch, classes, keys, seed=1)
    labels = torch.tensor([0, 3, 1, 3, 2])
    expected = 0.0
    for i, label in enumerate(labels.tolist()):
        others = [queued[i, c] for c in range(classes) if c != label]
        similarities = torch.cat([own[i : i + 1], queued[i, label], *others]) / 0.07
        log = torch.log_softmax(similarities, 0)
        wanted = torch.zeros(1 + classes * keys, dtype=torch.double)
        wanted[:41] = 1 / 41
        expected += F.kl_div(log, wanted, reduction="sum").item() / batch
    assert contrastive_loss(own, queued, labels, 0.07).item() == pytest.approx(expected)


def test_contrastive_loss_is_zero_where_positives_share_everything() -> None:
    queued = torch.full((2, 2, 40), -100.0)
    labels = torch.tensor([0, 1])
    queued[[0, 1], labels] = 1.0
    assert contrastive_loss(torch.ones(2), queued, labels, 0.07).item() == pytest.approx(0, abs=1e-6)
    assert contrastive_loss(torch.ones(2), queued, labels.flip(0), 0.07).item() > 1


def test_contrastive_loss_gradient() -> None:
    labels = torch.tensor([0, 2])
    assert torch.autograd.gradcheck(
        lambda own, queued: contrastive_loss(own, queued, labels, 0.5),
        (random(2).requires_grad_(), random(2, 3, 4, seed=1).requires_grad_()),
    )


def test_queue_forgets_the_oldest_key_of_the_same_class() -> None:
    queue = KeyQueue(torch.ones(2, 3, 1))
    keys = torch.tensor([[2.0], [3.0], [4.0], [5.0], [6.0]])
    queue.push(keys, torch.tensor([1, 1, 0, 1, 1]))
    assert queue.keys[:, :, 0].tolist() == [[4, 1, 1], [6, 3, 5]]


def bi_tuned(net: JointDelta) -> BiTuningObjective:
    method = BiTuning(recipe=RECIPE, keys_per_class=2, projection_size=4, key_momentum=0.75)
    net.projection = nn.Linear(16, 4)
    queues = [KeyQueue(random(CLASSES, 2, width, seed=width).float()) for width in (4, 17)]
    return BiTuningObjective(net, queues[0], queues[1], method)


def test_bi_tuning_adds_both_branches_and_files_the_keys_of_the_second_view() -> None:
    net = joint()
    objective = bi_tuned(net)
    apart, labels = copy.deepcopy(net), torch.tensor([0, 1, 2, 1])
    x = torch.stack([images(4), images(4, seed=1)], dim=1)
    keys = copy.deepcopy(objective.projections.keys)
    features = copy.deepcopy(objective.features)
    loss = objective.loss(net, x, labels, labels)
    query = pool(apart.backbone, apart.forward_features(x[:, 0]))
    other = copy.deepcopy(joint())
    other.train()
    key = pool(other.backbone, other.forward_features(x[:, 1])).detach()
    one = torch.ones(4, 1)
    query_z, key_z = F.normalize(apart.projection(query)), F.normalize(apart.projection(key)).detach()  # type: ignore[operator]
    query_h, key_h = F.normalize(torch.cat([query, one], 1)), F.normalize(torch.cat([key, one], 1))
    weights = F.normalize(torch.cat([apart.head.weight, apart.head.bias[:, None]], 1)).detach()  # type: ignore[list-item, index]
    features.push(key_h, labels)
    expected = F.cross_entropy(apart.head(query), labels)
    for i, label in enumerate(labels.tolist()):
        for own, queued in (
            (query_z[i] @ key_z[i], torch.stack([query_z[i] @ k for c in keys for k in c]).view(CLASSES, 2)),
            (
                query_h[i] @ weights[label],
                torch.stack([weights[label] @ k for c in features.keys for k in c]).view(3, 2),
            ),
        ):
            expected = expected + contrastive_loss(own[None], queued[None], labels[i : i + 1], 0.07) / 4
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    assert torch.allclose(objective.projections.keys[0, 0], key_z[0], atol=1e-6)
    loss.backward()
    assert all(parameter.grad is None for parameter in objective.copy.parameters())
    assert net.projection.weight.grad is not None  # type: ignore[union-attr]


def test_the_copy_follows_slowly() -> None:
    net = joint()
    objective = bi_tuned(net)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1.0)
    start = [parameter.clone() for parameter in objective.copy.parameters()]
    objective.after_step()
    for before, after in zip(start, objective.copy.parameters(), strict=True):
        assert torch.allclose(after, before + 0.25, atol=1e-5)
    assert bi_tuning.BiTuning(recipe=RECIPE).key_momentum == 0.999
