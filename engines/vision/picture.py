"""A frame at working resolution, in the forms that the steps of the builtin engine need."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.specs import Mask
from engines.vision.appearance import N_COLOURS, colour_bins


@dataclass(frozen=True, slots=True)
class Picture:
    """One small frame.

    Attributes:
        lab8: uint8 (H, W, 3), OpenCV's 8-bit Lab.
        lab: the same as float32.
        grey: uint8 (H, W), its lightness.
        bins: int32 (H, W), colour index of every pixel.
        scenery: float32 (N_COLOURS,), share of each colour in the whole picture, never 0.
    """

    lab8: NDArray[np.uint8]
    lab: NDArray[np.float32]
    grey: NDArray[np.uint8]
    bins: NDArray[np.int32]
    scenery: NDArray[np.float32]


def shrink(rgb: NDArray[np.uint8], size: tuple[int, int], seam: int) -> Picture:
    """Resize uint8 (H, W, 3) to `size` (width, height); repeat `seam` columns of the other side at both sides."""
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    if seam:
        small = cv2.copyMakeBorder(small, 0, 0, seam, seam, cv2.BORDER_WRAP)
    lab8 = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.uint8, copy=False)
    bins = colour_bins(lab8)
    sample = bins.ravel()[::3]
    scenery = np.bincount(sample, minlength=N_COLOURS).astype(np.float32) / len(sample) + np.float32(1e-4)
    return Picture(lab8, lab8.astype(np.float32), np.ascontiguousarray(lab8[..., 0]), bins, scenery.astype(np.float32))


def components(mask: Mask) -> tuple[int, NDArray[np.int32], NDArray[np.int32]]:
    """Connected components of a mask: their number with the background, labels (H, W), and OpenCV's stats (n, 5)."""
    n, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return n, np.asarray(labels, np.int32), np.asarray(stats, np.int32)


def dilated(mask: Mask, size: int) -> Mask:
    """A mask grown by a square of `size` pixels."""
    return cv2.dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8)).astype(bool)


def colour_distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Between Lab colours on the last axis: lightness counts less, it changes with every shadow."""
    difference = np.abs(a - b)
    return np.asarray(0.7 * difference[..., 0] + difference[..., 1] + difference[..., 2], np.float32)


def exposure_change(before: NDArray[np.float32], now: NDArray[np.float32]) -> tuple[float, float]:
    """Gain and offset of lightness between two pictures of one place, robust to what moved: now = gain * before + offset.

    Args:
        before: (H, W) lightness.
        now: likewise.
    """
    x, y = before[::6, ::6].ravel().astype(np.float64), now[::6, ::6].ravel().astype(np.float64)
    if np.abs(y - x).mean() < 1.5:
        return 1.0, 0.0
    gain, offset = 1.0, float(np.median(y - x))
    for _ in range(4):
        error = np.abs(y - gain * x - offset)
        weight = 1.0 / (1.0 + (error / max(2.0, 1.5 * float(np.median(error)))) ** 2)
        total = weight.sum()
        mean_x, mean_y = (weight * x).sum() / total, (weight * y).sum() / total
        spread = (weight * (x - mean_x) ** 2).sum()
        # A plain picture says nothing about the gain: pull it to 1 with the strength of a few grey levels of spread.
        prior = 9.0 * total
        gain = float(((weight * (x - mean_x) * (y - mean_y)).sum() + prior) / (spread + prior))
        gain = min(max(gain, 0.4), 2.5)
        offset = float(mean_y - gain * mean_x)
    unchanged = np.sort(np.abs(y - x))
    changed = np.sort(np.abs(y - gain * x - offset))
    # Believe it only where it explains the calmer half of the picture much better than no change at all does.
    half = len(x) // 2
    if changed[:half].mean() > 0.7 * unchanged[:half].mean():
        return 1.0, 0.0
    return gain, offset
