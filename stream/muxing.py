"""Sound into a file, beside a video stream that is copied packet by packet."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av import error as av_error
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from engines.errors import ConfigError, OutputError
from engines.specs import SAMPLE_RATE_HZ, Float32
from stream.inputs.media import open_container, video_stream

_CONTAINERS = {".wav": "wav", ".flac": "flac", ".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
_CODECS = {"pcm": "pcm_s24le", "flac": "flac", "aac": "aac", "opus": "libopus"}
_SAMPLE_FORMAT = {"pcm_s24le": "s32", "flac": "s32", "aac": "fltp", "libopus": "flt"}
# Codecs that a container can hold; the first is used unless the user names another.
_ALLOWED = {
    "wav": ("pcm",),
    "flac": ("flac",),
    "mp4": ("aac", "opus", "flac"),
    "mov": ("aac",),
    "matroska": ("flac", "aac", "opus", "pcm"),
}
# With twelve loudspeakers: where each of them is written down as what it is. FLAC ends at eight channels, Matroska and
# Opus have no word for this layout.
_ALLOWED_7_1_4 = {"wav": ("pcm",), "mov": ("pcm",), "mp4": ("pcm",)}
# Ambisonics: lossless, and nothing that takes the channels for loudspeakers. FLAC calls four of them quadraphonic
# (RFC 9639, 9.1.3), so the order of channels there is for those who know; more than eight it cannot hold.
_ALLOWED_AMBISONIC = {"wav": ("pcm",), "mov": ("pcm",), "matroska": ("pcm",)}
_ALLOWED_FIRST_ORDER = {**_ALLOWED_AMBISONIC, "flac": ("flac",), "matroska": ("flac", "pcm"), "mp4": ("flac",)}
# Name for FFmpeg, and what may hold it.
_LAYOUTS = {
    "5.1": ("5.1", _ALLOWED),
    "7.1.4": ("7.1.4", _ALLOWED_7_1_4),
    "stereo": ("stereo", _ALLOWED),
    "binaural": ("stereo", _ALLOWED),
    "ambix": ("ambisonic 1", _ALLOWED_FIRST_ORDER),
    "ambix2": ("ambisonic 2", _ALLOWED_AMBISONIC),
    "ambix3": ("ambisonic 3", _ALLOWED_AMBISONIC),
}
_BIT_RATE_PER_CHANNEL = {"aac": 96_000, "libopus": 80_000}
NOTICE = "Synthetic sound, generated from the picture by earshot"
_FAST_START = {"movflags": "+faststart"}
_CEILING_DBTP, _LOSSY_CEILING_DBTP = -1.0, -2.0


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """Where sound goes and how.

    Attributes:
        path: final name; written under `part` until it is whole.
        container: FFmpeg's name of the format.
        codec: FFmpeg's name of the audio encoder.
        layout: of the sound.
    """

    path: Path
    container: str
    codec: str
    layout: str

    @property
    def part(self) -> Path:
        """The name while it is being written."""
        return self.path.with_name(self.path.name + ".part")

    @property
    def sound_spool(self) -> Path:
        """Where the sound waits for its final level."""
        return self.path.with_name(f".{self.path.name}.spool")

    @property
    def video_spool(self) -> Path:
        """Where pictures wait that cannot be copied."""
        return self.path.with_name(f".{self.path.name}.video")

    @property
    def has_video(self) -> bool:
        """Whether the format holds pictures."""
        return self.container in ("mp4", "mov", "matroska")

    @property
    def ceiling_dbtp(self) -> float:
        """True-peak ceiling; lossy codecs overshoot a little when decoded."""
        lossy = self.codec in ("aac", "libopus")
        return _LOSSY_CEILING_DBTP if lossy else _CEILING_DBTP


def plan_output(path: Path, layout: str, codec: str | None = None) -> OutputPlan:
    """Check an output before any work is done.

    Raises:
        ConfigError: unknown suffix, or a codec that the format or the layout does not allow.
        OutputError: the folder does not exist or is not writable.
    """
    suffix = path.suffix.lower()
    if suffix not in _CONTAINERS:
        raise ConfigError(f"{path}: unknown output format {suffix or '(none)'} (there are {', '.join(_CONTAINERS)})")
    container = _CONTAINERS[suffix]
    _, allowed = _LAYOUTS[layout]
    if container not in allowed:
        fitting = ", ".join(name for name, held in _CONTAINERS.items() if held in allowed)
        raise ConfigError(f"{path}: {suffix} cannot hold {layout}; use {fitting}")
    name = codec or allowed[container][0]
    if name not in allowed[container]:
        fitting = ", ".join(sorted(allowed[container]))
        raise ConfigError(f"{path}: {suffix} cannot hold {layout} as {name} (it can as {fitting})")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder")
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(f"{path}: the folder {folder} does not exist")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{path}: the folder {folder} is not writable")
    return OutputPlan(path, container, _CODECS[name], layout)


class _Sound:
    """Encodes blocks into packets of one stream."""

    def __init__(self, container: OutputContainer, plan: OutputPlan) -> None:
        layout, _ = _LAYOUTS[plan.layout]
        stream = container.add_stream(plan.codec, rate=SAMPLE_RATE_HZ, layout=layout)
        assert isinstance(stream, AudioStream)
        self._stream, self._layout, self._position = stream, layout, 0
        self._format = _SAMPLE_FORMAT[plan.codec]
        if plan.codec in _BIT_RATE_PER_CHANNEL:
            stream.bit_rate = _BIT_RATE_PER_CHANNEL[plan.codec] * stream.layout.nb_channels
        stream.metadata["title"] = NOTICE
        stream.metadata["handler_name"] = NOTICE

    def encode(self, block: Float32) -> list[Packet]:
        """Packets that float32 (n_channels, n) completes."""
        frame = AudioFrame.from_ndarray(self._samples(block), format=self._format, layout=self._layout)
        frame.sample_rate = SAMPLE_RATE_HZ
        frame.time_base = Fraction(1, SAMPLE_RATE_HZ)
        frame.pts = self._position
        self._position += block.shape[1]
        return list(self._stream.encode(frame))

    def flush(self) -> list[Packet]:
        return list(self._stream.encode(None))

    def _samples(self, block: Float32) -> NDArray[np.float32] | NDArray[np.int32]:
        if self._format == "fltp":
            return np.ascontiguousarray(block)
        interleaved = block.T.reshape(1, -1)
        if self._format == "flt":
            return np.ascontiguousarray(interleaved)
        # 24 bits in the upper part of 32, rounded to what 24 bits can hold.
        quantised = np.clip(np.rint(interleaved.astype(np.float64) * 8388608.0), -8388608, 8388607)
        return np.ascontiguousarray(quantised.astype(np.int32) << 8)


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """A full disk, and whatever else FFmpeg or the system say while writing, in one line about the output.

    Raises:
        OutputError: with the reason.
    """
    try:
        yield
    except (av_error.FFmpegError, OSError) as error:
        raise OutputError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


class VideoSpool:
    """Pictures that do not come as a file to copy from, kept as H.264 until the sound is ready.

    Raises:
        OutputError: from every method, when the disk is full.
    """

    def __init__(self, plan: OutputPlan, width_px: int, height_px: int, fps: float) -> None:
        self._plan = plan
        with _disk_errors(plan.path):
            self._container = av.open(str(plan.video_spool), "w", format="matroska")
        rate = Fraction(fps).limit_denominator(1001 * 240)
        stream = self._container.add_stream(_h264_encoder(), rate=rate)
        assert isinstance(stream, VideoStream)
        # 4:2:0 needs even sides.
        stream.width, stream.height, stream.pix_fmt = max(2, width_px & ~1), max(2, height_px & ~1), "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 90_000)
        stream.options = {"crf": "20", "preset": "veryfast", "bf": "0"}
        self._stream = stream

    def add(self, rgb: NDArray[np.uint8], pts: int) -> None:
        """One more picture, uint8 (H, W, 3), at pts / 90000 s."""
        height, width = max(2, rgb.shape[0] & ~1), max(2, rgb.shape[1] & ~1)
        if rgb.shape[0] < height or rgb.shape[1] < width:
            rgb = np.pad(rgb, ((0, height - rgb.shape[0]), (0, width - rgb.shape[1]), (0, 0)), mode="edge")
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(rgb[:height, :width]), format="rgb24")
        frame.pts, frame.time_base = pts, Fraction(1, 90_000)
        with _disk_errors(self._plan.path):
            self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finish the spool."""
        with _disk_errors(self._plan.path):
            self._container.mux(self._stream.encode(None))
            self._container.close()


