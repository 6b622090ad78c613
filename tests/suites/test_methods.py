"""Methods and the training loop on a tiny cell: what is trained, measured and interpolated."""

import math
import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from lightning_fabric import Fabric
from tiny import PREPROCESSING, RECIPE, basic_block_net, convnext_net, tensor_split
from tiny_cell import tiny_cell
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.methods import paint as paint_module
from benchmarks.methods.base import Method, Outcome
from benchmarks.methods.delta import DeltaNetworks
from benchmarks.methods.fc_only import FcOnly
from benchmarks.methods.finetune import FineTune, FineTuned, train_all
from benchmarks.methods.frozen import measure_patch
from benchmarks.methods.paint import ALPHAS, Paint, interpolate_, reestimate_batch_norm_
from delta_core import DeltaConfig, DeltaModel, backbone_fingerprint
from delta_core.training.data.splits import FeatureSplit
from delta_core.training.engine import DivergedError, parameter_groups, predict, rate_factor, top1, train_module
from delta_core.training.fabric import make_fabric

CPU = torch.device("cpu")
FABRIC = Fabric(accelerator="cpu", devices=1)
METHODS: list[Method] = [
    FcOnly(recipe=RECIPE),
    FineTune(recipe=RECIPE),
    Paint(recipe=RECIPE),
    DeltaNetworks(recipe=RECIPE, config=DeltaConfig(n_modules=2), reading="maps"),
]


def states() -> tuple[nn.Module, dict[str, Tensor], dict[str, Tensor]]:
    """A net to overwrite and two states that differ in every entry, counters included."""
    base, tuned = basic_block_net().state_dict(), basic_block_net().state_dict()
    generator = torch.Generator().manual_seed(0)
    for tensor in tuned.values():
        if tensor.is_floating_point():
            tensor.copy_(50 * torch.rand(tensor.shape, generator=generator) - 20)
        else:
            tensor.fill_(10)
    return basic_block_net(), base, tuned


# --- PAINT -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("alpha", "which"), [(0.0, "base"), (1.0, "tuned")])
def test_interpolation_ends_are_bit_identical(alpha: float, which: str) -> None:
    net, base, tuned = states()
    net.load_state_dict({name: torch.full_like(tensor, 3) for name, tensor in base.items()})
    interpolate_(net, base, tuned, alpha)
    expected = base if which == "base" else tuned
    assert [name for name, tensor in net.state_dict().items() if not torch.equal(tensor, expected[name])] == []


def test_interpolation_is_linear_in_every_entry() -> None:
    net, base, tuned = states()
    interpolate_(net, base, tuned, 0.3)
    for name, tensor in net.state_dict().items():
        if tensor.is_floating_point():
            assert torch.allclose(tensor, 0.7 * base[name] + 0.3 * tuned[name], atol=1e-6)
        else:
            assert tensor.item() == 3, "counters go from 0 to 10"


