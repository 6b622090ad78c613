"""Bad input to mim and to the tools of Table 7, as a person gives it: exit code 2, one sentence, no traceback.

Each command runs in a forked child of a process that has imported OpenMMLab, as tests/faults does for the suite's own.
"""

import os
import re
import runpy
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest
from dense_faults import COCO_FAULTS, SEGNET_FAULTS, VOC_FAULTS, Fault, write_coco, write_segnet
from dense_world import tiny_cache

if find_spec("mmdet") is None or find_spec("mmcv") is None:
    pytest.skip("OpenMMLab is not installed; nox -s openmmlab makes its environment", allow_module_level=True)

import mmdet
import mmdet.apis
import mmseg
import mmseg.apis
import torch
from forked import TRACE, Ended, run
from mmengine.config import Config
from mmengine.registry import MODELS

from benchmarks.suites.dense import boxes, dense_runner, mask_preprocessor, masks, slim_backbone  # noqa: F401 - imported before the fork
from benchmarks.suites.dense.scenes import CLASS_NAMES, scenes_folder
from benchmarks.suites.dense.settled import settled

ROOT = Path(__file__).parents[2]
BASES = {
    "detection": ROOT / "detection/configs/faster_rcnn_r18_delta.py",
    "segmentation": ROOT / "segmentation/configs/deeplabv3_r50_delta.py",
}


NAMES = ("voc", "segnet", "coco", "whole", "nowhere", "junk", "short", "text", "empty", "patch")
"""What commands may name of the folder in which a person works: data, a whole checkpoint, and what is no good."""


@dataclass(frozen=True, kw_only=True)
class Bad:
    """A command, what is wrong before it starts, and a pattern of the sentence."""

    says: str
    command: Callable[[Path], list[str]]
    damage: Callable[[Path], object] = lambda _: None
    environment: Mapping[str, str] = field(default_factory=dict)


def mim_train(*options: str, kind: str = "detection", flags: tuple[str, ...] = ()) -> Callable[[Path], list[str]]:
    """`mim train` with options of --cfg-options, in which {names} stand for paths."""
    return lambda given: ["train", f"{kind}.py", *flags, *_options(given, options)]


def mim_test(checkpoint: str = "{whole}", *options: str, kind: str = "detection") -> Callable[[Path], list[str]]:
    """`mim test` of a checkpoint."""
    return lambda given: ["test", f"{kind}.py", checkpoint.format(**_paths(given)), *_options(given, options)]


def tool(name: str, *words: str) -> Callable[[Path], list[str]]:
    """One of `tools/`."""
    return lambda given: [name, *(word.format(**_paths(given)) for word in words)]


def _options(given: Path, options: tuple[str, ...]) -> list[str]:
    return ["--cfg-options", *(option.format(**_paths(given)) for option in options)] if options else []


def _paths(given: Path) -> dict[str, str]:
    return {"config": "detection.py"} | {name: str(given / name) for name in NAMES}


def of_data(kind: str, faults: Mapping[str, Fault], task: str = "detection") -> dict[str, Bad]:
    """Faults of a folder, met by `mim train`."""
    return {
        f"{kind}: {name}": Bad(
            says=says,
            command=mim_train(f"data.root={{{kind}}}", kind=task),
            damage=lambda given, damage=damage: damage(given / kind),
        )
        for name, (damage, says) in faults.items()
    }


def cut(given: Path) -> None:
    """An image that opens and ends early, so that only the training meets it."""
    for path in (given / "voc" / "VOC2007/JPEGImages").iterdir():
        path.write_bytes(path.read_bytes()[:-400])


def renamed(given: Path) -> None:
    """A checkpoint of other classes."""
    saved = torch.load(given / "whole", weights_only=True)
    saved["meta"]["dataset_meta"]["classes"] = ["moon", *CLASS_NAMES[1:]]
    torch.save(saved, given / "whole")


def of_no_patch(given: Path) -> None:
    """A checkpoint of a baseline."""
    saved = torch.load(given / "whole", weights_only=True)
    saved["state_dict"] = {name: each for name, each in saved["state_dict"].items() if ".patches." not in name}
    torch.save(saved, given / "whole")


