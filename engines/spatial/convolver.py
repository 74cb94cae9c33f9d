"""Uniformly partitioned overlap-save convolution of n_in inputs with n_in x n_out impulse responses.

Frequency-domain delay line after Gardner (1995), "Efficient convolution without input-output delay", and
Wefers (2014), "Partitioned convolution algorithms for real-time auralization", section 5.
Partitions are one block long, so a whole block leaves in the call that brings it: no added latency.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from rocket_fft import c2r, r2c

from engines.specs import BLOCK, Float32

Complex64 = NDArray[np.complex64]

_AXIS = np.array([1], dtype=np.int64)


@njit(cache=True, nogil=True, fastmath=True)
def _accumulate(head, first_part, last_part, alive, delay_line, spectra, out):
    """out[o] += sum over alive inputs i and partitions p of X[i, p blocks ago] * H[i, p, o]."""
    n_parts = delay_line.shape[1]
    n_bins = delay_line.shape[2]
    n_out = out.shape[0]
    for i in range(delay_line.shape[0]):
        if alive[i] == 0:
            continue
        for p in range(first_part, last_part):
            row = (head + p) % n_parts
            for o in range(n_out):
                for k in range(n_bins):
                    out[o, k] += delay_line[i, row, k] * spectra[i, p, o, k]


@njit(cache=True, nogil=True, fastmath=True)
def _advance(x, fill, head, alive, window, current, delay_line, spectra, tail, total, wave, y):
    """Take n more samples of the running block and give the n output samples that they complete.

    `tail` holds the running block's share of all older partitions; it is renewed when a block begins.
    """
    n = x.shape[1]
    n_in, n_parts, n_bins = delay_line.shape
    n_out = y.shape[0]
    block = window.shape[1] // 2
    if fill == 0:
        # An input that has been silent for the whole impulse response no longer contributes.
        for i in range(n_in):
            if alive[i] > 0:
                alive[i] -= 1
        tail[:] = 0.0
        _accumulate(head, 1, n_parts, alive, delay_line, spectra, tail)
    for i in range(n_in):
        for k in range(n):
            window[i, block + fill + k] = x[i, k]
            if x[i, k] != 0.0:
                alive[i] = n_parts + 1
    r2c(window, current, _AXIS, True, 1.0, 1)
    for i in range(n_in):
        for k in range(n_bins):
            delay_line[i, head, k] = current[i, k]
    for o in range(n_out):
        for k in range(n_bins):
            total[o, k] = tail[o, k]
    _accumulate(head, 0, 1, alive, delay_line, spectra, total)
    c2r(total, wave, _AXIS, False, 1.0 / (2 * block), 1)
    for o in range(n_out):
        for k in range(n):
            y[o, k] = wave[o, block + fill + k]
    fill += n
    if fill == block:
        for i in range(n_in):
            for k in range(block):
                window[i, k] = window[i, block + k]
                window[i, block + k] = 0.0
        fill = 0
    return fill


@dataclass(slots=True)
class ConvolverState:
    """What a convolver remembers between calls."""

    window: Float32  # (n_in, 2 * block): the previous block and the running one, zero where not yet known
    delay_line: Complex64  # (n_in, n_parts, block + 1): spectra of the last windows, newest at `head`
    tail: Complex64  # (n_out, block + 1)
    alive: NDArray[np.int32]  # (n_in,): blocks until an input's last sound has left its impulse responses
    head: int = 0
    fill: int = 0


class Convolver:
    """y[o] = sum over i of x[i] convolved with h[i, o], streamed.

    Args:
        h: float32 (n_in, n_out, n_taps), the impulse responses.
        block: partition length in samples.
    """

    def __init__(self, h: Float32, block: int = BLOCK) -> None:
        self.n_in, self.n_out, n_taps = h.shape
        self.block = block
        self.n_parts = max(1, -(-n_taps // block))
        padded = np.zeros((self.n_in, self.n_out, self.n_parts * block), np.float32)
        padded[:, :, :n_taps] = h
        parts = padded.reshape(self.n_in, self.n_out, self.n_parts, block).transpose(0, 2, 1, 3)
        self._spectra: Complex64 = np.ascontiguousarray(np.fft.rfft(parts, 2 * block, axis=3).astype(np.complex64))
        n_bins = block + 1
        self._current: Complex64 = np.zeros((self.n_in, n_bins), np.complex64)
        self._total: Complex64 = np.zeros((self.n_out, n_bins), np.complex64)
        self._wave: Float32 = np.zeros((self.n_out, 2 * block), np.float32)
        self.state = self._fresh_state()

    def _fresh_state(self) -> ConvolverState:
        n_bins = self.block + 1
        return ConvolverState(
            window=np.zeros((self.n_in, 2 * self.block), np.float32),
            delay_line=np.zeros((self.n_in, self.n_parts, n_bins), np.complex64),
            tail=np.zeros((self.n_out, n_bins), np.complex64),
            alive=np.zeros(self.n_in, np.int32),
        )

    def reset(self) -> None:
        """Forget the past: the next output equals that of a new convolver."""
        self.state = self._fresh_state()

    def step(self, x: Float32) -> Float32:
        """The next samples: float32 (n_in, n) -> (n_out, n), any n; any cut of a signal gives the same output."""
        state = self.state
        n = x.shape[1]
        y = np.empty((self.n_out, n), np.float32)
        done = 0
        while done < n:
            take = min(n - done, self.block - state.fill)
            if state.fill == 0:
                state.head = (state.head - 1) % self.n_parts
            state.fill = _advance(
                x[:, done : done + take],
                state.fill,
                state.head,
                state.alive,
                state.window,
                self._current,
                state.delay_line,
                self._spectra,
                state.tail,
                self._total,
                self._wave,
                y[:, done : done + take],
            )
            done += take
        return y
