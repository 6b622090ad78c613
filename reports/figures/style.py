"""Colours that every figure shares, told apart by colour-blind readers (Okabe and Ito, 2008; grey for their yellow)."""

BLACK = "#000000"
ORANGE = "#e69f00"
SKY = "#56b4e9"
GREEN = "#009e73"
BLUE = "#0072b2"
VERMILION = "#d55e00"
PURPLE = "#cc79a7"
GREY = "#999999"

PALETTE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK, GREY)
MARKERS = "osD^vP*X"
MORE_MARKERS = "hpd<>8H."
"""Where the palette begins anew."""
