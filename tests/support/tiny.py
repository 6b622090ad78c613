"""Nets and data that are small enough for a test, with statistics and affines that are not the identity."""

from collections.abc import Callable

import timm
import torch
from torch import Tensor, nn

from delta_core import DeltaConfig, DeltaModel
from delta_core.training.data.splits import TaskData, TensorSplit
from delta_core.training.recipe import Recipe
from delta_core.weights import Preprocessing

PREPROCESSING = Preprocessing(
    image_size=16, crop_pct=1.0, interpolation="bicubic", mean=(0.5, 0.4, 0.3), std=(0.25, 0.3, 0.2)
)


def _create(architecture: str, **options: object) -> nn.Module:
    """A net in eval mode whose norms, biases and layer scales are random, so that no layer is the identity."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = timm.create_model(architecture, num_classes=7, **options).eval()
        for tensor in net.state_dict().values():
            if tensor.is_floating_point() and tensor.ndim == 1:
                tensor.uniform_(0.5, 1.5)
    return net


def basic_block_net(**options: object) -> nn.Module:
    return _create("resnet18", stem_type="deep", stem_width=4, channels=(8, 8, 16, 16), **options)


def bottleneck_net() -> nn.Module:
    return _create("resnet50", stem_type="deep", stem_width=4, channels=(4, 4, 8, 8))


def convnext_net() -> nn.Module:
    return _create("convnext_tiny", depths=(1, 1, 2, 1), dims=(8, 8, 16, 16), patch_size=1)


def efficientnet_lite_net() -> nn.Module:
    return _create("tf_efficientnet_lite0")


NETS: dict[str, Callable[[], nn.Module]] = {
    "basic_block": basic_block_net,
    "bottleneck": bottleneck_net,
    "convnext": convnext_net,
    "efficientnet_lite": efficientnet_lite_net,
}


def wake(patch: nn.Module) -> None:
    """Draw what starts at zero, which hides from the gradient for one step what stands in front of it."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(3)
        for parameter in patch.parameters():
            if not parameter.any():
                parameter.normal_(std=0.2)


def with_patches(
    net: nn.Module, counts: dict[str, int], reading: Callable[..., DeltaConfig] = DeltaConfig.paper
) -> DeltaModel:
    """A model with patches of so many modules (0: a head alone), none of which is the identity."""
    model = DeltaModel(net)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for name, n in counts.items():
            model.add_patch(name, num_classes=3 + n, config=reading(n_modules=n) if n else None)
            if model.patch().waits_for_calibration:
                model.calibrate([images()])
            wake(model.patch().blocks)
        for tensor in model.patches.state_dict().values():
            if tensor.is_floating_point() and tensor.ndim == 1:
                tensor.uniform_(0.5, 1.5)
    return model.eval()


def images(count: int = 4, size: int = 32, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def tensor_split(count: int, classes: int, seed: int, size: int = 16) -> TensorSplit:
    """Random uint8 images; a class shifts the brightness, so that there is something to learn."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    pixels = torch.randint(0, 64, (count, 3, size, size), generator=generator)
    pixels = pixels + (labels * (190 // classes))[:, None, None, None]
    return TensorSplit(inputs=pixels.to(torch.uint8), labels=labels, preprocessing=PREPROCESSING)


def tiny_task(name: str = "signs", classes: int = 3, seed: int = 0) -> TaskData:
    train, val, test = (tensor_split(count, classes, seed + i) for i, count in enumerate((24, 9, 12)))
    return TaskData(name=name, classes=classes, sha=f"sha-{name}", train=train, val=val, test=test)


RECIPE = Recipe(epochs=2, lr=1e-2, head_lr=1e-2, batch_size=8, views=1)
