"""The sums behind a RIR bank: walls, image sources panned to five channels, and the tail that follows them.

Each image source (Allen & Berkley 1979, from pyroomacoustics) becomes a minimum-phase filter with the absorption of
its walls and of its path through air, delayed by the path it travels beyond the direct sound and panned to its own
direction, so that reflections come from where they are. The tail is noise under one exponential decay per octave
band. It goes on at the level at which the reflections leave off, so that the energy decay curve has no step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyroomacoustics as pra
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from engines.errors import ConfigError
from engines.spatial.bank import GRID_AZIMUTHS, MAIN_AZIMUTHS_DEG, N_MAIN, NEAR_SHELL_M
from engines.spatial.panning import balanced_weights, ring_shares
from engines.spatial.rooms import BANDS_HZ, NO_WALL, Material, Room
from engines.specs import SAMPLE_RATE_HZ, SPEED_OF_SOUND_M_S

Float64 = NDArray[np.float64]

MIN_FAR_SHELL_M, _MAX_FAR_SHELL_M = 1.05 * NEAR_SHELL_M, 12.0
_FILTER_TAPS = 256
# A delay by a fraction of a sample rings before its peak as well as after it.
_LEAD_TAPS = 32
_MAX_IMAGE_ORDER = 40
# The tail ends when its slowest band has fallen this far: enough to fit a decay over 30 dB (ISO 3382-1).
_TAIL_RANGE_DB = 45.0
_SEED = 20240611
# Reflections are cut below this: in the bass they arrive in phase with the direct sound and would turn it aside.
_LOW_CUT_HZ = 200.0
# Beyond this mean absorption sound leaves rather than reverberates, and Eyring's formula says nothing.
_MAX_MEAN_ABSORPTION = 0.6
# No room is deader on the whole.
_DEADEST = 0.9
# The far shell is raised by no more than this; twelve times as far in the open needs 4.1.
_MAX_BALANCE = 5.0
# How far the tail may follow the reflections before it away from the level of a diffuse field.
_MAX_LEVEL_OFF_DB = 3.0
# How far the absorption of walls may be bent to reach a reverberation time: exponents of 1 - absorption.
_MIN_BEND, _MAX_BEND = 1e-3, 1e3
# Octave bands whose decay is measured and adjusted.
_TUNED_HZ = (250.0, 500.0, 1000.0, 2000.0, 4000.0)
_TUNING_ROUNDS = 6
# Neighbouring octave bands of the tail meet over this many octaves; per octave of difference between their
# reverberation times the border moves this far into the slower one.
_BORDER_OCTAVES = 1.0 / 6.0
_BORDER_SHIFT, _MAX_BORDER_SHIFT = 1.0, 0.35


@dataclass(frozen=True, slots=True)
class Walls:
    """What sound meets in a room.

    Attributes:
        materials: by pyroomacoustics' names of the walls, absorption per octave band.
        bend: float64 (n_bands,), what 1 - absorption is raised to.
        rt60_s: float64 (n_bands,), octave bands from 125 Hz; empty where nothing reverberates.
    """

    materials: dict[str, pra.Material]
    bend: Float64
    rt60_s: Float64


def examine_walls(room: Room) -> Walls:
    """Look materials up and bend them until the room has the reverberation time that it should.

    With 1 - absorption raised to one power per band for all walls, dead walls stay deader than live ones, and no
    wall absorbs more than everything.

    Raises:
        ConfigError: a material that pyroomacoustics does not know, or a reverberation time that cannot be.
    """
    bands = _octave_bands()
    absorption = {wall: _absorption(room, wall, material, bands) for wall, material in room.materials.items()}
    length, width, height = room.size_m
    areas = np.array([width * height, width * height, length * height, length * height, length * width, length * width])
    surface = float(areas.sum())
    shares = areas / surface  # in the order of WALLS
    table = np.stack(list(absorption.values()))  # (6, n_bands)
    volume = length * width * height

    def rt60_s(bend: Float64) -> Float64:
        """Eyring's reverberation time per band, air included."""
        mean = np.minimum(shares @ (1.0 - (1.0 - table) ** bend), _DEADEST)
        air = 4.0 * np.asarray(_probe_room().air_absorption) * volume
        return 24.0 * math.log(10.0) / SPEED_OF_SOUND_M_S * volume / (-surface * np.log1p(-mean) + air)

    bend = np.ones(len(bands))
    if room.rt60_s != 0.0:
        bend = _bend_to(room, rt60_s, len(bands))
    elif room.outdoor or float((shares @ table).mean()) > _MAX_MEAN_ABSORPTION:
        return Walls(_pra_materials(absorption, bands), bend, np.zeros(0))
    return Walls(_pra_materials(absorption, bands), bend, np.minimum(rt60_s(bend), 10.0))


