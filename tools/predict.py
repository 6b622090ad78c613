"""What a detector or segmentor sees in images: `python tools/predict.py CONFIG PATCH IMAGE... --out seen`.

CONFIG is the saved config of a training (in its work folder), PATCH a folder that `tools/convert.py to-patch` wrote of
its checkpoint. Pictures with boxes or masks go to the folder of --out. In the environment of `nox -s openmmlab`.
"""

import argparse
import tempfile
from pathlib import Path

from convert import HEADS, to_checkpoint
from mmengine.config import Config

from delta_core import DeltaError
from delta_core.training.command_line import told_in_one_sentence
from delta_core.training.errors import UserError


def predict(config: Path, patch: Path, images: list[Path], out: Path, device: str | None = None) -> None:
    """Draw what is found in images into a folder.

    Args:
        config: of a detector or segmentor, settled.
        patch: folder of a patch with its neck and heads beside it.
        images: files.
        out: made if it is not there.
        device: e.g. "cuda:0"; default: a GPU if there is one.

    Raises:
        UserError, DeltaError: for a config, a folder or an image that cannot be read.
    """
    if not (patch / HEADS).is_file():
        raise UserError(f"{patch} holds no {HEADS}; make the folder with tools/convert.py to-patch.")
    if missing := next((image for image in images if not image.is_file()), None):
        raise UserError(f"{missing} is not a file; name images.")
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = str(to_checkpoint(config, patch, Path(folder) / "whole.pth"))
        if Config.fromfile(config).data.task == "detection":
            from mmdet.apis import DetInferencer as Inferencer
        else:
            from mmseg.apis import MMSegInferencer as Inferencer
        Inferencer(str(config), checkpoint, device=device)([str(image) for image in images], out_dir=str(out))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="tools/predict.py", description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("patch", type=Path)
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("seen"))
    parser.add_argument("--device")
    given = parser.parse_args()
    with told_in_one_sentence(
        "tools/predict.py", interrupted="pictures that were drawn are kept.", refusals=(UserError, DeltaError, OSError)
    ):
        predict(given.config, given.patch, given.images, given.out, given.device)


if __name__ == "__main__":
    main()
