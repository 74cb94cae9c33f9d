"""How far away something is, from where it stands and how large it looks; no network."""

from __future__ import annotations

import math

from engines.camera import Camera

EYE_HEIGHT_M = 1.5
_NEAREST_M, _FARTHEST_M = 0.6, 40.0
# What a thing of a certain shape is likely to measure across (the larger side).
_TALL_M, _WIDE_M, _ROUND_M = 1.7, 3.6, 0.9


def likely_size_m(width_px: float, height_px: float) -> float:
    """Larger side of a thing, from its shape alone."""
    aspect = width_px / max(height_px, 1e-6)
    if aspect < 0.75:
        return _TALL_M
    return _WIDE_M if aspect > 1.5 else _ROUND_M


def distance_from_geometry(box_px: tuple[float, float, float, float], camera: Camera) -> float:
    """Distance in metres, 0.6..40.

    Two cues: the foot of the box on a ground plane EYE_HEIGHT_M below a level camera, and the size. Where the foot is
    out of the picture, or above the horizon (it flies, or the camera looks down), size speaks alone.
    """
    x0, y0, x1, y1 = box_px
    f = camera.focal_px
    width_px, height_px = max(x1 - x0, 1.0), max(y1 - y0, 1.0)
    by_size_m = likely_size_m(width_px, height_px) * f / max(width_px, height_px)
    below_px = min(y1, camera.height_px) - 0.5 * camera.height_px
    if y1 >= camera.height_px - 2 or below_px <= 0.02 * camera.height_px:
        return min(max(by_size_m, _NEAREST_M), _FARTHEST_M)
    tangent = math.tan(below_px / f) if camera.wraps else below_px / f
    by_ground_m = EYE_HEIGHT_M / max(tangent, 1e-3)
    return min(max(by_ground_m**0.6 * by_size_m**0.4, _NEAREST_M), _FARTHEST_M)
