"""Night mode: dynamic range control, for listening quietly without missing what is quiet.

Around the target loudness the level is compressed 3 : 1 both ways: what is 12 dB louder comes out 4 dB louder, what is
12 dB quieter comes out 4 dB quieter. The boost ends at 12 dB, so that the noise of a pause stays down. The level is the
power after K-weighting (BS.1770-5), smoothed with an attack of 20 ms and a release of 0.8 s; one gain for all channels.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from engines.spatial.loudness import HIGH_PASS, OFFSET_DB, SHELF, TARGET_LUFS, k_weighted_energy
from engines.specs import SAMPLE_RATE_HZ, Float32

RATIO = 3.0
MAX_BOOST_DB = 12.0
ATTACK_S, RELEASE_S = 0.02, 0.8
# The gain is worked out once a millisecond and goes there in a straight line.
_SEGMENT = SAMPLE_RATE_HZ // 1000
_SWITCH_S = 0.5
# Where switching on and off, the smoothed power, the gain before and after this segment, and its energy are kept.
_AMOUNT, _POWER, _FROM, _TO, _ENERGY, _FILL = range(6)


@njit(cache=True, nogil=True)
def _compress(x, weights, filters, state, on, reference, shelf, high_pass, y):
    """Compressed x (n_channels, n) into y; reference is the power that is left as it is."""
    attack = 1.0 - math.exp(-_SEGMENT / (ATTACK_S * SAMPLE_RATE_HZ))
    release = 1.0 - math.exp(-_SEGMENT / (RELEASE_S * SAMPLE_RATE_HZ))
    switch = _SEGMENT / (_SWITCH_S * SAMPLE_RATE_HZ)
    at, n = 0, x.shape[1]
    while at < n:
        fill = int(state[_FILL])
        take = min(n - at, _SEGMENT - fill)
        state[_ENERGY] += k_weighted_energy(x[:, at : at + take], weights, filters, shelf, high_pass)
        slope = (state[_TO] - state[_FROM]) / _SEGMENT
        for c in range(x.shape[0]):
            for i in range(take):
                y[c, at + i] = x[c, at + i] * (state[_FROM] + slope * (fill + i + 1))
        at += take
        state[_FILL] += take
        if state[_FILL] < _SEGMENT:
            continue
        power = state[_ENERGY] / _SEGMENT
        state[_POWER] += (attack if power > state[_POWER] else release) * (power - state[_POWER])
        state[_AMOUNT] = min(1.0, max(0.0, state[_AMOUNT] + (switch if on else -switch)))
        above_db = 10.0 * math.log10(max(state[_POWER] / reference, 1e-12))
        gain_db = min(above_db * (1.0 / RATIO - 1.0), MAX_BOOST_DB)
        state[_FROM] = state[_TO]
        state[_TO] = 10.0 ** (state[_AMOUNT] * gain_db / 20.0)
        state[_FILL] = state[_ENERGY] = 0.0


class NightMode:
    """Compresses a stream that is about as loud as `reference_lufs`.

    Args:
        weights: (n_channels,), BS.1770 channel weights.
        on: whether it begins switched on; a change of `on` takes half a second.

    Attributes:
        on: the switch.
        reference_lufs: loudness that is left as it is.
    """

    def __init__(self, weights: Float32, on: bool = True) -> None:
        self._weights = np.asarray(weights, np.float64)
        self._filters = np.zeros((len(weights), 4))
        self._state = np.array([float(on), 0.0, 1.0, 1.0, 0.0, 0.0])
        self.on = on
        self.reference_lufs = TARGET_LUFS

    @property
    def idle(self) -> bool:
        """Whether it is off and has faded out: `step` would give back what it gets."""
        return not self.on and self._state[_FROM] == self._state[_TO] == 1.0

    def step(self, x: Float32) -> Float32:
        """Compressed x, float32 (n_channels, n), without delay."""
        y = np.empty(x.shape, np.float32)
        reference = 10.0 ** ((self.reference_lufs - OFFSET_DB) / 10.0)
        _compress(x, self._weights, self._filters, self._state, self.on, reference, SHELF, HIGH_PASS, y)
        return y
