"""Room -> RIR bank: image sources from pyroomacoustics, panned to five channels, plus a diffuse tail.

Each image source (Allen & Berkley 1979) becomes a minimum-phase filter with the absorption of its walls and of its
path through air, delayed by the path it travels beyond the direct sound and panned to its own direction, so that
reflections come from where they are. The tail is octave-band noise under exponential decays, calibrated by the
diffuse-field relation E_tail / E_direct(1 m) = 16 pi / A (Kuttruff, "Room Acoustics", ch. 5).
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyroomacoustics as pra
from numpy.typing import NDArray

from engines.errors import ConfigError, OutputError
from engines.spatial.bank import GRID_AZIMUTHS, MAIN_AZIMUTHS_DEG, N_MAIN, NEAR_SHELL_M, hashes, is_complete
from engines.spatial.panning import balanced_weights, ring_shares
from engines.spatial.rooms import Room
from engines.specs import SAMPLE_RATE_HZ, SPEED_OF_SOUND_M_S

Float64 = NDArray[np.float64]
Progress = Callable[[int, int], None]

_MIN_FAR_SHELL_M, _MAX_FAR_SHELL_M = 1.05 * NEAR_SHELL_M, 12.0
_FILTER_TAPS = 256
_MAX_IMAGE_ORDER = 40
# A tail quieter than this, relative to the direct sound at 1 m, is not stored.
_TAIL_FLOOR_DB = -80.0
_SEED = 20240611
# Reflections are cut below this: in the bass they arrive in phase with the direct sound and would turn it aside.
_LOW_CUT_HZ = 200.0


def ensure_bank(room: Room, cache_dir: Path, progress: Progress | None = None) -> Path:
    """The directory of the room's bank, built now if it is not there.

    Args:
        room: what to build.
        cache_dir: parent of all banks.
        progress: called with (done, total) grid points.

    Raises:
        ConfigError: a material that pyroomacoustics does not know.
        OutputError: the cache cannot be written.
    """
    directory = cache_dir / room.key
    if is_complete(directory):
        return directory
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{room.key}.", dir=cache_dir) as temporary:
            _write_bank(room, Path(temporary), progress or (lambda done, total: None))
            # Whoever finishes first wins; both wrote the same bytes.
            if directory.exists() and not is_complete(directory):
                shutil.rmtree(directory)
            try:
                os.rename(temporary, directory)
            except OSError:
                if not is_complete(directory):
                    raise
            else:
                os.mkdir(temporary)  # for TemporaryDirectory to remove
    except OSError as error:
        raise OutputError(f"room bank {directory}: {error.strerror or error}") from error
    return directory


def _write_bank(room: Room, directory: Path, progress: Progress) -> None:
    shoebox_materials, absorption_area_m2 = _materials(room)
    n_early = round(room.early_s * SAMPLE_RATE_HZ)
    positions, radii_m = _grid(room)
    early = np.zeros((len(positions), N_MAIN, n_early), np.float32)
    for index, position in enumerate(positions):
        progress(index, len(positions))
        early[index] = _early_response(room, shoebox_materials, position, n_early)
    rt60_s = _reverberation_times_s(room, absorption_area_m2)
    late = _late_response(room, absorption_area_m2, rt60_s)
    progress(len(positions), len(positions))
    np.save(directory / "early.npy", early)
    np.save(directory / "late.npy", late[None].astype(np.float32))
    facts = {
        "room": dataclasses.asdict(room),
        "near_m": NEAR_SHELL_M,
        "far_m": max(float(np.mean(radii_m[GRID_AZIMUTHS:])), _MIN_FAR_SHELL_M),
        "rt60_s": [round(float(t), 4) for t in rt60_s],
        "sha256": hashes(directory),
    }
    (directory / "bank.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def _materials(room: Room) -> tuple[dict[str, pra.Material], Float64]:
    """Wall materials by pyroomacoustics' names, and the absorption area per octave band (A, m^2)."""
    # pyroomacoustics: east = +x, north = +y.
    walls = {"east": room.front, "west": room.back, "north": room.left, "south": room.right}
    walls |= {"floor": room.floor, "ceiling": room.ceiling}
    materials = {}
    for wall, name in walls.items():
        try:
            materials[wall] = pra.Material(1.0 if name == "anechoic" else name)
        except KeyError as error:
            raise ConfigError(f"room {room.name}: pyroomacoustics knows no material {name!r}") from error
    if room.rt60_s > 0:
        try:
            absorption, _ = pra.inverse_sabine(room.rt60_s, list(room.size_m))
        except ValueError as error:
            raise ConfigError(f"room {room.name}: no walls give it an rt60_s of {room.rt60_s:g}") from error
        materials |= {wall: pra.Material(absorption) for wall, name in walls.items() if name != "anechoic"}
    bands = _octave_bands()
    length, width, height = room.size_m
    areas = {"east": width * height, "west": width * height, "north": length * height, "south": length * height}
    areas |= {"floor": length * width, "ceiling": length * width}
    surface = sum(areas.values())
    mean = sum(areas[w] * _per_band(m, bands) for w, m in materials.items()) / surface
    air_per_m = np.asarray(_probe_room().air_absorption)
    volume = length * width * height
    # Eyring's absorption area, and 4 m V for the air.
    area = -surface * np.log1p(-np.minimum(mean, 0.99)) + 4.0 * air_per_m * volume
    return materials, area


