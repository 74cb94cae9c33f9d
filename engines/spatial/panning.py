"""Direction -> channel gains, from precomputed tables.

Two gain sets per direction, after Gerzon (1992, "General metatheory of auditory localisation"):

* high band: the base solved for powers, g_i = sqrt(w_i), whose energy vector points at the source exactly;
* low band: between that and vector base amplitude panning (Pulkki 1997, J. AES 45(6); g_i = w_i), whose velocity
  vector points at the source but whose energy vector misses by up to 18 degrees in the wide gaps of 5.1.

Every direction is equally loud: gains are scaled so that the channels' powers, weighted as in BS.1770, sum to one.
Extended sources average powers over an arc (multiple-direction panning), or amplitudes where channels are heard as one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial import ConvexHull

from engines.specs import Float32

Float64 = NDArray[np.float64]

AZIMUTH_STEP_DEG = 1
ELEVATION_STEP_DEG = 5
N_AZIMUTH = 360 // AZIMUTH_STEP_DEG
N_ELEVATION = 180 // ELEVATION_STEP_DEG + 1
_ARC_SAMPLES = 5
# Widths at which `arc_gain` is sampled; a quarter of each is a whole number of azimuth steps.
ARC_EXTENTS_DEG = (0, 8, 16, 20, 24, 32, 40, 60, 120)
# Between the low and the high band.
CROSSOVER_HZ = 700.0
# Exponent of the base weights in the low band: 1 is exact in velocity, 0.5 in energy. At 0.6 the energy vector of 5.1
# misses by 2.3 degrees in the median and 4.7 at the 95th percentile, the velocity vector by 6.4 and 13.1.
LOW_BAND_EXPONENT = 0.6


@dataclass(frozen=True, slots=True)
class PanningTable:
    """Gains on a grid of directions.

    Attributes:
        low: float32 (N_ELEVATION, N_AZIMUTH + 1, n_bus), gains below the crossover; the last azimuth repeats the first.
        high: the same above the crossover.
        adds_powers: whether averaging over an arc adds powers (loudspeakers) rather than amplitudes (Ambisonics), in
            the low and in the high band.
        arc_gain: float32 (N_ELEVATION, N_AZIMUTH + 1, len(ARC_EXTENTS_DEG)), what makes a wide source in the high band
            as loud as a narrow one.
    """

    low: Float32
    high: Float32
    adds_powers: tuple[bool, bool]
    arc_gain: Float32


def unit_vectors(azimuth_deg: Float64, elevation_deg: Float64) -> Float64:
    """Float64 (..., 3), x front, y left, z up."""
    azimuth, elevation = np.broadcast_arrays(np.radians(azimuth_deg), np.radians(elevation_deg))
    horizontal = np.cos(elevation)
    return np.stack([horizontal * np.cos(azimuth), horizontal * np.sin(azimuth), np.sin(elevation)], axis=-1)


def grid_directions() -> Float64:
    """Float64 (N_ELEVATION, N_AZIMUTH, 3): the directions at which tables are sampled."""
    azimuth = np.arange(N_AZIMUTH, dtype=np.float64) * AZIMUTH_STEP_DEG
    elevation = np.arange(N_ELEVATION, dtype=np.float64) * ELEVATION_STEP_DEG - 90.0
    return unit_vectors(azimuth[None, :], elevation[:, None])


def table_from_shares(shares: Float64, weights: Float32, to_output: Float64 | None = None) -> PanningTable:
    """Loudspeaker table from base weights.

    Args:
        shares: float64 (N_ELEVATION, N_AZIMUTH, n_speakers), >= 0.
        weights: (n_bus,), BS.1770 weight of each bus channel.
        to_output: float64 (n_bus, n_speakers), a down-mix of the loudspeakers panned to; None for none.
    """

    def equally_loud(gains: Float64) -> Float32:
        mixed = gains if to_output is None else gains @ to_output.T
        return _closed(mixed / np.sqrt((mixed**2 @ weights.astype(np.float64))[..., None]))

    low, high = equally_loud(shares**LOW_BAND_EXPONENT), equally_loud(np.sqrt(shares))
    return PanningTable(low, high, (True, True), _UNIT_ARC_GAIN)


def table_from_harmonics(harmonics: Float64) -> PanningTable:
    """Ambisonic table from encoding gains: float64 (N_ELEVATION, N_AZIMUTH, n_bus), any sign."""
    closed = _closed(harmonics)
    return PanningTable(closed, closed, (False, False), _UNIT_ARC_GAIN)


def table_from_amplitudes(shares: Float64, loudness: Float64, loudness_high: Float64) -> PanningTable:
    """Table of virtual loudspeakers whose neighbours add up in the ear.

    Args:
        shares: float64 (N_ELEVATION, N_AZIMUTH, n_bus), >= 0.
        loudness: float64 (n_bus, n_bus), so that gains g sound with power g' loudness g.
        loudness_high: the same of the high band alone.
    """

    def power(gains: Float32, of: Float64) -> Float32:
        # Nearly all gains are zero.
        flat = gains.reshape(-1, gains.shape[-1])
        return np.einsum("db,db->d", csr_array(flat) @ of.astype(np.float32), flat).reshape(gains.shape[:-1])

    gains = shares.astype(np.float32)
    gains /= np.sqrt(power(gains, loudness))[..., None]
    narrow, squares = power(gains, loudness_high), gains**2
    arc_gain = []
    for extent in ARC_EXTENTS_DEG:
        turns = [
            extent * (2 * k - _ARC_SAMPLES + 1) // (2 * (_ARC_SAMPLES - 1) * AZIMUTH_STEP_DEG)
            for k in range(_ARC_SAMPLES)
        ]
        wide = np.zeros_like(gains)
        for turn in turns:
            wide += np.roll(squares, -turn, axis=1)
        wide = np.sqrt(wide / _ARC_SAMPLES)
        arc_gain.append(np.sqrt(narrow / power(wide, loudness_high)))
    closed = _closed(gains)
    # Wavelengths of the low band are long against any arc, so that neighbours add up there as they are.
    return PanningTable(closed, closed, (False, True), _closed(np.stack(arc_gain, axis=-1)))


def _closed(table: Float64 | Float32) -> Float32:
    return np.concatenate([table, table[:, :1]], axis=1).astype(np.float32)


_UNIT_ARC_GAIN = np.ones((N_ELEVATION, N_AZIMUTH + 1, len(ARC_EXTENTS_DEG)), np.float32)


def ring_shares(directions: Float64, speaker_azimuths_deg: tuple[float, ...]) -> Float64:
    """Base weights of a horizontal ring: float64 (..., n_speakers).

    Off the horizontal plane a share goes to a weighting of all loudspeakers whose energy vector is zero, so that
    height widens a source without turning it.
    """
    order = np.argsort(np.mod(speaker_azimuths_deg, 360.0))
    azimuths = np.mod(np.asarray(speaker_azimuths_deg, np.float64), 360.0)[order]
    wanted = np.mod(np.degrees(np.arctan2(directions[..., 1], directions[..., 0])), 360.0)
    n = len(azimuths)
    right = (np.searchsorted(azimuths, wanted, side="right") - 1) % n
    left = (right + 1) % n
    gap = np.radians(np.mod(azimuths[left] - azimuths[right], 360.0))
    offset = np.radians(np.mod(wanted - azimuths[right], 360.0))
    shares = np.zeros((*directions.shape[:-1], n))
    # Solving the 2 x 2 base of a pair gives sines: direction = (sin(gap - offset) r + sin(offset) l) / sin(gap).
    np.put_along_axis(shares, order[right][..., None], np.sin(gap - offset)[..., None], axis=-1)
    np.put_along_axis(shares, order[left][..., None], np.sin(offset)[..., None], axis=-1)
    shares = np.maximum(shares, 0.0)
    shares /= shares.sum(axis=-1, keepdims=True)
    height = np.abs(directions[..., 2:3]) ** 2
    return (1.0 - height) * shares + height * balanced_weights(speaker_azimuths_deg)


def balanced_weights(speaker_azimuths_deg: tuple[float, ...]) -> Float64:
    """Powers summing to 1 whose energy vector is zero, nearest to equal ones: a field that comes from nowhere."""
    azimuths = np.radians(np.asarray(speaker_azimuths_deg, np.float64))
    constraints = np.stack([np.cos(azimuths), np.sin(azimuths), np.ones_like(azimuths)])
    equal = np.full(len(azimuths), 1.0 / len(azimuths))
    correction = np.linalg.pinv(constraints) @ (np.array([0.0, 0.0, 1.0]) - constraints @ equal)
    weights = np.maximum(equal + correction, 1e-3)
    return weights / weights.sum()


def sphere_shares(directions: Float64, speakers: Float64) -> Float64:
    """Base weights of loudspeakers on a sphere by triangles of their convex hull.

    Args:
        directions: float64 (..., 3) unit vectors.
        speakers: float64 (n, 3) unit vectors surrounding the listener.
    """
    triangles = ConvexHull(speakers).simplices
    bases = np.linalg.inv(speakers[triangles].transpose(0, 2, 1))  # (n_triangles, 3, 3)
    flat = directions.reshape(-1, 3)
    lowest = np.full(len(flat), -np.inf)
    best = np.zeros(len(flat), np.intp)
    for index, base in enumerate(bases):
        weight = (flat @ base.T).min(axis=1)
        better = weight > lowest
        lowest[better], best[better] = weight[better], index
    weights = np.einsum("dij,dj->di", bases[best], flat)
    shares = np.zeros((len(flat), len(speakers)))
    np.put_along_axis(shares, triangles[best], np.maximum(weights, 0.0), axis=1)
    return shares.reshape(*directions.shape[:-1], len(speakers))


def dome_shares(directions: Float64, ring_azimuths_deg: tuple[float, ...], top: Float64) -> Float64:
    """Base weights of a horizontal ring and loudspeakers above it: float64 (..., n_ring + n_top).

    The energy vector of the upper half points exactly at the source. Below, where there are no loudspeakers, a share
    goes to the whole ring as in `ring_shares`.

    Args:
        directions: float64 (..., 3) unit vectors.
        ring_azimuths_deg: of the ring, left and right alike.
        top: float64 (n_top, 3) unit vectors, evenly around the zenith.
    """
    n_ring = len(ring_azimuths_deg)
    ring = unit_vectors(np.asarray(ring_azimuths_deg), np.zeros(n_ring))
    poles = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
    corners = np.concatenate([ring, top, poles])
    # Squares of the hull can be cut along either diagonal; the mean over left and right treats both sides alike.
    mirror = np.array([1.0, -1.0, 1.0])
    mirrored = (corners @ np.diag(mirror) @ corners.T).argmax(axis=1)
    shares = sphere_shares(directions, corners) + sphere_shares(directions * mirror, corners)[..., mirrored]
    zenith, nadir = shares[..., -2:-1], shares[..., -1:]
    on_ring = shares[..., :n_ring] + nadir * balanced_weights(ring_azimuths_deg)
    on_top = shares[..., n_ring:-2] + zenith / top[:, 2].sum()
    return np.concatenate([on_ring, on_top], axis=-1)


@njit(cache=True, nogil=True)
def _look_up(table, azimuth_deg, elevation_deg, out):
    """Bilinear interpolation; adds to out (n_bus,) what the direction gets."""
    a = (azimuth_deg % 360.0) / AZIMUTH_STEP_DEG
    e = (min(max(elevation_deg, -90.0), 90.0) + 90.0) / ELEVATION_STEP_DEG
    a0 = min(int(a), N_AZIMUTH - 1)
    e0 = min(int(e), N_ELEVATION - 2)
    fa, fe = a - a0, e - e0
    for c in range(out.shape[0]):
        lower = table[e0, a0, c] * (1.0 - fa) + table[e0, a0 + 1, c] * fa
        upper = table[e0 + 1, a0, c] * (1.0 - fa) + table[e0 + 1, a0 + 1, c] * fa
        out[c] = lower * (1.0 - fe) + upper * fe


@njit(cache=True, nogil=True)
def _pan(table, adds_powers, azimuth_deg, elevation_deg, extent_deg, scratch, gains):
    """Gains (n_bus,) of one source of some width."""
    if extent_deg < 1.0:
        _look_up(table, azimuth_deg, elevation_deg, gains)
        return
    gains[:] = 0.0
    for k in range(_ARC_SAMPLES):
        offset = extent_deg * (k / (_ARC_SAMPLES - 1) - 0.5)
        _look_up(table, azimuth_deg + offset, elevation_deg, scratch)
        for c in range(gains.shape[0]):
            gains[c] += scratch[c] * scratch[c] if adds_powers else scratch[c]
    for c in range(gains.shape[0]):
        gains[c] = math.sqrt(gains[c] / _ARC_SAMPLES) if adds_powers else gains[c] / _ARC_SAMPLES


@njit(cache=True, nogil=True)
def _arc_gain(table, azimuth_deg, elevation_deg, extent_deg, scratch):
    """What an arc of that width needs to be as loud as a point; linear between ARC_EXTENTS_DEG."""
    _look_up(table, azimuth_deg, elevation_deg, scratch)
    upper = 1
    while upper < len(ARC_EXTENTS_DEG) - 1 and extent_deg > ARC_EXTENTS_DEG[upper]:
        upper += 1
    begin, end = ARC_EXTENTS_DEG[upper - 1], ARC_EXTENTS_DEG[upper]
    share = min((extent_deg - begin) / (end - begin), 1.0)
    return scratch[upper - 1] * (1.0 - share) + scratch[upper] * share


@njit(cache=True, nogil=True)
def pan_sources(low, high, adds_powers, arc_gain, angles_deg, active, gains_low, gains_high) -> None:
    """Fill gains_low and gains_high, float32 (n_sources, n_bus), for the active rows.

    Args:
        low: table of the low band, as in `PanningTable`.
        high: table of the high band.
        adds_powers: as in `PanningTable`.
        arc_gain: as in `PanningTable`.
        angles_deg: float64 (n_sources, 3): azimuth, elevation, extent.
        active: bool (n_sources,).
        gains_low: output; rows of inactive sources become zero.
        gains_high: output, likewise.
    """
    scratch = np.empty(low.shape[2], np.float32)
    arc_scratch = np.empty(arc_gain.shape[2], np.float32)
    for s in range(angles_deg.shape[0]):
        if active[s]:
            azimuth, elevation, extent = angles_deg[s, 0], angles_deg[s, 1], angles_deg[s, 2]
            _pan(low, adds_powers[0], azimuth, elevation, extent, scratch, gains_low[s])
            _pan(high, adds_powers[1], azimuth, elevation, extent, scratch, gains_high[s])
            gains_high[s] *= _arc_gain(arc_gain, azimuth, elevation, extent, arc_scratch)
        else:
            gains_low[s] = 0.0
            gains_high[s] = 0.0
