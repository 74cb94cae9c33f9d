"""What stands out in a standing picture.

Minimum barrier distance to the border plus border contrast, after Zhang et al. (2015, "Minimum barrier salient object
detection at 80 FPS"): a region stands out when every way to the border crosses a strong edge, and when its colour is
far from the colours of the border.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from engines.vision.picture import components
from engines.vision.segments import Segment

_LONGEST_PX = 160
_PASSES = 3
_BORDER_SHARE = 0.1
_STEEPNESS = 10.0
# Below this mean distance (Lab, 8-bit scale) to the border colours nothing stands out at all.
_MIN_CONTRAST = 14.0
_GROWING_ROUNDS = 2
_MAX_SALIENT = 4
_AREA_SHARE = (0.004, 0.6)


@njit(cache=True, nogil=True)
def _barrier_distance(channel, distance):
    """Raster-scan approximation of the minimum barrier distance from the border, float32 (H, W), into `distance`."""
    height, width = channel.shape
    highest = channel.copy()
    lowest = channel.copy()
    for y in range(height):
        for x in range(width):
            on_border = y == 0 or x == 0 or y == height - 1 or x == width - 1
            distance[y, x] = np.float32(0.0) if on_border else np.float32(1e9)
    for sweep in range(_PASSES):
        forward = sweep % 2 == 0
        for j in range(1, height - 1):
            y = j if forward else height - 1 - j
            for i in range(1, width - 1):
                x = i if forward else width - 1 - i
                value = channel[y, x]
                for k in range(2):
                    step = -1 if forward else 1
                    ny, nx = (y + step, x) if k == 0 else (y, x + step)
                    top, bottom = max(highest[ny, nx], value), min(lowest[ny, nx], value)
                    if top - bottom < distance[y, x]:
                        distance[y, x] = top - bottom
                        highest[y, x] = top
                        lowest[y, x] = bottom


def saliency_map(lab: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Saliency and border contrast of uint8 (H, W, 3) Lab.

    Returns:
        Two float32 maps of a smaller size (h, w), the longer side _LONGEST_PX: saliency 0..1, and distance to the
        nearest border's colours in Lab units.
    """
    height, width = lab.shape[:2]
    scale = min(1.0, _LONGEST_PX / max(height, width))
    size = max(16, round(width * scale)), max(16, round(height * scale))
    small = cv2.GaussianBlur(cv2.resize(lab, size, interpolation=cv2.INTER_AREA), (3, 3), 0).astype(np.float32)
    barrier = np.zeros(small.shape[:2], np.float32)
    scratch = np.empty_like(barrier)
    for c in range(3):
        _barrier_distance(np.ascontiguousarray(small[..., c]), scratch)
        barrier += scratch
    contrast, nearest = _border_contrast(small)
    saliency = barrier / max(float(barrier.max()), 1e-6) + contrast / max(float(contrast.max()), 1e-6)
    saliency /= max(float(saliency.max()), 1e-6)
    # Small specks vanish, shapes stay: opening and closing by a size that follows the amount of saliency.
    radius = max(1, round(0.08 * math.sqrt(float(saliency.mean()) * saliency.size)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    saliency = cv2.morphologyEx(cv2.morphologyEx(saliency, cv2.MORPH_OPEN, kernel), cv2.MORPH_CLOSE, kernel)
    y = (np.arange(size[1], dtype=np.float32) + 0.5)[:, None] / size[1] - 0.5
    x = (np.arange(size[0], dtype=np.float32) + 0.5)[None, :] / size[0] - 0.5
    saliency = saliency * (1.0 - np.sqrt(x * x + y * y) / math.sqrt(0.5)) ** 0.5
    saliency = saliency / max(float(saliency.max()), 1e-6)
    return (1.0 / (1.0 + np.exp(-_STEEPNESS * (saliency - 0.5)))).astype(np.float32), nearest


def _border_contrast(small: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sum of Mahalanobis distances to three of the four borders (the farthest is left out), and the nearest in Lab."""
    height, width = small.shape[:2]
    rim = max(2, round(_BORDER_SHARE * min(height, width)))
    borders = (small[:rim], small[-rim:], small[:, :rim], small[:, -rim:])
    maps, plain = [], []
    for border in borders:
        colours = border.reshape(-1, 3)
        centre = colours.mean(axis=0)
        spread = np.cov(colours.T) + 25.0 * np.eye(3)
        offset = small - centre
        distance = np.sqrt(np.maximum(np.einsum("yxi,ij,yxj->yx", offset, np.linalg.inv(spread), offset), 0.0))
        maps.append(distance / max(float(distance.max()), 1e-6))
        plain.append(np.linalg.norm(offset, axis=2))
    stack = np.stack(maps)
    return (stack.sum(axis=0) - stack.max(axis=0)).astype(np.float32), np.min(plain, axis=0).astype(np.float32)


def _completed(lab: NDArray[np.uint8], saliency: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Grow the salient core to whole things by their colours: uint8 (h, w) of 0 and 1 (Rother et al. 2004, GrabCut)."""
    height, width = saliency.shape
    core = max(0.35, 1.6 * float(saliency.mean()))
    marks = np.full(saliency.shape, cv2.GC_PR_BGD, np.uint8)
    marks[saliency < 0.02] = cv2.GC_BGD
    marks[saliency > core] = cv2.GC_PR_FGD
    rim = np.ones(saliency.shape, bool)
    rim[2:, 2:-2] = False  # things often stand on the lower border
    marks[rim] = cv2.GC_BGD
    if (marks == cv2.GC_PR_FGD).sum() < 20:
        return np.zeros(saliency.shape, np.uint8)
    small = cv2.resize(lab, (width, height), interpolation=cv2.INTER_AREA)
    cv2.setRNGSeed(1)
    cv2.grabCut(small, marks, None, np.zeros((1, 65)), np.zeros((1, 65)), _GROWING_ROUNDS, cv2.GC_INIT_WITH_MASK)  # pyright: ignore[reportArgumentType, reportCallIssue]
    return ((marks == cv2.GC_PR_FGD) | (marks == cv2.GC_FGD)).astype(np.uint8)


def salient_segments(lab: NDArray[np.uint8]) -> list[tuple[Segment, float]]:
    """The regions of uint8 (H, W, 3) Lab that stand out most, with their contrast in Lab units, best first."""
    small, nearest = saliency_map(lab)
    height, width = lab.shape[:2]
    saliency = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    filled = cv2.resize(_completed(lab, small), (width, height), interpolation=cv2.INTER_NEAREST)
    mask = cv2.morphologyEx(filled, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    contrast = cv2.resize(nearest, (width, height), interpolation=cv2.INTER_LINEAR)
    n, labels, stats = components(mask.astype(bool))
    ranked = []
    for component in range(1, n):
        share = stats[component, cv2.CC_STAT_AREA] / mask.size
        if not _AREA_SHARE[0] <= share <= _AREA_SHARE[1]:
            continue
        x, y, w, h = (int(v) for v in stats[component, :4])
        window = (slice(y, y + h), slice(x, x + w))
        pixels = labels[window] == component
        strength = float(contrast[window][pixels].mean())
        if strength >= _MIN_CONTRAST:
            weight = float(saliency[window][pixels].mean()) * math.sqrt(share)
            ranked.append((weight, strength, Segment((x, y, x + w, y + h), pixels, None)))
    ranked.sort(key=lambda entry: -entry[0])
    return [(segment, strength) for _, strength, segment in ranked[:_MAX_SALIENT]]
