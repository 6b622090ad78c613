"""How a module is trained: one optimiser, one schedule, for every method."""

from dataclasses import dataclass
from typing import Literal

FeatureDtype = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """AdamW with linear warm-up and per-step cosine to 0, gradients clipped (PAINT's recipe, mlfoundations/patching).

    Biases and normalisation parameters are never decayed.
    """

    epochs: int
    lr: float
    """Peak learning rate of everything but the head."""
    head_lr: float
    batch_size: int = 128
    weight_decay: float = 0.1
    warmup_steps: int = 500
    """Clamped to a tenth of all steps: on small data sets 500 steps would be the whole training."""
    clip_norm: float = 1.0
    views: int = 0
    """0 = a fresh augmented view of each image in every epoch; 1 = one fixed view (resize, centre crop);
    K > 1 = K fixed augmented views, of which epoch e sees number e mod K."""
    feature_dtype: FeatureDtype = "float32"
    """Type to which the output of a frozen prefix is rounded; methods that change the backbone have none."""
