"""The freezing contract, and that each of its checks goes red when the contract is broken on purpose."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from tiny import NETS, RECIPE, basic_block_net, images
from tiny_cell import tiny_cell
from torch import nn
from torch.nn import functional as F

from benchmarks.methods.delta import DeltaNetworks
from benchmarks.methods.fc_only import FcOnly
from benchmarks.methods.frozen import measure_patch
from delta_core import DeltaConfig, DeltaModel, FrozenError, assert_frozen, backbone_fingerprint


def patched() -> DeltaModel:
    model = DeltaModel(basic_block_net())
    model.add_patch("task", num_classes=5, config=DeltaConfig(n_modules=2))
    model.calibrate([images()])
    return model.train()


def train(model: DeltaModel, *, autocast: bool = False) -> None:
    optimizer = torch.optim.AdamW(model.trainable_parameters(), lr=0.1)
    for step in range(3):
        with torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext():
            loss = F.cross_entropy(model(images(6, seed=step)).float(), torch.arange(6) % 5)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("make_net", NETS.values(), ids=NETS.keys())
def test_train_mode_never_reaches_the_backbone(make_net: Callable[[], nn.Module]) -> None:
    model = DeltaModel(make_net().train())
    model.add_patch("task", num_classes=5, config=DeltaConfig(n_modules=2))
    for enter in (model.train, model.eval, nn.Sequential(model).train):
        enter()
        assert not any(module.training for module in model.backbone.modules())
    assert all(module.training for module in model.patches.modules())
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bfloat16"])
def test_contract_holds_after_training(autocast: bool) -> None:
    model, x = patched(), images()
    with model.disable_patches():
        before = model(x)
    train(model, autocast=autocast)
    model.assert_frozen()
    with model.disable_patches():
        assert torch.equal(model(x), before)


def test_one_batch_norm_in_train_mode_is_named() -> None:
    model = patched()
    model.backbone.layer2[1].bn1.train()
    with pytest.raises(FrozenError, match=r"BatchNorm layer2\.1\.bn1 of the backbone is in train mode"):
        model.assert_frozen()


def test_a_thawed_parameter_is_named() -> None:
    model = patched()
    model.backbone.layer3[0].conv2.weight.requires_grad_(True)
    with pytest.raises(FrozenError, match=r"parameter layer3\.0\.conv2\.weight takes gradients"):
        model.assert_frozen()


@pytest.mark.parametrize(
    "name", ["layer1.0.bn1.running_mean", "layer1.0.bn1.num_batches_tracked", "fc.bias", "conv1.0.weight"]
)
def test_one_changed_byte_is_seen(name: str) -> None:
    model = patched()
    tensor = model.backbone.state_dict()[name]
    tensor.reshape(-1).view(torch.uint8)[0] ^= 1
    with pytest.raises(FrozenError, match=r"Backbone bytes changed: fingerprint [0-9a-f]{12} now"):
        model.assert_frozen()


def test_fingerprint_depends_on_names_shapes_and_types() -> None:
    weight = torch.arange(4.0)
    nets = [nn.ParameterDict({"a": weight}), nn.ParameterDict({"b": weight}), nn.ParameterDict({"a": weight[None]})]
    bits = nn.ParameterDict({"a": nn.Parameter(weight.view(torch.int32), requires_grad=False)})
    assert len({backbone_fingerprint(net) for net in (*nets, bits)}) == 4
    assert_frozen(nn.ParameterDict({"a": nn.Parameter(weight, requires_grad=False)}), backbone_fingerprint(nets[0]))


def test_fingerprint_ignores_the_memory_layout() -> None:
    net = basic_block_net()
    before = backbone_fingerprint(net)
    assert backbone_fingerprint(net.to(memory_format=torch.channels_last)) == before


# --- the proof that every run carries ----------------------------------------------------------------------------


@pytest.mark.parametrize("with_base", [True, False], ids=["with base data", "without base data"])
@pytest.mark.parametrize("views", [0, 1])
@pytest.mark.parametrize("config", [None, DeltaConfig(n_modules=2), DeltaConfig.paper(n_modules=4)])
def test_a_run_proves_that_the_base_is_unchanged(config: DeltaConfig | None, views: int, with_base: bool) -> None:
    cell = tiny_cell(base=with_base)
    recipe = replace(RECIPE, views=views)
    method = DeltaNetworks(recipe=recipe, config=config, reading="maps") if config else FcOnly(recipe=recipe)
    outcome = method.measure(cell)
    assert outcome.base_logits_equal is True
    assert outcome.backbone_sha_after == backbone_fingerprint(cell.new_backbone())
    before, after = ({m.value for m in outcome.measurements if m.column == "glyphs62" and m.phase == p}
                     for p in ("before", "after"))  # fmt: skip
    assert before == after
    assert len(before) == with_base


@pytest.mark.parametrize("with_base", [True, False], ids=["with base data", "without base data"])
@pytest.mark.parametrize(
    ("config", "views"), [(DeltaConfig(n_modules=2), 1), (DeltaConfig.paper(n_modules=1), 0), (None, 0)]
)
def test_a_run_with_one_thawed_batch_norm_reports_the_damage(
    config: DeltaConfig | None, views: int, with_base: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = DeltaModel.train

    def leaky_train(self: DeltaModel, mode: bool = True) -> DeltaModel:
        original(self, mode)
        self.backbone.layer4[1].bn1.train(mode)
        return self

    monkeypatch.setattr(DeltaModel, "train", leaky_train)
    cell = tiny_cell(base=with_base)
    outcome = measure_patch(cell, config, replace(RECIPE, views=views))
    assert outcome.base_logits_equal is False
    assert outcome.backbone_sha_after != backbone_fingerprint(cell.new_backbone())