def _h264_encoder() -> str:
    for name in ("libx264", "libopenh264", "mpeg4"):
        if name in av.codecs_available:
            return name
    raise OutputError("this build of FFmpeg has no encoder for pictures")


def can_copy_video(source: str, plan: OutputPlan) -> bool:
    """Whether the output format can hold the source's video stream as it is."""
    container = open_container(source)
    try:
        name = video_stream(container, source).codec_context.name
    finally:
        container.close()
    with av.open(os.devnull, "w", format=plan.container) as probe:
        return name in probe.supported_codecs


def write_file(plan: OutputPlan, blocks: Iterator[Float32], video: str | None, until_s: float | None) -> None:
    """Write sound, and video copied from a file, to `plan.part`.

    Args:
        plan: from `plan_output`.
        blocks: float32 (n_channels, n) each, the whole programme.
        video: file to copy the video stream from, None for sound only.
        until_s: leave out video packets that are decoded later than this after the first.

    Raises:
        OutputError: the disk is full, or the file cannot be written.
    """
    source = open_container(video) if video is not None and plan.has_video else None
    try:
        # Sixteen channels fill the four gigabytes of a plain WAVE file in half an hour (RF64: EBU Tech 3306).
        options = {"wav": {"rf64": "auto"}, "mp4": _FAST_START, "mov": _FAST_START}.get(plan.container, {})
        with _disk_errors(plan.path), av.open(str(plan.part), "w", format=plan.container, options=options) as target:
            target.metadata["comment"] = NOTICE
            if source is None:
                _write_sound(target, _Sound(target, plan), blocks)
            else:
                _write_both(target, plan, source, blocks, until_s, video or "")
    finally:
        if source is not None:
            source.close()


