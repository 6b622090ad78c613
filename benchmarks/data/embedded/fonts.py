"""The TrueType fonts inside the matplotlib wheel that hold all of 0-9A-Za-z."""

from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

# Left out on purpose: cmmi10, cmsy10, cmex10, STIXNonUni and STIXSiz lack letters or digits.
FONT_FILES = (
    "DejaVuSans.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSans-Oblique.ttf",
    "DejaVuSans-BoldOblique.ttf",
    "DejaVuSansMono.ttf",
    "DejaVuSansMono-Bold.ttf",
    "DejaVuSansMono-Oblique.ttf",
    "DejaVuSansMono-BoldOblique.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSerif-Bold.ttf",
    "DejaVuSerif-Italic.ttf",
    "DejaVuSerif-BoldItalic.ttf",
    "STIXGeneral.ttf",
    "STIXGeneralBol.ttf",
    "STIXGeneralItalic.ttf",
    "STIXGeneralBolIta.ttf",
    "cmr10.ttf",
    "cmb10.ttf",
    "cmss10.ttf",
    "cmti10.ttf",
    "cmtt10.ttf",
)


@cache
def load_font(file: str, size: int) -> ImageFont.FreeTypeFont:
    """One of FONT_FILES at `size` px per em."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    # BASIC layout: the result must not depend on whether the machine has libraqm.
    return ImageFont.truetype(folder / file, size, layout_engine=ImageFont.Layout.BASIC)


def text_image(text: str, file: str, size: int, side: int, stroke: int = 0) -> Image.Image:
    """Grey (side, side) image of white `text` on black, centred between ascender and descender.

    Centring the line rather than the ink keeps c/C, o/O and the like apart by their height.
    """
    image = Image.new("L", (side, side))
    ImageDraw.Draw(image).text(
        (side / 2, side / 2), text, fill=255, font=load_font(file, size), anchor="mm", stroke_width=stroke
    )
    return image
