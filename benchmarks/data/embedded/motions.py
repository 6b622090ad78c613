"""motions: how a spot moved, as one image of its whole path, in the role of UCF101's dynamic images.

A dynamic image adds up the frames of a video with weights that grow with time; here a path fades in towards its end.
"""

import numpy as np

from benchmarks.data.embedded import draw
from benchmarks.data.images import ImageTask

CLASS_NAMES = (
    "to the left", "to the right", "up", "down", "clockwise", "counterclockwise",
    "bouncing", "shaking", "growing", "shrinking",
)  # fmt: skip
PER_CLASS = (120, 28, 60)
FRAMES = 10
CHANGES_OF_SIZE = ("growing", "shrinking")


def path_of(label: int, rng: np.random.Generator) -> tuple[draw.Floats, draw.Floats]:
    """Centres (FRAMES, 2) in -1..1, y down, and radii (FRAMES,) of the spot in motion `label`."""
    name = CLASS_NAMES[label]
    time = np.linspace(0, 1, FRAMES)
    still, radius = np.zeros(FRAMES), np.full(FRAMES, rng.uniform(0.12, 0.22))
    run = rng.uniform(0.9, 1.3) * (time - 0.5)
    turn = rng.uniform(0, 2 * np.pi) + time * rng.uniform(3, 5)
    reach = rng.uniform(0.35, 0.5)
    x, y = {
        "to the left": (-run, still),
        "to the right": (run, still),
        "up": (still, -run),
        "down": (still, run),
        "clockwise": (reach * np.cos(turn), reach * np.sin(turn)),
        "counterclockwise": (reach * np.cos(turn), -reach * np.sin(turn)),
        "bouncing": (run, 0.5 - np.abs(np.sin(time * 2 * np.pi)) * reach * 1.5),
        "shaking": (0.4 * np.sin(time * rng.uniform(9, 12)), 0.25 * run),
    }.get(name, (still, still))
    if name in CHANGES_OF_SIZE:
        radius = np.linspace(0.1, rng.uniform(0.35, 1), FRAMES)[:: 1 if name == "growing" else -1]
    return np.stack([x, y], axis=1), radius


def draw_motion(label: int, rng: np.random.Generator) -> draw.Pixels:
    """One (32, 32, 3) image of motion `label`: late frames bright, early ones faint, on a cluttered scene."""
    centres, radii = path_of(label, rng)
    angle = rng.uniform(-0.3, 0.3)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    centres = centres @ turn + rng.uniform(-0.25, 0.25, 2)
    axis = np.linspace(-1, 1, draw.SIDE)
    ground = draw.random_colour(rng)
    ink = draw.contrasting_colour(rng, ground, gap=90)
    canvas = draw.background(rng, ground, strength=25)
    for step, ((x, y), radius) in enumerate(zip(centres, radii, strict=True), 1):
        distance = np.hypot(axis[None, :] - x, axis[:, None] - y)
        # A spot that changes its size is drawn as a rim, or its largest frame would hide the others.
        rim = np.exp(-(((distance - radius) / 0.08) ** 2))
        spot = rim if CLASS_NAMES[label] in CHANGES_OF_SIZE else (distance < radius).astype(np.float64)
        canvas = draw.blend(canvas, spot * (step / FRAMES) ** 1.5 * 0.7, ink)
    return draw.photograph(rng, canvas, blur=0.7, noise=10)


def build() -> ImageTask:
    """The whole task."""
    return draw.drawn_task("motions", CLASS_NAMES, draw_motion, PER_CLASS, source="drawn by this suite")