def _write_sound(target: OutputContainer, sound: _Sound, blocks: Iterator[Float32]) -> None:
    for block in blocks:
        target.mux(sound.encode(block))
    target.mux(sound.flush())


def _write_both(
    target: OutputContainer,
    plan: OutputPlan,
    source: InputContainer,
    blocks: Iterator[Float32],
    until_s: float | None,
    name: str,
) -> None:
    """Packets of both streams in order of time; the video's data and time stamps stay as they are."""
    pictures = video_stream(source, name)
    copy = target.add_stream_from_template(pictures, opaque=True)
    sound = _Sound(target, plan)
    start_s = float((pictures.start_time or 0) * (pictures.time_base or 0))
    waiting = _offset(_sound_packets(sound, blocks), start_s)
    pending = next(waiting, None)
    try:
        for packet in source.demux(pictures):
            # Matroska does not store decoding times; its demuxer leaves out those that it cannot guess.
            stamp = packet.pts if packet.dts is None else packet.dts
            if not packet.size or stamp is None or packet.time_base is None:
                continue
            at_s = float(stamp * packet.time_base)
            if until_s is not None and at_s - start_s >= until_s:
                break
            while pending is not None and _packet_s(pending) <= at_s:
                target.mux(pending)
                pending = next(waiting, None)
            packet.stream = copy
            target.mux(packet)
    except av_error.InvalidDataError:
        pass  # a broken end: what came before it has been copied
    while pending is not None:
        target.mux(pending)
        pending = next(waiting, None)


def _sound_packets(sound: _Sound, blocks: Iterator[Float32]) -> Iterator[Packet]:
    for block in blocks:
        yield from sound.encode(block)
    yield from sound.flush()


def _offset(packets: Iterator[Packet], start_s: float) -> Iterator[Packet]:
    """Sound begins with the first picture, which need not be at zero."""
    for packet in packets:
        if start_s and packet.pts is not None and packet.time_base is not None:
            shift = round(start_s / packet.time_base)
            packet.pts += shift
            packet.dts = packet.pts if packet.dts is None else packet.dts + shift
        yield packet


def _packet_s(packet: Packet) -> float:
    return float((packet.dts or 0) * (packet.time_base or 0))
