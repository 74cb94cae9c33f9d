"""Programme loudness and true peak after ITU-R BS.1770-5, streamed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from engines.specs import SAMPLE_RATE_HZ, Float32

Float64 = NDArray[np.float64]

# EBU R 128.
TARGET_LUFS = -23.0

# Annex 1, tables 1 and 2: coefficients of the K-weighting at 48 kHz, (b0, b1, b2, a1, a2).
SHELF = (1.53512485958697, -2.69169618940638, 1.19839281085285, -1.69065929318241, 0.73248077421585)
HIGH_PASS = (1.0, -2.0, 1.0, -1.99004745483398, 0.99007225036621)
OFFSET_DB = -0.691
_GATE_LUFS = -70.0
_RELATIVE_GATE_LU = -10.0
# Gating blocks of 400 ms, one every 100 ms.
_HOP = SAMPLE_RATE_HZ // 10
_HOPS_PER_BLOCK = 4
_HOPS_SHORT_TERM = 30

# Annex 2: four-fold oversampling; a windowed sinc of 16 taps per phase, phases at 1/4, 1/2 and 3/4 sample.
OVERSAMPLING_TAPS = 16


def oversampling_phases() -> Float32:
    """Interpolators at 1/4, 1/2 and 3/4 of a sample: float32 (3, OVERSAMPLING_TAPS).

    Output m belongs between taps OVERSAMPLING_TAPS / 2 - 1 and OVERSAMPLING_TAPS / 2.
    """
    taps = np.arange(OVERSAMPLING_TAPS) - (OVERSAMPLING_TAPS / 2 - 1)
    phases = []
    for fraction in (0.25, 0.5, 0.75):
        at = taps - fraction
        window = np.cos(np.pi * at / (OVERSAMPLING_TAPS + 1)) ** 2
        phase = np.sinc(at) * window
        phases.append(phase / phase.sum())
    return np.asarray(phases, np.float32)


def k_weighting_power(frequency_hz: Float64) -> Float64:
    """Squared magnitude of the K-weighting at 48 kHz, float64 like `frequency_hz`."""
    delay = np.exp(-2j * np.pi * frequency_hz / SAMPLE_RATE_HZ)
    response = np.ones_like(delay)
    for b0, b1, b2, a1, a2 in (SHELF, HIGH_PASS):
        response *= (b0 + b1 * delay + b2 * delay**2) / (1.0 + a1 * delay + a2 * delay**2)
    return np.abs(response) ** 2


@njit(cache=True, nogil=True)
def k_weighted_energy(x, weights, state, shelf, high_pass) -> float:
    """Weighted sum of squares of (n_channels, n) after K-weighting; state float64 (n_channels, 4)."""
    total = 0.0
    for c in range(x.shape[0]):
        if weights[c] == 0.0:
            continue
        s0, s1, s2, s3 = state[c, 0], state[c, 1], state[c, 2], state[c, 3]
        energy = 0.0
        for i in range(x.shape[1]):
            v = np.float64(x[c, i])
            y = shelf[0] * v + s0
            s0 = shelf[1] * v - shelf[3] * y + s1
            s1 = shelf[2] * v - shelf[4] * y
            z = high_pass[0] * y + s2
            s2 = high_pass[1] * y - high_pass[3] * z + s3
            s3 = high_pass[2] * y - high_pass[4] * z
            energy += z * z
        # Digital silence would let the filters decay into denormals.
        state[c, 0] = s0 if abs(s0) > 1e-30 else 0.0
        state[c, 1] = s1 if abs(s1) > 1e-30 else 0.0
        state[c, 2] = s2 if abs(s2) > 1e-30 else 0.0
        state[c, 3] = s3 if abs(s3) > 1e-30 else 0.0
        total += weights[c] * energy
    return total


@dataclass(slots=True)
class _MeterState:
    filters: Float64
    hop_energy: float = 0.0
    hop_fill: int = 0
    hops: list[float] = field(default_factory=list)


class LoudnessMeter:
    """Integrated and short-term loudness of a stream.

    Args:
        weights: float (n_channels,), channel weights of BS.1770 (powers); 0 leaves a channel out.
        keep_hops: forget hops (100 ms) older than this many; 0 keeps all, as integrated loudness needs.
    """

    def __init__(self, weights: Float32, keep_hops: int = 0) -> None:
        self._weights = np.asarray(weights, np.float64)
        self._keep_hops = keep_hops
        self._state = _MeterState(filters=np.zeros((len(self._weights), 4)))

    def reset(self) -> None:
        """Forget the past."""
        self._state = _MeterState(filters=np.zeros((len(self._weights), 4)))

    def step(self, x: Float32) -> None:
        """Hear float32 (n_channels, n)."""
        state = self._state
        done = 0
        while done < x.shape[1]:
            take = min(x.shape[1] - done, _HOP - state.hop_fill)
            part = x[:, done : done + take]
            state.hop_energy += k_weighted_energy(part, self._weights, state.filters, SHELF, HIGH_PASS)
            state.hop_fill += take
            done += take
            if state.hop_fill == _HOP:
                state.hops.append(state.hop_energy / _HOP)
                state.hop_energy, state.hop_fill = 0.0, 0
                if self._keep_hops and len(state.hops) > self._keep_hops:
                    del state.hops[0]

    def integrated_lufs(self, gain_db: float = 0.0) -> float:
        """Gated loudness so far, had the signal been louder by `gain_db`; -inf when nothing passes the gate."""
        hops = np.asarray(self._state.hops)
        if len(hops) < _HOPS_PER_BLOCK:
            # Shorter than one gating block: the loudness of what there is.
            total = float(hops.sum() * _HOP + self._state.hop_energy)
            n = len(hops) * _HOP + self._state.hop_fill
            return _lufs(total / n, gain_db) if n and total > 0 else -math.inf
        blocks = np.convolve(hops, np.full(_HOPS_PER_BLOCK, 1.0 / _HOPS_PER_BLOCK), mode="valid")
        level = OFFSET_DB + 10.0 * np.log10(np.maximum(blocks, 1e-20)) + gain_db
        above = blocks[level > _GATE_LUFS]
        if not len(above):
            return -math.inf
        relative = _lufs(float(above.mean()), gain_db) + _RELATIVE_GATE_LU
        loud = blocks[(level > _GATE_LUFS) & (level > relative)]
        return _lufs(float(loud.mean()), gain_db) if len(loud) else -math.inf

    def short_term_lufs(self) -> float:
        """Ungated loudness of the last 3 s, or of as much as there is; -inf when silent."""
        recent = self._state.hops[-_HOPS_SHORT_TERM:]
        mean = sum(recent) / len(recent) if recent else 0.0
        return _lufs(mean, 0.0) if mean > 0 else -math.inf


def _lufs(mean_square: float, gain_db: float) -> float:
    return OFFSET_DB + 10.0 * math.log10(mean_square) + gain_db


@njit(cache=True, nogil=True, fastmath=True)
def _peak(x, history, phases):
    """Largest magnitude of (n_channels, n) and of its interpolated samples; history (n_channels, taps - 1)."""
    n_taps = phases.shape[1]
    peak = np.float32(0.0)
    line = np.empty(n_taps - 1 + x.shape[1], np.float32)
    for c in range(x.shape[0]):
        line[: n_taps - 1] = history[c]
        line[n_taps - 1 :] = x[c]
        for i in range(x.shape[1]):
            peak = max(peak, abs(x[c, i]))
            for p in range(phases.shape[0]):
                value = np.float32(0.0)
                for k in range(n_taps):
                    value += phases[p, k] * line[i + k]
                peak = max(peak, abs(value))
        history[c] = line[x.shape[1] :]
    return peak


class PeakMeter:
    """Largest true peak of a stream."""

    def __init__(self, n_channels: int) -> None:
        self._history = np.zeros((n_channels, OVERSAMPLING_TAPS - 1), np.float32)
        self._phases = oversampling_phases()
        self._peak = 0.0

    def step(self, x: Float32) -> None:
        """Hear float32 (n_channels, n)."""
        self._peak = max(self._peak, float(_peak(x, self._history, self._phases)))

    @property
    def peak_dbtp(self) -> float:
        """True peak so far in dBTP; -inf when silent."""
        return 20.0 * math.log10(self._peak) if self._peak > 0 else -math.inf
