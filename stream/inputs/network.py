"""Live streams over RTSP or HTTP: reconnects with back-off, and time goes on meanwhile."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Iterator

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from engines.errors import InputError
from engines.specs import Frame
from stream.clock import Clock
from stream.inputs.base import PTS_PER_S, VideoInfo, VideoInput
from stream.inputs.media import frames_of, open_container, rotation_deg, upright_rgb, video_stream

logger = logging.getLogger(__name__)

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 8.0
_DEFAULT_FPS = 25.0
_OPTIONS = {"rtsp_transport": "tcp", "fflags": "nobuffer", "flags": "low_delay", "max_delay": "200000"}


def is_endless(uri: str) -> bool:
    """Whether a URL is a live stream rather than a file on a server.

    Raises:
        InputError: it cannot be opened.
    """
    container = open_container(uri, _options(uri))
    endless = container.duration is None
    container.close()
    return endless


def _options(uri: str) -> dict[str, str]:
    return dict(_OPTIONS) if uri.startswith(("rtsp://", "rtsps://")) else {"reconnect": "1"}


class NetworkInput(VideoInput):
    """A live stream.

    Args:
        uri: rtsp://, http:// or https://.
        clock: stamps the frames: the time stamps of a live stream start anew whenever it does.
        patient: keep trying when the first connection fails, rather than raise.
    """

    def __init__(self, uri: str, clock: Clock, *, patient: bool = False) -> None:
        self._uri, self._clock = uri, clock
        self._stop = threading.Event()
        super().__init__(VideoInfo(1280, 720, _DEFAULT_FPS, duration_s=None, live=True))
        self._opened: tuple[InputContainer, VideoStream, Iterator[VideoFrame], VideoFrame] | None = None
        try:
            self._opened = self._connect()
        except InputError:
            if not patient:
                raise

    def _connect(self) -> tuple[InputContainer, VideoStream, Iterator[VideoFrame], VideoFrame]:
        container = open_container(self._uri, _options(self._uri))
        try:
            stream = video_stream(container, self._uri)
            frames = frames_of(container, stream)
            first = next(frames, None)
            if first is None:
                raise InputError(f"{self._uri}: no picture in it can be decoded")
        except InputError:
            container.close()
            raise
        width, height = stream.width, stream.height
        if rotation_deg(first) in (90, 270):
            width, height = height, width
        fps = float(stream.average_rate or _DEFAULT_FPS)
        self._info = VideoInfo(width, height, fps if 0.1 <= fps <= 1000 else _DEFAULT_FPS, duration_s=None, live=True)
        return container, stream, frames, first

    def frames(self) -> Generator[Frame, None, None]:
        """See `VideoInput.frames`; never ends by itself."""
        start_s = self._clock.now_s()
        wait_s = _FIRST_WAIT_S
        while not self._stop.is_set():
            opened, self._opened = self._opened, None
            if opened is None:
                try:
                    opened = self._connect()
                except InputError as error:
                    logger.warning("%s; trying again in %.1f s", error, wait_s)
                    self._clock.sleep_until(self._clock.now_s() + wait_s, self._stop)
                    wait_s = min(2.0 * wait_s, _LONGEST_WAIT_S)
                    continue
            wait_s = _FIRST_WAIT_S
            container, _, frames, frame = opened
            try:
                while frame is not None and not self._stop.is_set():
                    t_s = self._clock.now_s() - start_s
                    self._end_s = t_s + 1.0 / self._info.fps
                    yield Frame(upright_rgb(frame), round(t_s * PTS_PER_S), t_s)
                    frame = next(frames, None)
            finally:
                container.close()
            if not self._stop.is_set():
                logger.warning("%s: the stream broke off; reconnecting", self._uri)

    def close(self) -> None:
        """See `VideoInput.close`."""
        self._stop.set()
