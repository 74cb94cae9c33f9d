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

from engines.spatial.bank import GRID_AZIMUTHS, RirBank
from engines.spatial.convolver import Convolver
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

AZIMUTH, ELEVATION, DISTANCE, EXTENT, GAIN, LFE = range(6)
N_PLACEMENT = 6


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


@njit(cache=True, nogil=True, fastmath=True)
def _split_bands(dry, active, crossover, air, state, low, high):
    """Air absorption (one pole), then a complementary one-pole crossover: low + high == filtered dry."""
    for s in range(dry.shape[0]):
        if not active[s]:
            continue
        air_y, low_y = state[s, 0], state[s, 1]
        a = air[s]
        for i in range(dry.shape[1]):
            air_y += a * (dry[s, i] - air_y)
            low_y += crossover * (air_y - low_y)
            low[s, i] = low_y
            high[s, i] = air_y - low_y
        state[s, 0] = air_y if abs(air_y) > 1e-20 else 0.0
        state[s, 1] = low_y if abs(low_y) > 1e-20 else 0.0


@njit(cache=True, nogil=True, fastmath=True)
def _mix(band, active, gain_from, gain_to, out):
    """Add band (n_slots, n) with ramped gains to out (n_bus, n)."""
    n = band.shape[1]
    for s in range(band.shape[0]):
        if not active[s]:
            continue
        for c in range(out.shape[0]):
            g0, g1 = gain_from[s, c], gain_to[s, c]
            if g0 == 0.0 and g1 == 0.0:
                continue
            slope = (g1 - g0) / np.float32(n)
            for i in range(n):
                out[c, i] += band[s, i] * (g0 + slope * np.float32(i + 1))


@njit(cache=True, nogil=True)
def _grid_gains(placement, active, level, near_m, far_m, n_azimuth, gains):
    """Pan each source between two directions and two shells of the reflection grid.

    Constant power, because reflections of neighbouring points are hardly alike.
    """
    for s in range(placement.shape[0]):
        gains[s] = 0.0
        if not active[s]:
            continue
        at = (placement[s, 0] % 360.0) / 360.0 * n_azimuth
        a0 = int(at) % n_azimuth
        a1 = (a0 + 1) % n_azimuth
        fa = at - math.floor(at)
        depth = math.log(max(placement[s, 2], near_m) / near_m) / math.log(far_m / near_m)
        fd = min(depth, 1.0)
        this, next_ = math.cos(0.5 * math.pi * fa), math.sin(0.5 * math.pi * fa)
        near, far = level[s] * math.cos(0.5 * math.pi * fd), level[s] * math.sin(0.5 * math.pi * fd)
        gains[s, a0] = near * this
        gains[s, a1] = near * next_
        gains[s, n_azimuth + a0] = far * this
        gains[s, n_azimuth + a1] = far * next_


def _one_pole(cutoff_hz: float) -> float:
    return 1.0 - math.exp(-2.0 * math.pi * cutoff_hz / SAMPLE_RATE_HZ)


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
        self.late = Convolver(np.asarray(bank.late))
        self.grid_from = np.zeros((n_slots, self.early.n_in), np.float32)
        self.grid_to = np.zeros((n_slots, self.early.n_in), np.float32)
        self._grid_input = np.zeros((self.early.n_in, BLOCK), np.float32)

    def step(self, mono: Float32, tail_input: Float32, placement: Float64, active: NDArray[np.bool_]) -> Float32:
        """Reflections in the five main channels, float32 (5, BLOCK), of `mono` (n_slots, BLOCK)."""
        level = self.level * reverb_gain(placement)
        _grid_gains(placement, active, level, self.bank.near_m, self.bank.far_m, GRID_AZIMUTHS, self.grid_to)
        self._grid_input[:] = 0.0
        _mix(mono, active, self.grid_from, self.grid_to, self._grid_input)
        self.grid_from, self.grid_to = self.grid_to, self.grid_from
        wet = self.early.step(self._grid_input)
        wet += self.late.step(tail_input * np.float32(self.level))
        return wet


def reverb_gain(placement: Float64) -> Float64:
    """What a source sends to the reflections, against its direct sound at 1 m; float64 (n_slots,)."""
    return placement[:, GAIN] * np.maximum(placement[:, DISTANCE], NEAREST_M) ** -REVERB_DISTANCE_EXPONENT


