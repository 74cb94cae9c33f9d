"""The words and units that every other module uses; imports nothing of ours.

Space: right-handed, x front, y left, z up, listener at the origin (AES69, AmbiX).
Angles: azimuth counter-clockwise (left positive), elevation up, both in degrees.
Audio: 48 kHz float32 in [-1, 1); one block = 480 samples = 10 ms = one Opus packet.
Arrays are read-only by convention.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 48_000
BLOCK = 480
BLOCK_S = BLOCK / SAMPLE_RATE_HZ
SPEED_OF_SOUND_M_S = 343.0

# FFmpeg's "5.1"; ITU-R BS.775-4 names L R C LFE Ls Rs, at +30 -30 0 - +110 -110 degrees.
CHANNELS_5_1 = ("FL", "FR", "FC", "LFE", "BL", "BR")
LFE_CHANNEL = CHANNELS_5_1.index("LFE")

MAX_SOURCES = 64

Phase = Literal["in", "live", "hold", "out"]

Float32 = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture.

    Attributes:
        rgb: uint8 (H, W, 3), upright (rotation metadata already applied).
        pts: presentation time in units of 1/90000 s.
        t_s: the same instant in seconds on the media clock.
    """

    rgb: NDArray[np.uint8]
    pts: int
    t_s: float


@dataclass(frozen=True, slots=True)
class Motion:
    """What a region does, as far as a picture tells; drives the voice of a source.

    Attributes:
        speed_m_s: speed of the whole thing through space, >= 0.
        energy: how much moves inside the region, 0 (still) to 1.
        gait_hz: dominant periodicity of `energy` (steps, strokes), 0 when there is none.
        size_m: estimated height of the thing.
    """

    speed_m_s: float = 0.0
    energy: float = 0.0
    gait_hz: float = 0.0
    size_m: float = 1.0


STILL = Motion()


@dataclass(frozen=True, slots=True)
class Region:
    """Something in one frame that may sound.

    Attributes:
        box_px: x0, y0, x1, y1 in frame pixels, half open. In an equirectangular frame x1 may exceed the width
            (the region crosses the seam).
        mask: bool (h, w), of any resolution, stretched over `box_px`.
        label: what it is, in a few words; builtin vision knows shape, place and motion, not names.
        score: 0..1, how sure the engine is that this is one thing worth hearing.
        depth_m: median distance over the mask; nan when unknown.
        embedding: float32 (d,), unit length; describes appearance for re-identification.
        energy: 0..1, camera-compensated motion inside the mask.
        patch: regions of one frame with the same number were cut out of one connected patch; -1 stands alone.
    """

    box_px: tuple[float, float, float, float]
    mask: Mask
    label: str
    score: float
    depth_m: float
    embedding: Float32
    energy: float = 0.0
    patch: int = -1

    @property
    def centre_px(self) -> tuple[float, float]:
        """Centre of the box, (u, v)."""
        x0, y0, x1, y1 = self.box_px
        return 0.5 * (x0 + x1), 0.5 * (y0 + y1)


@dataclass(frozen=True, slots=True)
class Track:
    """A region followed over time.

    Attributes:
        track_id: stable while the thing is followed; never reused.
        region: the last region seen, moved along by prediction while the thing is not seen.
        velocity_px_s: (u, v) velocity in frame pixels per second.
        age_s: time since the first sighting.
        missed_s: time since the last sighting; 0 while it is seen.
    """

    track_id: int
    region: Region
    velocity_px_s: tuple[float, float]
    age_s: float
    missed_s: float


@dataclass(frozen=True, slots=True)
class Source:
    """Something that sounds, placed around the listener.

    Attributes:
        source_id: equals the `track_id` it came from.
        slot: 0..MAX_SOURCES-1, its row in the audio engine; a slot is reused only after its source has faded.
        label: what it is.
        position_m: (x front, y left, z up).
        extent_deg: angular width, >= 0.
        gain_db: level relative to the same voice at 1 m; carries distance-independent fades only.
        motion: what it does.
        phase: "in" fading in, "live", "hold" hidden but expected back, "out" fading away.
        score: 0..1, copied from the region.
        region: where it is in the picture; None when it is off screen or hidden.
    """

    source_id: int
    slot: int
    label: str
    position_m: tuple[float, float, float]
    extent_deg: float
    gain_db: float
    motion: Motion
    phase: Phase
    score: float = 1.0
    region: Region | None = None

    @property
    def azimuth_deg(self) -> float:
        """Direction in the horizontal plane, (-180, 180], left positive."""
        return math.degrees(math.atan2(self.position_m[1], self.position_m[0]))

    @property
    def elevation_deg(self) -> float:
        """Direction above the horizontal plane, [-90, 90]."""
        x, y, z = self.position_m
        return math.degrees(math.atan2(z, math.hypot(x, y)))

    @property
    def distance_m(self) -> float:
        """Distance from the listener."""
        return math.hypot(*self.position_m)


@dataclass(frozen=True, slots=True)
class Ambience:
    """What the picture as a whole suggests for the bed; each 0..1.

    Attributes:
        outdoor: open sky, daylight and wide view against walls and lamps.
        green: plants.
        water: open water.
        urban: grey, straight-edged, busy.
    """

    outdoor: float = 0.0
    green: float = 0.0
    water: float = 0.0
    urban: float = 0.0


@dataclass(frozen=True, slots=True)
class Scene:
    """All that the audio engine knows of the picture; immutable, swapped by reference.

    Attributes:
        t_s: media time of the frame it came from.
        sources: at most MAX_SOURCES.
        seq: counts up by one per frame.
        ambience: what the bed follows.
    """

    t_s: float
    sources: tuple[Source, ...] = ()
    seq: int = 0
    ambience: Ambience = field(default_factory=Ambience)


@dataclass(frozen=True, slots=True)
class Block:
    """10 ms of sound: float32 (channels, BLOCK), [-1, 1), starting at sample `index * BLOCK`."""

    index: int
    samples: Float32


def direction_from_angles(azimuth_deg: float, elevation_deg: float) -> tuple[float, float, float]:
    """Unit vector (x front, y left, z up)."""
    azimuth_rad, elevation_rad = math.radians(azimuth_deg), math.radians(elevation_deg)
    horizontal = math.cos(elevation_rad)
    return horizontal * math.cos(azimuth_rad), horizontal * math.sin(azimuth_rad), math.sin(elevation_rad)


def wrap_deg(angle_deg: float) -> float:
    """The same angle in (-180, 180]."""
    return 180.0 - (180.0 - angle_deg) % 360.0
