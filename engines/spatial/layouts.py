"""Output layouts: how a direction becomes bus channels, and bus channels become output channels.

5.1       five loudspeakers of ITU-R BS.775-4 and a low-frequency send
7.1.4     seven loudspeakers around and four at 45 degrees above, ITU-R BS.2051-3 system J, and a low-frequency send
stereo    Lo/Ro down-mix of the five by BS.775-4, annex 4; sources afterwards as loud as in front
binaural  a dense sphere of virtual loudspeakers, each with its head-related impulse responses
ambix     first-order Ambisonics, ACN order, SN3D (Nachbar et al. 2011); ambix2 and ambix3 of second and third order

A source is equally loud from every direction and in every layout: as loud as if one loudspeaker in front played it.
Loudness is that of BS.1770-5 over the loudspeakers or the two ears; of Ambisonics, that of the omnidirectional channel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.errors import ConfigError
from engines.spatial.ambisonics import CHANNELS, encoding_gains, n_harmonics
from engines.spatial.bank import MAIN_AZIMUTHS_DEG, N_MAIN
from engines.spatial.hrtf import Hrtf
from engines.spatial.loudness import k_weighting_power
from engines.spatial.panning import (
    CROSSOVER_HZ,
    PanningTable,
    dome_shares,
    grid_directions,
    ring_shares,
    sphere_shares,
    table_from_amplitudes,
    table_from_harmonics,
    table_from_shares,
    unit_vectors,
)
from engines.specs import CHANNELS_5_1, LFE_CHANNEL, SAMPLE_RATE_HZ, Float32

Float64 = NDArray[np.float64]

LAYOUTS = ("5.1", "7.1.4", "stereo", "binaural", "ambix", "ambix2", "ambix3")
AMBISONIC_ORDERS = {"ambix": 1, "ambix2": 2, "ambix3": 3}

_MINUS_3_DB = 0.5**0.5
# FFmpeg's order of "7.1.4"; BS.2051 names M+030 M-030 M+000 LFE1 M+135 M-135 M+090 M-090 U+045 U-045 U+135 U-135.
CHANNELS_7_1_4 = (*CHANNELS_5_1, "SL", "SR", "TFL", "TFR", "TBL", "TBR")
_RING_7_DEG = (30.0, -30.0, 0.0, 135.0, -135.0, 90.0, -90.0)
_TOP_4_DEG, _TOP_ELEVATION_DEG = (45.0, -45.0, 135.0, -135.0), 45.0
# BS.1770-5, table 4: +1.5 dB for what is less than 30 degrees high and 60 to 120 degrees to a side.
_SIDE_WEIGHT = 1.41
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
    if name == "7.1.4":
        return _seven_one_four()
    if name == "stereo":
        return _stereo()
    if name in AMBISONIC_ORDERS:
        return _ambix(name, AMBISONIC_ORDERS[name])
    if name == "binaural" and hrtf is not None:
        return _binaural(hrtf)
    raise ConfigError(f"no layout called {name!r} (there are {', '.join(LAYOUTS)})")


def _mains() -> Float64:
    """Directions of the five main channels: float64 (5, 3)."""
    return unit_vectors(np.asarray(MAIN_AZIMUTHS_DEG), np.zeros(N_MAIN))


def _loudspeakers(name: str, channels: tuple[str, ...], weights: Float32, shares: Float64, mains: Float64) -> Layout:
    """A layout of one bus channel per loudspeaker, and the LFE between them.

    Args:
        name: of the layout.
        channels: of the output.
        weights: (n_channels,), of BS.1770.
        shares: base weights of the table.
        mains: float64 (n_bus, 5).
    """
    lfe = channels.index("LFE")
    return Layout(
        name=name,
        channels=channels,
        table=table_from_shares(shares, np.delete(weights, lfe)),
        mains_to_bus=mains.astype(np.float32),
        bus_to_output=np.delete(np.eye(len(channels), dtype=np.float32), lfe, axis=1),
        responses=None,
        lfe_channel=lfe,
        loudness_weights=weights,
    )


def _five_one() -> Layout:
    weights = np.array([1.0, 1.0, 1.0, 0.0, _SIDE_WEIGHT, _SIDE_WEIGHT], np.float32)
    shares = ring_shares(grid_directions(), MAIN_AZIMUTHS_DEG)
    return _loudspeakers("5.1", CHANNELS_5_1, weights, shares, np.eye(N_MAIN))


def _seven_one_four() -> Layout:
    weights = np.ones(len(CHANNELS_7_1_4), np.float32)
    weights[LFE_CHANNEL] = 0.0
    for side in ("SL", "SR"):
        weights[CHANNELS_7_1_4.index(side)] = _SIDE_WEIGHT
    top = unit_vectors(np.asarray(_TOP_4_DEG), np.full(len(_TOP_4_DEG), _TOP_ELEVATION_DEG))
    shares = dome_shares(grid_directions(), _RING_7_DEG, top)
    # The surrounds of the room at 110 degrees come from the two loudspeakers on either side of that.
    mains = np.sqrt(dome_shares(_mains(), _RING_7_DEG, top))
    mains /= np.linalg.norm(mains, axis=1, keepdims=True)
    return _loudspeakers("7.1.4", CHANNELS_7_1_4, weights, shares, mains.T)


def _stereo() -> Layout:
    down_mix = np.array([[1.0, 0.0, _MINUS_3_DB, _MINUS_3_DB, 0.0], [0.0, 1.0, _MINUS_3_DB, 0.0, _MINUS_3_DB]])
    weights = np.ones(2, np.float32)
    return Layout(
        name="stereo",
        channels=("FL", "FR"),
        table=table_from_shares(ring_shares(grid_directions(), MAIN_AZIMUTHS_DEG), weights, down_mix),
        mains_to_bus=down_mix.astype(np.float32),
        bus_to_output=np.eye(2, dtype=np.float32),
        responses=None,
        lfe_channel=None,
        loudness_weights=weights,
    )


def _ambix(name: str, order: int) -> Layout:
    n = n_harmonics(order)
    weights = np.zeros(n, np.float32)
    weights[0] = 1.0
    return Layout(
        name=name,
        channels=CHANNELS[:n],
        table=table_from_harmonics(encoding_gains(grid_directions(), order)),
        mains_to_bus=encoding_gains(_mains(), order).T.astype(np.float32),
        bus_to_output=np.eye(n, dtype=np.float32),
        responses=None,
        lfe_channel=None,
        loudness_weights=weights,
    )


def _binaural(hrtf: Hrtf) -> Layout:
    rings = [unit_vectors(np.arange(n) * 360.0 / n, np.full(n, elevation)) for elevation, n in _SPHERE_RINGS]
    sphere = np.concatenate(rings)
    responses = hrtf.towards(sphere)
    each = np.sqrt(np.diag(_pink_loudness(responses)))
    responses = (responses / each[:, None, None]).astype(np.float32)
    shares = sphere_shares(grid_directions(), sphere)
    mains_to_bus = np.zeros((len(sphere), N_MAIN), np.float32)
    mains_to_bus[(_mains() @ sphere.T).argmax(axis=1), np.arange(N_MAIN)] = 1.0
    return Layout(
        name="binaural",
        channels=("FL", "FR"),
        table=table_from_amplitudes(shares, _pink_loudness(responses), _pink_loudness(responses, CROSSOVER_HZ)),
        mains_to_bus=mains_to_bus,
        bus_to_output=None,
        responses=responses,
        lfe_channel=None,
        loudness_weights=np.ones(2, np.float32),
    )


def _pink_loudness(responses: Float32, above_hz: float = 0.0) -> Float64:
    """How pink noise through pairs of responses adds up: K-weighted powers, float64 (n, n), of (n, 2, n_taps).

    1 is the loudness of the noise itself; of what a high-pass of first order leaves of it, where `above_hz` is given.
    """
    n_fft = 4 * responses.shape[2]
    frequency_hz = np.arange(n_fft // 2 + 1) * (SAMPLE_RATE_HZ / n_fft)
    pink = np.zeros(len(frequency_hz))
    heard = (frequency_hz >= 20.0) & (frequency_hz <= 20_000.0)
    pink[heard] = k_weighting_power(frequency_hz[heard]) / frequency_hz[heard]
    pink[heard] /= 1.0 + (above_hz / frequency_hz[heard]) ** 2
    spectra = np.fft.rfft(responses.astype(np.float64), n_fft, axis=2) * np.sqrt(pink / pink.sum())
    flat = spectra.reshape(len(responses), -1)
    return np.real(flat @ flat.conj().T)
