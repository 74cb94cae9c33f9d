"""Dense flow of a small grey picture, and the camera's share of it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.vision import IDENTITY, Affine

Grey = NDArray[np.uint8]
Flow = NDArray[np.float32]

_GRID_STEP_PX = 8
_ROUNDS = 4
_TEXTURED = 10.0  # mean gradient, grey levels
_PLAIN_TRUST = 0.15
_AGREES_PX = 0.5
# Prefer a standing camera unless a moving one explains clearly more.
_STANDING_BONUS = 0.85
_MIN_AGREEMENT = 0.4
# Below this the camera stands still: warping by less would only blur the background model.
STILL_PX = 0.12


@dataclass(frozen=True, slots=True)
class Flows:
    """Motion between two frames, at every pixel of the newer one.

    Attributes:
        velocity_px: float32 (H, W, 2), where each pixel has come from, sign turned: pixels per frame.
        residual_px: float32 (H, W), magnitude of what the camera does not explain.
        camera: float64 (2, 3), maps points of the older frame to the newer.
        back: float64 (2, 3), the inverse.
        moved_px: mean displacement by the camera.
        agreement: share of textured points that follow the camera, 0..1.
        noise_px: median of `residual_px`.
    """

    velocity_px: Flow
    residual_px: NDArray[np.float32]
    camera: Affine
    back: Affine
    moved_px: float
    agreement: float
    noise_px: float


class FlowEstimator:
    """Dense inverse search (Kroeger et al. 2016) and a robust similarity fit."""

    def __init__(self, *, moving_camera: bool = True) -> None:
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._moving_camera = moving_camera

    def between(self, older: Grey, newer: Grey) -> Flows:
        """Flows from `older` to `newer`, uint8 (H, W) each."""
        backward = np.asarray(self._dis.calc(newer, older, None), np.float32)  # pyright: ignore[reportArgumentType, reportCallIssue]
        back, agreement = _fit_similarity(newer, backward) if self._moving_camera else (IDENTITY.copy(), 1.0)
        height, width = newer.shape
        columns = np.arange(width, dtype=np.float32)[None, :]
        rows = np.arange(height, dtype=np.float32)[:, None]
        a, b, tx = back[0].astype(np.float32)
        c, d, ty = back[1].astype(np.float32)
        expected_u = (a - 1) * columns + b * rows + tx
        expected_v = c * columns + (d - 1) * rows + ty
        residual = np.hypot(backward[..., 0] - expected_u, backward[..., 1] - expected_v)
        moved = float(np.hypot(expected_u, expected_v).mean())
        if moved < STILL_PX:
            back, moved = IDENTITY.copy(), 0.0
        camera = cv2.invertAffineTransform(back)
        noise = float(np.median(residual[::3, ::3]))
        return Flows(-backward, residual, np.asarray(camera, np.float64), back, moved, agreement, noise)


def _fit_similarity(newer: Grey, backward: Flow) -> tuple[Affine, float]:
    """Iteratively reweighted least squares of x' = s R x + t over a grid (Cauchy weights), and how much agrees."""
    step = _GRID_STEP_PX
    # A point tells about motion only where the picture has texture; but a plain road in front of which a car passes
    # is still most of the picture, so plain points keep some say.
    gradient = np.abs(cv2.Sobel(newer, cv2.CV_16S, 1, 0)) + np.abs(cv2.Sobel(newer, cv2.CV_16S, 0, 1))
    texture = cv2.blur(gradient.astype(np.float32), (step, step))[step // 2 :: step, step // 2 :: step]
    trust = np.clip(texture.ravel() / _TEXTURED, _PLAIN_TRUST, 1.0).astype(np.float64)
    sample = backward[step // 2 :: step, step // 2 :: step].astype(np.float64)
    rows, columns = np.mgrid[0 : texture.shape[0], 0 : texture.shape[1]] * step + step // 2
    x, y = columns.ravel().astype(np.float64), rows.ravel().astype(np.float64)
    du, dv = sample[..., 0].ravel(), sample[..., 1].ravel()
    standing = float(trust[np.hypot(du, dv) < _AGREES_PX].sum() / trust.sum())
    cx, cy = 0.5 * newer.shape[1], 0.5 * newer.shape[0]
    x, y = x - cx, y - cy
    scale, turn = 0.0, 0.0
    tx, ty = _weighted_median(du, trust), _weighted_median(dv, trust)
    error = np.hypot(du - tx, dv - ty)
    for _ in range(_ROUNDS):
        spread = max(0.15, 1.5 * _weighted_median(error, trust))
        weight = trust / (1.0 + (error / spread) ** 2)
        total = weight.sum()
        mx, my, mu, mv = ((weight * q).sum() / total for q in (x, y, du, dv))
        px, py, pu, pv = x - mx, y - my, du - mu, dv - mv
        norm = (weight * (px * px + py * py)).sum() + 1e-9
        scale = float((weight * (px * pu + py * pv)).sum() / norm)
        turn = float((weight * (px * pv - py * pu)).sum() / norm)
        tx, ty = float(mu - scale * mx + turn * my), float(mv - turn * mx - scale * my)
        error = np.hypot(du - (scale * x - turn * y + tx), dv - (turn * x + scale * y + ty))
    agreement = float(trust[error < _AGREES_PX].sum() / trust.sum())
    if standing >= _STANDING_BONUS * agreement or agreement < _MIN_AGREEMENT:
        return IDENTITY.copy(), max(standing, agreement)
    offset_x = tx - scale * cx + turn * cy
    offset_y = ty - turn * cx - scale * cy
    return np.array([[1 + scale, -turn, offset_x], [turn, 1 + scale, offset_y]]), agreement


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(cumulative, 0.5 * cumulative[-1])]])
