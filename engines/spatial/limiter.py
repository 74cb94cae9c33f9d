"""True-peak limiter with look-ahead; one gain for all channels, so that directions stay where they are.

For every sample the gain that its true peak needs is found; the smallest of the last LOOK_AHEAD is held, released
exponentially, and averaged over LOOK_AHEAD samples, so that the gain has come down smoothly when the peak arrives. The
work per sample does not depend on the look-ahead: the minimum comes out of a queue, the mean is a running sum of
integers, which cannot drift.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from engines.spatial.loudness import OVERSAMPLING_TAPS, oversampling_phases
from engines.specs import SAMPLE_RATE_HZ, Float32

LOOK_AHEAD = 72  # 1.5 ms: shorter distorts bass, longer adds latency
# A sample is heard this much later than it came in.
LIMITER_DELAY = LOOK_AHEAD - 1 + OVERSAMPLING_TAPS // 2
_RELEASE_S = 0.12
# The oversampled estimate can miss the continuous peak by a little (BS.1770-5, annex 2, attachment 1).
_MARGIN_DB = 0.3
# Samples of input that output and interpolation still need.
_HISTORY = LIMITER_DELAY + OVERSAMPLING_TAPS
# Samples that are interpolated together, where any of them may come near the ceiling.
_LANES = 16
# The interpolators' taps sum to 2.1 in magnitude: around samples below this share of the ceiling nothing can reach it.
_QUIET = 0.45
# A gain of 1 in the integers of the moving average.
_UNIT = 1 << 40
# Nearer to 1 than this, the gain has been released.
_RELEASED = 1e-6


@dataclass(slots=True)
class LimiterState:
    """What a limiter remembers; rings are indexed by sample number modulo LOOK_AHEAD."""

    line: Float32  # (n_channels, _HISTORY): recent input, amplified
    held: NDArray[np.int64]  # ring: gains after minimum and release, in units of 1 / _UNIT
    queue: NDArray[np.float64]  # ring: gains below 1 that may still be the minimum, rising
    queue_at: NDArray[np.int64]  # ring: the samples they belong to
    counters: NDArray[np.int64]  # sample number, begin and end of the queue, sum of `held`
    envelope: float = 1.0
    gain: float | None = None


@njit(cache=True, nogil=True)
def _true_peaks(line, n, phases, quiet, peaks):
    """Raise peaks (n,) to the largest true peak of all channels; False when all of them are certainly quiet.

    The last n samples of line (n_channels, _HISTORY + n) are new; peak i belongs to the middle of the taps that end
    with new sample i. Each is worked out by the same operations wherever the signal is cut.
    """
    n_taps = phases.shape[1]
    first = line.shape[1] - n - n_taps + 1
    loud = False
    between = np.empty(_LANES, np.float32)
    for c in range(line.shape[0]):
        highest = np.float32(0.0)
        for i in range(first, line.shape[1]):
            highest = max(highest, abs(line[c, i]))
        if highest < quiet:
            continue
        loud = True
        for begin in range(0, n, _LANES):
            at = first + begin
            if begin + _LANES > n:
                # The last lanes are done once more rather than by other code that might round otherwise.
                at = first + n - _LANES
            highest = np.float32(0.0)
            for i in range(at, at + _LANES + n_taps - 1):
                highest = max(highest, abs(line[c, i]))
            if highest < quiet:
                continue
            offset = at - first
            for i in range(_LANES):
                if 0 <= offset + i < n:
                    peaks[offset + i] = max(peaks[offset + i], abs(line[c, at + i + n_taps // 2 - 1]))
            for p in range(phases.shape[0]):
                between[:] = 0.0
                for k in range(n_taps):
                    tap = phases[p, k]
                    for i in range(_LANES):
                        between[i] += tap * line[c, at + k + i]
                for i in range(_LANES):
                    if 0 <= offset + i < n:
                        peaks[offset + i] = max(peaks[offset + i], abs(between[i]))
    return loud


@njit(cache=True, nogil=True)
def _gains(peaks, ceiling, release, envelope, held, queue, queue_at, counters, gains):
    """Gain of each sample that leaves; returns (envelope, smallest gain)."""
    look = held.shape[0]
    position, begin, end, total = counters[0], counters[1], counters[2], counters[3]
    lowest = 1.0
    for i in range(peaks.shape[0]):
        if begin < end and queue_at[begin % look] <= position - look:
            begin += 1
        if peaks[i] > ceiling:
            needed = ceiling / np.float64(peaks[i])
            while begin < end and queue[(end - 1) % look] >= needed:
                end -= 1
            queue[end % look] = needed
            queue_at[end % look] = position
            end += 1
        wanted = queue[begin % look] if begin < end else 1.0
        envelope += (1.0 - envelope) * release
        if envelope > 1.0 - _RELEASED:
            envelope = 1.0
        envelope = min(wanted, envelope)
        slot = position % look
        total -= held[slot]
        held[slot] = np.int64(envelope * _UNIT)
        total += held[slot]
        gains[i] = np.float64(total) / (look * np.float64(_UNIT))
        lowest = min(lowest, gains[i])
        position += 1
    counters[0], counters[1], counters[2], counters[3] = position, begin, end, total
    return envelope, lowest


@njit(cache=True, nogil=True)
def _limit(x, gain_from, gain_to, y, line, held, queue, queue_at, counters, envelope, phases, ceiling, release):
    """Delayed, limited x * gain into y; returns (envelope, smallest gain)."""
    n_channels, n = x.shape
    history = line.shape[1]
    work = np.empty((n_channels, history + n), np.float32)
    slope = (gain_to - gain_from) / np.float32(n)
    for c in range(n_channels):
        work[c, :history] = line[c]
        if slope == 0.0:
            for i in range(n):
                work[c, history + i] = x[c, i] * gain_to
        else:
            for i in range(n):
                work[c, history + i] = x[c, i] * (gain_from + slope * np.float32(i + 1))
        line[c] = work[c, n:]
    peaks = np.zeros(n, np.float32)
    loud = _true_peaks(work, n, phases, np.float32(_QUIET * ceiling), peaks)
    look = held.shape[0]
    begin = history - (look - 1 + phases.shape[1] // 2)
    if not loud and envelope == 1.0 and counters[3] == look * _UNIT and counters[1] == counters[2]:
        counters[0] += n
        y[:] = work[:, begin : begin + n]
        return envelope, 1.0
    gains = np.empty(n)
    envelope, lowest = _gains(peaks, ceiling, release, envelope, held, queue, queue_at, counters, gains)
    for c in range(n_channels):
        for i in range(n):
            y[c, i] = work[c, begin + i] * gains[i]
    return envelope, lowest


class Limiter:
    """Keeps the true peak at or under a ceiling.

    Args:
        n_channels: of the signal.
        ceiling_dbtp: in dB relative to full scale, true peak.
    """

    def __init__(self, n_channels: int, ceiling_dbtp: float = -1.0) -> None:
        self._n_channels = n_channels
        self._ceiling = 10.0 ** ((ceiling_dbtp - _MARGIN_DB) / 20.0)
        self._release = 1.0 - math.exp(-1.0 / (_RELEASE_S * SAMPLE_RATE_HZ))
        self._phases = oversampling_phases()
        self.gain_db = 0.0
        self.state = self._fresh_state()

    def _fresh_state(self) -> LimiterState:
        return LimiterState(
            line=np.zeros((self._n_channels, _HISTORY), np.float32),
            held=np.full(LOOK_AHEAD, _UNIT, np.int64),
            queue=np.ones(LOOK_AHEAD),
            queue_at=np.zeros(LOOK_AHEAD, np.int64),
            counters=np.array([0, 0, 0, LOOK_AHEAD * _UNIT], np.int64),
        )

    def reset(self) -> None:
        """Forget the past."""
        self.state = self._fresh_state()
        self.gain_db = 0.0

    def step(self, x: Float32, gain: float = 1.0) -> Float32:
        """Limit `gain * x`, float32 (n_channels, n); the output lags by LIMITER_DELAY samples.

        A gain other than in the last call is reached in a straight line over this one. `gain_db` afterwards holds the
        deepest reduction in this call, <= 0.
        """
        state = self.state
        y = np.empty(x.shape, np.float32)
        if not y.size:
            return y
        state.envelope, lowest = _limit(
            x,
            np.float32(gain if state.gain is None else state.gain),
            np.float32(gain),
            y,
            state.line,
            state.held,
            state.queue,
            state.queue_at,
            state.counters,
            state.envelope,
            self._phases,
            self._ceiling,
            self._release,
        )
        state.gain = gain
        self.gain_db = 20.0 * math.log10(lowest)
        return y