def _octave_bands() -> Float64:
    return np.asarray(_probe_room().octave_bands.centers)


def _probe_room() -> pra.ShoeBox:
    """Only to learn the octave bands and air absorption that pyroomacoustics uses at our rate."""
    return pra.ShoeBox([2, 2, 2], fs=SAMPLE_RATE_HZ, materials=pra.Material(0.5), max_order=0, air_absorption=True)


def _per_band(material: pra.Material, bands: Float64) -> Float64:
    """Absorption coefficients at the band centres."""
    absorption = material.energy_absorption
    coefficients = np.atleast_1d(np.asarray(absorption["coeffs"], np.float64))
    centres = np.atleast_1d(np.asarray(absorption.get("center_freqs", [1000.0]), np.float64))
    if len(coefficients) == 1:
        return np.full(len(bands), coefficients[0])
    return np.interp(np.log2(bands), np.log2(centres[: len(coefficients)]), coefficients)


def _grid(room: Room) -> tuple[Float64, Float64]:
    """Source positions (n_grid, 3) in the room, and their distance from the listener (n_grid,)."""
    azimuths = np.radians(np.arange(GRID_AZIMUTHS) * 360.0 / GRID_AZIMUTHS)
    directions = np.stack([np.cos(azimuths), np.sin(azimuths)], axis=1)
    listener = np.asarray(room.listener_m)
    with np.errstate(divide="ignore"):
        to_upper = np.where(directions > 0, (np.asarray(room.size_m)[:2] - listener[:2]) / directions, np.inf)
        to_lower = np.where(directions < 0, -listener[:2] / directions, np.inf)
    to_wall = np.minimum(to_upper, to_lower).min(axis=1)
    far = np.minimum(np.clip(0.8 * to_wall, _MIN_FAR_SHELL_M, _MAX_FAR_SHELL_M), 0.9 * to_wall)
    near = np.minimum(np.full(GRID_AZIMUTHS, NEAR_SHELL_M), 0.8 * to_wall)
    radii = np.concatenate([near, far])
    positions = np.empty((2 * GRID_AZIMUTHS, 3))
    positions[:, :2] = listener[:2] + np.tile(directions, (2, 1)) * radii[:, None]
    positions[:, 2] = listener[2]
    return positions, radii


def _early_response(room: Room, materials: dict[str, pra.Material], position: Float64, n_taps: int) -> Float64:
    """Reflections of one source, float64 (5, n_taps), from the arrival of its direct sound on."""
    listener = np.asarray(room.listener_m)
    direct_m = float(np.linalg.norm(position - listener))
    reach_m = direct_m + room.early_s * SPEED_OF_SOUND_M_S
    # An image of order (i, j, k) lies about (i L, j W, k H) away; the L1 norm of the order is bounded by Cauchy-Schwarz.
    order = math.ceil(reach_m * math.sqrt(sum(1.0 / s**2 for s in room.size_m))) + 1
    shoebox = pra.ShoeBox(
        list(room.size_m),
        fs=SAMPLE_RATE_HZ,
        materials=materials,
        max_order=min(order, _MAX_IMAGE_ORDER),
        air_absorption=True,
    )
    shoebox.add_source(position)
    shoebox.add_microphone(listener)
    shoebox.image_source_model()
    source = shoebox.sources[0]
    offset = source.images.T - listener
    path_m = np.linalg.norm(offset, axis=1)
    gains = np.atleast_2d(source.damping).T  # (n_images, n_bands)
    keep = (source.orders > 0) & (path_m < reach_m) & (gains.max(axis=1) > 1e-3)
    offset, path_m, gains = offset[keep], path_m[keep], gains[keep]
    response = np.zeros((N_MAIN, n_taps + _FILTER_TAPS))
    if not len(path_m):
        return response[:, :n_taps]
    air_per_m = np.asarray(shoebox.air_absorption)
    gains = np.broadcast_to(gains, (len(gains), len(air_per_m))) * np.exp(-0.5 * path_m[:, None] * air_per_m)
    delay = (path_m - direct_m) / SPEED_OF_SOUND_M_S * SAMPLE_RATE_HZ
    filters = _delayed_minimum_phase(gains / path_m[:, None], delay - np.floor(delay))
    panning = np.sqrt(ring_shares(offset / path_m[:, None], MAIN_AZIMUTHS_DEG))
    for filter_taps, start, channel_gains in zip(filters, np.floor(delay).astype(int), panning, strict=True):
        response[:, start : start + _FILTER_TAPS] += channel_gains[:, None] * filter_taps
    return response[:, :n_taps] * _fade_out(n_taps, room)


