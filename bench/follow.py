"""How well a sequence of scenes follows its ground truth."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from engines.camera import Camera
from engines.specs import Scene, wrap_deg
from engines.synthetic.stage import Truth

Box = tuple[float, float, float, float]

_MIN_OVERLAP = 0.25
# Below this share of a thing, what a box says about its centre is not worth comparing.
_MOSTLY_VISIBLE = 0.8


@dataclass(frozen=True, slots=True)
class Score:
    """Against ground truth; None where there is none.

    Attributes:
        found_s: longest time from first being visible to first being followed.
        one_id: smallest share, over all actors, of visible frames in which the actor's main id followed it, counted
            from half a second after it came.
        swaps: changes of id while followed, all actors.
        azimuth_deg: median error of those mostly visible.
        false_per_frame: sources that follow nothing.
    """

    found_s: float | None = None
    one_id: float | None = None
    swaps: int | None = None
    azimuth_deg: float | None = None
    false_per_frame: float | None = None


def score(frames: Sequence[tuple[Scene, list[Truth]]], camera: Camera) -> Score:
    """Match seen sources to actors frame by frame, keeping pairs together while they overlap (as in CLEAR MOT)."""
    sightings: dict[int, list[tuple[float, int | None]]] = {}
    last: dict[int, int] = {}
    errors: list[float] = []
    n_false = 0
    for scene, truths in frames:
        seen = [s for s in scene.sources if s.region is not None]
        overlap = np.zeros((len(truths), len(seen)))
        for i, truth in enumerate(truths):
            for j, source in enumerate(seen):
                assert source.region is not None
                overlap[i, j] = _iou(truth.box_px, source.region.box_px, camera)
                if last.get(truth.actor_id) == source.source_id and overlap[i, j] > _MIN_OVERLAP:
                    overlap[i, j] += 1.0
        pairs = {}
        if overlap.size:
            rows, columns = linear_sum_assignment(-overlap)
            pairs = {int(i): int(j) for i, j in zip(rows, columns, strict=True) if overlap[i, j] > _MIN_OVERLAP}
        for i, truth in enumerate(truths):
            source = seen[pairs[i]] if i in pairs else None
            sightings.setdefault(truth.actor_id, []).append((scene.t_s, source.source_id if source else None))
            if source is not None:
                last[truth.actor_id] = source.source_id
                if truth.visible >= _MOSTLY_VISIBLE:
                    errors.append(abs(wrap_deg(source.azimuth_deg - camera.staged_deg(truth.azimuth_deg))))
        n_false += len(seen) - len(pairs)
    if not sightings:
        return Score(false_per_frame=n_false / max(1, len(frames)))
    lives = list(sightings.values())
    return Score(
        found_s=max(_found_s(life) for life in lives),
        one_id=min(_one_id(life) for life in lives),
        swaps=sum(_swaps(life) for life in lives),
        azimuth_deg=float(np.median(errors)) if errors else None,
        false_per_frame=n_false / len(frames),
    )


def _found_s(life: list[tuple[float, int | None]]) -> float:
    first = next((t for t, source_id in life if source_id is not None), life[-1][0] + 1.0)
    return first - life[0][0]


def _one_id(life: list[tuple[float, int | None]]) -> float:
    ids = [source_id for t, source_id in life if t >= life[0][0] + 0.5]
    known = [i for i in ids if i is not None]
    return max(known.count(i) for i in set(known)) / len(ids) if known else float(not ids)


def _swaps(life: list[tuple[float, int | None]]) -> int:
    known = [source_id for _, source_id in life if source_id is not None]
    return sum(a != b for a, b in itertools.pairwise(known))


def _iou(a: Box, b: Box, camera: Camera) -> float:
    """Intersection over union, across the seam where the picture wraps."""
    best = 0.0
    for shift in (-camera.width_px, 0, camera.width_px) if camera.wraps else (0,):
        width = min(a[2], b[2] + shift) - max(a[0], b[0] + shift)
        height = min(a[3], b[3]) - max(a[1], b[1])
        if width > 0 and height > 0:
            inside = width * height
            union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inside
            best = max(best, inside / union)
    return best
