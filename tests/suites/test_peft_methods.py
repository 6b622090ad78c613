"""Methods of huggingface/peft: each trained update is the published one, written out here in plain torch."""

from collections.abc import Callable

import pytest
import torch
from peer_arms import adapted, randomised
from tiny import RECIPE, basic_block_net, bottleneck_net, convnext_net, images
from torch import Tensor, nn

from benchmarks.methods.adapted import AdaptedMethod
from benchmarks.methods.boft import Boft
from benchmarks.methods.dora import Dora
from benchmarks.methods.loha import Loha
from benchmarks.methods.lokr import Lokr
from benchmarks.methods.lora import Lora
from benchmarks.methods.oft import Flattened, Oft
from benchmarks.methods.peft_layers import targets
from delta_core.training.errors import UserError

NETS = [basic_block_net, bottleneck_net, convnext_net]
by_net = pytest.mark.parametrize("make_net", NETS)


def cayley(angles: Tensor) -> Tensor:
    """Rotations (n, b, b) of skew-symmetric matrices (n, b, b), put together to one block-diagonal matrix."""
    eye = torch.eye(angles.shape[-1])
    return torch.block_diag(*((eye + a) @ torch.linalg.inv(eye - a) for a in angles))


def scaled(module: nn.Module, scale: float) -> Tensor:
    up, down = (getattr(module, name)["default"].weight.flatten(1) for name in ("lora_B", "lora_A"))
    return scale * up @ down


def dora(w: Tensor, layer: nn.Module) -> Tensor:
    """Liu et al. 2024, Eq. 5: magnitudes and normalised directions, by output channel."""
    moved = w + scaled(layer, 1.0)
    return layer.lora_magnitude_vector["default"].weight.flatten()[:, None] * moved / moved.norm(dim=1, keepdim=True)


def loha(w: Tensor, layer: nn.Module) -> Tensor:
    """Hyeon-Woo et al. 2022, Eq. 1: the Hadamard product of two low-rank matrices."""
    w1a, w1b, w2a, w2b = (getattr(layer, f"hada_{name}")["default"] for name in ("w1_a", "w1_b", "w2_a", "w2_b"))
    return w + (w1a @ w1b) * (w2a @ w2b)


def lokr(w: Tensor, layer: nn.Module) -> Tensor:
    """Yeh et al. 2024: a Kronecker product over output and input channels."""
    first, second = layer.lokr_w1["default"], layer.lokr_w2["default"]
    wide = second.flatten(2) if second.ndim == 4 else second[..., None]
    product = torch.einsum("ac,bdk->abcdk", first, wide)
    return w + product.reshape(w.shape)


def oft(w: Tensor, layer: nn.Module) -> Tensor:
    """Qiu et al. 2023, Eq. 4: W R with a block-diagonal R; angles fill an upper triangle row by row."""
    values = layer.oft_R["default"].weight
    size = layer.oft_block_size["default"]
    upper = torch.zeros(len(values), size, size)
    rows, columns = torch.triu_indices(size, size, 1)
    upper[:, rows, columns] = values
    return w @ cayley(upper - upper.mT).T


def boft(w: Tensor, layer: nn.Module) -> Tensor:
    """Liu et al. 2024, Eq. 2, with one factor, and the scale of their code."""
    values = layer.boft_R["default"][0]
    return layer.boft_s["default"].flatten()[:, None] * (w @ cayley((values.mT - values) / 2).T)


UPDATES: list[tuple[AdaptedMethod, Callable[[Tensor, nn.Module], Tensor]]] = [
    (Lora(recipe=RECIPE, rank=3), lambda w, layer: w + scaled(layer, 1.0)),
    (Lora(recipe=RECIPE, rank=4, alpha=6), lambda w, layer: w + scaled(layer, 1.5)),
    (Dora(recipe=RECIPE, rank=3), dora),
    (Loha(recipe=RECIPE, rank=3), loha),
    (Lokr(recipe=RECIPE, factor=4), lokr),
    (Oft(recipe=RECIPE, block_size=4), oft),
    (Boft(recipe=RECIPE, block_size=4), boft),
]
by_update = pytest.mark.parametrize(("method", "update"), UPDATES, ids=lambda each: getattr(each, "name", ""))


@by_update
@by_net
@torch.no_grad()
def test_a_trained_layer_is_the_bases_with_weights_by_the_published_formula(
    method: AdaptedMethod, update: Callable[[Tensor, nn.Module], Tensor], make_net: Callable[[], nn.Module]
) -> None:
    net, plain, checked = randomised(adapted(method, make_net)[1]).net, make_net(), 0
    for name in targets(plain):
        found, layer = net.get_submodule(name), plain.get_submodule(name)
        inner = found.layer if isinstance(found, Flattened) else found
        if not hasattr(inner, "base_layer"):
            continue  # left out
        shape = (2, 6, 7, layer.in_features) if isinstance(layer, nn.Linear) else (2, layer.in_channels, 6, 7)
        x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        before, weight = layer(x), layer.weight
        weight.copy_(update(weight.flatten(1), inner).reshape(weight.shape))
        scale = (layer(x) - before).abs().max()
        assert scale > 0
        assert (found(x) - layer(x)).abs().max() < 0.02 * scale, name
        checked += 1
    assert checked


def test_wide_kernels_are_left_to_boft() -> None:
    """Why: in peft's OFT a fresh one is not the identity there. Once it is, this fails and they may join."""
    from peft import OFTConfig, inject_adapter_in_model

    net = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1))
    x = images(size=9)[:, :1].expand(-1, 8, -1, -1)
    before = net(x)
    inject_adapter_in_model(OFTConfig(oft_block_size=8, target_modules=["0"]), net)
    assert not torch.allclose(net(x), before, atol=0.1)
    shapes = {tuple(module.base_layer.kernel_size) for module in oft_layers(bottleneck_net())}
    assert shapes == {(1, 1)}


def oft_layers(net: nn.Module) -> list[nn.Module]:
    from peft.tuners.oft.layer import OFTLayer

    Oft(recipe=RECIPE).adapt(net.requires_grad_(False))
    return [module for module in net.modules() if isinstance(module, OFTLayer)]


def test_layers_that_a_block_does_not_divide_are_left_out_of_boft() -> None:
    counts = []
    for size in (4, 8, 32):
        net = bottleneck_net().requires_grad_(False)
        Boft(recipe=RECIPE, block_size=size).adapt(net)
        rotated = [module for module in net.modules() if hasattr(module, "boft_R")]
        assert all(module.base_layer.weight[0].numel() % size == 0 for module in rotated)
        counts.append(len(rotated))
    assert counts[0] > counts[1] > counts[2] > 0
    with pytest.raises(UserError, match="fits no layer of ResNet"):
        Boft(recipe=RECIPE, block_size=64).adapt(bottleneck_net())
