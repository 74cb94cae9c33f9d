"""Output layouts: how a direction becomes bus channels, and bus channels become output channels.

5.1       five loudspeakers of ITU-R BS.775-4 and a low-frequency send
stereo    Lo/Ro down-mix of the five by BS.775-4, annex 4
binaural  a dense sphere of virtual loudspeakers, each with its head-related impulse responses
ambix     first-order Ambisonics, ACN order, SN3D (Nachbar et al. 2011)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import ConfigError
from engines.spatial.bank import MAIN_AZIMUTHS_DEG, N_MAIN
from engines.spatial.hrtf import Hrtf
from engines.spatial.panning import (
    PanningTable,
    grid_directions,
    ring_shares,
    sphere_shares,
    table_from_harmonics,
    table_from_shares,
    unit_vectors,
)
from engines.specs import CHANNELS_5_1, LFE_CHANNEL, Float32

Float64 = NDArray[np.float64]

LAYOUTS = ("5.1", "stereo", "binaural", "ambix")

_MINUS_3_DB = 0.5**0.5
# (elevation, number of azimuths). Five degrees in the horizontal plane keeps the interaural delays of neighbours
# within 45 us, so a source between two of them combs above 11 kHz only.
_SPHERE_RINGS = ((-90.0, 1), (-40.0, 12), (-20.0, 24), (0.0, 72), (20.0, 24), (40.0, 12), (60.0, 12), (90.0, 1))


@dataclass(frozen=True, slots=True)
class Layout:
    """A layout, ready to render.

    Attributes:
        name: one of LAYOUTS.
        channels: names of the output channels.
        table: direct sound -> bus.
        mains_to_bus: float32 (n_bus, 5), where reverberation and bed (FL FR FC BL BR) go.
        bus_to_output: float32 (n_channels, n_bus), or None where `responses` take its place.
        responses: float32 (n_bus, 2, n_taps), binaural only.
        lfe_channel: output index of the low-frequency send, None where there is none.
        loudness_weights: float32 (n_channels,), BS.1770-5 channel weights (powers); 0 = not measured.
    """

    name: str
    channels: tuple[str, ...]
    table: PanningTable
    mains_to_bus: Float32
    bus_to_output: Float32 | None
    responses: Float32 | None
    lfe_channel: int | None
    loudness_weights: Float32

    @property
    def n_channels(self) -> int:
        """Number of output channels."""
        return len(self.channels)

    @property
    def n_bus(self) -> int:
        """Number of bus channels."""
        return self.mains_to_bus.shape[0]


def make_layout(name: str, hrtf: Hrtf | None = None) -> Layout:
    """Build a layout by name; `binaural` needs an HRTF.

    Raises:
        ConfigError: unknown name.
    """
    if name == "5.1":
        return _five_one()
    if name == "stereo":
        return _stereo()
    if name == "ambix":
        return _ambix()
    if name == "binaural" and hrtf is not None:
        return _binaural(hrtf)
    raise ConfigError(f"no layout called {name!r} (there are {', '.join(LAYOUTS)})")


def _mains_table() -> PanningTable:
    return table_from_shares(ring_shares(grid_directions(), MAIN_AZIMUTHS_DEG))


def _five_one() -> Layout:
    to_output = np.zeros((len(CHANNELS_5_1), N_MAIN), np.float32)
    for bus, channel in enumerate(("FL", "FR", "FC", "BL", "BR")):
        to_output[CHANNELS_5_1.index(channel), bus] = 1.0
    return Layout(
        name="5.1",
        channels=CHANNELS_5_1,
        table=_mains_table(),
        mains_to_bus=np.eye(N_MAIN, dtype=np.float32),
        bus_to_output=to_output,
        responses=None,
        lfe_channel=LFE_CHANNEL,
        loudness_weights=np.array([1.0, 1.0, 1.0, 0.0, 1.41, 1.41], np.float32),
    )


def _stereo() -> Layout:
    down_mix = [[1.0, 0.0, _MINUS_3_DB, _MINUS_3_DB, 0.0], [0.0, 1.0, _MINUS_3_DB, 0.0, _MINUS_3_DB]]
    return Layout(
        name="stereo",
        channels=("FL", "FR"),
        table=_mains_table(),
        mains_to_bus=np.eye(N_MAIN, dtype=np.float32),
        bus_to_output=np.asarray(down_mix, np.float32),
        responses=None,
        lfe_channel=None,
        loudness_weights=np.ones(2, np.float32),
    )


def _first_order(directions: Float64) -> Float64:
    """W Y Z X of unit vectors (..., 3)."""
    x, y, z = directions[..., 0], directions[..., 1], directions[..., 2]
    return np.stack([np.ones_like(x), y, z, x], axis=-1)


def _ambix() -> Layout:
    mains = unit_vectors(np.asarray(MAIN_AZIMUTHS_DEG), np.zeros(N_MAIN))
    return Layout(
        name="ambix",
        channels=("W", "Y", "Z", "X"),
        table=table_from_harmonics(_first_order(grid_directions())),
        mains_to_bus=_first_order(mains).T.astype(np.float32),
        bus_to_output=np.eye(4, dtype=np.float32),
        responses=None,
        lfe_channel=None,
        # Loudness of the omnidirectional component: what one loudspeaker would have played.
        loudness_weights=np.array([1.0, 0.0, 0.0, 0.0], np.float32),
    )


def _binaural(hrtf: Hrtf) -> Layout:
    rings = [unit_vectors(np.arange(n) * 360.0 / n, np.full(n, elevation)) for elevation, n in _SPHERE_RINGS]
    sphere = np.concatenate(rings)
    mains = unit_vectors(np.asarray(MAIN_AZIMUTHS_DEG), np.zeros(N_MAIN))
    mains_to_bus = np.zeros((len(sphere), N_MAIN), np.float32)
    mains_to_bus[(mains @ sphere.T).argmax(axis=1), np.arange(N_MAIN)] = 1.0
    return Layout(
        name="binaural",
        channels=("FL", "FR"),
        table=table_from_shares(sphere_shares(grid_directions(), sphere)),
        mains_to_bus=mains_to_bus,
        bus_to_output=None,
        responses=hrtf.towards(sphere),
        lfe_channel=None,
        loudness_weights=np.ones(2, np.float32),
    )
