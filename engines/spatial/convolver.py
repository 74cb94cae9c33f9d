"""Partitioned overlap-save convolution of n_in inputs with n_in x n_out impulse responses.

The first partitions are one block long, so a whole block leaves in the call that brings it: no added latency. Later
parts of long responses are cut into larger partitions (Gardner 1995, "Efficient convolution without input-output
delay"), whose work is spread evenly over the blocks until its result is needed. Frequency-domain delay lines after
Wefers (2014), "Partitioned convolution algorithms for real-time auralization", chapters 5 and 6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numba import njit
from numpy.typing import NDArray
from rocket_fft import c2c, c2r, r2c

from engines.spatial.spectral import (
    N_SUMS,
    WIDTH,
    Complex64,
    accumulate,
    accumulate_due,
    aligned_zeros,
    outs_at_once,
    read_sums,
    tiled,
    write_lines,
)
from engines.specs import BLOCK, Float32

Int32 = NDArray[np.int32]

_AXIS = np.array([1], dtype=np.int64)
# The FFT library transforms this many rows at once, in the lanes of a vector.
_FFT_ROWS = 4
# Inputs and responses below -360 dB are zero: products of still smaller ones would be denormal and slow.
_NOTHING = np.float32(1e-18)
# Share of an FFT's time per sample and bit, of its copying per sample, and of a tile per input, partition and output:
# what a slice of work is measured by.
_FFT_COST, _COPY_COST, _TILE_COST = 0.05, 0.5, 2.0


@njit(cache=True, nogil=True)
def _inverse(spectra, n, waves, pair):
    """Real inverse FFTs of n rows: as many as fit into the lanes of a vector at once, the others two by two.

    Args:
        spectra: complex64 (rows, >= length / 2 + 1).
        n: rows to transform.
        waves: float32 (rows, length), result.
        pair: complex64 (1, length), scratch.
    """
    length = waves.shape[1]
    half = length // 2
    scale = 1.0 / length
    lanes = n // _FFT_ROWS * _FFT_ROWS
    if lanes > 0:
        c2r(spectra[:lanes, : half + 1], waves[:lanes], _AXIS, False, scale, 1)
    row = lanes
    while row + 1 < n:
        # The spectrum of a + i b; both are real, so they come out as its real and imaginary part.
        a, b, both = spectra[row], spectra[row + 1], pair[0]
        for k in range(half + 1):
            both[k] = complex(a[k].real - b[k].imag, a[k].imag + b[k].real)
        for k in range(1, half):
            both[length - k] = complex(a[k].real + b[k].imag, b[k].real - a[k].imag)
        c2c(pair, pair, _AXIS, False, scale, 1)
        for k in range(length):
            waves[row, k] = both[k].real
            waves[row + 1, k] = both[k].imag
        row += 2
    if row < n:
        c2r(spectra[row:n, : half + 1], waves[row:n], _AXIS, False, scale, 1)


@njit(cache=True, nogil=True)
def _begin(x, fill, turn, alive, rings_out, active, lines, head, responses, outs, sums):
    """List in `active` the inputs that still sound, now that x has come; returns how many.

    `alive` counts down from `rings_out`, the blocks after which an input has left all delay lines. At the beginning of
    a block its sums get the share of the older partitions.
    """
    n_active = 0
    for i in range(alive.shape[0]):
        if fill == 0 and alive[i] > 0:
            alive[i] -= 1
        for k in range(x.shape[1]):
            if abs(x[i, k]) > _NOTHING:
                alive[i] = rings_out
                break
        if alive[i] > 0:
            active[n_active] = i
            n_active += 1
    if fill == 0 and n_active > 0:
        accumulate_due(sums, turn, 0, lines.shape[0], lines, head, responses, 1, outs, active, n_active)
    return n_active


@njit(cache=True, nogil=True)
def _advance(x, y, late, turn, fill, active, n_active, window, history, scratch, spectra, pair, lines, head, responses,
             outs, sums, total):  # fmt: skip
    """Take n more samples of the running block and give the n output samples that they complete; returns the fill."""
    n, block = x.shape[1], window.shape[1] // 2
    n_out, n_bins = y.shape[0], block + 1
    for j in range(n_active):
        to, taken = window[active[j]], x[active[j]]
        for k in range(n):
            to[block + fill + k] = taken[k] if abs(taken[k]) > _NOTHING else np.float32(0.0)
        scratch[j] = to
    if n_active > 0:
        r2c(scratch[:n_active], spectra[:n_active, :n_bins], _AXIS, True, 1.0, 1)
        write_lines(spectra, 0, n_active, active, lines, head)
    # What the running block itself gives is not final before the block is full.
    into, at = (sums, turn % N_SUMS) if n == block else (total, 0)
    if n < block:
        total[0] = sums[turn % N_SUMS]
    if n_active > 0:
        accumulate(into, at, 1, 0, lines.shape[0], lines, head, responses, 0, 1, outs, active, n_active)
    read_sums(into, at, 0, n_out, spectra)
    _inverse(spectra, n_out, scratch, pair)
    for o in range(n_out):
        for k in range(n):
            y[o, k] = scratch[o, block + fill + k] + late[o, fill + k]
    fill += n
    if fill < block:
        return fill
    slot = turn * block % max(history.shape[1], 1)
    for j in range(n_active):
        row = window[active[j]]
        for k in range(block):
            row[k] = row[block + k]
            row[block + k] = np.float32(0.0)
        if history.shape[1] > 0:
            history[active[j], slot : slot + block] = row[:block]
    sums[turn % N_SUMS] = 0.0
    return 0


@njit(cache=True, nogil=True)
def _work(phase, n_phases, group, item, history, active, n_active, scratch, spectra, pair, lines, head, responses, outs,
          sums, wave):  # fmt: skip
    """One slice of what a group of blocks needs: transforms in, tiles of the sum, transforms out; returns the next item.

    Slices take about the same time, so that no block costs much more than the mean.
    """
    length = scratch.shape[1] // 2
    n_out, n_tiles, n_bins = wave.shape[0], lines.shape[0], length + 1
    n_before, n_after = -(-n_active // _FFT_ROWS), -(-n_out // _FFT_ROWS)
    transform = _FFT_ROWS * 2 * length * (_FFT_COST * math.log2(2.0 * length) + _COPY_COST)
    tile_cost = _TILE_COST * max(n_active, 1) * responses.shape[1] * responses.shape[3]
    n_items = n_before + n_tiles + n_after
    share = ((n_before + n_after) * transform + n_tiles * tile_cost) * (phase + 1) / n_phases
    if phase + 1 == n_phases:
        share = math.inf
    while item < n_items:
        tile = min(max(item - n_before, 0), n_tiles)
        left = share - (item - tile) * transform - tile * tile_cost
        if left <= 0.0:
            break
        if item < n_before:
            first = item * _FFT_ROWS
            rows = min(_FFT_ROWS, n_active - first)
            for part in range(2):
                at = (group - 1 + part) * length % history.shape[1]
                for j in range(rows):
                    scratch[j, part * length : (part + 1) * length] = history[active[first + j], at : at + length]
            r2c(scratch[:rows], spectra[:rows, :n_bins], _AXIS, True, 1.0, 1)
            write_lines(spectra, first, rows, active, lines, head)
            item += 1
        elif item < n_before + n_tiles:
            last = n_tiles if left > n_tiles * tile_cost else min(tile + math.ceil(left / tile_cost), n_tiles)
            if n_active > 0:
                accumulate_due(sums, group, tile, last, lines, head, responses, 0, outs, active, n_active)
            item = n_before + last
        else:
            first = (item - n_before - n_tiles) * _FFT_ROWS
            rows = min(_FFT_ROWS, n_out - first)
            read_sums(sums, group % N_SUMS, first, rows, spectra)
            _inverse(spectra, rows, scratch, pair)
            wave[first : first + rows] = scratch[:rows, length:]
            item += 1
    if phase + 1 == n_phases:
        sums[group % N_SUMS] = 0.0
    return item


@njit(cache=True, nogil=True)
def _add_block(wave, index, late):
    """Add one block of a later stage's result."""
    block = late.shape[1]
    for o in range(late.shape[0]):
        for k in range(block):
            late[o, k] += wave[o, index * block + k]


