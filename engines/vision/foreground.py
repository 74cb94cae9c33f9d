"""Which pixels stand in front: background model and flow, corrected for what the model learned wrongly."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.specs import Mask
from engines.vision import Affine
from engines.vision.appearance import colour_bins
from engines.vision.background import SETTLED_FRAMES, Background
from engines.vision.camera_motion import FlowEstimator, Flows
from engines.vision.picture import Picture, colour_distance, components, dilated, exposure_change
from engines.vision.segments import Expectation, grown

MOVING_PX = 0.4
_MAX_FOREGROUND_SHARE = 0.5
_CUT_SIMILARITY = 0.85
_REALIGN_EVERY = 8
_REALIGN_OFTEN = 2
_DRIFT_FRAMES = 30
_REALIGN_PX = 0.2
_MAX_MISFITS = 2
_MIN_AGREEMENT = 0.5
_CHANGED = 4.0
_GHOST_CONTRAST = 0.45
_GHOST_MARGIN = 4.0
_LONG_AGO_S = -1e9
_LEFT_BEHIND_MARGIN, _EMPTY_MARGIN = 0.6, 0.25  # around the box of a track, shares of its size
# So long after it was first seen, a thing may not be known in full.
_PARTLY_KNOWN_S = 0.12
_RING_PX = 31


@dataclass(frozen=True, slots=True)
class Foreground:
    """What one frame shows in front of its background.

    Attributes:
        mask: bool (H, W).
        flows: since the frame before; None for the first one and after a cut.
        sudden: float32 (H, W), absolute change of lightness since the frame before, camera compensated.
        ring: float32 (H, W, 3), mean Lab colour of the open background around every pixel.
        cut: the picture has nothing to do with the one before.
    """

    mask: Mask
    flows: Flows | None
    sudden: NDArray[np.float32]
    ring: NDArray[np.float32]
    cut: bool


class ForegroundFinder:
    """Keeps the last picture and the background model.

    Args:
        moving_camera: whether to look for camera motion at all.
    """

    def __init__(self, *, moving_camera: bool) -> None:
        self._flow = FlowEstimator(moving_camera=moving_camera)
        self.background = Background()
        self._previous: Picture | None = None
        self._frames_since_reset = 0
        self._misfits = 0
        self._drifting = 0
        self._aligns = moving_camera
        # When each pixel was last seen empty and far from all tracks, float32 (H, W).
        self._empty_s: NDArray[np.float32] | None = None

    def reset(self) -> None:
        """Forget all earlier pictures."""
        self.background.reset()
        self._previous = None
        self._frames_since_reset = 0
        self._misfits = 0
        self._drifting = 0
        self._empty_s = None

    def follow_camera(self, picture: Picture) -> tuple[Flows | None, bool]:
        """Move the background model with the camera; returns the flow since the last picture, and whether it was cut."""
        previous, self._previous = self._previous, picture
        if previous is None:
            return None, False
        gain, offset = exposure_change(previous.lab[..., 0], picture.lab[..., 0])
        before = previous.grey
        if abs(gain - 1.0) > 0.02 or abs(offset) > 2.0:  # flow assumes that a point keeps its brightness
            before = np.asarray(cv2.convertScaleAbs(before, alpha=gain, beta=offset), np.uint8)
        flows = self._flow.between(before, picture.grey)
        alike = float(np.sqrt(previous.scenery) @ np.sqrt(picture.scenery))
        if alike < _CUT_SIMILARITY and flows.agreement < 0.5:
            self.background.reset()
            self._frames_since_reset = 0
            self._empty_s = None
            return None, True
        self._follow(flows.back, flows.moved_px)
        return flows, False

    def _follow(self, back: Affine, moved_px: float) -> None:
        self.background.follow(back, moved_px)
        if self._empty_s is not None and moved_px > 0:
            height, width = self._empty_s.shape
            flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
            warped = cv2.warpAffine(self._empty_s, back, (width, height), flags=flags, borderValue=_LONG_AGO_S)
            self._empty_s = np.asarray(warped, np.float32)

    def find(
        self,
        picture: Picture,
        previous: Picture | None,
        flows: Flows | None,
        cut: bool,
        tracks: list[Expectation],
        t_s: float,
    ) -> Foreground:
        """Compare a picture with the background."""
        self._realign(picture)
        sudden = _sudden_change(previous, picture, flows)
        mask = self._raw_mask(picture, flows, sudden)
        mask &= ~self._left_behind(mask, picture, tracks, t_s)
        clear = (~mask).astype(np.float32)
        weight = cv2.blur(clear, (_RING_PX, _RING_PX)) + 1e-3
        around = cv2.blur(picture.lab * clear[..., None], (_RING_PX, _RING_PX))
        ring = np.asarray(around / weight[..., None], np.float32)
        mask = self._without_ghosts(mask, picture, flows, ring)
        self._note_empty(mask, tracks, t_s)
        return Foreground(mask, flows, sudden, ring, cut)

    def _realign(self, picture: Picture) -> None:
        """Slow drift is below what frame-to-frame flow can see; flow against the model itself sees it."""
        self._frames_since_reset += 1
        mean = self.background.mean
        self._drifting = max(self._drifting - 1, 0)
        every = _REALIGN_OFTEN if self._drifting else _REALIGN_EVERY
        if mean is None or not self._aligns or self._frames_since_reset % every:
            return
        remembered = np.clip(mean[..., 0], 0, 255).astype(np.uint8)
        drift = self._flow.between(remembered, picture.grey)
        if drift.moved_px < _REALIGN_PX or drift.agreement < 0.6:
            return
        size = (remembered.shape[1], remembered.shape[0])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(remembered, drift.back, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        # A large thing in front can pass for drift; then the shifted model fits no better.
        fits, fitted = (float(cv2.absdiff(picture.grey, p).mean()) for p in (moved, remembered))
        if fits < 0.95 * fitted:
            self._follow(drift.back, drift.moved_px)
            self._drifting = _DRIFT_FRAMES

    def _raw_mask(self, picture: Picture, flows: Flows | None, sudden: NDArray[np.float32]) -> Mask:
        """By colour where the background is known, else by flow."""
        moved_px = flows.moved_px if flows is not None else 0.0
        if self._drifting:
            moved_px = max(moved_px, _REALIGN_PX)
        differs, known = self.background.foreground(picture.lab, moved_px)
        moving = np.zeros(differs.shape, bool)
        # Where most of the picture follows no camera, flow is made of noise (plain surfaces, changing light).
        if flows is not None and flows.agreement > _MIN_AGREEMENT:
            moving = flows.residual_px > max(MOVING_PX, 3.0 * flows.noise_px)
            # Dense flow runs over the edge of a moving thing into plain surroundings; change does not.
            moving &= dilated(sudden > max(_CHANGED, 3.0 * float(np.median(sudden[::3, ::3]))), 7)
        if differs.mean() > _MAX_FOREGROUND_SHARE:
            # The model does not fit this picture: trust flow meanwhile, and start the model again if that goes on.
            self._misfits += 1
            known = np.zeros_like(known)
            differs = np.zeros_like(differs)
            if self._misfits > _MAX_MISFITS:
                self.background.reset()
                self.background.foreground(picture.lab, moved_px)
                self._frames_since_reset = 0
        else:
            self._misfits = 0
        mask = np.where(known, differs, moving)
        # While the model is young it may hold the thing itself, at the place where it was first seen.
        if self._frames_since_reset < SETTLED_FRAMES:
            mask |= moving & dilated(differs, 5)
        cleaned = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
        return cv2.morphologyEx(cleaned, cv2.MORPH_CLOSE, np.ones((5, 3), np.uint8)).astype(bool)

    def _note_empty(self, mask: Mask, tracks: list[Expectation], t_s: float) -> None:
        if self._empty_s is None:
            self._empty_s = np.full(mask.shape, _LONG_AGO_S, np.float32)
        empty = ~mask
        for track in tracks:
            empty[_window(track, _EMPTY_MARGIN)] = False
        self._empty_s[empty] = t_s

    def _left_behind(self, mask: Mask, picture: Picture, tracks: list[Expectation], t_s: float) -> Mask:
        """Pixels where the model, not the picture, shows a tracked thing: it was there when the model was made."""
        ghost = np.zeros(mask.shape, bool)
        mean = self.background.mean
        if mean is None or not tracks or self._empty_s is None:
            return ghost
        mean_bins = colour_bins(np.clip(mean, 0, 255).astype(np.uint8))
        windows = []
        explained = np.zeros(mask.shape, np.float32)
        for track in tracks:
            window = _window(track, _LEFT_BEHIND_MARGIN)
            windows.append(window)
            np.maximum(explained[window], track.belongs[picture.bins[window]], out=explained[window])
        for track, window in zip(tracks, windows, strict=True):
            # The colour that is there now may be another track's, passing in front. And the model cannot hold the thing
            # where it was seen empty since the thing is known.
            ghost[window] |= (
                mask[window]
                & (track.belongs[mean_bins[window]] - explained[window] > _GHOST_CONTRAST)
                & (self._empty_s[window] < t_s - track.age_s + _PARTLY_KNOWN_S)
            )
        if ghost.any():
            self.background.absorb(picture.lab, ghost)
        return ghost

    def _without_ghosts(self, mask: Mask, picture: Picture, flows: Flows | None, ring: NDArray[np.float32]) -> Mask:
        """Drop what something left behind: a still patch that looks like its surroundings, where the model does not."""
        mean = self.background.mean
        if flows is None or mean is None or not mask.any():
            return mask
        n, labels, stats = components(mask)
        area = stats[:, cv2.CC_STAT_AREA]
        still = np.bincount(labels.ravel(), weights=flows.residual_px.ravel(), minlength=n) / area < max(
            MOVING_PX, flows.noise_px
        )
        still[0] = False
        if not still.any():
            return mask
        gain = colour_distance(mean, ring) - colour_distance(picture.lab, ring)
        ghosts = still & (np.bincount(labels.ravel(), weights=gain.ravel(), minlength=n) / area > _GHOST_MARGIN)
        ghost = ghosts[labels]
        if ghost.any():
            self.background.absorb(picture.lab, ghost | (dilated(ghost, 5) & ~mask))
        return mask & ~ghost


def _window(track: Expectation, margin: float) -> tuple[slice, slice]:
    x0, y0, x1, y1 = grown(track.box, margin)
    return slice(max(0, round(y0)), max(0, round(y1))), slice(max(0, round(x0)), max(0, round(x1)))


def _sudden_change(previous: Picture | None, picture: Picture, flows: Flows | None) -> NDArray[np.float32]:
    """Absolute change of lightness since the last picture where the camera would have put it, float32 (H, W)."""
    if previous is None or flows is None:
        return np.zeros(picture.grey.shape, np.float32)
    before = previous.grey
    if flows.moved_px > 0:
        size = (before.shape[1], before.shape[0])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        before = cv2.warpAffine(before, flows.back, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return cv2.blur(cv2.absdiff(picture.grey, before), (3, 3)).astype(np.float32)
