"""Images of a base task that labels.csv lists: their splits, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from benchmarks.data.listed_images import load_listed_images
from delta_core.training.data.splits import Split
from delta_core.training.errors import UserError
from delta_core.weights import Preprocessing

CPU = torch.device("cpu")
SMALL = Preprocessing(image_size=8, crop_pct=1.0, interpolation="bilinear", mean=(0.0,) * 3, std=(1.0,) * 3)


def write_image(path: Path, colour: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(colour).integers(0, 30, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(noise + np.uint8(colour)).save(path)


def everything(split: Split) -> Tensor:
    return torch.cat(list(split.batches(5, device=CPU)))


def listed(root: Path, table: str, count: int = 10) -> Path:
    for number in range(count):
        write_image(root / "images" / f"{number}.png", 10 * number)
    (root / "labels.csv").write_text(table)
    return root


def test_listed_images_are_split_one_to_four(tmp_path: Path) -> None:
    rows = "\n".join(f"images/{number}.png,{number % 7}" for number in range(10))
    data = load_listed_images("base", listed(tmp_path, f"file,index\n{rows}\n"), SMALL, classes=7)
    assert data.val.labels.tolist() == [0, 5]
    assert data.test.labels.tolist() == [1, 2, 3, 4, 6, 0, 1, 2]
    assert everything(data.val).shape == (2, 3, 8, 8)
    brightness = everything(data.test).mean((1, 2, 3))
    assert (brightness.diff() > 0).all(), "images stay beside their labels"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("path,label\na.png,1\n", "has the columns path, label; file and index are needed"),
        ("file,index\nimages/0.png,7\n", r"outside 0\.\.6"),
        ("file,index\nimages/0.png,-1\n", r"outside 0\.\.6"),
        ("file,index\nimages/0.png,\n", r"outside 0\.\.6"),
        ("file,index\nimages/0.png,cat\n", "index"),
        ("", "file and index"),
        ("file,index\nimages/0.png,1.5\nimages/0.png,1\n", "index"),
        ("file,index\nimages/0.png,1\nimages/no.png,1\n", r"no\.png"),
    ],
    ids=["columns", "too large", "negative", "blank", "word", "empty", "fraction", "missing image"],
)
def test_a_damaged_table_is_told_in_one_sentence(table: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_listed_images("base", listed(tmp_path, table, count=1), SMALL, classes=7)
    assert "\n" not in str(caught.value)


def test_a_missing_table_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"needs a labels\.csv with the columns file and index"):
        load_listed_images("base", tmp_path, SMALL, classes=7)