class Renderer:
    """Places sources around the listener.

    Args:
        bank: the room.
        layouts: what to render; may be changed while running with `set_layouts`.
        n_slots: number of rows in the dry block.
    """

    def __init__(self, bank: RirBank, layouts: Iterable[Layout], n_slots: int) -> None:
        self.n_slots = n_slots
        self._reverb = _Reverb(bank, n_slots)
        self._old_reverb: _Reverb | None = None
        self._fade_blocks_left = 0
        self._now = np.zeros((n_slots, N_PLACEMENT))
        self._now[:, DISTANCE] = 1.0
        self._active = np.zeros(n_slots, np.bool_)
        self._bands = np.zeros((n_slots, 2))
        self._low = np.zeros((n_slots, BLOCK), np.float32)
        self._high = np.zeros((n_slots, BLOCK), np.float32)
        self._lfe_sections = _linkwitz_riley(LFE_CUTOFF_HZ, 8)
        self._lfe_state = np.zeros((len(self._lfe_sections), 2))
        self._mono_from = np.zeros((n_slots, 2), np.float32)
        self._layouts: dict[str, Layout] = {}
        self._ramps: dict[str, _Ramp] = {}
        self._heads: dict[str, Convolver] = {}
        self.set_layouts(layouts)

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
        self._mono_from[slot] = 0.0
        for ramp in self._ramps.values():
            for gains in (ramp.low_from, ramp.high_from):
                gains[slot] = 0.0
        for reverb in (self._reverb, self._old_reverb):
            if reverb is not None:
                reverb.grid_from[slot] = 0.0

    def step(
        self, dry: Float32, placement: Float64, sounding: NDArray[np.bool_], bed: Float32
    ) -> Mapping[str, Float32]:
        """Render one block.

        Args:
            dry: float32 (n_slots, BLOCK), one voice a row.
            placement: float64 (n_slots, N_PLACEMENT): azimuth, elevation [deg], distance [m], extent [deg],
                gain [linear], share sent to the LFE [0..1].
            sounding: bool (n_slots,), rows that hold a source.
            bed: float32 (5, BLOCK), ambience for FL FR FC BL BR.

        Returns:
            By layout name, float32 (n_channels, BLOCK).
        """
        self._glide(placement, sounding)
        now, active = self._now, self._active
        air = self._air_coefficients()
        _split_bands(dry, active, _one_pole(CROSSOVER_HZ), air, self._bands, self._low, self._high)
        mono = self._low + self._high
        direct = now[:, GAIN] / np.maximum(now[:, DISTANCE], NEAREST_M)
        tail_input, lfe_input = self._mono_sends(mono, direct)
        mains = self._reflections(mono, tail_input) + bed
        lfe_input += bed.sum(axis=0)
        lfe = np.empty(BLOCK, np.float32)
        _low_pass(lfe_input, self._lfe_sections, self._lfe_state, lfe)
        return {name: self._finish(name, direct, mains, lfe) for name in self._layouts}

    def _glide(self, placement: Float64, sounding: NDArray[np.bool_]) -> None:
        """Move towards the new placement; a source that was silent starts right there."""
        now = self._now
        fresh = sounding & ~self._active
        now[fresh] = placement[fresh]
        going_on = sounding & self._active
        target, current = placement[going_on], now[going_on]
        share = 1.0 - math.exp(-BLOCK_S / GLIDE_S)
        turn = (target[:, AZIMUTH] - current[:, AZIMUTH] + 180.0) % 360.0 - 180.0
        current[:, AZIMUTH] += share * turn
        for column in (ELEVATION, EXTENT, LFE):
            current[:, column] += share * (target[:, column] - current[:, column])
        current[:, DISTANCE] *= (target[:, DISTANCE] / current[:, DISTANCE]) ** share
        current[:, GAIN] += (1.0 - math.exp(-BLOCK_S / GAIN_GLIDE_S)) * (target[:, GAIN] - current[:, GAIN])
        now[going_on] = current
        self._active = sounding.copy()

    def _air_coefficients(self) -> Float64:
        """One pole per source: about -0.12 dB per metre at 10 kHz (ISO 9613-1, 20 degrees C, 50 % humidity)."""
        loss_db = 0.12 * self._now[:, DISTANCE]
        # |H|^2 at 10 kHz of a one-pole low-pass with cut-off f is 1 / (1 + (10 kHz / f)^2).
        ratio = np.sqrt(np.maximum(10.0 ** (loss_db / 10.0) - 1.0, 1e-4))
        return 1.0 - np.exp(-2.0 * np.pi * np.minimum(10_000.0 / ratio, 60_000.0) / SAMPLE_RATE_HZ)

    def _mono_sends(self, mono: Float32, direct: Float64) -> tuple[Float32, Float32]:
        """What all sources together send to the tail and to the LFE, float32 (1, BLOCK) and (BLOCK,)."""
        to = np.stack([reverb_gain(self._now), direct * self._now[:, LFE]], axis=1).astype(np.float32)
        sends = np.zeros((2, BLOCK), np.float32)
        _mix(mono, self._active, self._mono_from, to, sends)
        self._mono_from = to
        return sends[:1], sends[1]

    def _reflections(self, mono: Float32, tail_input: Float32) -> Float32:
        wet = self._reverb.step(mono, tail_input, self._now, self._active)
        if self._old_reverb is not None:
            old = self._old_reverb.step(mono, tail_input, self._now, self._active)
            n_blocks = round(ROOM_FADE_S / BLOCK_S)
            done = (n_blocks - self._fade_blocks_left) + np.arange(BLOCK, dtype=np.float32) / BLOCK
            share = np.sin(0.5 * np.pi * done / n_blocks).astype(np.float32)
            wet = share * wet + np.sqrt(1.0 - share**2) * old
            self._fade_blocks_left -= 1
            if self._fade_blocks_left == 0:
                self._old_reverb = None
        return wet

    def _finish(self, name: str, direct: Float64, mains: Float32, lfe: Float32) -> Float32:
        """Direct sound of one layout, plus what all layouts share."""
        layout, ramp = self._layouts[name], self._ramps[name]
        table = layout.table
        angles = np.ascontiguousarray(self._now[:, [AZIMUTH, ELEVATION, EXTENT]])
        pan_sources(
            table.low, table.high, table.adds_powers, table.arc_gain, angles, self._active, ramp.low_to, ramp.high_to
        )
        gains = direct[:, None].astype(np.float32)
        ramp.low_to *= gains
        ramp.high_to *= gains
        bus: Float32 = layout.mains_to_bus @ mains
        _mix(self._low, self._active, ramp.low_from, ramp.low_to, bus)
        _mix(self._high, self._active, ramp.high_from, ramp.high_to, bus)
        ramp.turn()
        to_output = layout.bus_to_output
        out = self._heads[name].step(bus) if to_output is None else to_output @ bus
        if layout.lfe_channel is not None:
            out[layout.lfe_channel] = lfe * np.float32(LFE_SEND)
        return out
