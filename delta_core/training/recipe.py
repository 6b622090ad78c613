"""How a module is trained: optimiser and schedule."""

from dataclasses import dataclass, field
from typing import Literal

from delta_core.training.identity import NEW_SINCE_RECORDED

FeatureDtype = Literal["float32", "bfloat16", "float16", "uint8"]
"""`uint8` are codes, see `data/coded_features.py`."""
OptimizerName = Literal["adamw", "sgd"]

GATES_LR = 3e-3
"""Peak learning rate of patches without maps on their skips, the paper's reading among them."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Default: AdamW, linear warm-up, per-step cosine to 0, gradients clipped (PAINT's recipe, mlfoundations/patching).

    Numbers are those for a folder of one's own images, rates chosen on validation data (delta_core/DECISIONS.md).
    Biases and normalisation parameters are not decayed, unless asked for.
    """

    epochs: int = 10
    steps_per_epoch: int | None = None
    """None = an epoch is one pass over the data, its last batch as it comes. Else an epoch is so many steps over
    passes that leave their incomplete batch out: the same training for any amount of data."""
    lr: float = 1e-2
    """Peak learning rate of everything but the head; for gates alone `GATES_LR` is better."""
    head_lr: float = 3e-3
    gate_lr: float | None = field(default=None, metadata=NEW_SINCE_RECORDED)
    """Peak rate of a patch's Delta-modules; None = `lr`, as for the next two."""
    map_lr: float | None = field(default=None, metadata=NEW_SINCE_RECORDED)
    """Peak rate of the maps on its skips."""
    norm_lr: float | None = field(default=None, metadata=NEW_SINCE_RECORDED)
    """Peak rate of its BatchNorms, one a block."""
    batch_size: int = 64
    micro_batch: int | None = field(default=None, metadata=NEW_SINCE_RECORDED)
    """At most so many images are in memory at once, where a batch does not fit; their gradients are added up. The step
    is that of the whole batch up to rounding, but a BatchNorm that trains sees a part alone, so this is science."""
    weight_decay: float = 0.01
    decay_all: bool = False
    """Decay biases and normalisation parameters too, as SGD does where nobody forbids it."""
    warmup_steps: int = 500
    """0 = none; at most `warmup_share` of all steps: on small data sets 500 steps would be the whole training."""
    warmup_share: float = field(default=0.1, metadata=NEW_SINCE_RECORDED)
    clip_norm: float | None = 1.0
    optimizer: OptimizerName = "adamw"
    """`sgd` has momentum 0.9."""
    nesterov: bool = False
    """Of `sgd`."""
    milestones: tuple[float, ...] = ()
    """Empty = cosine; else the rate falls to a tenth at each of these shares of all steps."""
    views: int = 1
    """0 = a fresh augmented view of each image in every epoch; 1 = one fixed view (resize, centre crop);
    K > 1 = K fixed augmented views, of which epoch e sees number e mod K."""
    feature_dtype: FeatureDtype = "float32"
    """Type to which the output of a frozen prefix is rounded; methods that change the backbone have none."""

    @property
    def length(self) -> str:
        """Epochs, and steps of each if it is not a pass over the data.

        >>> Recipe(epochs=50).length, Recipe(epochs=20, steps_per_epoch=500).length
        ('50', '20x500')
        """
        return f"{self.epochs}x{self.steps_per_epoch}" if self.steps_per_epoch else f"{self.epochs}"
