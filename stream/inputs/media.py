"""Video files and streams through PyAV: any container, any rate, rotated or odd-sized."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av import error as av_error
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from engines.errors import InputError
from engines.specs import Frame
from stream.inputs.base import PTS_PER_S, VideoInfo, VideoInput

# Pictures are analysed at most this wide or high; an 8K frame costs no more than a VGA one.
MAX_SIDE_PX = 640
# More pixels than this per frame are refused rather than risked (16384 x 16384).
_MAX_PIXELS = 1 << 28
_OPEN_TIMEOUT_S = 6.0
_READ_TIMEOUT_S = 5.0
_STILL_FORMATS = ("image2", "_pipe")
_DEFAULT_FPS = 25.0


def open_container(uri: str | BinaryIO, options: dict[str, str] | None = None) -> InputContainer:
    """Open for reading, with one line for every way to fail.

    Raises:
        InputError: with the reason.
    """
    name = uri if isinstance(uri, str) else "standard input"
    is_url = isinstance(uri, str) and "://" in uri
    if isinstance(uri, str) and not is_url:
        path = Path(uri)
        if not path.exists():
            raise InputError(f"{name}: no such file")
        if path.is_file() and path.stat().st_size == 0:
            raise InputError(f"{name}: the file is empty")
    try:
        timeout = (_OPEN_TIMEOUT_S, _READ_TIMEOUT_S) if is_url else None
        return av.open(uri, "r", options=options or {}, timeout=timeout)
    except av_error.FFmpegError as error:
        raise InputError(f"{name}: {describe(error)}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: {error}") from error


def describe(error: Exception) -> str:
    """FFmpeg's reason in plain words."""
    if isinstance(error, av_error.InvalidDataError):
        return "not a video, an image or a stream that can be read"
    if isinstance(error, av_error.TimeoutError | av_error.ExitError):
        return f"no answer within {_OPEN_TIMEOUT_S:g} s"
    return getattr(error, "strerror", None) or str(error)


def video_stream(container: InputContainer, name: str) -> VideoStream:
    """The first real video stream.

    Raises:
        InputError: only sound, or a cover picture.
    """
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic and stream.codec_context is not None:
            if stream.width * stream.height > _MAX_PIXELS:
                raise InputError(f"{name}: a picture of {stream.width}x{stream.height} is too large")
            return stream
    what = "only sound" if container.streams.audio else "no video"
    raise InputError(f"{name}: holds {what}")


def is_still(container: InputContainer) -> bool:
    """Whether the container is a picture file."""
    return any(container.format.name.endswith(suffix) for suffix in _STILL_FORMATS)


def rotation_deg(frame: VideoFrame) -> int:
    """Quarter turns counter-clockwise that make the picture upright: 0, 90, 180 or 270."""
    return round(frame.rotation / 90) * 90 % 360


def upright_rgb(frame: VideoFrame, pixel_aspect: float = 1.0) -> NDArray[np.uint8]:
    """uint8 (H, W, 3), rotated, with square pixels, no side longer than MAX_SIDE_PX."""
    width, height = frame.width * (pixel_aspect if 0.1 < pixel_aspect < 10 else 1.0), float(frame.height)
    shrink = min(1.0, MAX_SIDE_PX / max(width, height))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    # Averaging over areas neither aliases nor rings, and is the quickest.
    small = frame.reformat(width=size[0], height=size[1], format="rgb24", interpolation="AREA")
    rgb = np.asarray(small.to_ndarray(), np.uint8)
    turns = rotation_deg(frame) // 90
    return np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb


def frames_of(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Decoded frames; a damaged packet is skipped, a broken end is the end."""
    stream.thread_type = "AUTO"
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av_error.FFmpegError):
            return
        try:
            yield from packet.decode()
        except av_error.FFmpegError:
            continue


class MediaInput(VideoInput):
    """A file, or a stream that has an end.

    Args:
        uri: path, URL or open binary file.
    """

    def __init__(self, uri: str | BinaryIO) -> None:
        self._uri = uri
        self._name = uri if isinstance(uri, str) else "standard input"
        self._reading = False
        self._container = open_container(uri)
        try:
            self._stream = video_stream(self._container, self._name)
            self._frames = frames_of(self._container, self._stream)
            first = next(self._frames, None)
        except InputError:
            self._container.close()
            raise
        if first is None:
            self._container.close()
            raise InputError(f"{self._name}: no picture in it can be decoded")
        self._first = first
        self._pixel_aspect = float(self._stream.sample_aspect_ratio or 1.0)
        super().__init__(self._describe(first))

    def _describe(self, first: VideoFrame) -> VideoInfo:
        stream = self._stream
        fps = float(stream.average_rate or stream.guessed_rate or _DEFAULT_FPS)
        duration_s = None
        if stream.duration and stream.time_base:
            duration_s = float(stream.duration * stream.time_base)
        elif self._container.duration:
            duration_s = self._container.duration / av.time_base
        width, height = stream.width, stream.height
        if rotation_deg(first) in (90, 270):
            width, height = height, width
        return VideoInfo(
            width_px=width,
            height_px=height,
            fps=fps if 0.1 <= fps <= 1000 else _DEFAULT_FPS,
            duration_s=duration_s,
            projection="equirectangular" if _is_spherical(stream) else None,
        )

    def frames(self) -> Generator[Frame, None, None]:
        """See `VideoInput.frames`."""
        period_s = 1.0 / self._info.fps
        start_s: float | None = None
        last_s = -math.inf
        frame: VideoFrame | None = self._first
        self._reading = True
        try:
            while frame is not None and not self._closed:
                t_s = 0.0 if not math.isfinite(last_s) else last_s + period_s
                if frame.pts is not None and frame.time_base is not None:
                    t_s = float(frame.pts * frame.time_base)
                start_s = t_s if start_s is None else start_s
                # Some files repeat or reorder time stamps; time only ever goes on.
                last_s = t_s = max(t_s, last_s + 1e-4)
                length_s = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else period_s
                self._end_s = t_s - start_s + length_s
                yield Frame(upright_rgb(frame, self._pixel_aspect), round((t_s - start_s) * PTS_PER_S), t_s - start_s)
                frame = next(self._frames, None)
        finally:
            self._container.close()

    def close(self) -> None:
        """See `VideoInput.close`."""
        self._closed = True
        # Another thread may be decoding: then it is that thread which closes the container, after the frame in hand.
        if not self._reading:
            self._container.close()


def _is_spherical(stream: VideoStream) -> bool:
    """Whether the file says that its picture is equirectangular (Spherical Video V2)."""
    metadata = {key.lower(): value.lower() for key, value in stream.metadata.items()}
    return "equirectangular" in metadata.get("projection", "") or "equirect" in metadata.get("spherical-video", "")
