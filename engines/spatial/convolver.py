"""Partitioned overlap-save convolution of n_in inputs with n_in x n_out impulse responses.

The first partitions are one block long, so a whole block leaves in the call that brings it: no added latency. Later
parts of long responses are cut into larger partitions (Gardner 1995, "Efficient convolution without input-output
delay"), whose work is spread evenly over the blocks until its result is needed. Frequency-domain delay lines after
Wefers (2014), "Partitioned convolution algorithms for real-time auralization", chapters 5 and 6.

Everything that a kernel changes lies in one float array and one integer array, cut up inside: handing over an array
costs a good part of a microsecond, and a call is made a hundred times a second for each convolver.
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
    accumulate,
    accumulate_due,
    aligned_zeros,
    outs_at_once,
    read_sums,
    write_lines,
    write_responses,
)
from engines.specs import BLOCK, Float32

Int64 = NDArray[np.int64]

_AXIS = np.array([1], dtype=np.int64)
# The FFT library transforms this many rows at once, in the lanes of a vector.
_FFT_ROWS = 4
# Inputs and responses below -360 dB are zero: products of still smaller ones would be denormal and slow.
_NOTHING = np.float32(1e-18)
# Time of an FFT per sample and bit, of copying per sample, and of a tile per input, partition and output, in the same
# unit: what a slice of work is measured by.
_FFT_COST, _COPY_COST, _TILE_COST = 0.05, 0.5, 2.0

# Places in the integers of the first partitions and of a stage; `alive` and `active` follow, one each per input.
_FILL, _TURN, _HEAD, _RINGS_OUT, _ITEM, _N_ACTIVE, _N_FIXED = range(7)


@njit(cache=True, nogil=True, inline="always")
def _cut(memory, at, rows, columns):
    """The next (rows, columns) of the memory and where what follows begins, on a cache line."""
    count = rows * columns
    return memory[at : at + count].reshape(rows, columns), at + (count + 15) // 16 * 16


def _length(*shapes: tuple[int, int]) -> int:
    """Floats that `_cut` needs for all of these."""
    return sum((rows * columns + 15) // 16 * 16 for rows, columns in shapes)


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
    row = n // _FFT_ROWS * _FFT_ROWS
    if row > 0:
        c2r(spectra[:row, : half + 1], waves[:row], _AXIS, False, scale, 1)
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


def _block_memory(n_in: int, n_out: int, block: int, n_tiles: int, n_parts: int, n_summed: int) -> int:
    """Floats for `_advance`."""
    rows = max(n_in, n_out)
    tile = 2 * WIDTH
    return _length(
        (n_in, 2 * block), (rows, 2 * block), (rows, n_tiles * tile), (1, 4 * block), (n_tiles * n_parts, n_in * tile),
        (N_SUMS * n_tiles, n_summed * tile), (n_tiles, n_summed * tile),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _advance(x, silent, y, late, history, responses, outs, memory, numbers):
    """Take n more samples of the running block and give the n output samples that they complete.

    Args:
        x: float32 (n_in, n); the block has room for them.
        silent: bool (n_in,), rows of x that are known to be zero.
        y: float32 (n_out, n), result.
        late: float32 (n_out, block), what the later stages give to this block.
        history: float32 (n_in, samples), ring of whole blocks for the later stages; may be empty.
        responses: of the first partitions, see `spectral`.
        outs: likewise.
        memory: float32, `_block_memory`; zeros at first.
        numbers: int64 (_N_FIXED + 2 * n_in,).
    """
    n_in, n = x.shape
    n_out, block = late.shape
    n_tiles, n_parts, _, n_summed = responses.shape[:4]
    n_bins, rows, tile = block + 1, max(n_in, n_out), 2 * WIDTH
    window, at = _cut(memory, 0, n_in, 2 * block)  # the previous block and what is known of the running one
    scratch, at = _cut(memory, at, rows, 2 * block)
    flat_spectra, at = _cut(memory, at, rows, n_tiles * tile)
    flat_pair, at = _cut(memory, at, 1, 4 * block)
    flat_lines, at = _cut(memory, at, n_tiles * n_parts, n_in * tile)
    flat_sums, at = _cut(memory, at, N_SUMS * n_tiles, n_summed * tile)
    flat_total, at = _cut(memory, at, n_tiles, n_summed * tile)
    spectra, pair = flat_spectra.view(np.complex64), flat_pair.view(np.complex64)
    lines = flat_lines.reshape(n_tiles, n_parts, n_in, 2, WIDTH)
    sums = flat_sums.reshape(N_SUMS, n_tiles, n_summed, 2, WIDTH)
    total = flat_total.reshape(1, n_tiles, n_summed, 2, WIDTH)
    alive, active = numbers[_N_FIXED : _N_FIXED + n_in], numbers[_N_FIXED + n_in :]
    fill, turn = numbers[_FILL], numbers[_TURN]
    now = turn % N_SUMS

    # `alive` counts down the blocks after which an input has left all delay lines.
    n_active = 0
    for i in range(n_in):
        if fill == 0 and alive[i] > 0:
            alive[i] -= 1
        # Without an early exit, so that the loop becomes vector instructions: most inputs of a grid are silent.
        sounds = False
        if not silent[i]:
            for k in range(n):
                sounds |= abs(x[i, k]) > _NOTHING
        if sounds:
            alive[i] = numbers[_RINGS_OUT]
        if alive[i] > 0:
            active[n_active] = i
            n_active += 1
    numbers[_N_ACTIVE] = n_active

    if n_active == 0:
        for o in range(n_out):
            for k in range(n):
                y[o, k] = late[o, fill + k]
    else:
        if fill == 0:
            accumulate_due(sums, turn, 0, n_tiles, lines, numbers[_HEAD], responses, 1, outs, active, n_active)
            numbers[_HEAD] = (numbers[_HEAD] - 1) % n_parts
        head = numbers[_HEAD]
        for j in range(n_active):
            to, taken, copy = window[active[j]], x[active[j]], scratch[j]
            for k in range(block + fill):
                copy[k] = to[k]
            for k in range(n):
                copy[block + fill + k] = taken[k] if abs(taken[k]) > _NOTHING else np.float32(0.0)
            for k in range(block + fill + n, 2 * block):
                copy[k] = np.float32(0.0)
            # What comes next goes on behind it, or begins behind the whole block.
            if fill + n < block:
                for k in range(n):
                    to[block + fill + k] = copy[block + fill + k]
            else:
                for k in range(block):
                    to[k] = copy[block + k]
        r2c(scratch[:n_active], spectra[:n_active, :n_bins], _AXIS, True, 1.0, 1)
        write_lines(spectra, 0, n_active, active, lines, head)
        # What the running block itself gives is not final before the block is full.
        into, slot = (sums, now) if n == block else (total, 0)
        if n < block:
            total[0] = sums[now]
        accumulate(into, slot, 1, 0, n_tiles, lines, head, responses, 0, 1, outs, active, n_active)
        read_sums(into, slot, 0, n_out, spectra)
        _inverse(spectra, n_out, scratch, pair)
        for o in range(n_out):
            for k in range(n):
                y[o, k] = scratch[o, block + fill + k] + late[o, fill + k]

    if fill + n < block:
        numbers[_FILL] = fill + n
        return
    if history.shape[1] > 0:
        at = turn * block % history.shape[1]
        for j in range(n_active):
            history[active[j], at : at + block] = window[active[j], :block]
    sums[now] = np.float32(0.0)
    numbers[_FILL] = 0
    numbers[_TURN] = turn + 1


def _group_memory(n_in: int, n_out: int, length: int, n_tiles: int, n_parts: int, n_summed: int) -> int:
    """Floats for `_work`."""
    tile = 2 * WIDTH
    return _length(
        (_FFT_ROWS, 2 * length), (_FFT_ROWS, n_tiles * tile), (1, 4 * length), (2 * n_out, length),
        (n_tiles * n_parts, n_in * tile), (N_SUMS * n_tiles, n_summed * tile),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _work(n_blocks, late, first_stage, history, responses, outs, memory, numbers, head_numbers):
    """One slice of what the last complete group of n_blocks blocks needs, and this block's part of the result.

    Slices take about the same time, so that no block costs much more than the mean.

    Args:
        n_blocks: blocks in a group.
        late: float32 (n_out, block), result: set by the first stage, added to by the others.
        first_stage: whether this is it.
        history: float32 (n_in, samples), ring of past blocks.
        responses: of this stage, see `spectral`.
        outs: likewise.
        memory: float32, `_group_memory`; zeros at first.
        numbers: int64 (_N_FIXED + 2 * n_in,), of this stage.
        head_numbers: those of `_advance`.
    """
    n_in = history.shape[0]
    n_out, block = late.shape
    length = n_blocks * block
    n_tiles, n_parts, _, n_summed = responses.shape[:4]
    n_bins, tile_floats = length + 1, 2 * WIDTH
    scratch, at = _cut(memory, 0, _FFT_ROWS, 2 * length)
    flat_spectra, at = _cut(memory, at, _FFT_ROWS, n_tiles * tile_floats)
    flat_pair, at = _cut(memory, at, 1, 4 * length)
    waves, at = _cut(memory, at, 2 * n_out, length)
    flat_lines, at = _cut(memory, at, n_tiles * n_parts, n_in * tile_floats)
    flat_sums, at = _cut(memory, at, N_SUMS * n_tiles, n_summed * tile_floats)
    spectra, pair = flat_spectra.view(np.complex64), flat_pair.view(np.complex64)
    lines = flat_lines.reshape(n_tiles, n_parts, n_in, 2, WIDTH)
    sums = flat_sums.reshape(N_SUMS, n_tiles, n_summed, 2, WIDTH)
    active = numbers[_N_FIXED + n_in :]
    turn = head_numbers[_TURN]
    phase, group = turn % n_blocks, turn // n_blocks - 1

    if turn >= n_blocks:
        if phase == 0:
            numbers[_HEAD] = (numbers[_HEAD] - 1) % n_parts
            numbers[_ITEM], numbers[_N_ACTIVE] = 0, head_numbers[_N_ACTIVE]
            active[:] = head_numbers[_N_FIXED + n_in :]
        n_active, head, item = numbers[_N_ACTIVE], numbers[_HEAD], numbers[_ITEM]
        fresh = waves[:n_out] if group % 2 == 0 else waves[n_out:]
        n_before, n_after = -(-n_active // _FFT_ROWS), -(-n_out // _FFT_ROWS)
        transform = _FFT_ROWS * 2 * length * (_FFT_COST * math.log2(2.0 * length) + _COPY_COST)
        tile_cost = _TILE_COST * max(n_active, 1) * n_parts * n_summed
        n_items = n_before + n_tiles + n_after
        share = ((n_before + n_after) * transform + n_tiles * tile_cost) * (phase + 1) / n_blocks
        if phase + 1 == n_blocks:
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
                        taken, to = history[active[first + j]], scratch[j]
                        for k in range(length):
                            to[part * length + k] = taken[at + k]
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
                if n_active > 0:
                    read_sums(sums, group % N_SUMS, first, rows, spectra)
                    _inverse(spectra, rows, scratch, pair)
                    fresh[first : first + rows] = scratch[:rows, length:]
                else:
                    fresh[first : first + rows] = np.float32(0.0)
                item += 1
        numbers[_ITEM] = item
        if phase + 1 == n_blocks:
            sums[group % N_SUMS] = np.float32(0.0)

    # The result of a group is complete in the last of its slices, and heard from that block on.
    heard = group if phase + 1 == n_blocks else group - 1
    ready = waves[:n_out] if heard % 2 == 0 else waves[n_out:]
    at = (phase + 1) % n_blocks * block
    for o in range(n_out):
        for k in range(block):
            late[o, k] = ready[o, at + k] + (np.float32(0.0) if first_stage else late[o, k])


@njit(cache=True, nogil=True)
def _transform(h, length, responses):
    """Cut impulse responses (n_in, n_out, n_taps) into partitions and put their spectra where they belong."""
    n_in, n_out, n_taps = h.shape
    n_tiles, n_parts = responses.shape[:2]
    rows = -(-n_out // _FFT_ROWS) * _FFT_ROWS
    padded = np.zeros((rows, 2 * length), np.float32)
    spectra = np.zeros((rows, n_tiles * WIDTH), np.complex64)
    for i in range(n_in):
        for part in range(n_parts):
            for o in range(n_out):
                for k in range(length):
                    at = part * length + k
                    tap = h[i, o, at] if at < n_taps else np.float32(0.0)
                    padded[o, k] = tap if abs(tap) > _NOTHING else np.float32(0.0)
            r2c(padded, spectra[:, : length + 1], _AXIS, True, 1.0, 1)
            write_responses(spectra, n_out, part, i, responses)


def _responses(h: Float32, length: int, outs: tuple[int, ...]) -> Float32:
    """Impulse responses (n_in, n_out, n_taps) in partitions of `length`, as `spectral` wants them."""
    n_in, n_out, n_taps = h.shape
    n_tiles, n_summed = -(-(length + 1) // WIDTH), -(-n_out // len(outs)) * len(outs)
    responses = aligned_zeros(n_tiles, -(-n_taps // length), n_in, n_summed, 2, WIDTH)
    _transform(np.ascontiguousarray(h), length, responses)
    return responses


def _choose_stages(n_in: int, n_blocks: int) -> tuple[int, ...]:
    """Blocks per partition of the later stages: what `bench convolver` found to be fastest."""
    if n_blocks <= 16 or (n_in <= 2 and n_blocks <= 64):
        return ()
    if n_blocks <= 64:
        return (4,)
    return (8,) if n_blocks <= 256 else (8, 32)


@dataclass(slots=True)
class ConvolverState:
    """What a convolver remembers between calls; see the kernels for what lies where."""

    memory: Float32
    numbers: Int64
    history: Float32
    late: Float32
    stages: tuple[tuple[Float32, Int64], ...]


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
        if stages is None:
            stages = _choose_stages(self.n_in, -(-n_taps // block))
        self._outs = outs_at_once(self.n_out)
        # A group of blocks is worked on during as many calls, so its first result is heard that much later.
        starts = [(2 * n_blocks - 1) * block for n_blocks in stages]
        ends = [*starts, max(n_taps, 1)]
        self._head = _responses(h[:, :, : ends[0]], block, self._outs)
        self._stages = [
            (n_blocks, _responses(h[:, :, start:end], n_blocks * block, self._outs))
            for n_blocks, (start, end) in zip(stages, pairwise(ends), strict=True)
            if n_taps > start
        ]
        self._none_silent = np.zeros(self.n_in, np.bool_)
        self.state = self._fresh_state()

    @property
    def n_parts(self) -> int:
        """Blocks that the impulse responses are long, at most."""
        return self._head.shape[1] + sum(n_blocks * responses.shape[1] for n_blocks, responses in self._stages)

    def _fresh_state(self) -> ConvolverState:
        n_tiles, n_parts, n_in, n_summed = self._head.shape[:4]
        numbers = np.zeros(_N_FIXED + 2 * n_in, np.int64)
        numbers[_RINGS_OUT] = max(
            [n_parts + 2] + [(responses.shape[1] + 5) * n_blocks for n_blocks, responses in self._stages]
        )
        # A stage reads the group it works on and the one before it, while the next is being written.
        n_history = 3 * self._stages[-1][0] * self.block if self._stages else 0
        return ConvolverState(
            memory=aligned_zeros(_block_memory(n_in, self.n_out, self.block, n_tiles, n_parts, n_summed)),
            numbers=numbers,
            history=np.zeros((n_in, n_history), np.float32),
            late=np.zeros((self.n_out, self.block), np.float32),
            stages=tuple(self._fresh_stage(n_blocks, responses) for n_blocks, responses in self._stages),
        )

    def _fresh_stage(self, n_blocks: int, responses: Float32) -> tuple[Float32, Int64]:
        n_tiles, n_parts, n_in, n_summed = responses.shape[:4]
        size = _group_memory(n_in, self.n_out, n_blocks * self.block, n_tiles, n_parts, n_summed)
        return aligned_zeros(size), np.zeros(_N_FIXED + 2 * n_in, np.int64)

    def reset(self) -> None:
        """Forget the past: the next output equals that of a new convolver."""
        self.state = self._fresh_state()

    def step(self, x: Float32, silent: NDArray[np.bool_] | None = None) -> Float32:
        """The next samples; any cut of a signal gives the same output.

        Args:
            x: float32 (n_in, n), any n.
            silent: bool (n_in,), rows of x that are known to be zero; None where nothing is known.

        Returns:
            float32 (n_out, n).
        """
        n = x.shape[1]
        y = np.empty((self.n_out, n), np.float32)
        silent = self._none_silent if silent is None else silent
        if n == self.block and self.state.numbers[_FILL] == 0:
            self._take(x, silent, y)
            return y
        done = 0
        while done < n:
            take = min(n - done, self.block - int(self.state.numbers[_FILL]))
            # A kernel is compiled once more for arrays with gaps: rather copy.
            piece = np.empty((self.n_out, take), np.float32)
            self._take(np.ascontiguousarray(x[:, done : done + take]), silent, piece)
            y[:, done : done + take] = piece
            done += take
        return y

    def _take(self, x: Float32, silent: NDArray[np.bool_], y: Float32) -> None:
        """Samples of one block."""
        state = self.state
        if self._stages and state.numbers[_FILL] == 0:
            first = True
            for (n_blocks, responses), (memory, numbers) in zip(self._stages, state.stages, strict=True):
                _work(n_blocks, state.late, first, state.history, responses, self._outs, memory, numbers, state.numbers)
                first = False
        _advance(x, silent, y, state.late, state.history, self._head, self._outs, state.memory, state.numbers)