def _bend_to(room: Room, rt60_s: Callable[[Float64], Float64], n_bands: int) -> Float64:
    """The exponents that give the room's reverberation time, by bisection; more absorption never lengthens it."""
    asked = np.atleast_1d(np.asarray(room.rt60_s, np.float64))
    wanted = np.full(n_bands, asked[0])
    wanted[: len(asked)] = asked
    wanted[len(asked) :] = asked[-1]
    low, high = np.full(n_bands, math.log(_MIN_BEND)), np.full(n_bands, math.log(_MAX_BEND))
    for _ in range(50):
        middle = 0.5 * (low + high)
        too_long = rt60_s(np.exp(middle)) > wanted
        low, high = np.where(too_long, middle, low), np.where(too_long, high, middle)
    bend = np.exp(low)
    reached = rt60_s(bend)
    # Air alone may end the highest bands sooner: that is no fault of the room.
    must = len(BANDS_HZ) if isinstance(room.rt60_s, tuple) else len(BANDS_HZ) - 1
    missed = np.flatnonzero(np.abs(reached[:must] / wanted[:must] - 1.0) > 0.02)
    if len(missed):
        raise ConfigError(
            f"room {room.name}: no walls of these materials give it an rt60_s of {wanted[missed[0]]:g} s "
            f"at {BANDS_HZ[missed[0]]} Hz (nearest: {reached[missed[0]]:.2g} s)"
        )
    return bend


def _absorption(room: Room, wall: str, material: Material, bands: Float64) -> Float64:
    """Absorption coefficients at the band centres; the highest given holds above."""
    if material == NO_WALL:
        return np.ones(len(bands))
    if isinstance(material, tuple):
        return np.interp(np.log2(bands), np.log2(BANDS_HZ), material)
    try:
        table = pra.Material(material).energy_absorption
    except KeyError as error:
        raise ConfigError(f"room {room.name}: {wall}: pyroomacoustics knows no material {material!r}") from error
    coefficients = np.atleast_1d(np.asarray(table["coeffs"], np.float64))
    if len(coefficients) == 1:
        return np.full(len(bands), coefficients[0])
    centres = np.asarray(table["center_freqs"], np.float64)
    return np.interp(np.log2(bands), np.log2(centres[: len(coefficients)]), coefficients)


def _pra_materials(absorption: dict[str, Float64], bands: Float64) -> dict[str, pra.Material]:
    # pyroomacoustics: east = +x, north = +y.
    names = {"front": "east", "back": "west", "left": "north", "right": "south"}
    return {
        names.get(wall, wall): pra.Material({"coeffs": list(per_band), "center_freqs": list(bands)})
        for wall, per_band in absorption.items()
    }


def _octave_bands() -> Float64:
    return np.asarray(_probe_room().octave_bands.centers)


def _probe_room() -> pra.ShoeBox:
    """Only to learn the octave bands and air absorption that pyroomacoustics uses at our rate."""
    return pra.ShoeBox([2, 2, 2], fs=SAMPLE_RATE_HZ, materials=pra.Material(0.5), max_order=0, air_absorption=True)


