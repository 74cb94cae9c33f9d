"""10 ms of sound -> one Opus packet, the same bytes for every viewer.

Six channels travel as one multistream packet (RFC 7845, channel mapping family 1: 4 streams, 2 of them coupled), which
fits into a plain `opus/48000/2` session as long as the receiver knows what it is. Constant bit rate, because a packet
over about 1350 bytes would silently end aiortc's sender.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from av import CodecContext
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.packet import Packet

from engines.specs import BLOCK, SAMPLE_RATE_HZ, Float32

TIME_BASE = Fraction(1, SAMPLE_RATE_HZ)
BIT_RATES = {"5.1": 320_000, "stereo": 128_000, "binaural": 160_000}
_OPTIONS = {"application": "lowdelay", "frame_duration": "10", "vbr": "off", "mapping_family": "-1"}


class OpusEncoder:
    """Encodes the blocks of one layout.

    Args:
        layout: "5.1", "stereo" or "binaural".
    """

    def __init__(self, layout: str) -> None:
        codec = CodecContext.create("libopus", "w")
        assert isinstance(codec, AudioCodecContext)
        codec.bit_rate = BIT_RATES[layout]
        codec.format = "flt"
        codec.layout = "5.1" if layout == "5.1" else "stereo"
        codec.sample_rate = SAMPLE_RATE_HZ
        codec.time_base = TIME_BASE
        codec.options = dict(_OPTIONS)
        codec.open()
        self._codec = codec
        self._layout = codec.layout.name
        self._frames_in = 0

    @property
    def head(self) -> bytes:
        """The OpusHead (RFC 7845, section 5.1) that a decoder of these packets needs."""
        return bytes(self._codec.extradata or b"")

    def encode(self, block: Float32) -> bytes:
        """One packet of float32 (n_channels, BLOCK)."""
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(block.T.reshape(1, -1)), "flt", self._layout)
        frame.sample_rate, frame.time_base = SAMPLE_RATE_HZ, TIME_BASE
        frame.pts = self._frames_in * BLOCK
        self._frames_in += 1
        (encoded,) = self._codec.encode(frame)
        return bytes(encoded)


def packet(data: bytes, index: int) -> Packet:
    """An encoded block for aiortc; its time stamp is index * BLOCK.

    That of the sound itself, which RTP wants; FFmpeg's own is shifted by the encoder's delay.
    """
    made = Packet(data)
    made.pts = made.dts = index * BLOCK
    made.time_base = TIME_BASE
    return made
