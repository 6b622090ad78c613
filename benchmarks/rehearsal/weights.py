"""Files of random weights in the shapes of the pinned bases, where the loader looks for the real ones."""

from collections.abc import Callable, Iterable
from pathlib import Path

import timm
import torch

from benchmarks.data.catalogue.look_alikes import declare_weights, mark
from benchmarks.nets.weight_files import save_weights
from delta_core.training.identity import derive_seed


def make_weights(weights_root: Path, bases: Iterable[str], report: Callable[[str], None]) -> None:
    """Write what is missing of these bases (full timm names); `report` hears the name of each.

    Raises:
        UserError: if the folder holds weights that are not random.
    """
    mark(weights_root)
    for tagged in bases:
        if (weights_root / f"{tagged}.safetensors").is_file():
            continue
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed("look-alike weights", tagged))
            net = timm.create_model(tagged.partition(".")[0])
        declare_weights(weights_root, f"timm:{tagged}", top1=0.0)  # of a thousand classes the few are never named
        save_weights(net, weights_root, tagged)
        report(tagged)