def test_paint_measures_every_alpha_on_both_splits_and_both_tasks() -> None:
    outcome = Paint(recipe=RECIPE).measure(tiny_cell())
    plain, renormed = f"lr={RECIPE.lr:g}", f"lr={RECIPE.lr:g}+bn"
    found = [(m.variant, m.alpha, m.split, m.column) for m in outcome.measurements if m.phase == "after"]
    assert ALPHAS == (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    assert len(found) == len(set(found))
    assert set(found) == {
        (variant, alpha, split, column)
        for variant in (plain, renormed)
        for alpha in ALPHAS
        for split in ("val", "test")
        for column in ("signs", "glyphs62")
    }
    assert [(m.column, m.split, m.alpha) for m in outcome.measurements if m.phase == "before"] == [
        ("glyphs62", "test", None)
    ]


def test_alphas_are_screened_on_part_of_the_base_and_confirmed_on_all_of_it() -> None:
    cell = tiny_cell()
    assert cell.base is not None
    every = len(cell.base.test.labels)
    whole = Paint(recipe=RECIPE).measure(cell).measurements
    screened = Paint(recipe=RECIPE, screen_images=5).measure(cell).measurements
    assert len(screened) == len(whole)
    chosen: dict[str, float] = {}
    for variant in (f"lr={RECIPE.lr:g}", f"lr={RECIPE.lr:g}+bn"):
        by_alpha = {a: [m.value for m in whole if (m.variant, m.alpha, m.split) == (variant, a, "val")] for a in ALPHAS}
        chosen[variant] = max(ALPHAS, key=lambda alpha: statistics.harmonic_mean(by_alpha[alpha]))
    for one, other in zip(screened, whole, strict=True):
        on_base_test = (one.column, one.split, one.phase) == ("glyphs62", "test", "after")
        if on_base_test and one.alpha not in (0.0, 1.0, chosen[one.variant]):
            assert one.n_examples == 5 < every
        else:
            assert one == other


def test_nets_without_batch_norm_have_no_reestimated_arm() -> None:
    outcome = Paint(recipe=RECIPE).measure(tiny_cell(convnext_net))
    assert {m.variant for m in outcome.measurements if m.phase == "after"} == {f"lr={RECIPE.lr:g}"}
    assert len(outcome.measurements) == 1 + 11 * 2 * 2


def test_paint_without_base_data_measures_the_task_alone() -> None:
    outcome = Paint(recipe=RECIPE).measure(tiny_cell(base=False))
    assert {m.column for m in outcome.measurements} == {"signs"}
    assert len(outcome.measurements) == 2 * 11 * 2


def test_paint_measures_the_interpolated_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain arm never sees re-estimated statistics, the other differs from it in nothing else."""
    measured: dict[tuple[str, float], dict[str, Tensor]] = {}

    def remember(_: object, model: FineTuned, *, variant: str, alpha: float) -> list[object]:
        measured[variant, alpha] = {name: tensor.clone() for name, tensor in model.backbone.state_dict().items()}
        return []

    monkeypatch.setattr(paint_module, "_sweep", remember)
    cell = tiny_cell()
    Paint(recipe=RECIPE).measure(cell)
    base, tuned = cell.new_backbone().state_dict(), train_all(cell, RECIPE)[0].backbone.state_dict()
    expected = cell.new_backbone()
    for (variant, alpha), state in measured.items():
        interpolate_(expected, base, tuned, alpha)
        differ = {n.rpartition(".")[2] for n, t in expected.state_dict().items() if not torch.equal(t, state[n])}
        assert differ <= {"running_mean", "running_var", "num_batches_tracked"}
        assert bool(differ) == variant.endswith("+bn"), (variant, alpha)
    assert len(measured) == 22


def test_reestimation_averages_the_inputs_and_touches_statistics_alone() -> None:
    net = basic_block_net()
    net.conv1[1].num_batches_tracked.fill_(5)  # a net that was trained before
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    momenta = {name: m.momentum for name, m in net.named_modules() if isinstance(m, _BatchNorm)}
    batches = [torch.rand(6, 3, 16, 16), torch.rand(6, 3, 16, 16) + 1]
    reestimate_batch_norm_(net, iter(batches))
    changed = {name for name, tensor in net.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {name.rpartition(".")[2] for name in changed} == {"running_mean", "running_var", "num_batches_tracked"}
    assert {name: m.momentum for name, m in net.named_modules() if isinstance(m, _BatchNorm)} == momenta
    assert not any(module.training for module in net.modules())
    with torch.no_grad():
        seen = [net.conv1[0](images) for images in batches]  # what enters the first BatchNorm
    mean = sum(x.mean((0, 2, 3)) for x in seen) / 2
    variance = sum(x.var((0, 2, 3)) for x in seen) / 2
    assert torch.allclose(net.conv1[1].running_mean, mean, atol=1e-5)
    assert torch.allclose(net.conv1[1].running_var, variance, atol=1e-5)


def test_reestimation_sees_equal_parts_of_both_tasks() -> None:
    cell = tiny_cell()
    (batch,) = paint_module._mixed_batches(cell)  # 24 task images, 9 base images
    assert batch.shape == (24 + 9, 3, 16, 16)
    apart = replace(cell, base=replace(cell.base, val=tensor_split(9, 7, seed=0, size=32)))
    assert [batch.shape[-1] for batch in paint_module._mixed_batches(apart)] == [16, 32]


# --- fine-tuning and the head alone ------------------------------------------------------------------------------


def test_finetune_is_paint_at_alpha_one() -> None:
    tuned = FineTune(recipe=RECIPE).measure(tiny_cell())
    painted = Paint(recipe=RECIPE).measure(tiny_cell())
    at_one = {
        (m.column, m.split): m.value for m in painted.measurements if m.alpha == 1.0 and not m.variant.endswith("+bn")
    }
    found = {(m.column, m.split): m.value for m in tuned.measurements if m.phase == "after"}
    assert set(found) == {("signs", "val"), ("signs", "test"), ("glyphs62", "test")}
    assert found.items() <= at_one.items()
    assert tuned.backbone_sha_after == painted.backbone_sha_after


def test_finetuning_trains_everything_but_the_base_head() -> None:
    cell = tiny_cell()
    model, _, _ = train_all(cell, RECIPE)
    before = cell.new_backbone().state_dict()
    same = [n for n, p in model.backbone.named_parameters() if torch.equal(p, before[n])]
    assert same == ["fc.weight", "fc.bias"]
    assert not model.training
    outcome = FineTune(recipe=RECIPE).measure(cell)
    body = sum(parameter.numel() for name, parameter in cell.new_backbone().named_parameters() if "fc" not in name)
    assert (outcome.params_delta, outcome.params_head) == (body, 16 * 3 + 3)
    assert outcome.base_logits_equal is None
    assert outcome.backbone_sha_after != backbone_fingerprint(cell.new_backbone())


def test_fc_only_trains_the_head_alone() -> None:
    cell = tiny_cell()
    outcome = FcOnly(recipe=RECIPE).measure(cell)
    assert (outcome.params_delta, outcome.params_head) == (0, 16 * 3 + 3)
    assert outcome.steps == RECIPE.epochs * 3
    assert outcome.base_logits_equal
    assert outcome.backbone_sha_after == backbone_fingerprint(cell.new_backbone())


def test_training_learns_the_tiny_task() -> None:
    for method in METHODS[1:]:  # random features alone are too poor
        recipe = replace(RECIPE, epochs=20, lr=5e-2, head_lr=5e-2)
        found = replace(method, recipe=recipe).measure(tiny_cell()).measurements
        values = [m.value for m in found if m.column == "signs" and m.split == "test" and m.alpha in (None, 1.0)]
        assert max(values) > 60, method.name


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_two_runs_of_one_seed_are_bit_identical(method: Method) -> None:
    first, second = (comparable(method.measure(tiny_cell())) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    "make_net", [partial(basic_block_net, output_stride=16), convnext_net], ids=["basic_block_net", "convnext_net"]
)
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_method_trains_in_mixed_precision(method: Method, make_net: Callable[[], nn.Module]) -> None:
    """As docs/paper-scale.md advises; what a ConvNeXt computes is of two types then.

    The ResNet strides to maps of one pixel and no further: where the CPU multiplies bfloat16 itself, oneDNN 3.12 gives
    a 3 x 3 convolution of stride 2 on such a map weight gradients that are not finite.
    """
    cell = tiny_cell(make_net, fabric=make_fabric("cpu", "bf16-mixed"))
    outcome = method.measure(cell)
    assert outcome.steps == RECIPE.epochs * 3
    assert outcome.base_logits_equal in {True, None}, "None: the method gives the base up"


def comparable(outcome: Outcome) -> Outcome:
    return replace(outcome, train_s=0)


@pytest.mark.parametrize("views", [0, 1])
def test_trained_weights_depend_on_the_seeds_alone(views: int) -> None:
    def trained(order: int = 1, init: int = 2) -> str:
        torch.rand(3)  # the global generator must not matter
        recipe = replace(RECIPE, views=views)
        return backbone_fingerprint(train_all(tiny_cell(order_seed=order, init_seed=init), recipe)[0])

    assert trained() == trained()
    assert trained(order=3) != trained()
    assert trained(init=3) != trained()


def delta_state(views: int, config: DeltaConfig | None, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """The trained patch, seen through the fingerprint that `measure_patch` takes at the end."""
    from benchmarks.methods import frozen

    models = []

    class Remembered(frozen.DeltaModel):
        def __init__(self, backbone: nn.Module) -> None:
            super().__init__(backbone)
            models.append(self)

    monkeypatch.setattr(frozen, "DeltaModel", Remembered)
    measure_patch(tiny_cell(), config, replace(RECIPE, views=views))
    return models[0].patches.state_dict()


@pytest.mark.parametrize("config", [None, DeltaConfig(n_modules=1), DeltaConfig.paper(n_modules=4)])
def test_cached_prefix_trains_the_same_patch(config: DeltaConfig | None, monkeypatch: pytest.MonkeyPatch) -> None:
    cached, direct = (delta_state(views, config, monkeypatch) for views in (1, 0))
    assert cached.keys() == direct.keys()
    assert all(torch.allclose(cached[name], direct[name], rtol=1e-3, atol=1e-4) for name in cached)


# --- the loop ----------------------------------------------------------------------------------------------------


def linear_task(**changes: Tensor) -> FeatureSplit:
    generator = torch.Generator().manual_seed(0)
    parts = {"inputs": torch.randn(20, 5, generator=generator), "labels": torch.arange(20) % 3}
    return FeatureSplit(**parts | changes, preprocessing=PREPROCESSING)


class Listed(FeatureSplit):
    """A split that remembers the orders in which it was read."""

    def batches(self, batch_size: int, *, device: torch.device, order: Tensor | None = None):
        ORDERS.append(order.tolist())
        return super().batches(batch_size, device=device, order=order)


ORDERS: list[list[int]] = []


def test_every_epoch_reads_all_images_in_an_order_of_its_own() -> None:
    ORDERS.clear()
    net = nn.Linear(5, 3)
    recipe = replace(RECIPE, epochs=3, batch_size=8)
    split = Listed(**vars(linear_task()))
    assert train_module(net, net, split, recipe, FABRIC, seed=1) == 9
    assert [sorted(order) for order in ORDERS] == [list(range(20))] * 3
    assert len({tuple(order) for order in ORDERS}) == 3
    train_module(nn.Linear(5, 3), net, split, recipe, FABRIC, seed=1)
    assert ORDERS[:3] == ORDERS[3:]


def test_labels_follow_their_inputs() -> None:
    """Inputs name their class, so a linear net separates them only if the shuffles agree."""
    labels = torch.arange(20) % 3
    net = nn.Linear(3, 3)
    split = linear_task(inputs=torch.eye(3)[labels], labels=labels)
    train_module(net, net, split, replace(RECIPE, epochs=40, lr=0.1, head_lr=0.1), FABRIC, seed=1)
    assert top1(predict(net, split.batches(8, device=CPU)), labels) == 100


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_loss_that_is_not_finite_ends_the_run(value: float) -> None:
    net = nn.Linear(5, 3)
    inputs = linear_task().inputs
    inputs[3] = value
    with pytest.raises(DivergedError, match=r"lower the learning rate \(0\.01\)"):
        train_module(net, net, linear_task(inputs=inputs), RECIPE, FABRIC, seed=1)


@pytest.mark.parametrize(("steps", "expected"), [(3, 1), (10, 1), (49, 4), (6000, 500)])
def test_warm_up_is_at_most_a_tenth_of_all_steps(steps: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    schedule = torch.optim.lr_scheduler.LambdaLR

    def remember(_: torch.optim.Optimizer, function):
        seen.extend(function(step) for step in range(steps))
        raise InterruptedError

    monkeypatch.setattr(torch.optim.lr_scheduler, "LambdaLR", remember)
    net = nn.Linear(5, 3)
    with pytest.raises(InterruptedError):
        train_module(net, net, linear_task(), replace(RECIPE, epochs=steps, batch_size=20), FABRIC, seed=1)
    monkeypatch.setattr(torch.optim.lr_scheduler, "LambdaLR", schedule)
    assert seen.index(max(seen)) + 1 == expected
    assert max(seen) == 1
    assert all(0 < rate <= 1 for rate in seen)


def test_schedule_rises_linearly_and_falls_as_a_cosine_to_zero() -> None:
    recipe = replace(RECIPE, warmup_steps=4)
    rates = [rate_factor(step, 40, recipe) for step in range(41)]
    assert rates[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert math.isclose(rates[22], 0.5)
    assert math.isclose(rates[40], 0, abs_tol=1e-12)


def test_groups_give_the_head_its_own_rate_and_decay_matrices_only() -> None:
    model = FineTuned(basic_block_net(), 3, seed=0)
    recipe = replace(RECIPE, lr=0.1, head_lr=0.2, weight_decay=0.3)
    settings = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in parameter_groups(model, model.head, recipe)
        for parameter in group["params"]
    }
    for name, parameter in model.named_parameters():
        if name.startswith("backbone.fc"):
            assert id(parameter) not in settings, "the base head is not trained"
        else:
            rate = 0.2 if name.startswith("head") else 0.1
            assert settings[id(parameter)] == (rate, 0.3 if parameter.ndim > 1 else 0.0), name


def test_parts_of_a_patch_learn_at_their_own_rates() -> None:
    model = DeltaModel(basic_block_net())
    model.add_patch("task", num_classes=3, config=DeltaConfig())
    recipe = replace(RECIPE, lr=0.1, head_lr=0.2, gate_lr=0.3, norm_lr=0.4)
    groups = parameter_groups(model, model.patch().head, recipe)
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    for part in model.patch().blocks.values():
        for module, rate in ((part.gates, 0.3), (part.maps, 0.1), (part.norm, 0.4)):
            assert {rates[id(parameter)] for parameter in module.parameters()} == {rate}
    assert {rates[id(parameter)] for parameter in model.patch().head.parameters()} == {0.2}


def test_top1_is_right_answers_over_all_answers() -> None:
    logits = torch.tensor([[3.0, 1, 0], [0, 2, 1], [0, 2, 1], [9, 0, 0], [1, 0, 5]])
    labels = torch.tensor([0, 1, 2, 0, 0])  # classes of unequal size: the macro average is another number
    assert top1(logits, labels) == pytest.approx(60)


def test_predict_is_in_eval_mode_and_restores_the_mode() -> None:
    net = nn.Sequential(nn.Dropout(0.9), nn.Linear(5, 3)).train()
    split = linear_task()
    first, second = (predict(net, split.batches(size, device=CPU)) for size in (3, 20))
    assert torch.allclose(first, second)
    assert net.training
    assert first.shape == (20, 3)
    assert not first.requires_grad
