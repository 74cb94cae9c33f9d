"""Textured cut-outs of people, cars, birds and balls: uint8 RGBA, drawn from shapes."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Rgba = NDArray[np.uint8]

N_POSES = 8
_SIZE_PX = 192
_SUPERSAMPLING = 2


@lru_cache(maxsize=128)
def draw_sprite(shape: str, colour: tuple[int, int, int], seed: int) -> tuple[Rgba, ...]:
    """The poses of one cycle of movement, N_POSES pictures uint8 (h, w, 4) that fill their frame; not to be written to.

    Args:
        shape: "person", "car", "bird" or "ball".
        colour: main colour, RGB.
        seed: of the texture.
    """
    poses = [_pose(shape, colour, seed, k / N_POSES) for k in range(N_POSES)]
    # One frame for all poses, or a swinging leg would make the whole body wider.
    painted = np.max([pose[..., 3] for pose in poses], axis=0) > 127
    rows, columns = np.flatnonzero(painted.any(axis=1)), np.flatnonzero(painted.any(axis=0))
    crop = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    return tuple(np.ascontiguousarray(pose[crop]) for pose in poses)


def _pose(shape: str, colour: tuple[int, int, int], seed: int, phase: float) -> Rgba:
    width = {"person": 0.42, "car": 2.2, "bird": 1.6, "ball": 1.0}[shape]
    scale = _SIZE_PX * _SUPERSAMPLING
    canvas = _Canvas(round(width * scale), scale)
    {"person": _person, "car": _car, "bird": _bird, "ball": _ball}[shape](canvas, colour, phase)
    return canvas.finish(np.random.default_rng(seed))


class _Canvas:
    """Shapes in coordinates 0..1 of the height, y down."""

    def __init__(self, width: int, height: int) -> None:
        self.rgb = np.zeros((height, width, 3), np.float32)
        self.alpha = np.zeros((height, width), np.uint8)
        self._unit = height

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, colour: tuple[float, ...], angle_deg: float = 0
    ) -> None:
        self._paint(
            lambda image, value: cv2.ellipse(image, self._at(x, y), self._at(rx, ry), angle_deg, 0, 360, value, -1),
            colour,
        )

    def polygon(self, points: list[tuple[float, float]], colour: tuple[float, ...]) -> None:
        corners = np.array([self._at(*p) for p in points], np.int32)
        self._paint(lambda image, value: cv2.fillPoly(image, [corners], value), colour)

    def limb(self, x0: float, y0: float, x1: float, y1: float, width: float, colour: tuple[float, ...]) -> None:
        thickness = max(1, round(width * self._unit))
        self._paint(lambda image, value: cv2.line(image, self._at(x0, y0), self._at(x1, y1), value, thickness), colour)

    def _at(self, x: float, y: float) -> tuple[int, int]:
        return round(x * self._unit), round(y * self._unit)

    def _paint(self, draw, colour: tuple[float, ...]) -> None:  # noqa: ANN001 - any cv2 drawing call
        stencil = np.zeros(self.alpha.shape, np.uint8)
        draw(stencil, 255)
        self.rgb[stencil > 0] = colour
        self.alpha |= stencil

    def finish(self, rng: np.random.Generator) -> Rgba:
        """Texture, light from above, a darker rim."""
        height, width = self.alpha.shape
        coarse = rng.standard_normal((height // 32 + 2, width // 32 + 2)).astype(np.float32)
        texture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        light = 1.12 - 0.3 * np.linspace(0, 1, height, dtype=np.float32)[:, None] + 0.10 * texture
        inner = cv2.erode(self.alpha, np.ones((9, 9), np.uint8))
        rim = np.where((self.alpha > 0) & (inner == 0), 0.7, 1.0).astype(np.float32)
        rgb = np.clip(self.rgb * (light * rim)[..., None], 0, 255).astype(np.uint8)
        rgba = np.dstack([rgb, self.alpha])
        size = (width // _SUPERSAMPLING, height // _SUPERSAMPLING)
        return cv2.resize(rgba, size, interpolation=cv2.INTER_AREA).astype(np.uint8)


def _shade(colour: tuple[int, int, int], factor: float) -> tuple[float, float, float]:
    return tuple(min(255.0, c * factor) for c in colour)  # pyright: ignore[reportReturnType]


def _person(canvas: _Canvas, colour: tuple[int, int, int], phase: float) -> None:
    swing = 0.10 * math.sin(2 * math.pi * phase)
    skin, trousers = (205.0, 160.0, 130.0), _shade(colour, 0.55)
    for side in (-1, 1):
        canvas.limb(0.21, 0.5, 0.21 + side * swing, 0.97, 0.085, trousers)
        canvas.limb(0.21 + 0.09 * side, 0.22, 0.21 + 0.10 * side - side * 0.6 * swing, 0.5, 0.055, _shade(colour, 0.8))
    canvas.ellipse(0.21, 0.36, 0.12, 0.2, colour)
    canvas.ellipse(0.21, 0.085, 0.062, 0.08, skin)
    canvas.ellipse(0.21, 0.05, 0.064, 0.045, (60.0, 45.0, 35.0))


def _car(canvas: _Canvas, colour: tuple[int, int, int], phase: float) -> None:
    canvas.polygon([(0.55, 0.45), (0.75, 0.05), (1.5, 0.05), (1.75, 0.45)], _shade(colour, 0.8))
    canvas.polygon([(0.68, 0.42), (0.82, 0.12), (1.44, 0.12), (1.6, 0.42)], (150.0, 180.0, 200.0))
    canvas.polygon([(0.05, 0.45), (2.15, 0.42), (2.15, 0.82), (0.05, 0.82)], colour)
    for x in (0.5, 1.7):
        canvas.ellipse(x, 0.82, 0.17, 0.17, (25.0, 25.0, 28.0))
        canvas.ellipse(x, 0.82, 0.09, 0.09, (130.0, 130.0, 135.0))
        angle = 2 * math.pi * phase
        canvas.limb(x, 0.82, x + 0.08 * math.cos(angle), 0.82 + 0.08 * math.sin(angle), 0.03, (40.0, 40.0, 40.0))
    canvas.ellipse(0.08, 0.55, 0.04, 0.06, (255.0, 240.0, 190.0))


def _bird(canvas: _Canvas, colour: tuple[int, int, int], phase: float) -> None:
    lift = 0.32 * math.sin(2 * math.pi * phase)
    for side in (-1, 1):
        x, y = 0.8 + side * 0.68, 0.5 - lift
        canvas.polygon(
            [(0.66, 0.44), (0.94, 0.44), (x, y - 0.06), (x, y + 0.08), (0.94, 0.6), (0.66, 0.6)], _shade(colour, 0.75)
        )
    canvas.ellipse(0.8, 0.55, 0.22, 0.13, colour)
    canvas.ellipse(1.0, 0.48, 0.09, 0.09, _shade(colour, 1.2))


def _ball(canvas: _Canvas, colour: tuple[int, int, int], phase: float) -> None:
    canvas.ellipse(0.5, 0.5, 0.48, 0.48, colour)
    angle = 2 * math.pi * phase
    for k in range(3):
        a = angle + 2 * math.pi * k / 3
        canvas.ellipse(0.5 + 0.25 * math.cos(a), 0.5 + 0.25 * math.sin(a), 0.11, 0.11, _shade(colour, 0.5))
