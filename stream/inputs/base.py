"""What every video input is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass

from engines.camera import Projection
from engines.specs import Frame

PTS_PER_S = 90_000


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What is known of an input before its first frame.

    Attributes:
        width_px: of an upright frame.
        height_px: likewise.
        fps: nominal frame rate.
        duration_s: None when it has no end (camera, live stream, still picture).
        live: frames come when they come; a reader must not wait for a clock.
        still: a standing picture.
        projection: how pixels map to directions, when the input knows.
        hfov_deg: field of view, when the input knows.
    """

    width_px: int
    height_px: int
    fps: float
    duration_s: float | None
    live: bool = False
    still: bool = False
    projection: Projection | None = None
    hfov_deg: float | None = None


class VideoInput(ABC):
    """An open input; used by one thread, closed by any.

    Args:
        info: what is known of it.
    """

    def __init__(self, info: VideoInfo) -> None:
        self._info = info
        self._end_s = 0.0
        self._closed = False

    @property
    def info(self) -> VideoInfo:
        """What is known of it; a stream that reconnects may learn more."""
        return self._info

    @property
    def end_s(self) -> float:
        """Media time at which the last frame given so far ends."""
        return self._end_s

    @abstractmethod
    def frames(self) -> Generator[Frame, None, None]:
        """Upright frames in order of time, the first at or after t_s = 0.

        Raises:
            InputError: when nothing can be read; a stream that breaks off later just ends.
        """

    def close(self) -> None:
        """Let go of the device or file; `frames` ends soon after. May be called twice."""
        self._closed = True
