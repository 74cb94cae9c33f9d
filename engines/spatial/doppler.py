"""The time that sound takes to arrive, and with it the Doppler shift of what moves.

A fractional delay line per source, read at a position that moves evenly within a block (Smith, "Physical Audio Signal
Processing", chapter on the Doppler effect). Between samples a windowed sine cardinal interpolates, from a table of its
phases between which it is linear.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from engines.specs import BLOCK, BLOCK_S, SAMPLE_RATE_HZ, SPEED_OF_SOUND_M_S, Float32

_TAPS = 8
_PHASES = 64
_KAISER_BETA = 6.0
# Sound from further away arrives as from here.
FARTHEST_M = 55.0
# Distances come at the rate of a camera; their steps would be heard as a warble, so two poles smooth them.
_SMOOTHING_S = 0.08
# A source that jumps slides to its new place: no faster than this, in seconds of delay per second.
_MOST_SHIFT = 0.2


def _interpolator() -> Float32:
    """Float32 (_PHASES + 1, _TAPS): row p reads p / _PHASES of a sample after tap _TAPS / 2 - 1."""
    rows = []
    for phase in range(_PHASES + 1):
        at = np.arange(_TAPS) - (_TAPS // 2 - 1) - phase / _PHASES
        inside = np.sqrt(np.maximum(1.0 - (at / (_TAPS / 2)) ** 2, 0.0))
        taps = np.sinc(at) * np.i0(_KAISER_BETA * inside) / np.i0(_KAISER_BETA)
        rows.append(taps / taps.sum())
    return np.array(rows, np.float32)


@njit(cache=True, nogil=True, fastmath=True)
def _read_delayed(x, active, fresh, target, smoothing, steepest, table, line, delay, position, near, y):
    """Write x into the lines and read them `delay` samples later; the delays end nearer to `target`."""
    ring = line.shape[1]
    n = x.shape[1]
    for s in range(x.shape[0]):
        if not active[s]:
            continue
        for i in range(n):
            line[s, (position + i) % ring] = x[s, i]
        if fresh[s]:
            delay[s, 0] = delay[s, 1] = target[s]
        before = delay[s, 1]
        delay[s, 0] += smoothing * (target[s] - delay[s, 0])
        change = smoothing * (delay[s, 0] - before)
        delay[s, 1] = before + min(max(change, -steepest), steepest)
        slope = (delay[s, 1] - before) / n
        # Four samples are needed after the reading point; so much is everything late.
        start = position - before - _TAPS // 2
        base = math.floor(start - max(slope, 0.0)) - _TAPS // 2
        for k in range(near.shape[0]):
            near[k] = line[s, (base + k) % ring]
        for i in range(n):
            at = start + i - slope * (i + 1) - base
            whole = int(at)
            phase = (at - whole) * _PHASES
            row = int(phase)
            share = np.float32(phase - row)
            first = whole - (_TAPS // 2 - 1)
            total = np.float32(0.0)
            for k in range(_TAPS):
                total += (table[row, k] + share * (table[row + 1, k] - table[row, k])) * near[first + k]
            y[s, i] = total


class Doppler:
    """Delays every source by the way its sound has to go.

    Args:
        n_slots: number of sources.
    """

    def __init__(self, n_slots: int) -> None:
        ring = 1 << math.ceil(math.log2(FARTHEST_M / SPEED_OF_SOUND_M_S * SAMPLE_RATE_HZ + BLOCK + 2 * _TAPS))
        self._line: Float32 = np.zeros((n_slots, ring), np.float32)
        self._delay = np.zeros((n_slots, 2))
        self._was_active: NDArray[np.bool_] = np.zeros(n_slots, np.bool_)
        self._position = ring
        self._table = _interpolator()
        # What a block reads at most, when the source comes as fast as it may.
        self._near: Float32 = np.zeros(math.ceil(BLOCK * (1.0 + _MOST_SHIFT)) + 3 * _TAPS, np.float32)
        self._out: Float32 = np.zeros((n_slots, BLOCK), np.float32)

    def step(self, dry: Float32, distance_m: NDArray[np.float64], active: NDArray[np.bool_]) -> Float32:
        """Delay one block, float32 (n_slots, BLOCK) -> the same; a source that is new begins with silence behind it.

        Args:
            dry: one source a row.
            distance_m: float64 (n_slots,), at the end of the block.
            active: bool (n_slots,), rows that hold a source.
        """
        fresh = active & ~self._was_active
        self._line[fresh] = 0.0
        target = np.clip(distance_m, 0.0, FARTHEST_M) * (SAMPLE_RATE_HZ / SPEED_OF_SOUND_M_S)
        _read_delayed(
            dry, active, fresh, target, 1.0 - math.exp(-BLOCK_S / _SMOOTHING_S), _MOST_SHIFT * BLOCK, self._table,
            self._line, self._delay, self._position, self._near, self._out,
        )  # fmt: skip
        self._was_active = active.copy()
        self._position += BLOCK
        return self._out
