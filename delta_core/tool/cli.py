"""Patch a frozen net for your own images: fit, predict, eval, info, inspect, push, pull."""

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, get_args

import torch
import tyro

from delta_core import DeltaError
from delta_core.plain_text import shown
from delta_core.tool.base import find_patches, open_files, put_on
from delta_core.tool.counted import counted
from delta_core.tool.evaluate import evaluate_patch
from delta_core.tool.fit import fit_patch
from delta_core.tool.info import describe
from delta_core.tool.inspect import Inspection, check_picture
from delta_core.tool.options import FitOptions
from delta_core.tool.predict import BATCH_SIZE, MOST_PIXELS, Prediction, Unread, find_images, predict_images
from delta_core.tool.prediction_forms import Form, pieces_of
from delta_core.tool.share import pull_patch, push_patch
from delta_core.tool.trained import Listener
from delta_core.tool.usual_gates import read_usual_gates
from delta_core.training.command_line import dispatch, told_in_one_sentence, warnings_in_one_line
from delta_core.training.engine import DivergedError
from delta_core.training.errors import UserError
from delta_core.training.fabric import devices_of, to_device
from delta_core.training.progress import RichProgress

PROG = "delta-patch"

Switch = tyro.conf.FlagCreatePairsOff[bool]

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
        "push": push,
        "pull": pull,
    }
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of classes and files may be more than a terminal can show
        sys.stdout.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdin, io.TextIOWrapper):  # nor are names of files always UTF-8
        sys.stdin.reconfigure(errors="surrogateescape")
    with (
        told_in_one_sentence(
            PROG,
            interrupted="the same fit goes on from its last finished epoch.",
            refusals=(UserError, DeltaError, DivergedError),
        ),
        warnings_in_one_line(PROG),
    ):
        sys.exit(dispatch(commands, prog=PROG, description=__doc__))


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
    as_json: Annotated[Switch, tyro.conf.arg(name="json")] = False,
    as_jsonl: Annotated[Switch, tyro.conf.arg(name="jsonl")] = False,
    as_csv: Annotated[Switch, tyro.conf.arg(name="csv")] = False,
    batch_size: int = BATCH_SIZE,
    max_pixels: int = MOST_PIXELS,
    arch: Arch = None,
    weights: Weights = None,
    device: str = "auto",
) -> int:
    """Name what is on images, as they come; images that cannot be read are listed at the end, with exit code 1.

    Args:
        patch: patch folder, or a folder that holds patch folders.
        images: image files, folders of them, or - for a list on stdin, one path a line.
        also: one more patch folder of the same net; may be repeated. All patches run in one pass.
        topk: number of classes to print for each image.
        as_json: print a JSON list.
        as_jsonl: print one JSON object a line.
        as_csv: print CSV with a header.
        batch_size: images that go through the net at once.
        max_pixels: width times height above which an image is refused.
        arch: architecture.
        weights: weights.
        device: auto, cpu, cuda, cuda:1 or mps.
    """
    form = _form(csv=as_csv, jsonl=as_jsonl, json=as_json)
    files = find_images(images, sys.stdin)
    folders = find_patches([patch, *also])
    net, architecture, source = open_files(folders, arch, weights)
    net = to_device(net, torch.device(devices_of(device)[0]))
    model = put_on(net, folders, architecture=architecture, weights=source)
    answers = predict_images(model, files, topk=topk, batch_size=batch_size, max_pixels=max_pixels)
    unread: list[Unread] = []

    def predictions() -> Iterator[Prediction]:
        for answer in counted(answers, len(files), "images"):
            if isinstance(answer, Unread):
                unread.append(answer)
            else:
                yield from answer

    for piece in pieces_of(predictions(), form, topk=topk):
        sys.stdout.write(piece)
        sys.stdout.flush()
    for each in unread:
        print(f"{PROG}: {shown(each.reason)}", file=sys.stderr)
    if len(unread) > 1:
        print(f"{PROG}: {len(unread)} of {len(files)} images were not read.", file=sys.stderr)
    return 1 if unread else 0


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
    print(shown(f"{found.accuracy} right, of the {found.which}."))
    for note in found.notes:
        print(shown(note))
    for each in found.accuracy.by_class():
        print(f"{each.percent:6.1f} %  {each.right:5} of {each.images:5}  {each.name}")
    same = "bit-identical with and without the patch" if found.base_logits_equal else "NOT those without the patch"
    print(f"Base net: fingerprint {found.fingerprint[:12]} as recorded, logits {same}.")
    return 0 if found.base_logits_equal else 1


def info(patch: tyro.conf.Positional[Path]) -> int:
    """Print what a patch folder holds.

    Args:
        patch: patch folder.
    """
    for what, value in describe(patch):
        print(f"{what:13} {value}")
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
    usual = read_usual_gates(patch)
    found = Inspection(put_on(net, [patch], architecture=architecture, weights=source), image, usual)
    name, probability = found.answer
    print(shown(f"{image}  {patch.name}: {name} {100 * probability:.1f} %"))
    for line in found.lines():
        print(line)
    found.draw(f"{image.name}, patch {patch.name} on {architecture}; {found.legend}").savefig(out, dpi=150)
    print(shown(f"Picture: {out}"))
    return 0


def push(
    patch: tyro.conf.Positional[Path],
    target: tyro.conf.Positional[str],
    force: Switch = False,
    private: Switch = False,
) -> int:
    """Share a patch: copy it to the Hugging Face Hub or to a folder, without names of images.

    Args:
        patch: patch folder.
        target: repository of the Hub like me/flowers, or a folder like ./shared/flowers.
        force: replace the patch that is there already.
        private: make a new repository private.
    """
    print(shown(f"Patch {patch.resolve().name} is at {push_patch(patch, target, force=force, private=private)}."))
    return 0


def pull(
    source: tyro.conf.Positional[str],
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    force: Switch = False,
) -> int:
    """Fetch a patch that was shared, from the Hugging Face Hub or a folder.

    Args:
        source: folder, or repository of the Hub like me/flowers.
        out: patch folder to write.
        force: replace the patch that is there already.
    """
    print(shown(f"Patch {pull_patch(source, out, force=force)} is here; delta-patch info says what it holds."))
    return 0


def _form(**asked: bool) -> Form:
    """The one form of output that was asked for. Raises UserError for more."""
    chosen = [form for form in get_args(Form) if asked.get(form)]
    if len(chosen) > 1:
        raise UserError(f"--{chosen[0]} and --{chosen[1]} are two forms of the same; leave one of them out.")
    return chosen[0] if chosen else "text"
