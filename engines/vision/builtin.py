"""The builtin engine: no weights. What moves against the camera's own motion; in a calm picture, what stands out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.camera import Camera
from engines.specs import Ambience, Frame, Mask, Region, Track
from engines.vision import IDENTITY, Affine, Observation
from engines.vision.ambience import ambience_of
from engines.vision.appearance import colour_likelihood, embed, similarity
from engines.vision.background import SETTLED_FRAMES
from engines.vision.camera_motion import Flows
from engines.vision.depth import distance_from_geometry
from engines.vision.foreground import MOVING_PX, Foreground, ForegroundFinder
from engines.vision.picture import Picture, colour_distance, dilated, shrink
from engines.vision.saliency import salient_segments
from engines.vision.segments import Expectation, Segment, linked, segments_of

_WORK_WIDTH_PX = 320
_WORK_WIDTH_WRAPPED_PX = 480
_MAX_WORK_HEIGHT_PX = 320
_SEAM_SHARE = 0.125  # of the width, repeated on either side of an equirectangular picture

_MIN_AREA_SHARE = 0.0009
_APPEARS_AREA_SHARE = 0.002
_APPEARS_CHANGE = 10.0  # grey levels in one frame
_MOVING_CHANGE = 6.0
_CALM_S = 0.8
_SETTLED_S = 0.6
_SALIENCY_EVERY_S, _SALIENCY_AT_LEAST_EVERY_S = 0.4, 3.2
_STILL_SIMILARITY = 0.80
_DISTINCT = 12.0  # Lab units
_STILL_SPEED = 0.05  # picture widths per second
_AMBIENCE_EVERY_S = 0.5
# Body heights per second at which the energy of a motion counts as two thirds of all.
_LIVELY_HEIGHTS_S = 0.6
_MAX_REGIONS = 32


@dataclass(slots=True)
class _Memory:
    """What the engine keeps between frames, besides the background."""

    picture: Picture | None = None
    t_s: float = -math.inf
    last_motion_s: float = -math.inf
    last_saliency_s: float = -math.inf
    saliency_every_s: float = _SALIENCY_EVERY_S
    last_ambience_s: float = -math.inf
    ambience: Ambience = field(default_factory=Ambience)


class BuiltinVision:
    """Motion, background and saliency.

    Args:
        camera: of the frames to come.
    """

    def __init__(self, camera: Camera) -> None:
        # Pictures this small gain nothing from more threads, and live sound needs the other core.
        cv2.setNumThreads(1)
        self._camera = camera
        width = min(_WORK_WIDTH_WRAPPED_PX if camera.wraps else _WORK_WIDTH_PX, max(camera.width_px, 32))
        height = round(width * camera.height_px / camera.width_px)
        if height > _MAX_WORK_HEIGHT_PX:
            height, width = _MAX_WORK_HEIGHT_PX, round(_MAX_WORK_HEIGHT_PX * camera.width_px / camera.height_px)
        # Dense flow needs a few patches in either direction.
        self._size = max(width, 32), max(height, 32)
        self._seam = round(_SEAM_SHARE * self._size[0]) if camera.wraps else 0
        self._scale = self._size[0] / camera.width_px, self._size[1] / camera.height_px
        self._finder = ForegroundFinder(moving_camera=not camera.wraps)
        self._memory = _Memory()
        self._min_area = max(12, round(_MIN_AREA_SHARE * self._size[0] * self._size[1]))

    def reset(self) -> None:
        """Forget all earlier frames."""
        self._finder.reset()
        self._memory = _Memory()

    def observe(self, frame: Frame, expected: Sequence[Track]) -> Observation:
        """See `VisionEngine.observe`."""
        memory = self._memory
        picture = shrink(frame.rgb, self._size, self._seam)
        if frame.t_s - memory.last_ambience_s >= _AMBIENCE_EVERY_S:
            memory.ambience, memory.last_ambience_s = ambience_of(picture.lab8), frame.t_s
        flows, cut = self._finder.follow_camera(picture)
        if cut:
            expected = ()
            memory.last_motion_s = memory.last_saliency_s = -math.inf
            memory.saliency_every_s = _SALIENCY_EVERY_S
        dt_s = min(max(frame.t_s - memory.t_s, 1e-3), 1.0)
        camera = flows.camera if flows is not None else IDENTITY
        tracks = [self._expectation(track, camera, picture) for track in expected]
        found = self._finder.find(picture, memory.picture, flows, cut, tracks, frame.t_s)
        memory.picture, memory.t_s = picture, frame.t_s
        segments, hidden = segments_of(found.mask, picture.bins, tracks, self._min_area)
        segments = self._worth_following(segments, found, picture)
        if segments:
            memory.last_motion_s = frame.t_s
            memory.saliency_every_s = _SALIENCY_EVERY_S
        accepted = _painted(segments, found.mask.shape)
        self._finder.background.learn(picture.lab, dilated(accepted, 5), found.mask & ~accepted)
        regions = [self._region(s, picture, flows, dt_s, "mover", 0.75) for s in segments if self._in_core(s)]
        explained = hidden | {s.track_id for s in segments if s.track_id is not None}
        regions += self._still_there(expected, tracks, explained, picture, found)
        if not frame.t_s - memory.last_motion_s < _CALM_S:
            regions += self._stand_out(frame.t_s, picture, regions)
        regions.sort(key=lambda r: -r.score * math.sqrt(r.mask.sum()))
        return Observation(tuple(regions[:_MAX_REGIONS]), self._to_frame(camera), cut, memory.ambience)

    # -- what moves -----------------------------------------------------------------------------------------------

    def _worth_following(self, segments: list[Segment], found: Foreground, picture: Picture) -> list[Segment]:
        """Segments that move, came suddenly, or belong to a track and still look like something of their own."""
        claimed, new = [], []
        flows = found.flows
        noisy_flow = flows is None or flows.noise_px > MOVING_PX
        for segment in segments:
            rows, columns, mask = _inside(segment, found.mask.shape)
            if not mask.any():
                continue
            change = float(found.sudden[rows, columns][mask].mean())
            large = mask.sum() >= _APPEARS_AREA_SHARE * found.mask.size
            moving = (large or not noisy_flow) and change > _MOVING_CHANGE
            if flows is not None and not noisy_flow:
                moving = moving or float(flows.residual_px[rows, columns][mask].mean()) >= MOVING_PX
            inside, around = picture.lab[rows, columns][mask], found.ring[rows, columns][mask]
            contrast = float(colour_distance(inside.mean(axis=0), around.mean(axis=0)))
            if segment.track_id is not None:
                if moving or contrast > 0.7 * _DISTINCT:
                    claimed.append(segment)
                continue
            appears = large and contrast > _DISTINCT and change > _APPEARS_CHANGE
            if moving or appears:
                new.append(segment)
        return claimed + linked(new, None if flows is None else flows.velocity_px)

    # -- what does not move ---------------------------------------------------------------------------------------

    def _still_there(
        self,
        tracks: Sequence[Track],
        expectations: list[Expectation],
        explained: set[int],
        picture: Picture,
        found: Foreground,
    ) -> list[Region]:
        """A thing that stood still is still there when its place still looks like it."""
        regions = []
        for track, expectation in zip(tracks, expectations, strict=True):
            speed = math.hypot(*track.velocity_px_s) / self._camera.width_px
            if track.track_id in explained or speed > _STILL_SPEED or track.missed_s > 1.0:
                continue
            x0, y0, x1, y1 = (round(v) for v in expectation.box)
            if (
                x0 < 0
                or y0 < 0
                or x1 > picture.bins.shape[1]
                or y1 > picture.bins.shape[0]
                or x1 - x0 < 2
                or y1 - y0 < 2
            ):
                continue
            mask = cv2.resize(track.region.mask.astype(np.uint8), (x1 - x0, y1 - y0), interpolation=cv2.INTER_NEAREST)
            segment = Segment((x0, y0, x1, y1), mask.astype(bool), track.track_id)
            if segment.mask.any() and self._recognised(track, segment, picture, found):
                regions.append(self._region(segment, picture, None, 1.0, "still", min(track.region.score, 0.6)))
        return regions

    def _recognised(self, track: Track, segment: Segment, picture: Picture, found: Foreground) -> bool:
        rows, columns, mask = _inside(segment, found.mask.shape)
        if found.mask[rows, columns][mask].mean() > 0.6:
            return False
        # What moved in front of a settled background and is now not seen there has gone; only what the background
        # itself may hold, because it stood there when that was learned, can be there unseen.
        settled = self._finder.background.age_frames((rows, columns))[mask].mean() >= SETTLED_FRAMES
        if settled and track.region.label != "still":
            return False
        if similarity(embed(picture.bins[rows, columns], mask), track.region.embedding) < _STILL_SIMILARITY:
            return False
        # A patch of sky still looks like a patch of sky: only what differs from its surroundings can be recognised.
        return _contrast(picture.lab, segment.box, mask) >= _DISTINCT

    def _stand_out(self, t_s: float, picture: Picture, found: list[Region]) -> list[Region]:
        """Salient regions of a calm picture that are not found yet."""
        memory = self._memory
        if t_s - memory.last_saliency_s < memory.saliency_every_s:
            return []
        memory.last_saliency_s = t_s
        # The longer a picture stays calm, the less there is to find that was not found before.
        memory.saliency_every_s = min(2.0 * memory.saliency_every_s, _SALIENCY_AT_LEAST_EVERY_S)
        regions = []
        for segment, strength in salient_segments(picture.lab8):
            if self._in_core(segment):
                region = self._region(segment, picture, None, 1.0, "still", min(0.7, strength / 100.0 + 0.25))
                if all(_overlap(region.box_px, other.box_px) < 0.3 for other in found):
                    regions.append(region)
        return regions

    # -- coordinates ----------------------------------------------------------------------------------------------

    def _expectation(self, track: Track, camera: Affine, picture: Picture) -> Expectation:
        """A track at working resolution, moved along with the camera."""
        x0, y0, x1, y1 = track.region.box_px
        sx, sy = self._scale
        if self._camera.wraps and x0 >= self._camera.width_px:
            x0, x1 = x0 - self._camera.width_px, x1 - self._camera.width_px
        corners = np.array([[x0 * sx + self._seam, y0 * sy, 1.0], [x1 * sx + self._seam, y1 * sy, 1.0]]) @ camera.T
        box = (corners[0, 0], corners[0, 1], corners[1, 0], corners[1, 1])
        colours = colour_likelihood(track.region.embedding)
        return Expectation(
            track_id=track.track_id,
            box=box,
            colours=colours,
            belongs=(colours / (colours + picture.scenery)).astype(np.float32),
            area=max(1.0, float(track.region.mask.mean()) * (box[2] - box[0]) * (box[3] - box[1])),
            nearness=box[3] / self._size[1],
            settled=track.age_s > _SETTLED_S and not self._at_edge(track),
            age_s=track.age_s,
            missed_s=track.missed_s,
        )

    def _at_edge(self, track: Track) -> bool:
        x0, y0, x1, y1 = track.region.box_px
        camera = self._camera
        across = not camera.wraps and (x0 <= 2 or x1 >= camera.width_px - 2)
        return across or y0 <= 2 or y1 >= camera.height_px - 2

    def _in_core(self, segment: Segment) -> bool:
        """In an extended equirectangular picture everything near the seam is there twice; keep one."""
        if not self._seam:
            return True
        return self._seam <= 0.5 * (segment.box[0] + segment.box[2]) < self._seam + self._size[0]

    def _region(
        self, segment: Segment, picture: Picture, flows: Flows | None, dt_s: float, kind: str, score: float
    ) -> Region:
        x0, y0, x1, y1 = segment.box
        sx, sy = self._scale
        box_px = ((x0 - self._seam) / sx, y0 / sy, (x1 - self._seam) / sx, y1 / sy)
        if self._camera.wraps and box_px[0] < 0:
            box_px = (box_px[0] + self._camera.width_px, box_px[1], box_px[2] + self._camera.width_px, box_px[3])
        rows, columns, mask = _inside(segment, picture.grey.shape)
        energy = 0.0
        if flows is not None and mask.any():
            speed_px_s = float(flows.residual_px[rows, columns][mask].mean()) / dt_s
            energy = 1.0 - math.exp(-speed_px_s / max(y1 - y0, 4.0) / _LIVELY_HEIGHTS_S)
        return Region(
            box_px=box_px,
            mask=segment.mask,
            label=kind,
            score=score,
            depth_m=distance_from_geometry(box_px, self._camera),
            embedding=embed(picture.bins[rows, columns], mask),
            energy=energy,
            patch=segment.patch,
        )

    def _to_frame(self, camera: Affine) -> Affine:
        """The camera's motion in frame pixels."""
        sx, sy = self._scale
        shift = np.array([[1.0, 0.0, -self._seam], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        down = np.diag([sx, sy, 1.0])
        full = np.linalg.inv(down) @ shift @ np.vstack([camera, [0.0, 0.0, 1.0]]) @ np.linalg.inv(shift) @ down
        return full[:2]


def _inside(segment: Segment, shape: tuple[int, ...]) -> tuple[slice, slice, Mask]:
    """Window of a segment clipped to the picture, and its mask there."""
    x0, y0, x1, y1 = segment.box
    rows, columns = slice(max(y0, 0), min(y1, shape[0])), slice(max(x0, 0), min(x1, shape[1]))
    return rows, columns, segment.mask[rows.start - y0 : rows.stop - y0, columns.start - x0 : columns.stop - x0]


def _painted(segments: list[Segment], shape: tuple[int, ...]) -> Mask:
    painted = np.zeros(shape, bool)
    for segment in segments:
        rows, columns, mask = _inside(segment, shape)
        painted[rows, columns] |= mask
    return painted


def _contrast(lab: NDArray[np.float32], box: tuple[int, int, int, int], mask: Mask) -> float:
    """Distance between the mean colours inside a mask and around its box."""
    x0, y0, x1, y1 = box
    rim = max(3, (x1 - x0) // 4, (y1 - y0) // 4)
    top, left = max(0, y0 - rim), max(0, x0 - rim)
    window = lab[top : y1 + rim, left : x1 + rim]
    around = np.ones(window.shape[:2], bool)
    around[y0 - top : y1 - top, x0 - left : x1 - left] = False
    if not around.any():
        return 0.0
    return float(colour_distance(lab[y0:y1, x0:x1][mask].mean(axis=0), window[around].mean(axis=0)))


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Intersection over the smaller area."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return max(width, 0.0) * max(height, 0.0) / max(smaller, 1e-9)
