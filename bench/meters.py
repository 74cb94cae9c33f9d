"""Meters for what should not be there: energy beside a tone, clicks, steps.

A tone that moves is modulated, and slow modulation stays near the tone. What a hard or badly ramped change of gains or
filters adds lies far from it. So the tone is taken away by its frequency, and what is left is the artefact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import firwin, get_window, kaiserord, oaconvolve

from engines.specs import SAMPLE_RATE_HZ

Float64 = NDArray[np.float64]
Samples = NDArray[np.floating]

BESIDE_HZ = 400.0
CLICK_ABOVE_HZ = 5000.0
STEP_ABOVE_HZ = 2000.0
_STOP_BAND_DB = 140.0
_TRANSITION_HZ = 800.0
_SILENT_DB = -240.0


def decibels(power: Samples | float) -> Float64:
    """10 log10, never below -240."""
    return 10.0 * np.log10(np.maximum(np.asarray(power, np.float64), 10.0 ** (_SILENT_DB / 10.0)))


def beside_db(y: Samples, tone_hz: float, beside_hz: float = BESIDE_HZ) -> Float64:
    """Energy further than `beside_hz` from a tone, per channel, in dB against the energy of all channels together.

    Through a Blackman-Harris window: its side lobes begin at -92 dB and fall from there, so that what the window itself
    leaks beyond 400 Hz in some seconds of sound lies below -115 dB. The signal should be whole revolutions or steady.

    Args:
        y: (n_channels, n) at 48 kHz, n at least a tenth of a second.
        tone_hz: the tone.
        beside_hz: half the width of the band that belongs to it.
    """
    power = _spectrum(y)
    hz = np.fft.rfftfreq(y.shape[1], 1.0 / SAMPLE_RATE_HZ)
    outside = power[:, np.abs(hz - tone_hz) > beside_hz].sum(axis=1)
    return decibels(outside / max(float(power.sum()), 1e-300))


def beside_own_db(y: Samples, tone_hz: float, beside_hz: float = BESIDE_HZ) -> Float64:
    """The same against the energy of each channel alone; nan for a channel 60 dB below the programme."""
    power = _spectrum(y).sum(axis=1)
    share = decibels(power / max(float(power.sum()), 1e-300))
    return np.where(share > -60.0, beside_db(y, tone_hz, beside_hz) - share, np.nan)


def _spectrum(y: Samples) -> Float64:
    window = get_window("blackmanharris", y.shape[1])
    return np.abs(np.fft.rfft(np.asarray(y, np.float64) * window, axis=1)) ** 2


def high_passed(y: Samples, above_hz: float) -> Float64:
    """Linear-phase high-pass (Kaiser, 140 dB), without the ends that the filter does not wholly cover."""
    n_taps, beta = kaiserord(_STOP_BAND_DB, 2.0 * _TRANSITION_HZ / SAMPLE_RATE_HZ)
    n_taps |= 1
    edge_hz = above_hz - 0.5 * _TRANSITION_HZ
    taps = firwin(n_taps, edge_hz, window=("kaiser", beta), pass_zero=False, fs=SAMPLE_RATE_HZ)  # pyright: ignore[reportArgumentType]
    return oaconvolve(np.asarray(y, np.float64), np.asarray(taps)[np.newaxis], mode="valid", axes=1)


def click_db(y: Samples, above_hz: float = CLICK_ABOVE_HZ) -> Float64:
    """Highest peak above a frequency, per channel, in dB against the RMS of the programme (all channels' powers added)."""
    rms = np.sqrt((np.asarray(y, np.float64) ** 2).sum(axis=0).mean())
    return decibels((np.abs(high_passed(y, above_hz)).max(axis=1) / max(float(rms), 1e-300)) ** 2)


def step_dbfs(y: Samples, above_hz: float = STEP_ABOVE_HZ) -> float:
    """Height of the sudden step that would leave the same peak above a frequency, in dB against full scale.

    A linear-phase high-pass turns a step of height s into a peak of s / 2 on either side of it, whatever the programme does
    below that frequency; a smooth ramp leaves next to nothing.
    """
    return float(decibels((2.0 * np.abs(high_passed(y, above_hz)).max()) ** 2))


def loudest_rms_dbfs(y: Samples, window_s: float = 0.1) -> float:
    """RMS of the loudest channel in its loudest window, in dB against a full-scale constant."""
    n = round(window_s * SAMPLE_RATE_HZ)
    windows = np.asarray(y[:, : y.shape[1] // n * n], np.float64).reshape(y.shape[0], -1, n)
    return float(decibels((windows**2).mean(axis=2).max()))
