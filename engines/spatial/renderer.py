"""Dry blocks + placements -> wet blocks of one or more layouts.

Each source goes three ways: straight to the loudspeakers of its direction (in two bands, see `panning`), into the
grid of the room's early reflections, and into the one diffuse tail of the room. Every gain ramps linearly over the
block, so nothing clicks; the two convolvers never change their filters while a source moves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from engines.spatial.bank import RirBank
from engines.spatial.convolver import Convolver
from engines.spatial.doppler import Doppler
from engines.spatial.layouts import Layout
from engines.spatial.panning import CROSSOVER_HZ, pan_sources
from engines.specs import BLOCK, BLOCK_S, SAMPLE_RATE_HZ, Float32

Float64 = NDArray[np.float64]

LFE_CUTOFF_HZ = 90.0
# Played 10 dB louder than a main channel (ITU-R BS.775-4, annex 7), so sent 10 dB lower.
LFE_SEND = 10.0 ** (-10.0 / 20.0)
NEAREST_M = 0.7
# How slowly reflections fall with distance against 1 / d of the direct sound.
REVERB_DISTANCE_EXPONENT = 0.7
# Positions arrive at the rate of the camera; between them they glide with this time constant.
GLIDE_S = 0.03
GAIN_GLIDE_S = 0.012
ROOM_FADE_S = 0.12

# The three angles come first, as panning wants them.
AZIMUTH, ELEVATION, EXTENT, DISTANCE, GAIN, LFE = range(6)
N_PLACEMENT = 6

_RISE: Float32 = ((np.arange(BLOCK) + 1) / BLOCK).astype(np.float32)
_CROSSOVER = np.float32(1.0 - math.exp(-2.0 * math.pi * CROSSOVER_HZ / SAMPLE_RATE_HZ))
_GLIDE_SHARE = 1.0 - math.exp(-BLOCK_S / GLIDE_S)
_GAIN_GLIDE_SHARE = 1.0 - math.exp(-BLOCK_S / GAIN_GLIDE_S)


@dataclass(slots=True)
class _Ramp:
    """Gains at the end of the last block and of this one, float32 (n_slots, n_bus) each."""

    low_from: Float32
    low_to: Float32
    high_from: Float32
    high_to: Float32

    @classmethod
    def silent(cls, n_slots: int, n_bus: int) -> _Ramp:
        return cls(*(np.zeros((n_slots, n_bus), np.float32) for _ in range(4)))

    def turn(self) -> None:
        """What was the end becomes the beginning."""
        self.low_from, self.low_to = self.low_to, self.low_from
        self.high_from, self.high_to = self.high_to, self.high_from


@njit(cache=True, nogil=True)
def _glide(placement, sounding, now, active, share, gain_share):
    """Move `now` towards the new placement and set `active`; a source that was silent starts right where it is."""
    for s in range(now.shape[0]):
        here, there = now[s], placement[s]
        if sounding[s] and not active[s]:
            here[:] = there
        elif sounding[s]:
            here[AZIMUTH] += share * ((there[AZIMUTH] - here[AZIMUTH] + 180.0) % 360.0 - 180.0)
            here[DISTANCE] *= (there[DISTANCE] / here[DISTANCE]) ** share
            here[GAIN] += gain_share * (there[GAIN] - here[GAIN])
            for column in (ELEVATION, EXTENT, LFE):
                here[column] += share * (there[column] - here[column])
        active[s] = sounding[s]


@njit(cache=True, nogil=True, fastmath=True)
def _prepare(dry, now, active, crossover, state, direct, sends_from, low, high, sends):
    """What all layouts and rooms need of every source.

    Args:
        dry: float32 (n_slots, n).
        now: float64 (n_slots, N_PLACEMENT).
        active: bool (n_slots,).
        crossover: coefficient of the one-pole crossover.
        state: float32 (n_slots, 2), of air absorption and crossover.
        direct: float64 (n_slots,), result: gain of the direct sound.
        sends_from: float32 (n_slots, 2), gains into tail and LFE at the end of the last block; updated.
        low: float32 (n_slots, n), result: below the crossover; low + high is the source after the air.
        high: likewise above.
        sends: float32 (2, n), result: input of tail and LFE.
    """
    n = dry.shape[1]
    sends[:] = np.float32(0.0)
    for s in range(dry.shape[0]):
        if not active[s]:
            direct[s] = 0.0
            sends_from[s] = np.float32(0.0)
            continue
        distance = max(now[s, DISTANCE], NEAREST_M)
        direct[s] = now[s, GAIN] / distance
        air = np.float32(_air_coefficient(now[s, DISTANCE]))
        air_y, low_y = state[s, 0], state[s, 1]
        for i in range(n):
            air_y += air * (dry[s, i] - air_y)
            low_y += crossover * (air_y - low_y)
            low[s, i] = low_y
            high[s, i] = air_y - low_y
        state[s, 0] = air_y if abs(air_y) > 1e-20 else np.float32(0.0)
        state[s, 1] = low_y if abs(low_y) > 1e-20 else np.float32(0.0)
        for k in range(2):
            g0 = sends_from[s, k]
            g1 = np.float32(_reverb_gain(now[s]) if k == 0 else direct[s] * now[s, LFE])
            sends_from[s, k] = g1
            slope = (g1 - g0) / np.float32(n)
            for i in range(n):
                sends[k, i] += (low[s, i] + high[s, i]) * (g0 + slope * np.float32(i + 1))


@njit(cache=True, nogil=True)
def _air_coefficient(distance_m):
    """One pole: about -0.12 dB per metre at 10 kHz (ISO 9613-1, 20 degrees C, 50 % humidity)."""
    # |H|^2 at 10 kHz of a one-pole low-pass with cut-off f is 1 / (1 + (10 kHz / f)^2).
    ratio = math.sqrt(max(10.0 ** (0.012 * distance_m) - 1.0, 1e-4))
    return 1.0 - math.exp(-2.0 * math.pi * min(10_000.0 / ratio, 60_000.0) / SAMPLE_RATE_HZ)


@njit(cache=True, nogil=True)
def _reverb_gain(placement):
    """What a source sends to the reflections, against its direct sound at 1 m."""
    return placement[GAIN] * max(placement[DISTANCE], NEAREST_M) ** -REVERB_DISTANCE_EXPONENT


@njit(cache=True, nogil=True, fastmath=True)
def _add_ramped(x, g0, g1, y):
    """Add x times a gain that goes from g0 to g1 to y."""
    if g0 == 0.0 and g1 == 0.0:
        return
    n = x.shape[0]
    slope = (g1 - g0) / np.float32(n)
    for i in range(n):
        y[i] += x[i] * (g0 + slope * np.float32(i + 1))


@njit(cache=True, nogil=True)
def _grid_points(placement, n_azimuth, near_m, far_m, points, gains):
    """The four grid points around a source, int64 (4,), and what it sends to each, float32 (4,).

    Linear in direction: neighbours are near enough for their reflections to add up in phase. Constant power in
    distance: those of the two shells do not.
    """
    at = (placement[AZIMUTH] % 360.0) / 360.0 * n_azimuth
    here = int(at) % n_azimuth
    next_ = (here + 1) % n_azimuth
    share = at - math.floor(at)
    depth = min(math.log(max(placement[DISTANCE], near_m) / near_m) / math.log(far_m / near_m), 1.0)
    near, far = math.cos(0.5 * math.pi * depth), math.sin(0.5 * math.pi * depth) if depth > 0.0 else 0.0
    if depth == 1.0:
        near = 0.0
    points[0], points[1], points[2], points[3] = here, next_, n_azimuth + here, n_azimuth + next_
    gains[0], gains[1] = near * (1.0 - share), near * share
    gains[2], gains[3] = far * (1.0 - share), far * share


@njit(cache=True, nogil=True)
def _to_grid(low, high, now, active, level, near_m, far_m, points_from, gains_from, grid, used, mono):
    """Send each source to the points of the reflection grid around it.

    Args:
        low: float32 (n_slots, n).
        high: likewise; low + high is the source.
        now: float64 (n_slots, N_PLACEMENT).
        active: bool (n_slots,).
        level: of all reflections.
        near_m: radius of the near shell.
        far_m: of the far shell.
        points_from: int64 (n_slots, 4), grid points at the end of the last block; updated.
        gains_from: float32 (n_slots, 4), what went there; updated.
        grid: float32 (n_grid, n), result.
        used: bool (n_grid,), rows of the grid that are not zero; updated.
        mono: float32 (n,), scratch.
    """
    for g in range(grid.shape[0]):
        if used[g]:
            grid[g] = np.float32(0.0)
            used[g] = False
    points, gains = np.empty(4, np.int64), np.empty(4, np.float32)
    for s in range(now.shape[0]):
        if not active[s]:
            gains_from[s] = np.float32(0.0)
            continue
        _grid_points(now[s], grid.shape[0] // 2, near_m, far_m, points, gains)
        gain = np.float32(level * _reverb_gain(now[s]))
        for i in range(mono.shape[0]):
            mono[i] = low[s, i] + high[s, i]
        for new in range(4):
            gains[new] *= gain
            before = np.float32(0.0)
            for old in range(4):
                if points_from[s, old] == points[new]:
                    before += gains_from[s, old]
                    gains_from[s, old] = np.float32(0.0)
            if before != 0.0 or gains[new] != 0.0:
                _add_ramped(mono, before, gains[new], grid[points[new]])
                used[points[new]] = True
        for old in range(4):
            if gains_from[s, old] != 0.0:
                _add_ramped(mono, gains_from[s, old], np.float32(0.0), grid[points_from[s, old]])
                used[points_from[s, old]] = True
        points_from[s] = points
        gains_from[s] = gains


@njit(cache=True, nogil=True)
def _to_bus(low, high, direct, active, low_from, low_to, high_from, high_to, bus):
    """Add the direct sound of every source to the bus of a layout; the gains `_to` become those that were panned."""
    for s in range(low.shape[0]):
        gain = np.float32(direct[s])
        for c in range(bus.shape[0]):
            low_to[s, c] *= gain
            high_to[s, c] *= gain
        if active[s]:
            for c in range(bus.shape[0]):
                _add_ramped(low[s], low_from[s, c], low_to[s, c], bus[c])
                _add_ramped(high[s], high_from[s, c], high_to[s, c], bus[c])


@njit(cache=True, nogil=True)
def _low_pass(x, coefficients, state, y):
    """Cascade of biquads, transposed direct form II; state (n_sections, 2)."""
    for i in range(x.shape[0]):
        v = np.float64(x[i])
        for k in range(coefficients.shape[0]):
            b0, b1, b2, a1, a2 = coefficients[k]
            out = b0 * v + state[k, 0]
            state[k, 0] = b1 * v - a1 * out + state[k, 1]
            state[k, 1] = b2 * v - a2 * out
            v = out
        y[i] = v
    for k in range(coefficients.shape[0]):
        for j in range(2):
            if abs(state[k, j]) < 1e-30:
                state[k, j] = 0.0


def _linkwitz_riley(cutoff_hz: float, order: int) -> Float64:
    """Two Butterworth low-passes of half the order in series: float64 (n_sections, 5), b0 b1 b2 a1 a2."""
    from scipy.signal import butter  # heavy; needed once

    sections = np.asarray(butter(order // 2, cutoff_hz, fs=SAMPLE_RATE_HZ, output="sos"), np.float64)
    both = np.concatenate([sections, sections])
    return np.ascontiguousarray(both[:, [0, 1, 2, 4, 5]])


class _Reverb:
    """The convolvers of one room."""

    def __init__(self, bank: RirBank, n_slots: int) -> None:
        self.bank = bank
        self.level = 10.0 ** (bank.wet_db / 20.0)
        self.early = Convolver(np.asarray(bank.early))
        self.late = Convolver(np.asarray(bank.late) * np.float32(self.level))
        self.points = np.zeros((n_slots, 4), np.int64)
        self.gains = np.zeros((n_slots, 4), np.float32)
        self._grid = np.zeros((self.early.n_in, BLOCK), np.float32)
        self._used = np.zeros(self.early.n_in, np.bool_)
        self._mono = np.zeros(BLOCK, np.float32)

    def step(
        self, low: Float32, high: Float32, tail_input: Float32, now: Float64, active: NDArray[np.bool_]
    ) -> Float32:
        """Reflections in the five main channels, float32 (5, BLOCK), of low + high (n_slots, BLOCK)."""
        _to_grid(low, high, now, active, self.level, self.bank.near_m, self.bank.far_m, self.points, self.gains,
                 self._grid, self._used, self._mono)  # fmt: skip
        wet = self.early.step(self._grid, ~self._used)
        wet += self.late.step(tail_input)
        return wet


class Renderer:
    """Places sources around the listener.

    Args:
        bank: the room.
        layouts: what to render; may be changed while running with `set_layouts`.
        n_slots: number of rows in the dry block.
        doppler: whether sound takes the time that its way takes, and shifts as the way changes. It is heard later for
            that: 3 ms a metre.
    """

    def __init__(self, bank: RirBank, layouts: Iterable[Layout], n_slots: int, doppler: bool = False) -> None:
        self.n_slots = n_slots
        self._doppler = Doppler(n_slots) if doppler else None
        self._reverb = _Reverb(bank, n_slots)
        self._old_reverb: _Reverb | None = None
        self._fade_blocks_left = 0
        self._now = np.zeros((n_slots, N_PLACEMENT))
        self._now[:, DISTANCE] = 1.0
        self._active = np.zeros(n_slots, np.bool_)
        self._direct = np.zeros(n_slots)
        self._bands = np.zeros((n_slots, 2), np.float32)
        self._low = np.zeros((n_slots, BLOCK), np.float32)
        self._high = np.zeros((n_slots, BLOCK), np.float32)
        self._sends = np.zeros((2, BLOCK), np.float32)
        self._lfe_sections = _linkwitz_riley(LFE_CUTOFF_HZ, 8)
        self._lfe_state = np.zeros((len(self._lfe_sections), 2))
        self._sends_from = np.zeros((n_slots, 2), np.float32)
        self._layouts: dict[str, Layout] = {}
        self._ramps: dict[str, _Ramp] = {}
        self._heads: dict[str, Convolver] = {}
        self._new: set[str] = set()
        self.set_layouts(layouts)
        # Nothing was heard before, so nothing has to rise.
        self._new.clear()

    @property
    def room(self) -> str:
        """Name of the room that is heard, or being faded to."""
        return self._reverb.bank.name

    def set_layouts(self, layouts: Iterable[Layout]) -> None:
        """Render these from the next block on; a layout that stays keeps its state."""
        wanted = {layout.name: layout for layout in layouts}
        for name in list(self._layouts):
            if name not in wanted:
                del self._layouts[name], self._ramps[name]
                self._heads.pop(name, None)
        for name, layout in wanted.items():
            if name in self._layouts:
                continue
            self._layouts[name] = layout
            self._new.add(name)
            self._ramps[name] = _Ramp.silent(self.n_slots, layout.n_bus)
            if layout.responses is not None:
                self._heads[name] = Convolver(layout.responses)

    def prepare_room(self, bank: RirBank) -> object:
        """The slow part of a room switch, safe in another thread; hand the result to `switch_room`."""
        return _Reverb(bank, self.n_slots)

    def switch_room(self, prepared: object) -> None:
        """Cross-fade to a room from `prepare_room`."""
        assert isinstance(prepared, _Reverb)
        self._old_reverb = self._reverb
        self._reverb = prepared
        self._fade_blocks_left = round(ROOM_FADE_S / BLOCK_S)

    def reset(self, slot: int) -> None:
        """Forget the source in a slot: the next one there starts where it is placed."""
        self._active[slot] = False
        self._bands[slot] = 0.0
        self._sends_from[slot] = 0.0
        for ramp in self._ramps.values():
            for gains in (ramp.low_from, ramp.high_from):
                gains[slot] = 0.0
        for reverb in (self._reverb, self._old_reverb):
            if reverb is not None:
                reverb.gains[slot] = 0.0

    def step(
        self, dry: Float32, placement: Float64, sounding: NDArray[np.bool_], bed: Float32
    ) -> Mapping[str, Float32]:
        """Render one block.

        Args:
            dry: float32 (n_slots, BLOCK), one voice a row.
            placement: float64 (n_slots, N_PLACEMENT): azimuth, elevation, extent [deg], distance [m],
                gain [linear], share sent to the LFE [0..1].
            sounding: bool (n_slots,), rows that hold a source.
            bed: float32 (5, BLOCK), ambience for FL FR FC BL BR.

        Returns:
            By layout name, float32 (n_channels, BLOCK).
        """
        _glide(placement, sounding, self._now, self._active, _GLIDE_SHARE, _GAIN_GLIDE_SHARE)
        if self._doppler is not None:
            dry = self._doppler.step(dry, self._now[:, DISTANCE], self._active)
        _prepare(dry, self._now, self._active, _CROSSOVER, self._bands, self._direct, self._sends_from, self._low,
                 self._high, self._sends)  # fmt: skip
        mains = self._reflections(self._sends[:1])
        mains += bed
        lfe_input = self._sends[1]
        lfe_input += bed.sum(axis=0)
        lfe = np.empty(BLOCK, np.float32)
        _low_pass(lfe_input, self._lfe_sections, self._lfe_state, lfe)
        return {name: self._finish(name, mains, lfe) for name in self._layouts}

    def _reflections(self, tail_input: Float32) -> Float32:
        sources = (self._low, self._high, tail_input, self._now, self._active)
        wet = self._reverb.step(*sources)
        if self._old_reverb is not None:
            old = self._old_reverb.step(*sources)
            n_blocks = round(ROOM_FADE_S / BLOCK_S)
            done = (n_blocks - self._fade_blocks_left) + np.arange(BLOCK, dtype=np.float32) / BLOCK
            share = np.sin(0.5 * np.pi * done / n_blocks).astype(np.float32)
            wet = share * wet + np.sqrt(1.0 - share**2) * old
            self._fade_blocks_left -= 1
            if self._fade_blocks_left == 0:
                self._old_reverb = None
        return wet

    def _finish(self, name: str, mains: Float32, lfe: Float32) -> Float32:
        """Direct sound of one layout, plus what all layouts share."""
        layout, ramp = self._layouts[name], self._ramps[name]
        table = layout.table
        pan_sources(table.low, table.high, table.adds_powers, table.arc_gain, self._now, self._active, ramp.low_to,
                    ramp.high_to)  # fmt: skip
        if name in self._new:
            # Its direct sound rises from silence, and so does the rest.
            mains, lfe = mains * _RISE, lfe * _RISE
            self._new.discard(name)
        bus: Float32 = layout.mains_to_bus @ mains
        _to_bus(self._low, self._high, self._direct, self._active, ramp.low_from, ramp.low_to, ramp.high_from,
                ramp.high_to, bus)  # fmt: skip
        ramp.turn()
        to_output = layout.bus_to_output
        out = self._heads[name].step(bus) if to_output is None else to_output @ bus
        if layout.lfe_channel is not None:
            out[layout.lfe_channel] = lfe * np.float32(LFE_SEND)
        return out