BAD: dict[str, Bad] = {
    **of_data("voc", VOC_FAULTS),
    **of_data("segnet", SEGNET_FAULTS, "segmentation"),
    **of_data("coco", COCO_FAULTS),
    "no such folder": Bad(says="nowhere' is not a folder", command=mim_train("data.root={nowhere}")),
    "a file for a folder": Bad(says="junk' is not a folder", command=mim_train("data.root={junk}")),
    "a folder of nothing": Bad(says="has none of the layouts", command=mim_train("data.root={empty}")),
    "masks for boxes": Bad(says="masks and no boxes", command=mim_train("data.root={segnet}", "data.format=segnet")),
    "an unknown layout": Bad(says="data.format", command=mim_train("data.format=yolo")),
    "an unknown setting": Bad(says="data.rot is no setting", command=mim_train("data.rot=x")),
    "a class that no image has": Bad(says="moon", command=mim_train("data.classes=[moon]")),
    "an unknown width": Bad(says="heads", command=mim_train("heads=wide")),
    "an image that ends early": Bad(says=r"jpg.* cannot be read", command=mim_train(), damage=cut),
    "DELTA_DATA": Bad(says="nowhere' is not a folder", command=mim_train(), environment={"DELTA_DATA": "nowhere"}),
    "DELTA_HEADS": Bad(says="DELTA_HEADS", command=mim_train(), environment={"DELTA_HEADS": "wide"}),
    "DELTA_CACHE": Bad(says="junk", command=mim_train("data.root=scenes"), environment={"DELTA_CACHE": "junk"}),
    "one level": Bad(says="out_indices", command=mim_train("model.backbone.out_indices=3")),
    "a level that is not there": Bad(says="out_indices", command=mim_train("model.backbone.out_indices=(1,9)")),
    "modules below none": Bad(says="n_modules", command=mim_train("model.backbone.n_modules=-1")),
    "more modules than blocks": Bad(says="99", command=mim_train("model.backbone.n_modules=99")),
    "an unknown net": Bad(says="resnet81", command=mim_train("model.backbone.architecture=resnet81")),
    "weights that are not there": Bad(says="nowhere", command=mim_train("model.backbone.weights={nowhere}")),
    "weights that are junk": Bad(says="junk", command=mim_train("model.backbone.weights={junk}")),
    "an unknown option of the patch": Bad(says="colour", command=mim_train("model.backbone.config.colour=red")),
    "--launcher alone": Bad(says="--launcher pytorch", command=mim_train(flags=("--launcher", "pytorch"))),
    "load_from nowhere": Bad(says="nowhere", command=mim_train("load_from={nowhere}")),
    "load_from junk": Bad(says="junk", command=mim_train("load_from={junk}")),
    "no checkpoint": Bad(says="nowhere", command=mim_test("{nowhere}")),
    "a checkpoint that is junk": Bad(says="junk", command=mim_test("{junk}")),
    "half a checkpoint": Bad(says="short", command=mim_test("{short}")),
    "a text for a checkpoint": Bad(says="text", command=mim_test("{text}")),
    "a folder for a checkpoint": Bad(says="empty", command=mim_test("{empty}")),
    "a checkpoint of other classes": Bad(says="trained for .*moon", command=mim_test("{whole}"), damage=renamed),
    "a config of segmentation that no training saved": Bad(
        says="the config that training saved", command=mim_test(kind="segmentation")
    ),
    "a checkpoint of other heads": Bad(says="other heads", command=mim_test("{whole}", "heads=narrow")),
    "to-patch of no config": Bad(
        says="nowhere", command=tool("convert", "to-patch", "{nowhere}", "{whole}", "{patch}")
    ),
    "to-patch of a text": Bad(says="text", command=tool("convert", "to-patch", "{text}", "{whole}", "{patch}")),
    "to-patch of junk": Bad(says="junk", command=tool("convert", "to-patch", "{config}", "{junk}", "{patch}")),
    "to-patch of no patch": Bad(
        says="holds no patch", command=tool("convert", "to-patch", "{config}", "{whole}", "{patch}"), damage=of_no_patch
    ),
    "to-patch over a file": Bad(says="junk", command=tool("convert", "to-patch", "{config}", "{whole}", "{junk}")),
    "to-checkpoint of nothing": Bad(
        says="nowhere", command=tool("convert", "to-checkpoint", "{config}", "{nowhere}", "{patch}")
    ),
    "an unknown conversion": Bad(
        says="from-patch", command=tool("convert", "from-patch", "{config}", "{junk}", "{patch}")
    ),
    "predict without heads": Bad(says="holds no heads", command=tool("predict", "{config}", "{empty}", "{junk}")),
    "predict of no image": Bad(says="image", command=tool("predict", "{config}", "{patch}")),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What each case gets a copy of; nothing is trained, and the parent's threads stay one."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("given")
    cache = tiny_cache(folder / "cache", "resnet18", "resnet50")
    shutil.copytree(scenes_folder(cache), folder / "voc")
    for root, write in ((folder / "segnet", write_segnet), (folder / "coco", write_coco)):
        root.mkdir()
        write(root)
    (folder / "empty").mkdir()
    (folder / "junk").write_bytes(bytes(range(256)) * 64)
    (folder / "text").write_text("not a checkpoint\n")
    for task, root in (("detection", folder / "voc"), ("segmentation", folder / "segnet")):
        settings = f'data = dict(root="{root.name}")\nmodel = dict(backbone=dict(weights="none"))\n'
        (folder / f"{task}.py").write_text(f'_base_ = ["{BASES[task]}"]\n\n{settings}')
    environment = {"DELTA_CACHE": str(cache), "DELTA_DATA": str(folder / "voc")}
    config = settled(Config.fromfile(folder / "detection.py"), environment)
    meta = {"classes": list(config.classes)}
    torch.save(
        {"state_dict": MODELS.build(config.model).state_dict(), "meta": {"dataset_meta": meta}}, folder / "whole"
    )
    whole = (folder / "whole").read_bytes()
    (folder / "short").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told_in_one_sentence(name: str, world: Path, tmp_path: Path) -> None:
    given = Path(shutil.copytree(world, tmp_path / "given"))
    bad = BAD[name]
    bad.damage(given)
    ended = called(bad.command(given), given, {"DELTA_CACHE": str(given / "cache")} | dict(bad.environment))
    assert TRACE not in ended.out + ended.err, ended.err[-3000:]
    assert ended.code == 2, (ended.code, ended.out[-2000:], ended.err[-2000:])
    last = ended.err.strip().splitlines()[-1]
    assert re.search(bad.says, last), last
    assert not ended.hung and not ended.left_behind


def test_there_are_forty_and_more() -> None:
    assert len(BAD) >= 40


def called(words: list[str], folder: Path, environment: Mapping[str, str]) -> Ended:
    """What mim starts for `train` and `test`, or a tool, in a child."""
    name, *arguments = words
    toolbox = mmseg if "segmentation.py" in arguments else mmdet
    script = Path(toolbox.__file__).parent / f".mim/tools/{name}.py"
    script = script if name in ("train", "test") else ROOT / f"tools/{name}.py"

    def act() -> None:
        os.environ.update(environment)
        sys.argv = [str(script), *arguments]
        sys.path.insert(0, str(script.parent))
        runpy.run_path(str(script), run_name="__main__")

    return run(act, folder)
