"""The backbone of drawn scenes: a slim net, pre-trained where it is built. Needs mmengine."""

from pathlib import Path
from typing import Any

from mmengine.registry import MODELS

from benchmarks.env import Env
from benchmarks.nets.open import EMBEDDED_BASE_CLASSES
from benchmarks.nets.pretraining import checkpoint_path, is_whole_base, pretrain
from benchmarks.nets.slim import SLIM
from benchmarks.worlds.embedded import embedded_base
from delta_core.openmmlab import DeltaBackbone


@MODELS.register_module()
class SlimBackbone(DeltaBackbone):
    """A `DeltaBackbone` on the slim net of that name; whoever builds the first one waits for its pre-training.

    Args:
        architecture: a name in `SLIM`.
        cache: folder that keeps the pre-trained net.
        settings: those of `DeltaBackbone`, but for weights and options.
    """

    def __init__(self, architecture: str, *, cache: str, **settings: Any) -> None:
        options = {**SLIM[architecture], "num_classes": EMBEDDED_BASE_CLASSES}
        weights = str(_slim_weights(architecture, Path(cache)))
        super().__init__(architecture, weights=weights, options=options, **settings)


def _slim_weights(architecture: str, cache: Path) -> Path:
    """Checkpoint of the slim net, pre-trained on drawn glyphs first if it is not in the cache."""
    spec = embedded_base(architecture)
    path = checkpoint_path(cache, spec.run_id)
    env = Env(results=cache, cache=cache)
    if not is_whole_base(spec, env):
        print(f"Pre-training the slim {architecture} on drawn glyphs, once; it is kept in {path.parent}.")
        pretrain(spec, env)
    return path
