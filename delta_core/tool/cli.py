"""Patch a frozen net for your own images: fit, predict, eval, info, inspect."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import torch
import tyro
from rich.console import Console

from delta_core import DeltaError
from delta_core.tool.base import find_patches, open_files, put_on
from delta_core.tool.evaluate import evaluate_patch
from delta_core.tool.fit import Listener, fit_patch
from delta_core.tool.info import describe
from delta_core.tool.inspect import Inspection, check_picture
from delta_core.tool.options import FitOptions
from delta_core.tool.predict import predict_images
from delta_core.training.command_line import told_in_one_sentence
from delta_core.training.engine import DivergedError
from delta_core.training.errors import UserError
from delta_core.training.fabric import devices_of, to_device
from delta_core.training.progress import RichProgress

Arch = Annotated[str | None, tyro.conf.arg(help="Architecture, where the patch does not say or says it wrongly.")]
Weights = Annotated[str | None, tyro.conf.arg(help="Weights of the net, where they were a file: its path.")]


def main() -> None:
    """What `delta-patch` does; bad input gives one sentence and exit code 2."""
    commands: dict[str, Callable[..., int]] = {
        "fit": fit,
        "predict": classify,
        "eval": evaluate,
        "info": info,
        "inspect": inspect,
    }
    with told_in_one_sentence(
        "delta-patch",
        interrupted="the same fit goes on from its last finished epoch.",
        refusals=(UserError, DeltaError, DivergedError),
    ):
        sys.exit(tyro.extras.subcommand_cli_from_dict(commands, prog="delta-patch", description=__doc__))


def fit(options: tyro.conf.OmitArgPrefixes[FitOptions]) -> int:
    """Train a patch on a folder of images and write it as a folder."""
    with RichProgress() as progress:
        accuracy = fit_patch(options, Listener(say=progress.say, on_epoch=progress))
    progress.say(f"{accuracy} right, base net bit-identical. Patch, card and picture are in {options.out}.")
    return 0


def classify(
    patch: tyro.conf.Positional[Path],
    images: tyro.conf.Positional[tuple[Path, ...]],
    also: Annotated[tyro.conf.UseAppendAction[tuple[Path, ...]], tyro.conf.arg(name="patch")] = (),
    topk: int = 3,
    as_json: Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg(name="json")] = False,
    arch: Arch = None,
    weights: Weights = None,
    device: str = "auto",
) -> int:
    """Name what is on images.

    Args:
        patch: patch folder, or a folder that holds patch folders.
        images: image files.
        also: one more patch folder of the same net; may be repeated. All patches run in one pass.
        topk: number of classes to print for each image.
        as_json: print a JSON list.
        arch: architecture.
        weights: weights.
        device: auto, cpu, cuda, cuda:1 or mps.
    """
    if not images:
        raise UserError("There is no image to look at; name one or more after the patch folder.")
    folders = find_patches([patch, *also])
    net, architecture, source = open_files(folders, arch, weights)
    net = to_device(net, torch.device(devices_of(device)[0]))
    model = put_on(net, folders, architecture=architecture, weights=source)
    predictions = predict_images(model, images, topk=topk)
    if as_json:
        print(json.dumps([_plain(asdict(each)) for each in predictions], indent=2))
        return 0
    console = _console()
    for each in predictions:
        ranked = ", ".join(f"{name} {100 * probability:.1f} %" for name, probability in each.classes)
        _print(console, f"{each.image}  {each.patch}: {ranked}")
    return 0


def evaluate(
    patch: tyro.conf.Positional[Path],
    folder: tyro.conf.Positional[Path],
    arch: Arch = None,
    weights: Weights = None,
    device: str = "auto",
) -> int:
    """Measure a patch on a folder of images, and check that the net below it is untouched.

    Args:
        patch: patch folder.
        folder: images with test/ or val/ inside, or one folder per class.
        arch: architecture.
        weights: weights.
        device: auto, cpu, cuda, cuda:1 or mps.
    """
    found = evaluate_patch(patch, folder, architecture=arch, weights=weights, device=device)
    console = _console()
    _print(console, f"{found.accuracy} right, of the {found.which}.")
    for each in found.accuracy.by_class():
        _print(console, f"{each.percent:6.1f} %  {each.right:5} of {each.images:5}  {each.name}")
    same = "bit-identical with and without the patch" if found.base_logits_equal else "NOT those without the patch"
    _print(console, f"Base net: fingerprint {found.fingerprint[:12]} as recorded, logits {same}.")
    return 0 if found.base_logits_equal else 1


def info(patch: tyro.conf.Positional[Path]) -> int:
    """Print what a patch folder holds.

    Args:
        patch: patch folder.
    """
    console = _console()
    for what, value in describe(patch):
        _print(console, f"{what:13} {value}")
    return 0


def inspect(
    patch: tyro.conf.Positional[Path],
    image: tyro.conf.Positional[Path],
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("gates.png"),
    arch: Arch = None,
    weights: Weights = None,
    device: str = "auto",
) -> int:
    """Show the gates that a patch gives to an image: which skips are on, block by block.

    Args:
        patch: patch folder.
        image: image file.
        out: picture to write; its ending says how, e.g. .png or .pdf.
        arch: architecture.
        weights: weights.
        device: auto, cpu, cuda, cuda:1 or mps.
    """
    check_picture(out)
    net, architecture, source = open_files([patch], arch, weights)
    net = to_device(net, torch.device(devices_of(device)[0]))
    found = Inspection(put_on(net, [patch], architecture=architecture, weights=source), image)
    name, probability = found.answer
    console = _console()
    _print(console, f"{image}  {patch.name}: {name} {100 * probability:.1f} %")
    for gate in found.gates.itertuples():
        kind, state = "its own" if gate.existing else "new", "on" if gate.on else "off"
        _print(console, f"{gate.name:16} {gate.source} -> {gate.target}  {gate.value:.3f}  {state:3}  {kind}")
    found.draw(
        f"{image.name}, patch {patch.name} on {architecture}; bold: on (at least 0.5), framed: the net's own skips"
    ).savefig(out, dpi=150)
    _print(console, f"Picture: {out}")
    return 0


def _plain(prediction: dict[str, object]) -> dict[str, object]:
    """A prediction as JSON: each class an object of its own."""
    classes = prediction.pop("classes")
    assert isinstance(classes, tuple)
    return prediction | {"classes": [{"class": name, "probability": value} for name, value in classes]}


def _console() -> Console:
    return Console()


def _print(console: Console, line: str) -> None:
    """One line as it is: no colour, no markup, and no wrapping, so that it can be piped."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)