def _responses(h: Float32, length: int, outs: tuple[int, ...]) -> Float32:
    """Impulse responses (n_in, n_out, n_taps) in partitions of `length`, as `spectral` wants them."""
    n_in, n_out, n_taps = h.shape
    n_parts = -(-n_taps // length)
    padded = np.zeros((n_in, n_out, n_parts * length), np.float32)
    padded[:, :, :n_taps] = np.where(np.abs(h) > _NOTHING, h, 0.0)
    parts = padded.reshape(n_in, n_out, n_parts, length).transpose(0, 2, 1, 3)
    spectra = np.fft.rfft(parts, 2 * length, axis=3).astype(np.complex64)
    return tiled(spectra, -(-n_out // len(outs)) * len(outs))


def _choose_stages(n_in: int, n_blocks: int) -> tuple[int, ...]:
    """Blocks per partition of the later stages: what `bench convolver` found to be fastest."""
    if n_blocks <= 16 or (n_in <= 2 and n_blocks <= 64):
        return ()
    if n_blocks <= 64:
        return (4,)
    return (8,) if n_blocks <= 256 else (8, 32)


class _Stage:
    """Partitions of `blocks` blocks each.

    A group of that many blocks is worked on during the next `blocks` calls, so its first result is heard
    2 * blocks - 1 blocks after the group began.
    """

    def __init__(self, h: Float32, blocks: int, block: int, outs: tuple[int, ...]) -> None:
        self.blocks, self._outs = blocks, outs
        length = blocks * block
        self._n_in, self._n_out = h.shape[:2]
        self._shape = _responses(h, length, outs)
        self.n_parts = self._shape.shape[1]
        n_tiles = self._shape.shape[0]
        self._scratch: Float32 = np.zeros((_FFT_ROWS, 2 * length), np.float32)
        self._spectra: Complex64 = np.zeros((_FFT_ROWS, n_tiles * WIDTH), np.complex64)
        self._pair: Complex64 = np.zeros((1, 2 * length), np.complex64)
        self._wave: Float32 = np.zeros((self._n_out, length), np.float32)
        self.reset()

    @staticmethod
    def delay(blocks: int) -> int:
        """Blocks from the beginning of a group to its first result."""
        return 2 * blocks - 1

    @property
    def rings_out(self) -> int:
        """Blocks after which a silent input has left the delay lines."""
        return (self.n_parts + 3) * self.blocks

    def reset(self) -> None:
        """Forget the past."""
        n_tiles, n_parts, n_in, n_out = self._shape.shape[:4]
        self._lines = aligned_zeros(n_tiles, n_parts, n_in, 2, WIDTH)
        self._sums = aligned_zeros(N_SUMS, n_tiles, n_out, 2, WIDTH)
        self._ready: Float32 = np.zeros_like(self._wave)
        self._active: Int32 = np.zeros(self._n_in, np.int32)
        self._n_active = self._head = self._item = 0

    def step(self, turn: int, history: Float32, active: Int32, n_active: int, late: Float32) -> None:
        """Do this block's slice and add this block's result to `late` (n_out, block)."""
        phase = turn % self.blocks
        if turn >= self.blocks:
            if phase == 0:
                self._head = (self._head - 1) % self.n_parts
                self._active[:n_active] = active[:n_active]
                self._n_active, self._item = n_active, 0
            self._item = _work(
                phase, self.blocks, turn // self.blocks - 1, self._item, history, self._active, self._n_active,
                self._scratch, self._spectra, self._pair, self._lines, self._head, self._shape, self._outs, self._sums,
                self._wave,
            )  # fmt: skip
            if phase == self.blocks - 1:
                self._wave, self._ready = self._ready, self._wave
        _add_block(self._ready, (phase + 1) % self.blocks, late)


@dataclass(slots=True)
class ConvolverState:
    """What a convolver remembers between calls, beside the lines of its later stages."""

    window: Float32  # (n_in, 2 * block): the previous block and the running one, zero where not yet known
    history: Float32  # (n_in, samples): ring of past blocks for the later stages
    lines: Float32  # spectra of the last windows, see `spectral`
    sums: Float32  # what is already known of the running block and the next ones
    late: Float32  # (n_out, block): what the later stages give to the running block
    alive: Int32  # (n_in,): blocks until an input's last sound has left
    active: Int32  # (n_in,): those inputs, packed
    head: int = 0
    fill: int = 0
    turn: int = 0


class Convolver:
    """y[o] = sum over i of x[i] convolved with h[i, o], streamed.

    Args:
        h: float32 (n_in, n_out, n_taps), the impulse responses.
        block: length of the first partitions in samples.
        stages: blocks per partition of each later stage, each a multiple of the one before; None chooses by length.
    """

    def __init__(self, h: Float32, block: int = BLOCK, stages: tuple[int, ...] | None = None) -> None:
        self.n_in, self.n_out, n_taps = h.shape
        self.block = block
        n_blocks = max(1, -(-n_taps // block))
        if stages is None:
            stages = _choose_stages(self.n_in, n_blocks)
        self._outs = outs_at_once(self.n_out)
        starts = [_Stage.delay(blocks) * block for blocks in stages]
        ends = [*starts, max(n_taps, 1)]
        self._responses = _responses(h[:, :, : ends[0]], block, self._outs)
        self._stages = [
            _Stage(np.ascontiguousarray(h[:, :, start:end]), blocks, block, self._outs)
            for blocks, (start, end) in zip(stages, pairwise(ends), strict=True)
            if n_taps > start
        ]
        n_tiles, self.n_parts = self._responses.shape[:2]
        rows = max(self.n_in, self.n_out)
        self._scratch: Float32 = np.zeros((rows, 2 * block), np.float32)
        self._spectra: Complex64 = np.zeros((rows, n_tiles * WIDTH), np.complex64)
        self._pair: Complex64 = np.zeros((1, 2 * block), np.complex64)
        self._total = aligned_zeros(1, n_tiles, self._responses.shape[3], 2, WIDTH)
        self._rings_out = max([self.n_parts + 2] + [stage.rings_out for stage in self._stages])
        self.state = self._fresh_state()

    def _fresh_state(self) -> ConvolverState:
        n_tiles, n_parts, n_in, n_out = self._responses.shape[:4]
        # A stage reads the group it works on and the one before it, while the next is being written.
        n_history = 3 * self._stages[-1].blocks * self.block if self._stages else 0
        return ConvolverState(
            window=np.zeros((n_in, 2 * self.block), np.float32),
            history=np.zeros((n_in, n_history), np.float32),
            lines=aligned_zeros(n_tiles, n_parts, n_in, 2, WIDTH),
            sums=aligned_zeros(N_SUMS, n_tiles, n_out, 2, WIDTH),
            late=np.zeros((self.n_out, self.block), np.float32),
            alive=np.zeros(n_in, np.int32),
            active=np.zeros(n_in, np.int32),
        )

    def reset(self) -> None:
        """Forget the past: the next output equals that of a new convolver."""
        self.state = self._fresh_state()
        for stage in self._stages:
            stage.reset()

    def step(self, x: Float32) -> Float32:
        """The next samples: float32 (n_in, n) -> (n_out, n), any n; any cut of a signal gives the same output."""
        n = x.shape[1]
        y = np.empty((self.n_out, n), np.float32)
        if n == self.block and self.state.fill == 0:
            self._take(x, y)
            return y
        done = 0
        while done < n:
            take = min(n - done, self.block - self.state.fill)
            self._take(x[:, done : done + take], y[:, done : done + take])
            done += take
        return y

    def _take(self, x: Float32, y: Float32) -> None:
        """Samples of one block."""
        state = self.state
        n_active = _begin(
            x, state.fill, state.turn, state.alive, self._rings_out, state.active, state.lines, state.head,
            self._responses, self._outs, state.sums,
        )  # fmt: skip
        if state.fill == 0:
            if self._stages:
                state.late[:] = 0.0
                for stage in self._stages:
                    stage.step(state.turn, state.history, state.active, n_active, state.late)
            state.head = (state.head - 1) % self.n_parts
        state.fill = _advance(
            x, y, state.late, state.turn, state.fill, state.active, n_active, state.window, state.history,
            self._scratch, self._spectra, self._pair, state.lines, state.head, self._responses, self._outs, state.sums,
            self._total,
        )  # fmt: skip
        if state.fill == 0:
            state.turn += 1
