"""Cameras through Video4Linux2.

PyAV's wheels are built without the v4l2 device, so OpenCV reads it.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import cv2
import numpy as np

from engines.errors import InputError
from engines.specs import Frame
from stream.clock import Clock
from stream.inputs.base import PTS_PER_S, VideoInfo, VideoInput

_WIDTH_PX, _HEIGHT_PX, _FPS = 1280, 720, 30.0
_MAX_FAILURES = 30


class CameraInput(VideoInput):
    """A webcam.

    Args:
        number: N of /dev/videoN.
        clock: stamps the frames; cameras have no time base of their own.
    """

    def __init__(self, number: int, clock: Clock) -> None:
        device = Path(f"/dev/video{number}")
        if not device.exists():
            others = ", ".join(sorted(str(p) for p in Path("/dev").glob("video*"))) or "none"
            raise InputError(f"{device}: no such camera (there are: {others})")
        self._clock = clock
        self._capture = cv2.VideoCapture(number, cv2.CAP_V4L2)
        if not self._capture.isOpened():
            raise InputError(f"{device}: the camera cannot be opened (is another program using it?)")
        self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, _WIDTH_PX)
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, _HEIGHT_PX)
        self._capture.set(cv2.CAP_PROP_FPS, _FPS)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        ok, picture = self._capture.read()
        if not ok:
            self._capture.release()
            raise InputError(f"{device}: the camera gives no pictures")
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        super().__init__(
            VideoInfo(
                width_px=picture.shape[1],
                height_px=picture.shape[0],
                fps=fps if 1 <= fps <= 240 else _FPS,
                duration_s=None,
                live=True,
            )
        )

    def frames(self) -> Generator[Frame, None, None]:
        """See `VideoInput.frames`."""
        start_s = self._clock.now_s()
        failures = 0
        while not self._closed and failures < _MAX_FAILURES:
            ok, picture = self._capture.read()
            if not ok:
                failures += 1
                continue
            failures = 0
            t_s = self._clock.now_s() - start_s
            self._end_s = t_s + 1.0 / self._info.fps
            rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
            yield Frame(rgb, round(t_s * PTS_PER_S), t_s)
        self._capture.release()
