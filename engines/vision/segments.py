"""Foreground pixels -> one mask per thing: components, joined and divided by what the tracks expect."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.specs import Mask
from engines.vision.appearance import N_COLOURS
from engines.vision.picture import components

Box = tuple[float, float, float, float]

# A track owns a component when this share of it lies in the track's box.
_OWN_SHARE = 0.3
_BOX_MARGIN = 0.15
_MIN_VISIBLE_SHARE = 0.2
_PARTLY_HIDDEN_SHARE = 0.75
_LIKE = 0.3
_LOST_SIGHT_S = 0.2
# How much lying outside an expected box speaks against belonging to it: by how well its size is known.
_FIRM, _LOOSE = 8.0, 3.0


@dataclass(frozen=True, slots=True)
class Expectation:
    """Where a track should be in this frame, at working resolution.

    Attributes:
        track_id: whose.
        box: predicted.
        colours: float32 (N_COLOURS,), share of each colour in it.
        belongs: float32 (N_COLOURS,), how much a colour speaks for the thing against the scenery at large, 0..1.
        area: pixels of its mask when it was last seen whole.
        nearness: larger is in front.
        settled: known long enough, and whole enough, for its size to be believed.
        age_s: since it was first seen.
        missed_s: since it was last seen.
    """

    track_id: int
    box: Box
    colours: NDArray[np.float32]
    belongs: NDArray[np.float32]
    area: float
    nearness: float
    settled: bool
    age_s: float
    missed_s: float


@dataclass(frozen=True, slots=True)
class Segment:
    """One thing in the working picture.

    Attributes:
        box: x0, y0, x1, y1, half open; may reach beyond the picture.
        mask: bool (y1 - y0, x1 - x0).
        track_id: of the track that claimed it, or None.
        patch: of which connected patch it was cut, -1 when it is one by itself.
    """

    box: tuple[int, int, int, int]
    mask: Mask
    track_id: int | None
    patch: int = -1


def segments_of(
    foreground: Mask, bins: NDArray[np.int32], expected: list[Expectation], min_area: int
) -> tuple[list[Segment], set[int]]:
    """Divide a foreground mask (H, W) into segments.

    Args:
        foreground: bool (H, W).
        bins: colour index of every pixel, int32 (H, W).
        expected: all tracks.
        min_area: smaller new components are noise.

    Returns:
        The segments, and the ids of tracks that are hidden behind another.
    """
    n, labels, stats = components(foreground)
    claims = _claims(labels, n, stats, expected, bins)
    parts: dict[int, list[Mask]] = {}
    cut_from: dict[int, int] = {}
    segments: list[Segment] = []
    hidden: set[int] = set()
    for component in range(1, n):
        owners = claims[component]
        area = int(stats[component, cv2.CC_STAT_AREA])
        if not owners:
            if area >= min_area:
                segments.append(_segment(labels == component, None))
            continue
        if area < min(min_area, 0.1 * max(o.area for o in owners)):
            continue
        pixels = labels == component
        stranger = _stranger(pixels, area, owners, min_area)
        if stranger is not None:
            segments.append(replace(_segment(stranger, None), patch=component))
            pixels &= ~stranger
        if len(owners) == 1:
            parts.setdefault(owners[0].track_id, []).append(pixels)
            continue
        for owner, share in zip(owners, _divide(pixels, bins, owners), strict=True):
            if share.sum() >= max(0.5 * min_area, _MIN_VISIBLE_SHARE * min(owner.area, area)):
                parts.setdefault(owner.track_id, []).append(share)
                cut_from[owner.track_id] = component
            else:
                hidden.add(owner.track_id)
    by_id = {e.track_id: e for e in expected}
    crowded = {o.track_id for owners in claims.values() if len(owners) > 1 for o in owners}
    for track_id, masks in parts.items():
        mask, loose = _joined(masks, bins, by_id[track_id].belongs)
        segments += [_segment(part, None) for part in loose if part.sum() >= min_area]
        whole = _segment(mask, track_id)
        if track_id in crowded and mask.sum() < _PARTLY_HIDDEN_SHARE * by_id[track_id].area:
            whole = _completed(whole, by_id[track_id].box, foreground.shape)
        segments.append(replace(whole, patch=cut_from.get(track_id, -1)))
    return segments, hidden - set(parts)


def _joined(masks: list[Mask], bins: NDArray[np.int32], belongs: NDArray[np.float32]) -> tuple[Mask, list[Mask]]:
    """The part that looks most like the track with those that hang on to it, and the parts that do not."""
    if len(masks) == 1:
        return masks[0], []
    likeness = [float(belongs[bins[mask]].mean()) for mask in masks]
    areas = [int(mask.sum()) for mask in masks]
    main = int(np.argmax([like * area for like, area in zip(likeness, areas, strict=True)]))
    boxes = [_segment(mask, None).box for mask in masks]
    kept, loose = [masks[main]], []
    for index, mask in enumerate(masks):
        if index == main:
            continue
        like = likeness[index] > max(_LIKE, 0.6 * likeness[main])
        if like and _hangs_on(boxes[index], areas[index], boxes[main], areas[main]):
            kept.append(mask)
        else:
            loose.append(mask)
    return np.logical_or.reduce(kept), loose


def _hangs_on(part: tuple[int, int, int, int], area: int, main: tuple[int, int, int, int], main_area: int) -> bool:
    """Whether a part is a limb, or stands above or below the rest: things come apart in height more than in width."""
    gap_x = max(part[0] - main[2], main[0] - part[2])
    gap_y = max(part[1] - main[3], main[1] - part[3])
    reach = 2 + 0.15 * max(main[2] - main[0], main[3] - main[1])
    if max(gap_x, gap_y) > reach:
        return False
    shared = -gap_x / max(1, min(part[2] - part[0], main[2] - main[0]))
    return shared > 0.5 or area < 0.3 * main_area


def _stranger(pixels: Mask, area: int, owners: list[Expectation], min_area: int) -> Mask | None:
    """What has come to touch a thing of known size from outside: too much, too far out to be a part of it."""
    known = sum(owner.area for owner in owners)
    if area < 1.6 * known or not all(owner.settled for owner in owners):
        return None
    outside = pixels.copy()
    for owner in owners:
        x0, y0, x1, y1 = (round(v) for v in grown(owner.box, 0.25))
        outside[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = False
    n, labels, stats = components(outside)
    if n < 2:
        return None
    largest = int(stats[1:, cv2.CC_STAT_AREA].argmax()) + 1
    if stats[largest, cv2.CC_STAT_AREA] < max(min_area, 0.5 * min(owner.area for owner in owners)):
        return None
    return labels == largest


def linked(segments: list[Segment], velocity_px: NDArray[np.float32] | None) -> list[Segment]:
    """Join new segments that lie close together and move alike: one thing seen through its own plain parts.

    Args:
        segments: none of them claimed by a track.
        velocity_px: float32 (H, W, 2), or None when unknown.
    """
    if velocity_px is None or len(segments) < 2:
        return segments
    motions = []
    for segment in segments:
        x0, y0, x1, y1 = segment.box
        motions.append(velocity_px[y0:y1, x0:x1][segment.mask].mean(axis=0))
    groups: list[list[int]] = []
    for index, segment in enumerate(segments):
        near = [g for g in groups if any(_alike(segments[i], segment, motions[i], motions[index]) for i in g)]
        groups = [g for g in groups if g not in near] + [[i for g in near for i in g] + [index]]
    joined = []
    for group in groups:
        if len(group) == 1:
            joined.append(segments[group[0]])
            continue
        mask = np.zeros(velocity_px.shape[:2], bool)
        for index in group:
            x0, y0, x1, y1 = segments[index].box
            mask[y0:y1, x0:x1] |= segments[index].mask
        joined.append(_segment(mask, None))
    return joined


def _alike(a: Segment, b: Segment, motion_a: NDArray[np.float32], motion_b: NDArray[np.float32]) -> bool:
    gap = max(max(a.box[i], b.box[i]) - min(a.box[i + 2], b.box[i + 2]) for i in (0, 1))
    size = max(a.box[2] - a.box[0], a.box[3] - a.box[1], b.box[2] - b.box[0], b.box[3] - b.box[1])
    speed = max(float(np.hypot(*motion_a)), float(np.hypot(*motion_b)))
    return gap < 2 + 0.2 * size and float(np.hypot(*(motion_a - motion_b))) < 0.3 + 0.3 * speed


def _claims(
    labels: NDArray[np.int32], n: int, stats: NDArray[np.int32], expected: list[Expectation], bins: NDArray[np.int32]
) -> dict[int, list[Expectation]]:
    """Which tracks each component belongs to."""
    claims: dict[int, list[Expectation]] = {component: [] for component in range(1, n)}
    height, width = labels.shape
    for track in expected:
        x0, y0, x1, y1 = grown(track.box, _BOX_MARGIN)
        where = slice(max(0, round(y0)), min(height, round(y1))), slice(max(0, round(x0)), min(width, round(x1)))
        window = labels[where]
        if window.size == 0:
            continue
        inside = np.bincount(window.ravel(), minlength=n)
        for component in np.flatnonzero(inside[1:]) + 1:
            area = stats[component, cv2.CC_STAT_AREA]
            if inside[component] < _OWN_SHARE * min(area, track.area):
                continue
            # Where something was lost a while ago, something else may have come.
            if track.missed_s > _LOST_SIGHT_S and track.belongs[bins[where][window == component]].mean() < _LIKE:
                continue
            claims[int(component)].append(track)
    return claims


def grown(box: Box, share: float) -> Box:
    """A box larger by a share of its size on every side."""
    dx, dy = share * (box[2] - box[0]), share * (box[3] - box[1])
    return box[0] - dx, box[1] - dy, box[2] + dx, box[3] + dy


def _divide(pixels: Mask, bins: NDArray[np.int32], owners: list[Expectation]) -> list[Mask]:
    """Give each pixel to the track that explains its colour and place best."""
    rows, columns = np.nonzero(pixels)
    colours = bins[rows, columns]
    evidence = np.empty((len(owners), len(rows)), np.float32)
    for row, owner in zip(evidence, owners, strict=True):
        x0, y0, x1, y1 = owner.box
        dx = (columns + 0.5 - 0.5 * (x0 + x1)) / (0.5 * (x1 - x0) + 1.0)
        dy = (rows + 0.5 - 0.5 * (y0 + y1)) / (0.5 * (y1 - y0) + 1.0)
        # Inside the box the place says little; outside it speaks against the owner, the more the farther.
        outside = np.maximum(np.maximum(np.abs(dx), np.abs(dy)) - 1.0, 0.0)
        firmness = _FIRM if owner.settled else _LOOSE
        row[:] = np.log(owner.colours[colours] + 0.3 / N_COLOURS) - 0.6 * (dx * dx + dy * dy) - firmness * outside
        row += 0.4 * owner.nearness
    winner = evidence.argmax(axis=0)
    shares = []
    for index in range(len(owners)):
        share = np.zeros_like(pixels)
        mine = winner == index
        share[rows[mine], columns[mine]] = True
        # Single pixels of the other's colour are not a hole in this one.
        cleaned = cv2.morphologyEx(share.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        shares.append(cleaned.astype(bool))
    return shares


def _segment(mask: Mask, track_id: int | None) -> Segment:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    return Segment((x0, y0, x1, y1), mask[y0:y1, x0:x1], track_id)


def _completed(seen: Segment, predicted: Box, shape: tuple[int, int]) -> Segment:
    """A partly hidden thing keeps its size: the side that is seen free, or else the prediction, says where it is."""
    box = []
    for axis in (0, 1):
        low, high = seen.box[axis], seen.box[axis + 2]
        size = predicted[axis + 2] - predicted[axis]
        centre = 0.5 * (predicted[axis] + predicted[axis + 2])
        if high - low < 0.9 * size:
            # The visible part must lie within the whole.
            centre = min(max(centre, high - 0.5 * size), low + 0.5 * size)
            low, high = round(centre - 0.5 * size), round(centre + 0.5 * size)
        box.append((low, max(high, low + 1)))
    (x0, x1), (y0, y1) = box
    grid = np.zeros((y1 - y0, x1 - x0), bool)
    top, left = seen.box[1] - y0, seen.box[0] - x0
    height = min(seen.mask.shape[0], grid.shape[0] - max(top, 0))
    width = min(seen.mask.shape[1], grid.shape[1] - max(left, 0))
    top, left = max(top, 0), max(left, 0)
    if height > 0 and width > 0:
        grid[top : top + height, left : left + width] = seen.mask[:height, :width]
    return Segment((x0, y0, x1, y1), grid, seen.track_id)
