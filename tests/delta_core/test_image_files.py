"""Image files that a person brings: turned by the camera, damaged, beside hidden folders."""

from pathlib import Path

import pytest
from PIL import Image

from delta_core.training.data.image_files import class_folders, read_image
from delta_core.training.errors import UserError


def test_images_are_read_upright_and_in_colour(tmp_path: Path) -> None:
    image = Image.new("L", (60, 40))
    image.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter to the right
    image.save(tmp_path / "turned.png", exif=exif)
    upright = read_image(tmp_path / "turned.png")
    assert (upright.mode, upright.size) == ("RGB", (40, 60))
    assert upright.getpixel((39, 0)) == (255, 255, 255)


def test_hidden_and_empty_folders_are_no_classes(tmp_path: Path) -> None:
    for name in ("cat", ".ipynb_checkpoints"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / name / "0.png")
    (tmp_path / "empty").mkdir()
    assert class_folders(tmp_path) == ["cat"]


def test_a_missing_image_raises_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such file"):
        read_image(tmp_path / "no.png")
