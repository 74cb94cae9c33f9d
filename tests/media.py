"""Real media files, made on the spot."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

FPS = 25


def picture(t_s: float, width: int = 320, height: int = 180) -> np.ndarray:
    """A bright square that goes from left to right in two seconds, on a still, textured ground."""
    rng = np.random.default_rng(7)
    ground = np.kron(rng.integers(60, 110, (-(-height // 8), -(-width // 8), 3)), np.ones((8, 8, 1)))
    rgb = ground[:height, :width].astype(np.uint8)
    side = max(1, min(width, height) // 5)
    left = int((width - side) * min(1.0, t_s / 2.0))
    rgb[height // 2 : height // 2 + side, left : left + side] = (250, 220, 30)
    return rgb


def write_clip(
    path: Path,
    seconds: float = 2.0,
    size: tuple[int, int] = (320, 180),
    codec: str = "libx264",
    times_s: Sequence[float] | None = None,
    pix_fmt: str = "yuv420p",
    rate: int = FPS,
    container: str | None = None,
) -> Path:
    """A clip of the moving square; `times_s` makes its frame rate variable."""
    times = times_s if times_s is not None else np.arange(round(seconds * rate)) / rate
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        tick = Fraction(1, rate) if times_s is None else Fraction(1, 1000)
        stream.time_base = stream.codec_context.time_base = tick
        for t_s in times:
            frame = av.VideoFrame.from_ndarray(picture(t_s, *size), format="rgb24")
            frame.pts, frame.time_base = round(t_s / tick), tick
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def write_tone(path: Path, seconds: float = 1.0) -> Path:
    """A file that holds only sound."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=48_000, layout="stereo")
        samples = 0.1 * np.sin(np.arange(round(48_000 * seconds)) * 0.05, dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(np.stack([samples, samples]), format="fltp", layout="stereo")
        frame.sample_rate = 48_000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def rotate_mp4(path: Path, quarter_turns: int) -> Path:
    """Set the display matrix of the track header (ISO 14496-12, 8.3.2) as a telephone held on its side does."""
    one, matrices = 1 << 16, {1: (0, 1, -1, 0), 2: (-1, 0, 0, -1), 3: (0, -1, 1, 0)}
    a, b, c, d = (v * one for v in matrices[quarter_turns])
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def video_packets(path: Path) -> list[tuple[int | None, int | None, bytes]]:
    """(pts in ms, dts in ms, payload) of each video packet."""
    with av.open(str(path)) as file:
        return [
            (
                None if p.pts is None else round(1000 * p.pts * p.time_base),
                None if p.dts is None else round(1000 * p.dts * p.time_base),
                bytes(p),
            )
            for p in file.demux(video=0)
            if p.size
        ]


def read_sound(path: Path) -> tuple[np.ndarray, int, str]:
    """Samples (n_channels, n) in [-1, 1), rate and layout of a file's sound."""
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        # Interleaved: PyAV cannot read more than eight planes of a frame.
        resampler = av.AudioResampler(format="flt", layout=stream.layout, rate=stream.rate)
        parts = [out.to_ndarray() for frame in file.decode(stream) for out in resampler.resample(frame)]
        samples = np.concatenate(parts, axis=1).reshape(-1, stream.layout.nb_channels).T
        return samples, stream.rate, stream.layout.name
