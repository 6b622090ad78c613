"""Training does not depend on who watches it, nor on being killed between two epochs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from tiny import PREPROCESSING, RECIPE, images, tensor_split
from torch import Tensor, nn
from torchvision.transforms import v2

from delta_core.training.data.splits import LazySplit, Split
from delta_core.training.engine import OnEpoch, train_module
from delta_core.training.errors import UserError

FABRIC = Fabric(accelerator="cpu", devices=1)
RECIPE3 = replace(RECIPE, epochs=3)


class Pictures(torch.utils.data.Dataset[tuple[Tensor, int]]):
    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return images(1, 16, seed=index)[0].mul(50).add(100).to(torch.uint8), index % 3


def fresh_views() -> Split:
    """Random crops, others in every epoch."""
    view = v2.RandomResizedCrop(16, scale=(0.3, 1.0))
    return LazySplit(
        images=Pictures(), labels=torch.arange(20) % 3, transform=view, preprocessing=PREPROCESSING
    )  # fmt: skip


def fixed_views() -> Split:
    return tensor_split(20, 3, seed=0)


def net() -> nn.Module:
    """With a BatchNorm, whose statistics are state too, and one frozen layer."""
    torch.manual_seed(5)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4), nn.Linear(4, 3)
    )
    model[4].requires_grad_(False)
    return model


def trained(
    split: Split, model: nn.Module | None = None, *, on_epoch: OnEpoch | None = None, checkpoint: Path | None = None
) -> dict[str, Tensor]:
    model = model or net()
    train_module(model, model[5], split, RECIPE3, FABRIC, seed=7, on_epoch=on_epoch, checkpoint=checkpoint)  # type: ignore[index]
    return model.state_dict()


def assert_same(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert [name for name in left if not torch.equal(left[name], right[name])] == []


SPLITS = pytest.mark.parametrize("split", [fixed_views, fresh_views])


@SPLITS
def test_the_bits_do_not_depend_on_the_callback(split: Callable[[], Split]) -> None:
    heard: list[tuple[int, float]] = []

    def on_epoch(epoch: int, loss: float) -> None:
        heard.append((epoch, loss))
        torch.rand(epoch)

    assert_same(trained(split()), trained(split(), on_epoch=on_epoch))
    assert [epoch for epoch, _ in heard] == [1, 2, 3]
    assert all(loss > 0 for _, loss in heard)


def test_the_loss_is_the_mean_over_the_images() -> None:
    """At learning rate 0 every epoch sees the same net, so its loss is that of all images at once."""
    heard: list[float] = []
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3))
    split = fixed_views()
    still = replace(RECIPE3, lr=0.0, head_lr=0.0)
    train_module(model, model[1], split, still, FABRIC, seed=7, on_epoch=lambda _, loss: heard.append(loss))
    everything = next(split.batches(20, device=torch.device("cpu")))
    expected = nn.functional.cross_entropy(model(everything), split.labels).item()
    assert heard == pytest.approx([expected] * 3, rel=1e-5)


@SPLITS
@pytest.mark.parametrize("killed_after", [1, 2, 3])
def test_a_killed_training_goes_on_bit_for_bit(split: Callable[[], Split], killed_after: int, tmp_path: Path) -> None:
    def kill(epoch: int, _: float) -> None:
        if epoch == killed_after:
            raise KeyboardInterrupt

    checkpoint = tmp_path / "partial" / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        trained(split(), on_epoch=kill, checkpoint=checkpoint)
    heard: list[int] = []
    torch.manual_seed(99)
    resumed = trained(split(), on_epoch=lambda epoch, _: heard.append(epoch), checkpoint=checkpoint)
    assert heard == list(range(killed_after + 1, 4))
    assert_same(trained(split()), resumed)


def test_frozen_parameters_stay_out_of_the_file_and_as_they_are(tmp_path: Path) -> None:
    trained(fixed_views(), checkpoint=tmp_path / "run.pt")
    names = torch.load(tmp_path / "run.pt", weights_only=True)["module"]
    assert {"0.weight", "1.running_mean", "5.bias"} <= set(names)
    assert "4.weight" not in names
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.pt"]


def test_a_checkpoint_that_does_not_fit_is_told_in_one_sentence(tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.pt"
    trained(fixed_views(), checkpoint=checkpoint)
    other = nn.Sequential(nn.Flatten(), *(nn.Identity() for _ in range(4)), nn.Linear(3 * 16 * 16, 3))
    with pytest.raises(UserError, match="delete it to start anew") as caught:
        trained(fixed_views(), other, checkpoint=checkpoint)
    assert "\n" not in str(caught.value)
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    with pytest.raises(UserError, match="delete it to start anew"):
        trained(fixed_views(), checkpoint=checkpoint)