def _fade_out(n_taps: int, room: Room) -> Float64:
    """The last quarter falls to silence where a tail rises in exchange; the last millisecond where none does."""
    n_fade = n_taps // 4 if math.isfinite(room.tail_db) else min(48, n_taps)
    window = np.ones(n_taps)
    window[n_taps - n_fade :] = np.cos(0.5 * np.pi * np.arange(n_fade) / n_fade)
    return window


def _delayed_minimum_phase(band_gains: Float64, fraction: Float64) -> Float64:
    """Minimum-phase filters through octave-band gains, delayed by a fraction of a sample.

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
    spectrum *= np.exp(-2j * np.pi * frequencies / SAMPLE_RATE_HZ * fraction[:, None])
    return np.fft.irfft(spectrum, n_fft, axis=1)[:, :_FILTER_TAPS]


def _low_cut(frequencies_hz: NDArray[np.floating]) -> Float64:
    """Magnitude of a second-order high-pass, never quite zero."""
    ratio = np.maximum(frequencies_hz, 10.0) / _LOW_CUT_HZ
    return ratio**2 / np.sqrt(1.0 + ratio**4)


def _reverberation_times_s(room: Room, absorption_area_m2: Float64) -> Float64:
    if not math.isfinite(room.tail_db):
        return np.zeros(0)
    if room.rt60_s > 0:
        return np.full(len(absorption_area_m2), room.rt60_s)
    return 0.161 * math.prod(room.size_m) / absorption_area_m2


def _late_response(room: Room, absorption_area_m2: Float64, rt60_s: Float64) -> Float64:
    """Diffuse tail, float64 (5, n_taps), from the arrival of the direct sound on."""
    if not len(rt60_s):
        return np.zeros((N_MAIN, 1))
    n_early = round(room.early_s * SAMPLE_RATE_HZ)
    # Energy per second at t = 0, relative to the energy of the direct sound at 1 m.
    density = 16.0 * math.pi / absorption_area_m2 * (6.0 * math.log(10.0) / rt60_s) * 10.0 ** (room.tail_db / 10.0)
    start_db = 10.0 * np.log10(density / SAMPLE_RATE_HZ)
    duration_s = float(np.max((start_db - _TAIL_FLOOR_DB) / 60.0 * rt60_s))
    n_taps = max(2 * n_early, round(min(duration_s, 6.0) * SAMPLE_RATE_HZ))
    time_s = np.arange(n_taps) / SAMPLE_RATE_HZ
    noise = np.random.default_rng(_SEED).standard_normal((N_MAIN, n_taps))
    spectrum = np.fft.rfft(noise, axis=1) * _low_cut(np.fft.rfftfreq(n_taps, 1.0 / SAMPLE_RATE_HZ))
    tail = np.zeros((N_MAIN, n_taps))
    for share, t60, energy in zip(_band_shares(n_taps, len(rt60_s)), rt60_s, density, strict=True):
        decay = np.exp(-3.0 * math.log(10.0) * time_s / t60) * math.sqrt(energy / SAMPLE_RATE_HZ)
        tail += np.fft.irfft(spectrum * share, n_taps, axis=1) * decay
    n_fade = n_early // 4
    rise = np.clip((np.arange(n_taps) - (n_early - n_fade)) / max(n_fade, 1), 0.0, 1.0)
    return tail * np.sin(0.5 * np.pi * rise) * np.sqrt(balanced_weights(MAIN_AZIMUTHS_DEG))[:, None]


def _band_shares(n_taps: int, n_bands: int) -> Float64:
    """Amplitude windows of the octave bands whose powers sum to 1 at every frequency: (n_bands, n_bins)."""
    octave = np.log2(np.maximum(np.fft.rfftfreq(n_taps, 1.0 / SAMPLE_RATE_HZ), 1.0) / 125.0)
    octave = np.clip(octave, 0.0, n_bands - 1.0)
    distance = np.abs(octave[None, :] - np.arange(n_bands)[:, None])
    return np.cos(0.5 * np.pi * np.clip(distance, 0.0, 1.0))
