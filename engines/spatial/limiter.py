"""True-peak limiter with look-ahead; one gain for all channels, so that directions stay where they are."""

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


@dataclass(slots=True)
class LimiterState:
    """What a limiter remembers; rings are indexed by sample number modulo their length."""

    line: Float32  # (n_channels, ring): recent input
    needed: NDArray[np.float64]  # (LOOK_AHEAD,): gains that recent samples need
    held: NDArray[np.float64]  # (LOOK_AHEAD,): those after minimum and release, for the moving average
    envelope: float = 1.0
    position: int = 0


@njit(cache=True, nogil=True)
def _limit(x, gain, y, line, needed, held, phases, envelope, position, ceiling, release):
    """Delayed, limited gain * x into y; returns (envelope, position, smallest gain applied)."""
    n_channels, n = x.shape
    ring = line.shape[1]
    n_taps = phases.shape[1]
    quiet = np.float32(0.45 * ceiling)
    delay = needed.shape[0] - 1 + n_taps // 2
    lowest = 1.0
    for i in range(n):
        slot = position % ring
        for c in range(n_channels):
            line[c, slot] = x[c, i] * gain
        peak = np.float32(0.0)
        for c in range(n_channels):
            recent = np.float32(0.0)
            for k in range(n_taps):
                recent = max(recent, abs(line[c, (position - k) % ring]))
            # The kernel's taps sum to 2.1 in magnitude, so no interpolated value can reach the ceiling.
            if recent < quiet:
                continue
            peak = max(peak, abs(line[c, (position - n_taps // 2) % ring]))
            for p in range(phases.shape[0]):
                value = np.float32(0.0)
                for k in range(n_taps):
                    value += phases[p, k] * line[c, (position - n_taps + 1 + k) % ring]
                peak = max(peak, abs(value))
        look = needed.shape[0]
        needed[position % look] = min(1.0, ceiling / peak) if peak > ceiling else 1.0
        wanted = 1.0
        for k in range(look):
            wanted = min(wanted, needed[k])
        envelope = min(wanted, envelope + (1.0 - envelope) * release)
        held[position % look] = envelope
        smooth = 0.0
        for k in range(look):
            smooth += held[k]
        smooth /= look
        lowest = min(lowest, smooth)
        for c in range(n_channels):
            y[c, i] = line[c, (position - delay) % ring] * smooth
        position += 1
    return envelope, position, lowest


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
            line=np.zeros((self._n_channels, LIMITER_DELAY + OVERSAMPLING_TAPS), np.float32),
            needed=np.ones(LOOK_AHEAD),
            held=np.ones(LOOK_AHEAD),
        )

    def reset(self) -> None:
        """Forget the past."""
        self.state = self._fresh_state()
        self.gain_db = 0.0

    def step(self, x: Float32, gain: float = 1.0) -> Float32:
        """Limit `gain * x`, float32 (n_channels, n); the output lags by LIMITER_DELAY samples.

        `gain_db` afterwards holds the deepest reduction in this call, <= 0.
        """
        state = self.state
        y = np.empty_like(x)
        state.envelope, state.position, lowest = _limit(
            x,
            np.float32(gain),
            y,
            state.line,
            state.needed,
            state.held,
            self._phases,
            state.envelope,
            state.position,
            self._ceiling,
            self._release,
        )
        self.gain_db = 20.0 * math.log10(lowest)
        return y
