"""What a whole picture suggests for the bed: sky, plants, water, town; by colour and place only."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.specs import Ambience


def ambience_of(lab: NDArray[np.uint8]) -> Ambience:
    """Shares of a uint8 (H, W, 3) Lab picture that look like sky, leaves, water and walls."""
    small = cv2.resize(lab, (48, 27), interpolation=cv2.INTER_AREA).astype(np.float32)
    lightness, a, b = small[..., 0], small[..., 1] - 128, small[..., 2] - 128
    upper, lower = slice(0, 10), slice(13, None)
    texture = float(np.abs(np.diff(lightness, axis=1)).mean())
    bright_top = lightness[upper] > 165
    blue = (b < -6) & (a < 10)
    sky = float((bright_top & ((b[upper] < 4) | (lightness[upper] > 225))).mean())
    green = float(((a < -7) & (b > 4)).mean())
    water = float((blue & (lightness > 50))[lower].mean())
    grey = float(((np.hypot(a, b) < 9) & (lightness > 40) & (lightness < 210))[lower].mean())
    outdoor = np.clip(1.3 * sky + 1.2 * green + 0.8 * water, 0.0, 1.0)
    return Ambience(
        outdoor=float(outdoor),
        green=float(np.clip(1.8 * green, 0.0, 1.0)),
        water=float(np.clip(1.6 * water * (0.3 + outdoor), 0.0, 1.0)),
        urban=float(np.clip(outdoor * 1.4 * grey * min(1.0, texture / 6.0), 0.0, 1.0)),
    )
