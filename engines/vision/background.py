"""What the picture looks like where nothing stands in front: a running model that moves with the camera."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from engines.specs import Mask
from engines.vision import Affine
from engines.vision.picture import exposure_change

Lab = NDArray[np.float32]

# Frames until the model of a pixel can be trusted.
MATURE_FRAMES = 3
# Frames after which it is settled what belongs to the scenery.
SETTLED_FRAMES = 25
_FASTEST = 0.5
_SLOWEST = 0.03
_NOISE_FLOOR = 5.0  # Lab units (OpenCV's 8-bit scale): sensor and coding noise of a fair webcam
_THRESHOLD = 3.2  # standard deviations
_LEARN_REFUSED = 0.12
_WIDEST = 20.0


@dataclass(slots=True)
class _Model:
    mean: Lab  # (H, W, 3)
    deviation: NDArray[np.float32]  # (H, W), running mean absolute deviation, Lab units
    age: NDArray[np.float32]  # (H, W), frames seen


@njit(cache=True, nogil=True)
def _distance_outside(lab, lowest, highest, distance):
    """Weighted distance of each pixel's colour from an interval, (H, W, 3) each, into float32 (H, W).

    Colour tells objects from shadows better than lightness does.
    """
    for y in range(lab.shape[0]):
        for x in range(lab.shape[1]):
            lightness = max(lab[y, x, 0] - highest[y, x, 0], lowest[y, x, 0] - lab[y, x, 0], np.float32(0.0))
            a = max(lab[y, x, 1] - highest[y, x, 1], lowest[y, x, 1] - lab[y, x, 1], np.float32(0.0))
            b = max(lab[y, x, 2] - highest[y, x, 2], lowest[y, x, 2] - lab[y, x, 2], np.float32(0.0))
            distance[y, x] = np.float32(0.7) * lightness + np.float32(1.2) * math.sqrt(a * a + b * b)


@njit(cache=True, nogil=True)
def _exceeds(distance, deviation, age, differs, known):
    """Where the distance is more than noise, and where enough is known to say so."""
    for y in range(distance.shape[0]):
        for x in range(distance.shape[1]):
            limit = _THRESHOLD * max(1.25 * deviation[y, x], _NOISE_FLOOR)
            known[y, x] = age[y, x] >= MATURE_FRAMES
            differs[y, x] = known[y, x] and distance[y, x] > limit


@njit(cache=True, nogil=True)
def _learn(lab, hidden, refused, mean, deviation, age):
    """Move the model toward a frame; see `Background.learn`."""
    for y in range(lab.shape[0]):
        for x in range(lab.shape[1]):
            if hidden[y, x]:
                continue
            rate = min(max(1.0 / max(age[y, x], 1.0), _SLOWEST), _FASTEST)
            if refused[y, x]:
                rate = max(rate, _LEARN_REFUSED)
            spread = 0.0
            for c in range(3):
                error = lab[y, x, c] - mean[y, x, c]
                spread += abs(error) / 3.0
                mean[y, x, c] += rate * error
            deviation[y, x] += 0.5 * rate * (min(spread, _WIDEST) - deviation[y, x])
            age[y, x] += 1.0


class Background:
    """Running mean and deviation in Lab, per pixel, warped by the camera's motion."""

    def __init__(self) -> None:
        self._model: _Model | None = None

    def reset(self) -> None:
        """Forget everything."""
        self._model = None

    @property
    def mean(self) -> Lab | None:
        """The remembered picture, float32 (H, W, 3) Lab, None before the first frame."""
        return None if self._model is None else self._model.mean

    def follow(self, back: Affine, moved_px: float) -> None:
        """Move the model with the camera; `back` maps points of the new frame to the old one."""
        model = self._model
        if model is None or moved_px == 0.0:
            return
        height, width = model.age.shape
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        model.mean = _warp(model.mean, back, (width, height), flags, cv2.BORDER_REPLICATE)
        model.deviation = _warp(model.deviation, back, (width, height), flags, cv2.BORDER_REPLICATE)
        # What enters the picture from outside is unknown.
        model.age = _warp(model.age, back, (width, height), flags, cv2.BORDER_CONSTANT)

    def foreground(self, lab: Lab, moved_px: float) -> tuple[Mask, Mask]:
        """Compare a frame with the model.

        Args:
            lab: float32 (H, W, 3), OpenCV's 8-bit Lab scale.
            moved_px: mean camera motion; where it is not 0 a pixel may match its neighbours' model too.

        Returns:
            Masks (H, W): what differs, and what is known well enough to say so.
        """
        if self._model is None:
            self._model = _Model(
                mean=lab.copy(),
                deviation=np.full(lab.shape[:2], _NOISE_FLOOR, np.float32),
                age=np.ones(lab.shape[:2], np.float32),
            )
        model = self._model
        # A lamp or an automatic exposure changes the whole picture, what is hidden now too.
        gain, offset = exposure_change(model.mean[..., 0], lab[..., 0])
        if gain != 1.0 or offset != 0.0:
            model.mean[..., 0] = gain * model.mean[..., 0] + offset
        distance = np.empty(lab.shape[:2], np.float32)
        if moved_px > 0:
            kernel = np.ones((3, 3), np.uint8)
            _distance_outside(lab, cv2.erode(model.mean, kernel), cv2.dilate(model.mean, kernel), distance)
        else:
            _distance_outside(lab, model.mean, model.mean, distance)
        distance = cv2.blur(distance, (3, 3))
        differs, known = np.empty(distance.shape, np.bool_), np.empty(distance.shape, np.bool_)
        _exceeds(distance, model.deviation, model.age, differs, known)
        return differs, known

    def learn(self, lab: Lab, hidden: Mask, refused: Mask) -> None:
        """Take in a frame, except where something stands in front.

        Args:
            lab: float32 (H, W, 3).
            hidden: bool (H, W), not learned at all.
            refused: bool (H, W), differs but is nothing worth following: learned faster than usual.
        """
        model = self._model
        assert model is not None
        _learn(lab, hidden, refused, model.mean, model.deviation, model.age)

    def absorb(self, lab: Lab, where: Mask) -> None:
        """From now on what is seen there is background."""
        model = self._model
        assert model is not None
        model.mean[where] = lab[where]
        model.deviation[where] = _NOISE_FLOOR
        model.age[where] = SETTLED_FRAMES

    def age_frames(self, where: tuple[slice, slice]) -> NDArray[np.float32]:
        """How long each pixel of a window has been learned, float32 (h, w)."""
        assert self._model is not None
        return self._model.age[where]


def _warp(
    image: NDArray[np.float32], matrix: Affine, size: tuple[int, int], flags: int, border: int
) -> NDArray[np.float32]:
    return np.asarray(cv2.warpAffine(image, matrix, size, flags=flags, borderMode=border), np.float32)
