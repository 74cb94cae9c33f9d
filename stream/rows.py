"""Scenes as JSON lines: one a video frame, for scripts, checks and the page."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from engines.camera import Camera
from engines.errors import OutputError
from engines.specs import Scene, Source
from engines.synthetic.stage import Truth

Row = dict[str, Any]


def scene_row(scene: Scene, frame: int, scale: tuple[float, float]) -> Row:
    """One frame as plain data.

    Args:
        scene: after the frame.
        frame: its number, from 0.
        scale: multiplies the box, from analysed to original pixels, (x, y).

    Returns:
        `{"t_s", "frame", "sources": [{"id", "label", "score", "box_px", "azimuth_deg", "elevation_deg", "distance_m",
        "gain_db", "phase"}]}`; `box_px` is null while a source is not seen.
    """
    return {"t_s": round(scene.t_s, 6), "frame": frame, "sources": [_source_row(s, scale) for s in scene.sources]}


def _source_row(source: Source, scale: tuple[float, float]) -> Row:
    box = None
    if source.region is not None:
        x, y = scale
        x0, y0, x1, y1 = source.region.box_px
        box = [round(x0 * x, 2), round(y0 * y, 2), round(x1 * x, 2), round(y1 * y, 2)]
    return {
        "id": source.source_id,
        "label": source.label,
        "score": round(source.score, 4),
        "box_px": box,
        "azimuth_deg": round(source.azimuth_deg, 3),
        "elevation_deg": round(source.elevation_deg, 3),
        "distance_m": round(source.distance_m, 3),
        "gain_db": round(source.gain_db, 2),
        "phase": source.phase,
    }


def truth_row(truths: Iterable[Truth], t_s: float, frame: int, camera: Camera) -> Row:
    """What is true of one synthetic frame, in the form of `scene_row`; `visible` is the share of it that shows."""
    return {
        "t_s": round(t_s, 6),
        "frame": frame,
        "sources": [
            {
                "id": truth.actor_id,
                "label": truth.label,
                "box_px": [round(v, 2) for v in truth.box_px],
                "azimuth_deg": round(camera.staged_deg(truth.azimuth_deg), 3),
                "elevation_deg": round(truth.elevation_deg, 3),
                "distance_m": round(truth.distance_m, 3),
                "visible": round(truth.visible, 4),
            }
            for truth in truths
        ],
    }


class RowWriter:
    """Writes rows to `PATH.part`; `finish` gives the file its name.

    Args:
        path: final name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        try:
            self._file: TextIO = self._part.open("w", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{path}: {error.strerror or error}") from error

    def add(self, row: Row) -> None:
        """One line."""
        try:
            self._file.write(json.dumps(row, separators=(",", ":")) + "\n")
        except OSError as error:
            raise OutputError(f"{self._path}: {error.strerror or error}") from error

    def finish(self) -> None:
        """Close, under the final name."""
        try:
            self._file.close()
            self._part.replace(self._path)
        except OSError as error:
            raise OutputError(f"{self._path}: {error.strerror or error}") from error

    def abandon(self) -> None:
        """Close; what was written stays as `.part`."""
        try:
            self._file.close()
        except OSError:
            self._part.unlink(missing_ok=True)
