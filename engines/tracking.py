"""Region* -> Track*: the same thing keeps its id while it moves, hides and comes back.

Constant-velocity prediction with camera compensation, then two rounds of optimal assignment (Kuhn 1955): sure regions
to all tracks first, the rest to what is left (Zhang et al. 2022, ByteTrack). The cost joins overlap, distance, size
and appearance. All times come from the frames; the frame rate may vary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from engines.specs import Float32, Region, Track
from engines.vision import IDENTITY, Affine, Observation

# A sighting this sure confirms a new track at once with the next one; a weaker one needs more.
_SURE = 0.5
_HITS_TO_CONFIRM = 2
# So does every sighting while the camera moves, when near things shift against far ones.
_HITS_TO_CONFIRM_WEAK = 4
_CAMERA_MOVES = 0.002  # of the width, per frame
# A new track that is not seen again within this time was noise.
_TENTATIVE_S = 0.25
LOST_S = 1.2
HIDDEN_S = 3.0
_POSITION_GAIN = 0.75
_VELOCITY_GAIN = 0.25
_SIZE_GAIN = 0.3
# What is cut out of a patch that several things share says little about the size of a thing known by then.
_SHARED_SIZE_GAIN = 0.03
_KNOWN_S = 0.6
_APPEARANCE_GAIN = 0.08
_MAX_COST = 0.78
_EDGE_SHARE = 0.015
_JOIN_S, _JOIN_STILL_S = 0.35, 0.8
_LOOSE_PX_SHARE = 0.005
# Less than this share of the other part, and not known for long: its id is not the one that is listened to.
_MINOR, _NEW_S = 0.4, 2.0


@dataclass(slots=True)
class _Tracked:
    """A track and what it takes to follow it; positions in frame pixels."""

    track_id: int
    region: Region
    centre: tuple[float, float]
    size: tuple[float, float]
    velocity: tuple[float, float]
    embedding: Float32
    first_s: float
    seen_s: float
    sibling_id: int | None = None
    sibling_offset: tuple[float, float] = (0.0, 0.0)
    sibling_s: float = 0.0
    sibling_start: tuple[float, float] = (0.0, 0.0)
    sibling_by_patch: bool = False
    travel_to_join: float = 0.0
    hits: int = 1
    confirmed: bool = False
    hidden: bool = False
    # Per axis: -1 and 1 when the low or the high border of the picture cuts it off, so that only the other side moves.
    cut_off: tuple[int, int] = (0, 0)

    def box(self) -> tuple[float, float, float, float]:
        (cx, cy), (w, h) = self.centre, self.size
        return cx - 0.5 * w, cy - 0.5 * h, cx + 0.5 * w, cy + 0.5 * h


class Tracker:
    """Follows regions over time.

    Args:
        width_px: of the frames.
        height_px: likewise.
        wraps: the left and the right edge are neighbours.
        first_id: of the first track; they count up from there.
    """

    def __init__(self, width_px: int, height_px: int, *, wraps: bool = False, first_id: int = 1) -> None:
        self._width, self._height, self._wraps = width_px, height_px, wraps
        self._tracks: list[_Tracked] = []
        self._next_id = first_id
        self._t_s = -math.inf
        self._camera_moves = False

    @property
    def next_id(self) -> int:
        """What the next new track will be called."""
        return self._next_id

    def reset(self) -> None:
        """Forget all tracks; ids go on counting."""
        self._tracks = []
        self._t_s = -math.inf

    def expected(self, t_s: float) -> list[Track]:
        """Confirmed and tentative tracks where they should be at `t_s`, before the camera's motion is known."""
        dt_s = self._elapsed_s(t_s)
        tracks = []
        for track in self._tracks:
            (cx, cy), (w, h) = self._predicted(track, IDENTITY, dt_s)
            box = (cx - 0.5 * w, cy - 0.5 * h, cx + 0.5 * w, cy + 0.5 * h)
            region = replace(track.region, box_px=box, embedding=track.embedding)
            tracks.append(Track(track.track_id, region, track.velocity, t_s - track.first_s, t_s - track.seen_s))
        return tracks

    def step(self, observation: Observation, t_s: float) -> list[Track]:
        """Take in the regions of one frame; returns all confirmed tracks, seen or not."""
        if observation.cut:
            self._tracks = []
        dt_s = self._elapsed_s(t_s)
        self._t_s = t_s
        middle = np.array([0.5 * self._width, 0.5 * self._height, 1.0])
        self._camera_moves = float(np.hypot(*(observation.camera @ middle - middle[:2]))) > _CAMERA_MOVES * self._width
        for track in self._tracks:
            track.centre, track.size = self._predicted(track, observation.camera, dt_s)
            # Without sight the guess that it goes on as before weakens.
            if t_s - track.seen_s > 0.5:
                fade = math.exp(-dt_s / 1.5)
                track.velocity = (track.velocity[0] * fade, track.velocity[1] * fade)
        regions = observation.regions
        sure = [i for i, r in enumerate(regions) if r.score >= _SURE]
        unsure = [i for i, r in enumerate(regions) if r.score < _SURE]
        open_tracks = list(range(len(self._tracks)))
        open_tracks, sure = self._match(open_tracks, sure, regions, t_s, dt_s)
        open_tracks, unsure = self._match(open_tracks, unsure, regions, t_s, dt_s)
        for index in sure + unsure:
            if not self._duplicates(regions[index]):
                self._begin(regions[index], t_s)
        self._join_siblings(t_s)
        self._retire(t_s)
        return [self._published(track, t_s) for track in self._tracks if track.confirmed]

    # -- prediction -----------------------------------------------------------------------------------------------

    def _elapsed_s(self, t_s: float) -> float:
        return min(max(t_s - self._t_s, 0.0), 1.0) if math.isfinite(self._t_s) else 0.0

    def _predicted(
        self, track: _Tracked, camera: Affine, dt_s: float
    ) -> tuple[tuple[float, float], tuple[float, float]]:
        """Centre and size after a time; where the border cuts a thing off, its free side goes on alone."""
        moved = camera @ np.array([track.centre[0], track.centre[1], 1.0])
        centre, size = [], []
        for axis in (0, 1):
            way = float(moved[axis]) - track.centre[axis] + track.velocity[axis] * dt_s
            side = track.cut_off[axis]
            centre.append(track.centre[axis] + (0.5 * way if side else way))
            size.append(max(track.size[axis] - side * way, 1.0))
        u, v = centre
        return (u % self._width if self._wraps else u, v), (size[0], size[1])

    def _cut_off(self, region: Region) -> tuple[int, int]:
        x0, y0, x1, y1 = region.box_px
        across = 0 if self._wraps else (x1 >= self._width - 1) - (x0 <= 1)
        return across, (y1 >= self._height - 1) - (y0 <= 1)

    def _offset(self, u_from: float, u_to: float) -> float:
        """Shortest way from one column to another."""
        way = u_to - u_from
        return (way + 0.5 * self._width) % self._width - 0.5 * self._width if self._wraps else way

    # -- association ----------------------------------------------------------------------------------------------

    def _match(
        self, tracks: list[int], candidates: list[int], regions: Sequence[Region], t_s: float, dt_s: float
    ) -> tuple[list[int], list[int]]:
        """Assign candidates to tracks; returns what is left of both."""
        if not tracks or not candidates:
            return tracks, candidates
        cost = np.array([[self._cost(self._tracks[t], regions[c], t_s) for c in candidates] for t in tracks])
        rows, columns = linear_sum_assignment(np.minimum(cost, 2.0 * _MAX_COST))
        taken_tracks, taken = set(), set()
        for row, column in zip(rows, columns, strict=True):
            if cost[row, column] <= _MAX_COST:
                self._update(self._tracks[tracks[row]], regions[candidates[column]], t_s, dt_s)
                taken_tracks.add(tracks[row])
                taken.add(candidates[column])
        return [t for t in tracks if t not in taken_tracks], [c for c in candidates if c not in taken]

    def _cost(self, track: _Tracked, region: Region, t_s: float) -> float:
        """0 = surely the same, above _MAX_COST = surely not."""
        cu, cv = region.centre_px
        du, dv = self._offset(track.centre[0], cu), cv - track.centre[1]
        w, h = region.box_px[2] - region.box_px[0], region.box_px[3] - region.box_px[1]
        size = 0.5 * (math.hypot(w, h) + math.hypot(*track.size))
        missed_s = t_s - track.seen_s
        # The longer unseen, the farther it may have gone.
        reach = 0.8 * size + 0.03 * self._width + missed_s * (0.15 * self._width + 0.5 * math.hypot(*track.velocity))
        distance = math.hypot(du, dv) / reach
        if distance > 1.0:
            return 2.0 * _MAX_COST
        overlap = _iou((0, 0, w, h), self._relative_box(track, region))
        alike = float(track.embedding @ region.embedding) if track.embedding.size == region.embedding.size else 0.5
        growth = abs(math.log(max(w * h, 1.0) / max(track.size[0] * track.size[1], 1.0)))
        cost = 0.35 * distance + 0.25 * (1.0 - overlap) + 0.35 * (1.0 - alike) + 0.08 * min(growth, 2.0)
        if missed_s > 0.4 and alike < 0.45:
            cost += 0.45  # something else at the place where it was lost
        return cost

    def _relative_box(self, track: _Tracked, region: Region) -> tuple[float, float, float, float]:
        """The track's box with the region's corner as origin, across the seam if need be."""
        cu, cv = region.centre_px
        w, h = region.box_px[2] - region.box_px[0], region.box_px[3] - region.box_px[1]
        u, v = -self._offset(track.centre[0], cu) + 0.5 * w, track.centre[1] - cv + 0.5 * h
        return u - 0.5 * track.size[0], v - 0.5 * track.size[1], u + 0.5 * track.size[0], v + 0.5 * track.size[1]

    def _duplicates(self, region: Region) -> bool:
        """Whether a region lies on a track that was just seen: a second part of the same thing."""
        area = (region.box_px[2] - region.box_px[0]) * (region.box_px[3] - region.box_px[1])
        for track in self._tracks:
            if track.seen_s != self._t_s:
                continue
            w, h = region.box_px[2] - region.box_px[0], region.box_px[3] - region.box_px[1]
            x0, y0, x1, y1 = self._relative_box(track, region)
            inside = max(0.0, min(x1, w) - max(x0, 0.0)) * max(0.0, min(y1, h) - max(y0, 0.0))
            if inside > 0.6 * area:
                return True
        return False

    # -- life -----------------------------------------------------------------------------------------------------

    def _begin(self, region: Region, t_s: float) -> None:
        x0, y0, x1, y1 = region.box_px
        cu, cv = region.centre_px
        track = _Tracked(
            track_id=self._next_id,
            region=region,
            centre=(cu % self._width if self._wraps else cu, cv),
            size=(x1 - x0, y1 - y0),
            velocity=(0.0, 0.0),
            embedding=region.embedding,
            first_s=t_s,
            seen_s=t_s,
        )
        for other in self._tracks:
            if other.seen_s == t_s and self._touch(other, track):
                self._attach(track, other, t_s)
                break
        self._tracks.append(track)
        self._next_id += 1

    def _update(self, track: _Tracked, region: Region, t_s: float, dt_s: float) -> None:
        centre, sides = region.centre_px, (region.box_px[2] - region.box_px[0], region.box_px[3] - region.box_px[1])
        offset = self._offset(track.centre[0], centre[0]), centre[1] - track.centre[1]
        gap_s = max(t_s - track.seen_s, dt_s, 1e-3)
        # A young track knows no velocity yet: believe the first displacements more.
        gain = max(_VELOCITY_GAIN, 1.0 / (track.hits + 1))
        growth = max(_SIZE_GAIN, 1.0 / (track.hits + 1))
        if region.patch >= 0 and t_s - track.first_s > _KNOWN_S:
            growth = _SHARED_SIZE_GAIN
        cut_off = self._cut_off(region)
        velocity, position, size = [], [], []
        for axis, side in enumerate(cut_off):
            wider = sides[axis] - track.size[axis]
            # The free side tells the motion; the centre of what is cut off moves half as fast.
            way = offset[axis] - 0.5 * side * wider
            velocity.append(track.velocity[axis] + gain * way / gap_s)
            size.append(track.size[axis] + (_POSITION_GAIN if side else growth) * wider)
            position.append(track.centre[axis] + _POSITION_GAIN * offset[axis])
        track.velocity, track.size, track.cut_off = (velocity[0], velocity[1]), (size[0], size[1]), cut_off
        track.centre = (position[0] % self._width if self._wraps else position[0], position[1])
        mixed = track.embedding + max(_APPEARANCE_GAIN, 1.0 / (track.hits + 1)) * (region.embedding - track.embedding)
        track.embedding = (mixed / max(float(np.linalg.norm(mixed)), 1e-9)).astype(np.float32)
        track.region, track.seen_s, track.hidden = region, t_s, False
        track.hits += 1
        needed = _HITS_TO_CONFIRM if region.score >= _SURE and not self._camera_moves else _HITS_TO_CONFIRM_WEAK
        track.confirmed = track.confirmed or track.hits >= needed

    def _join_siblings(self, t_s: float) -> None:
        """Tracks that were born side by side, or lie inside each other, and do not move apart are one thing."""
        by_id = {track.track_id: track for track in self._tracks}
        for young in list(self._tracks):
            if young.seen_s != t_s or young.track_id not in by_id:
                continue
            if young.sibling_id is None:
                seen = (o for o in self._tracks if o.seen_s == t_s and o.track_id < young.track_id)
                companion = next((o for o in seen if self._inside(young, o) or self._stacked(young, o)), None)
                if companion is not None:
                    self._attach(young, companion, t_s)
                    young.travel_to_join = 0.6 * min(young.size[0], companion.size[0])
                    young.sibling_by_patch = True
                continue
            old = by_id.get(young.sibling_id)
            if old is None or old.seen_s != t_s:
                continue
            offset = self._between(old, young)
            drift = math.hypot(offset[0] - young.sibling_offset[0], offset[1] - young.sibling_offset[1])
            together = self._one_patch(old, young) if young.sibling_by_patch else self._touch(old, young)
            if drift > 0.35 * min(*old.size, *young.size) + _LOOSE_PX_SHARE * self._width or not together:
                young.sibling_id = None
                continue
            still = t_s - young.sibling_s >= _JOIN_STILL_S and drift < 0.2 * min(*old.size, *young.size)
            if still or (t_s - young.sibling_s >= _JOIN_S and self._travelled(young) >= young.travel_to_join):
                minor = old.size[0] * old.size[1] < _MINOR * young.size[0] * young.size[1]
                kept, dropped = (young, old) if minor and t_s - old.first_s < _NEW_S else (old, young)
                kept.region = _union(kept.region, dropped.region)
                x0, y0, x1, y1 = kept.region.box_px
                kept.centre, kept.size, kept.sibling_id = (0.5 * (x0 + x1), 0.5 * (y0 + y1)), (x1 - x0, y1 - y0), None
                self._tracks.remove(dropped)
                del by_id[dropped.track_id]

    def _attach(self, young: _Tracked, old: _Tracked, t_s: float) -> None:
        young.sibling_id, young.sibling_offset, young.sibling_s = old.track_id, self._between(old, young), t_s
        young.sibling_start, young.sibling_by_patch = young.centre, False
        # Parts of one thing stand on each other; two things side by side may be neighbours, until they go together.
        du, _ = self._between(old, young)
        above = 0.5 * (old.size[0] + young.size[0]) - abs(du) > 0.6 * min(old.size[0], young.size[0])
        young.travel_to_join = 0.0 if above else min(old.size[0], young.size[0])

    def _travelled(self, young: _Tracked) -> float:
        """How far a track has come since it has a companion."""
        du = self._offset(young.sibling_start[0], young.centre[0])
        return math.hypot(du, young.centre[1] - young.sibling_start[1])

    def _between(self, a: _Tracked, b: _Tracked) -> tuple[float, float]:
        return self._offset(a.centre[0], b.centre[0]), b.centre[1] - a.centre[1]

    def _inside(self, small: _Tracked, large: _Tracked) -> bool:
        """Whether most of a box lies in another, clearly larger one."""
        if not self._one_patch(small, large):
            return False
        if small.size[0] * small.size[1] > 0.6 * large.size[0] * large.size[1]:
            return False
        du, dv = self._between(large, small)
        shared = 1.0
        for offset, a, b in ((du, small.size[0], large.size[0]), (dv, small.size[1], large.size[1])):
            shared *= max(0.0, min(offset + 0.5 * a, 0.5 * b) - max(offset - 0.5 * a, -0.5 * b)) / max(a, 1e-6)
        return shared > 0.7

    def _stacked(self, a: _Tracked, b: _Tracked) -> bool:
        """Whether two regions hang together and stand on each other: head on body, body on legs."""
        if not self._one_patch(a, b):
            return False
        du, _ = self._between(a, b)
        shared = 0.5 * (a.size[0] + b.size[0]) - abs(du)
        return shared > 0.6 * min(a.size[0], b.size[0]) and self._touch(a, b)

    @staticmethod
    def _one_patch(a: _Tracked, b: _Tracked) -> bool:
        return a.region.patch >= 0 and a.region.patch == b.region.patch

    def _touch(self, a: _Tracked, b: _Tracked) -> bool:
        """Whether two boxes meet or overlap, and share a side rather than a corner."""
        du, dv = abs(self._offset(a.centre[0], b.centre[0])), abs(a.centre[1] - b.centre[1])
        gap_u, gap_v = du - 0.5 * (a.size[0] + b.size[0]), dv - 0.5 * (a.size[1] + b.size[1])
        near = 0.006 * self._width + 0.2 * min(*a.size, *b.size)
        return max(gap_u, gap_v) < near and min(gap_u, gap_v) < -0.3 * min(*a.size, *b.size)

    def _retire(self, t_s: float) -> None:
        seen = [track for track in self._tracks if track.seen_s == t_s]
        kept = []
        for track in self._tracks:
            missed_s = t_s - track.seen_s
            if missed_s > 0:
                track.hidden = any(self._covers(other, track) for other in seen)
            limit_s = HIDDEN_S if track.hidden else LOST_S
            if not track.confirmed:
                limit_s = _TENTATIVE_S
            elif self._left(track):
                limit_s = 0.0
            if missed_s <= limit_s:
                kept.append(track)
        self._tracks = kept

    def _covers(self, front: _Tracked, behind: _Tracked) -> bool:
        du = self._offset(front.centre[0], behind.centre[0])
        dv = behind.centre[1] - front.centre[1]
        return abs(du) < 0.5 * (front.size[0] + 0.7 * behind.size[0]) and abs(dv) < 0.5 * (
            front.size[1] + 0.7 * behind.size[1]
        )

    def _left(self, track: _Tracked) -> bool:
        """Whether a track went out of the picture: predicted beyond an edge, or last seen at one on its way out."""
        u, v = track.centre
        beyond_v = not 0 <= v <= self._height
        if self._wraps:
            return beyond_v
        if beyond_v or not 0 <= u <= self._width:
            return True
        x0, _, x1, _ = track.region.box_px
        edge = _EDGE_SHARE * self._width
        return (x0 <= edge and track.velocity[0] < -edge) or (x1 >= self._width - edge and track.velocity[0] > edge)

    def _published(self, track: _Tracked, t_s: float) -> Track:
        missed_s = t_s - track.seen_s
        region = track.region if missed_s == 0 else replace(track.region, box_px=track.box(), energy=0.0)
        return Track(track.track_id, region, track.velocity, t_s - track.first_s, missed_s)


def _union(a: Region, b: Region) -> Region:
    """One region over both; the mask on a grid of 32 x 32."""
    box = tuple(f(p, q) for f, p, q in zip((min, min, max, max), a.box_px, b.box_px, strict=True))
    x0, y0, x1, y1 = box
    n = 32
    u, v = np.meshgrid(x0 + (np.arange(n) + 0.5) / n * (x1 - x0), y0 + (np.arange(n) + 0.5) / n * (y1 - y0))
    mask = np.zeros((n, n), bool)
    for region in (a, b):
        rx0, ry0, rx1, ry1 = region.box_px
        column = np.floor((u - rx0) / (rx1 - rx0) * region.mask.shape[1]).astype(int)
        row = np.floor((v - ry0) / (ry1 - ry0) * region.mask.shape[0]).astype(int)
        inside = (column >= 0) & (column < region.mask.shape[1]) & (row >= 0) & (row < region.mask.shape[0])
        mask[inside] |= region.mask[row[inside], column[inside]]
    return replace(a, box_px=(x0, y0, x1, y1), mask=mask, energy=max(a.energy, b.energy))


def _iou(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    inside = width * height
    return inside / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inside)