def grid(room: Room) -> tuple[Float64, Float64]:
    """Source positions (n_grid, 3) in the room, and their distance from the listener (n_grid,)."""
    azimuths = np.radians(np.arange(GRID_AZIMUTHS) * 360.0 / GRID_AZIMUTHS)
    directions = np.stack([np.cos(azimuths), np.sin(azimuths)], axis=1)
    listener = np.asarray(room.listener_m)
    with np.errstate(divide="ignore"):
        to_upper = np.where(directions > 0, (np.asarray(room.size_m)[:2] - listener[:2]) / directions, np.inf)
        to_lower = np.where(directions < 0, -listener[:2] / directions, np.inf)
    to_wall = np.minimum(to_upper, to_lower).min(axis=1)
    far = np.minimum(np.clip(0.8 * to_wall, MIN_FAR_SHELL_M, _MAX_FAR_SHELL_M), 0.9 * to_wall)
    near = np.minimum(np.full(GRID_AZIMUTHS, NEAR_SHELL_M), 0.8 * to_wall)
    radii = np.concatenate([near, far])
    positions = np.empty((2 * GRID_AZIMUTHS, 3))
    positions[:, :2] = listener[:2] + np.tile(directions, (2, 1)) * radii[:, None]
    positions[:, 2] = listener[2]
    return positions, radii


# -- reflections one by one -------------------------------------------------------------------------------------------


def reflections(room: Room, walls: Walls, position: Float64, until_s: float) -> Float64:
    """Reflections of one source, float64 (5, until_s), from the arrival of its direct sound on."""
    n_taps = round(until_s * SAMPLE_RATE_HZ)
    listener = np.asarray(room.listener_m)
    direct_m = float(np.linalg.norm(position - listener))
    reach_m = direct_m + until_s * SPEED_OF_SOUND_M_S
    # An image of order (i, j, k) lies about (i L, j W, k H) away; the L1 norm of the order is bounded by Cauchy-Schwarz.
    order = math.ceil(reach_m * math.sqrt(sum(1.0 / s**2 for s in room.size_m))) + 1
    shoebox = pra.ShoeBox(
        list(room.size_m),
        fs=SAMPLE_RATE_HZ,
        materials=walls.materials,
        max_order=min(order, _MAX_IMAGE_ORDER),
        air_absorption=True,
    )
    shoebox.add_source(position)
    shoebox.add_microphone(listener)
    shoebox.image_source_model()
    source = shoebox.sources[0]
    offset = source.images.T - listener
    path_m = np.linalg.norm(offset, axis=1)
    gains = np.atleast_2d(source.damping).T ** walls.bend  # (n_images, n_bands)
    keep = (source.orders > 0) & (path_m < reach_m) & (gains.max(axis=1) > 1e-3)
    offset, path_m, gains = offset[keep], path_m[keep], gains[keep]
    response = np.zeros((N_MAIN, _LEAD_TAPS + n_taps + _FILTER_TAPS))
    if not len(path_m):
        return response[:, :n_taps]
    gains = gains * np.exp(-0.5 * path_m[:, None] * np.asarray(shoebox.air_absorption))
    delay = (path_m - direct_m) / SPEED_OF_SOUND_M_S * SAMPLE_RATE_HZ
    filters = _delayed_minimum_phase(gains / path_m[:, None], delay - np.floor(delay))
    panning = np.sqrt(ring_shares(offset / path_m[:, None], MAIN_AZIMUTHS_DEG))
    for filter_taps, start, channel_gains in zip(filters, np.floor(delay).astype(int), panning, strict=True):
        response[:, start : start + _FILTER_TAPS] += channel_gains[:, None] * filter_taps
    return response[:, _LEAD_TAPS : _LEAD_TAPS + n_taps]


