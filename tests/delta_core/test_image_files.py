"""Image files that a person brings: turned by the camera, damaged, beside hidden folders."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from delta_core.training.data.image_files import class_folders, is_left_out, is_read, read_image
from delta_core.training.data.rgb_images import as_rgb
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


GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)


def write(path: Path, values: NDArray[np.generic], **options: object) -> Path:
    Image.fromarray(values).save(path, **options)
    return path


def twelve_bits(path: Path, values: NDArray[np.uint16]) -> Path:
    """A TIFF of 12 bits a value, which Pillow reads but does not write."""
    packed = bytearray()
    for first, second in values.reshape(-1, 2).tolist():
        packed += bytes([first >> 4, (first & 15) << 4 | second >> 8, second & 255])
    height, width = values.shape
    tags = [
        (256, width),
        (257, height),
        (258, 12),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, height),
        (279, len(packed)),
    ]
    head = b"II*\0" + (8 + len(packed)).to_bytes(4, "little")
    lines = b"".join(
        tag.to_bytes(2, "little") + b"\4\0" + (1).to_bytes(4, "little") + value.to_bytes(4, "little")
        for tag, value in tags
    )
    path.write_bytes(head + packed + len(tags).to_bytes(2, "little") + lines + bytes(4))
    return path


def test_grey_values_of_more_than_8_bits_are_scaled_by_their_depth(tmp_path: Path) -> None:
    """All of these hold the same picture; 16 bits were read as white and floats as black."""
    deep = GREY.astype(np.uint16)
    files = [
        write(tmp_path / "16.png", deep * 257),
        write(tmp_path / "16.tif", deep * 257),
        write(tmp_path / "float.tif", GREY.astype(np.float32) / 255),
        twelve_bits(tmp_path / "12.tif", np.rint(GREY / 255 * 4095).astype(np.uint16)),
    ]
    (tmp_path / "10.pgm").write_bytes(b"P5 16 16 1023\n" + np.rint(GREY / 255 * 1023).astype(">u2").tobytes())
    for file in [*files, tmp_path / "10.pgm"]:
        seen = np.asarray(read_image(file))
        assert seen.shape == (16, 16, 3)
        assert np.array_equal(seen, np.repeat(GREY[..., None], 3, axis=2)), file.name


def test_deep_images_are_turned_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = write(tmp_path / "turned.png", GREY.astype(np.uint16)[:8] * 257, exif=exif)
    assert np.array_equal(np.asarray(read_image(path))[..., 0], np.rot90(GREY[:8], -1))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (GREY.astype(np.float32), "values go from 0 to 255; save it with values from 0 to 1"),
        (GREY / np.float32(-255), "values go from -1 to -?0;"),
        (np.full((4, 4), np.nan, dtype=np.float32), "values go from nan to nan"),
        (GREY.astype(np.int32) * 2**20, "32 bits do not say what is white"),
    ],
    ids=["255", "negative", "nan", "int32"],
)
def test_values_of_which_nobody_knows_what_is_white_are_refused(
    values: NDArray[np.generic], message: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "image.tif", values)
    with pytest.raises(UserError, match=f"image.tif' is refused: its .*{message}"):
        read_image(path)
    with pytest.raises(UserError, match="An image of the data is refused"):
        as_rgb(Image.fromarray(values))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV"])
def test_images_of_8_bits_are_what_pillow_makes_of_them(mode: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    image = image.convert("RGB").convert(mode) if mode != "LAB" else Image.frombytes("LAB", (7, 9), noise.tobytes())
    suffix = "png" if mode in ("1", "L", "LA", "P", "RGB", "RGBA") else "tif"
    if mode == "HSV":
        assert as_rgb(image).tobytes() == image.convert("RGB").tobytes()
        return
    image.save(tmp_path / f"image.{suffix}")
    with Image.open(tmp_path / f"image.{suffix}") as opened:
        assert opened.mode == mode
        assert read_image(tmp_path / f"image.{suffix}").tobytes() == opened.convert("RGB").tobytes()


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "gif"])
def test_of_several_pictures_the_first_is_used_and_said(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"moving.{suffix}"
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    first.save(path, save_all=True, append_images=[second], **({"lossless": True} if suffix == "webp" else {}))
    with pytest.warns(UserWarning, match=rf"moving.{suffix}' holds several pictures; the first is the one used"):
        assert read_image(path).getpixel((0, 0)) == (255, 0, 0)


def test_a_photograph_with_its_preview_is_one_picture(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 8), "red")
    image.save(tmp_path / "phone.jpg", format="MPO", save_all=True, append_images=[image])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_image(tmp_path / "phone.jpg")


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = write(tmp_path / "large.png", np.zeros((30, 40), dtype=np.uint8))
    assert read_image(path, max_pixels=1200).size == (40, 30)
    path.write_bytes(path.read_bytes()[:60])  # could not be decoded
    with pytest.raises(UserError, match=r"large.png' is refused: 40 x 30 pixels are more than 1,199"):
        read_image(path, max_pixels=1199)


def test_every_kind_of_image_is_read_or_known_to_be_left_out() -> None:
    for kind, read in (("jpg", True), ("TIFF", True), ("heic", False), ("svg", False), ("gif", False), ("CR2", False)):
        assert (is_read(Path(f"a.{kind}")), is_left_out(Path(f"a.{kind}"))) == (read, not read)
    assert not is_read(Path("notes.txt")) and not is_left_out(Path("notes.txt"))
