"""`delta-patch inspect`: the gates that a patch gives to one image, as numbers and as a picture."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from delta_core import DeltaModel
from delta_core.tool.lettering import letter
from delta_core.tool.predict import check_shape
from delta_core.training.data.image_files import read_image
from delta_core.training.data.splits import channels_last
from delta_core.training.errors import UserError
from delta_core.training.evaluation import names_of
from delta_core.training.gate_figure import ON, UNUSUAL, Around, draw_gates, spreads_from_mean
from delta_core.training.gate_values import recorded_gates, skip_gates
from delta_core.weights import preprocessing_of

PICTURES = (".pdf", ".png", ".svg")


def check_picture(path: Path) -> None:
    """Raise UserError unless a picture can be written there."""
    if path.suffix.lower() not in PICTURES:
        raise UserError(f"--out {str(path)!r} does not end in {', '.join(PICTURES)}; give a name that does.")
    if not path.absolute().parent.is_dir():
        raise UserError(f"--out {str(path)!r}: the folder {str(path.parent)!r} does not exist; make it first.")
    if path.exists() and not path.is_file():
        raise UserError(f"--out {str(path)!r} is there and is no file; give another name.")


class Inspection:
    """What the active patch of a model does with one image.

    `gates` has one line per skip: `block` (from 1), `name` (of the block), `source`, `target`, `existing`, `value` and
    `on` (at least 0.5); where the patch says what its gates usually are also `mean`, `sd` and `spreads`, the distance
    from the mean in `sd`. `around` tells what pictures show them around. `answer` is the most probable class with its
    probability from 0 to 1. `pixels` is what the net saw, (S, S, 3), before normalisation.

    Raises:
        UserError: if the image cannot be read, or the patch is a head alone.
    """

    gates: pd.DataFrame
    around: Around | None
    answer: tuple[str, float]
    pixels: NDArray[np.uint8]

    @torch.no_grad()
    def __init__(self, model: DeltaModel, image: Path, usual: pd.DataFrame | None = None) -> None:
        patch = model.patch()
        if patch.config is None:
            raise UserError(
                f"Patch {model.active_patch!r} is a head alone and has no gates; fit one with --modules 1 or more."
            )
        self.around = "base" if patch.config.gate_range == "around_base" else None
        view = patch.preprocessing or preprocessing_of(model.backbone)
        opened = read_image(image)
        check_shape(image, opened, view)
        pixels = view.resize_and_crop()(opened)[None]
        with recorded_gates(model) as seen:
            logits = model(channels_last(view.normalise(pixels.to(next(model.backbone.parameters()).device))))
        probability, index = logits[0].float().softmax(0).max(0)
        self.answer = (names_of(patch)[int(index)], float(probability))
        self.pixels = pixels[0].permute(1, 2, 0).numpy()
        lines = [
            {"block": gate.block, "name": block.name, "source": gate.source, "target": gate.target}
            | {"existing": gate.existing, "value": gate.value, "on": gate.value >= ON}
            for number, block in enumerate(model.blocks, start=1)
            if block.name in seen
            for gate in skip_gates(number, block.wiring, seen[block.name][0])
        ]
        self.gates = pd.DataFrame(lines)
        if usual is None:
            return
        both = self.gates.merge(usual.drop(columns="images"), on=["block", "source", "target"], validate="1:1")
        if len(both) == len(self.gates):
            self.gates = both.assign(spreads=spreads_from_mean(both))
            self.around = "mean"

    def lines(self) -> Iterator[str]:
        """One line for each skip: its gate, and what it usually is, or whether it is on."""
        for gate in self.gates.to_dict("records"):
            kind = "its own" if gate["existing"] else "new"
            told = "on" if gate["on"] else "off"
            if self.around == "mean":
                unusual = "  unusual" if abs(gate["spreads"]) >= UNUSUAL else ""
                told = f"usually {gate['mean']:.3f} ± {gate['sd']:.3f}{unusual}"
            yield f"{gate['name']:16} {gate['source']} -> {gate['target']}  {gate['value']:.3f}  {kind:7}  {told}"

    @property
    def legend(self) -> str:
        """What bold and framed cells of the picture mean."""
        bold = f"beyond {UNUSUAL} spreads of the mean" if self.around == "mean" else f"on (at least {ON:g})"
        return f"bold: {bold}, framed: the net's own skips"

    def draw(self, title: str) -> Figure:
        """The image and its gates, block by block."""
        name, probability = self.answer
        row = f"{name}, {100 * probability:.1f} %"
        frame = self.gates.assign(row=row)
        figure = draw_gates(frame, title=title, images=[self.pixels], around=self.around)
        letter(figure)
        return figure
