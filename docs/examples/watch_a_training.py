"""Hear of every step and epoch of a training, and write them for TensorBoard: scikit-learn's digits on a random net."""

import contextlib
import tempfile

import torch
from sklearn.datasets import load_digits
from torch import Tensor

from delta_core import DeltaConfig, create_model
from delta_core.training import Callback, Epoch, Recipe, TensorBoardLog, fit
from delta_core.weights import preprocessing_of


class Losses(Callback):
    """Keeps loss and rate of each step, and prints a line for each epoch."""

    def __init__(self) -> None:
        self.of_steps: list[tuple[Tensor, float]] = []

    def on_step(self, loss: Tensor, lr: float) -> None:
        """Neither moved nor read here, so that a GPU need not wait."""
        self.of_steps.append((loss, lr))

    def on_epoch(self, epoch: Epoch) -> None:
        """Validated, and about to be kept."""
        print(f"epoch {epoch.number} of {epoch.epochs}: loss {epoch.train_loss:.2f}, validation {epoch.val_top1:.1f} %")


digits = load_digits()
small = torch.from_numpy(15 * digits.images).to(torch.uint8)
images = small[:, None].expand(-1, 3, -1, -1).repeat_interleave(4, 2).repeat_interleave(4, 3)
labels = torch.from_numpy(digits.target)

model = create_model("resnet10t", weights="none")
model.add_patch(
    "digits", num_classes=10, config=DeltaConfig(n_modules=1), preprocessing=preprocessing_of(model.backbone, 32)
)
train, val = (images[:400], labels[:400]), (images[400:500], labels[400:500])
with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
    losses = Losses()
    result = fit(model, train, val, recipe=Recipe(epochs=3), callbacks=[losses, TensorBoardLog("logs/digits")])
    print(f"losses of {len(losses.of_steps)} steps, as many as were taken: {len(losses.of_steps) == result.steps}")
