"""Draw the LiverAI icon: `python draw_icon.py` writes LiverAI.png here and beside the project's top CMakeLists.txt."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

SIZE, OVER = 128, 8
FULL = SIZE * OVER

# Closed outline of the liver seen from the front, as corners that a spline rounds, in [0, 1] with y down.
LIVER = [
    (0.13, 0.47),
    (0.17, 0.30),
    (0.30, 0.20),
    (0.47, 0.20),
    (0.58, 0.25),
    (0.72, 0.22),
    (0.87, 0.27),
    (0.88, 0.35),
    (0.76, 0.45),
    (0.62, 0.53),
    (0.53, 0.56),
    (0.48, 0.66),
    (0.36, 0.76),
    (0.23, 0.83),
    (0.15, 0.74),
    (0.12, 0.60),
]


def spline(points: list[tuple[float, float]], steps: int = 24) -> list[tuple[float, float]]:
    """A closed Catmull-Rom curve through the points, in pixels."""
    knots = np.array(points)
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    curve = []
    for i in range(len(knots)):
        a, b, c, d = (knots[(i + k) % len(knots)] for k in (-1, 0, 1, 2))
        curve.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return [(float(x) * FULL, float(y) * FULL) for x, y in np.vstack(curve)]


def gradient(top: tuple[int, int, int], bottom: tuple[int, int, int]) -> Image.Image:
    """A vertical gradient."""
    ramp = np.linspace(0, 1, FULL)[:, None, None]
    rows = (np.array(top) * (1 - ramp) + np.array(bottom) * ramp).astype(np.uint8)
    return Image.fromarray(np.broadcast_to(rows, (FULL, FULL, 3)).copy())


def mask(draw_on: str, box: list[float] | None = None, radius: float = 0.0) -> Image.Image:
    """A shape's mask: the liver, a rounded square or an ellipse (box in [0, 1])."""
    image = Image.new("L", (FULL, FULL), 0)
    draw = ImageDraw.Draw(image)
    if draw_on == "liver":
        draw.polygon(spline(LIVER), fill=255)
    elif box is not None:
        corners = [value * FULL for value in box]
        if draw_on == "square":
            draw.rounded_rectangle(corners, radius * FULL, fill=255)
        else:
            draw.ellipse(corners, fill=255)
    return image


def draw_icon() -> Image.Image:
    """The icon, 128 x 128 RGBA."""
    square = mask("square", [0.02, 0.02, 0.98, 0.98], 0.2)
    icon = Image.new("RGBA", (FULL, FULL), (0, 0, 0, 0))
    icon.paste(gradient((38, 50, 72), (12, 17, 28)), (0, 0), square)
    liver = mask("liver")
    shadow = ImageChops.offset(liver, 0, FULL // 40).filter(ImageFilter.GaussianBlur(FULL / 40))
    icon.paste((4, 6, 12), (0, 0), ImageChops.multiply(shadow, square).point(lambda v: v * 3 // 5))
    icon.paste(gradient((236, 146, 112), (158, 66, 54)), (0, 0), liver)
    edge = ImageChops.subtract(liver, liver.filter(ImageFilter.MinFilter(13)))
    icon.paste((255, 196, 168), (0, 0), edge)
    glow = mask("ellipse", [0.24, 0.34, 0.52, 0.62]).filter(ImageFilter.GaussianBlur(FULL / 28))
    icon.paste((255, 214, 92), (0, 0), ImageChops.multiply(glow, liver).point(lambda v: v // 2))
    ring = ImageChops.subtract(mask("ellipse", [0.26, 0.36, 0.50, 0.60]), mask("ellipse", [0.288, 0.388, 0.472, 0.572]))
    icon.paste((255, 226, 110), (0, 0), ring)
    icon.paste((122, 38, 60), (0, 0), mask("ellipse", [0.32, 0.42, 0.44, 0.54]))
    return icon.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    picture = draw_icon()
    for target in (here / "LiverAI.png", here.parents[1] / "LiverAI.png"):
        picture.save(target, optimize=True)