def early_response(room: Room, walls: Walls, position: Float64) -> Float64:
    """Reflections of one source up to `early_s`, fading out at their end: float64 (5, n_taps)."""
    response = reflections(room, walls, position, room.early_s)
    n_taps = response.shape[1]
    # The last quarter falls as the tail rises; the last millisecond where there is no tail.
    n_fade = n_taps // 4 if len(walls.rt60_s) else min(48, n_taps)
    response[:, n_taps - n_fade :] *= np.cos(0.5 * np.pi * np.arange(n_fade) / n_fade)
    return response


def balance_shells(early: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give each point of the far shell the energy of the near point in the same direction.

    The renderer has its own law by which reflections fall with distance. With the fall of the image sources on top of
    it, far sources in large rooms would sound drier than near ones.
    """
    energy = (early.astype(np.float64) ** 2).sum(axis=(1, 2))
    near, far = np.split(energy, 2)
    ratio = np.sqrt(np.divide(near, far, out=np.ones_like(near), where=(near > 0.0) & (far > 0.0)))
    balanced = early.copy()
    balanced[len(near) :] *= np.clip(ratio, 1.0 / _MAX_BALANCE, _MAX_BALANCE).astype(np.float32)[:, None, None]
    return balanced


def _delayed_minimum_phase(band_gains: Float64, fraction: Float64) -> Float64:
    """Minimum-phase filters through octave-band gains, delayed by _LEAD_TAPS and a fraction of a sample.

    Args:
        band_gains: (n, n_bands) amplitudes at the octave-band centres.
        fraction: (n,) in [0, 1).

    Returns:
        float64 (n, _FILTER_TAPS).
    """
    n_fft = 2 * _FILTER_TAPS
    frequencies = np.fft.rfftfreq(n_fft, 1.0 / SAMPLE_RATE_HZ)
    octave = np.log2(np.maximum(frequencies, 1.0) / 125.0)
    low = np.clip(np.floor(octave).astype(int), 0, band_gains.shape[1] - 2)
    blend = np.clip(octave - low, 0.0, 1.0)
    logs = np.log(np.maximum(band_gains, 1e-6))
    magnitude_log = logs[:, low] * (1.0 - blend) + logs[:, low + 1] * blend + np.log(_low_cut(frequencies))
    # Real cepstrum folded onto positive quefrencies gives minimum phase (Oppenheim & Schafer, section 13.5).
    cepstrum = np.fft.irfft(magnitude_log, n_fft, axis=1)
    cepstrum[:, 1:_FILTER_TAPS] *= 2.0
    cepstrum[:, _FILTER_TAPS + 1 :] = 0.0
    spectrum = np.exp(np.fft.rfft(cepstrum, axis=1))
    spectrum *= np.exp(-2j * np.pi * frequencies / SAMPLE_RATE_HZ * (_LEAD_TAPS + fraction[:, None]))
    return np.fft.irfft(spectrum, n_fft, axis=1)[:, :_FILTER_TAPS]


def _low_cut(frequencies_hz: NDArray[np.floating]) -> Float64:
    """Magnitude of a second-order high-pass, never quite zero."""
    ratio = np.maximum(frequencies_hz, 10.0) / _LOW_CUT_HZ
    return ratio**2 / np.sqrt(1.0 + ratio**4)


# -- the tail ---------------------------------------------------------------------------------------------------------


def late_taps(room: Room, rt60_s: Float64) -> int:
    """Length of the tail in samples."""
    if not len(rt60_s):
        return 1
    after = float(rt60_s.max()) * _TAIL_RANGE_DB / 60.0
    return round((max(room.early_s, room.echoes_s) + after) * SAMPLE_RATE_HZ)


def late_response(room: Room, walls: Walls, early: NDArray[np.float32]) -> Float64:
    """The tail that all sources share, float64 (5, n_taps), from the arrival of the direct sound on.

    Args:
        room: for its hand-over and echoes.
        walls: for its decay.
        early: float32 (n_grid, 5, n_early), the reflections that it continues.
    """
    n_taps = late_taps(room, walls.rt60_s)
    late = np.zeros((N_MAIN, n_taps))
    if not len(walls.rt60_s):
        return late
    n_early = early.shape[2]
    n_rise = n_early // 4
    before = early[:, :, n_early // 2 : n_early - n_rise].astype(np.float64)
    start = n_early // 2
    first, n_first = n_early - n_rise, n_rise
    if room.echoes_s:
        echoes = reflections(room, walls, grid(room)[0][0], room.echoes_s)
        n_echoes = echoes.shape[1]
        start = n_echoes // 2
        before = echoes[None, :, start : n_echoes * 3 // 4].copy()
        rise = _rise(n_echoes, n_early - n_rise, n_rise)
        late[:, :n_echoes] = echoes * rise * np.sqrt(1.0 - _rise(n_echoes, n_echoes * 3 // 4, n_echoes // 4) ** 2)
        first, n_first = n_echoes * 3 // 4, n_echoes // 4
    noise = _band_noise(n_taps, walls.rt60_s)
    diffuse = _diffuse_levels(room, walls.rt60_s)
    off = 10.0 ** (_MAX_LEVEL_OFF_DB / 20.0)
    levels = np.clip(_levels(before, start, walls.rt60_s), diffuse / off, diffuse * off)
    rise = _rise(n_taps, first, n_first)
    times = _tuned_times(walls.rt60_s, early, late, noise, levels, rise)
    return late + rise * _decaying(noise, levels, times)


def _rise(n_taps: int, first: int, n_rise: int) -> Float64:
    """0 up to `first`, then a quarter of a sine up to 1: the powers of a rise and a fall add up to 1."""
    return np.sin(0.5 * np.pi * np.clip((np.arange(n_taps) - first) / max(n_rise, 1), 0.0, 1.0))


def _band_noise(n_taps: int, rt60_s: Float64) -> Float64:
    """Noise of density 1 per sample in all five channels together, by octave band: float64 (n_bands, 5, n_taps)."""
    noise = np.random.default_rng(_SEED).standard_normal((N_MAIN, n_taps))
    frequencies = np.fft.rfftfreq(n_taps, 1.0 / SAMPLE_RATE_HZ)
    spectrum = np.fft.rfft(noise, axis=1) * _low_cut(frequencies)
    spectrum *= np.sqrt(balanced_weights(MAIN_AZIMUTHS_DEG))[:, None]
    return np.fft.irfft(spectrum * _band_shares(frequencies, rt60_s)[:, None], n_taps, axis=2)


def _band_shares(frequencies_hz: NDArray[np.floating], rt60_s: Float64) -> Float64:
    """Amplitude windows of the octave bands whose powers sum to 1 at every frequency: (n_bands, n_bins).

    The borders give way to the band that decays sooner: otherwise an octave filter around it hears its neighbour last.
    """
    octave = np.log2(np.maximum(frequencies_hz, 1.0) / 125.0)
    slower = np.diff(np.log2(rt60_s))  # > 0 where the upper band decays more slowly
    borders = np.arange(len(slower)) + 0.5 + np.clip(_BORDER_SHIFT * slower, -_MAX_BORDER_SHIFT, _MAX_BORDER_SHIFT)
    above = np.clip((octave[None, :] - borders[:, None]) / _BORDER_OCTAVES + 0.5, 0.0, 1.0)
    edge = np.ones((1, len(octave)))
    rise = np.concatenate([edge, np.sin(0.5 * np.pi * above)])
    fall = np.concatenate([np.cos(0.5 * np.pi * above), edge])
    return rise * fall


def _diffuse_levels(room: Room, rt60_s: Float64) -> Float64:
    """Amplitude per octave band at time 0 of a diffuse field: E / E_direct(1 m) = 16 pi / A (Kuttruff, ch. 5)."""
    area_m2 = 24.0 * math.log(10.0) / SPEED_OF_SOUND_M_S * math.prod(room.size_m) / rt60_s
    return np.sqrt(16.0 * math.pi / area_m2 * (6.0 * math.log(10.0) / rt60_s) / SAMPLE_RATE_HZ)


def _levels(before: Float64, start: int, rt60_s: Float64) -> Float64:
    """Amplitude per octave band at time 0 of the exponential decay that passes through `before`.

    Args:
        before: float64 (n, 5, n_taps), responses of n sources from sample `start` on.
        start: in samples from the arrival of the direct sound.
        rt60_s: float64 (n_bands,).
    """
    n_taps = before.shape[2]
    frequencies = np.fft.rfftfreq(2 * n_taps, 1.0 / SAMPLE_RATE_HZ)
    powers = (np.abs(np.fft.rfft(before, 2 * n_taps, axis=2)) ** 2).sum(axis=1).mean(axis=0)
    shares = _band_shares(frequencies, rt60_s) ** 2
    time_s = (start + np.arange(n_taps)) / SAMPLE_RATE_HZ
    decay = np.exp(-6.0 * math.log(10.0) * time_s[None, :] / rt60_s[:, None]).sum(axis=1)
    # Both spectra hold the low cut; what white noise of density 1 has in the same bins is the measure.
    measure = (shares * _low_cut(frequencies) ** 2).sum(axis=1)
    return np.sqrt(shares @ powers / measure / decay)


def _decaying(noise: Float64, levels: Float64, rt60_s: Float64) -> Float64:
    time_s = np.arange(noise.shape[2]) / SAMPLE_RATE_HZ
    late = np.zeros(noise.shape[1:])
    for band, level, t60 in zip(noise, levels, rt60_s, strict=True):
        late += band * (level * np.exp(-3.0 * math.log(10.0) * time_s / t60))
    return late


def _tuned_times(
    rt60_s: Float64,
    early: NDArray[np.float32],
    echoes: Float64,
    noise: Float64,
    levels: Float64,
    rise: Float64,
) -> Float64:
    """Decay times for the tail with which the whole response, measured as ISO 3382-1 says, has the wanted ones.

    Octave filters hear a little of the neighbouring bands, noise of finite length wavers, and the reflections before
    the tail fall in their own way: all of that is taken out here, for the mean over all directions.
    """
    bands = [round(math.log2(hz / 125.0)) for hz in _TUNED_HZ]
    before = [_octave_energy(early, hz).mean(axis=0) for hz in _TUNED_HZ]
    times = rt60_s.copy()
    for _ in range(_TUNING_ROUNDS):
        late = echoes + rise * _decaying(noise, levels, times)
        for band, hz, energy in zip(bands, _TUNED_HZ, before, strict=True):
            total = _octave_energy(late[None], hz)[0]
            total[: len(energy)] += energy
            measured_s = decay_time_s(total)
            times[band] *= float(np.clip(rt60_s[band] / measured_s, 0.7, 1.4))
            times[band] = float(np.clip(times[band], 0.6 * rt60_s[band], 1.5 * rt60_s[band]))
    return times


def _octave_energy(responses: NDArray[np.floating], centre_hz: float) -> Float64:
    """Energy per sample in one octave band, all five channels together: (n, 5, n_taps) -> (n, n_taps)."""
    edges = (centre_hz / math.sqrt(2.0), centre_hz * math.sqrt(2.0))
    sections = butter(6, edges, "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    return (np.asarray(sosfilt(sections, responses, axis=2), np.float64) ** 2).sum(axis=1)


def decay_time_s(energy: Float64) -> float:
    """RT60 from the slope of the decay curve between -5 and -35 dB: T30 of ISO 3382-1, section 5.

    Args:
        energy: float64 (n,) per sample at 48 kHz.
    """
    curve = np.cumsum(energy[::-1])[::-1]
    curve_db = 10.0 * np.log10(np.maximum(curve / curve[0], 1e-12))
    inside = np.flatnonzero((curve_db <= -5.0) & (curve_db >= -35.0))
    slope_db_per_s = np.polyfit(inside / SAMPLE_RATE_HZ, curve_db[inside], 1)[0]
    return -60.0 / float(slope_db_per_s)
