"""Sounding matter: bands of turbulent noise, Poisson grains, and bubbles. Wind, rain, fire, water, applause, fans.

Bands and grains follow Farnell, "Designing Sound" (MIT Press 2010); bubbles follow van den Doel, "Physically-based
models for liquid sounds" (ACM TAP 2(4), 2005): each is a damped, slightly rising sinusoid whose pitch is set by its
radius (Minnaert, f = 3 / r).
"""

from __future__ import annotations

import math
import random

import numpy as np

from engines.sound.dsp import SUB, Float64, UInt64, clamp, db, kernel, noise, stream_seeds, svf_band, tune, uniform
from engines.specs import BLOCK, SAMPLE_RATE_HZ, Float32

# Columns of a band's controls.
GAIN, FREQ, Q, GRIT, GRIT_HZ = range(5)
# Columns of a grain group's controls.
RATE, AMP, SPREAD_DB, DECAY, CENTRE, CENTRE_SPREAD, SHARP, REGULAR, CLICK = range(9)
# Columns of the bubbles' controls.
B_RATE, B_AMP, B_RADIUS, B_RADIUS_SPREAD, B_RISE, B_DAMP = range(6)
N_BUBBLES = 32
# A bubble quieter than this is gone.
_GONE = 1e-5


@kernel
def _ramp(controls: Float64, row: int, column: int, at: int) -> float:
    """Control value at sample `at` of the block, on the line from the last block's value to this block's."""
    return controls[0, row, column] + (controls[1, row, column] - controls[0, row, column]) * at / BLOCK


@kernel
def _bands_add(out: Float32, pos: int, controls: Float64, modes: Float64, state: Float64, rng: UInt64) -> None:
    """Add filtered noise.

    Args:
        out: float32 (n,).
        pos: position of `out[0]` in the block.
        controls: float64 (2, bands, 5), last and present GAIN, FREQ (Hz), Q, GRIT (0..1), GRIT_HZ.
        modes: float64 (bands,), 0 band-pass, 1 low-pass, 2 two band-passes in a row.
        state: float64 (bands, 8): two filters, grit low-pass twice, g, k.
        rng: uint64 (bands,).
    """
    for b in range(controls.shape[1]):
        if controls[0, b, GAIN] == 0.0 and controls[1, b, GAIN] == 0.0:
            continue
        s, kind, depth = state[b], modes[b], controls[1, b, GRIT]
        grit_rate = 1.0 - math.exp(-2.0 * math.pi * controls[1, b, GRIT_HZ] / SAMPLE_RATE_HZ)
        grit_gain = depth * 2.45 / math.sqrt(max(grit_rate, 1e-9))
        i = 0
        while i < out.size:
            at = pos + i
            if at % SUB == 0:
                s[6] = tune(_ramp(controls, b, FREQ, at))
                s[7] = 1.0 / _ramp(controls, b, Q, at)
            stop = min(out.size, i + SUB - at % SUB)
            g, k = s[6], s[7]
            norm = 1.0 / (1.0 + g * (g + k))
            z0, z1, z2, z3, low, lower = s[0], s[1], s[2], s[3], s[4], s[5]
            slope = (controls[1, b, GAIN] - controls[0, b, GAIN]) / BLOCK
            gain = controls[0, b, GAIN] + slope * at
            while i < stop:
                # State-variable filter, as `svf_band` and `svf_low`, with its state in registers.
                v = (z0 + g * (noise(rng, b) - z1)) * norm
                y = z1 + g * v
                z0, z1 = 2.0 * v - z0, 2.0 * y - z1
                if kind != 1.0:
                    y = k * v
                if kind == 2.0:
                    v = (z2 + g * (y - z3)) * norm
                    y = k * v
                    z2, z3 = 2.0 * v - z2, 2.0 * (z3 + g * v) - z3
                y *= gain
                if depth > 0.0:
                    low += grit_rate * (noise(rng, b) - low)
                    lower += grit_rate * (low - lower)
                    y *= max(0.0, 1.0 + grit_gain * lower)
                out[i] += y
                gain += slope
                i += 1
            s[0], s[1], s[2], s[3], s[4], s[5] = z0, z1, z2, z3, low, lower


@kernel
def _grains_add(out: Float32, pos: int, controls: Float64, state: Float64, rng: UInt64) -> None:
    """Add short noise bursts that arrive at random.

    Each group waits until an exponentially distributed (or, with REGULAR, narrower) budget of expected arrivals is
    used up, so that a changing rate acts at once.

    Args:
        out: float32 (n,).
        pos: position of `out[0]` in the block.
        controls: float64 (2, groups, 9): RATE (1/s), AMP, SPREAD_DB, DECAY (s), CENTRE (Hz), CENTRE_SPREAD (octaves),
            SHARP (Q), REGULAR (0 Poisson .. 1 clockwork), CLICK (share of bare impulse).
        state: float64 (groups, 8): filter, envelope, budget, g, k, fall, impulse.
        rng: uint64 (groups,).
    """
    for k in range(controls.shape[1]):
        s, z = state[k], state[k, 0:2]
        regular, click = controls[1, k, REGULAR], controls[1, k, CLICK]
        if controls[0, k, RATE] == 0.0 and controls[1, k, RATE] == 0.0 and s[2] < _GONE:
            continue
        for i in range(out.size):
            s[3] -= _ramp(controls, k, RATE, pos + i) / SAMPLE_RATE_HZ
            s[7] = 0.0
            if s[3] <= 0.0:
                wait = -math.log(1.0 - uniform(rng, k))
                s[3] += (1.0 - regular) * wait + regular * (0.75 + 0.5 * uniform(rng, k))
                size = controls[1, k, AMP] * 10.0 ** (controls[1, k, SPREAD_DB] * noise(rng, k) / 20.0)
                centre = controls[1, k, CENTRE] * 2.0 ** (controls[1, k, CENTRE_SPREAD] * noise(rng, k))
                s[2] += size
                s[4], s[5] = tune(centre), 1.0 / controls[1, k, SHARP]
                s[6] = math.exp(-1.0 / (controls[1, k, DECAY] * (0.6 + 0.8 * uniform(rng, k)) * SAMPLE_RATE_HZ))
                s[7] = click * size
            s[2] *= s[6]
            if s[2] > _GONE or abs(z[0]) + abs(z[1]) > _GONE:
                out[i] += svf_band(s[2] * (1.0 - click) * noise(rng, k) + 6.0 * s[7], z, s[4], s[5])


@kernel
def _bubbles_add(out: Float32, pos: int, controls: Float64, pool: Float64, state: Float64, rng: UInt64) -> None:
    """Add bubbles.

    Args:
        out: float32 (n,).
        pos: position of `out[0]` in the block.
        controls: float64 (2, 1, 6): B_RATE (1/s), B_AMP, B_RADIUS (m, median), B_RADIUS_SPREAD (octaves),
            B_RISE (pitch rise per decay), B_DAMP (factor on the physical damping).
        pool: float64 (5, N_BUBBLES): x, y of a "magic circle" oscillator, its step, growth of the step, decay.
        state: float64 (2,): budget to the next bubble, next place in the pool.
        rng: uint64 (1,).
    """
    x, y, turn, grow, fall = pool[0], pool[1], pool[2], pool[3], pool[4]
    for i in range(out.size):
        state[0] -= _ramp(controls, 0, B_RATE, pos + i) / SAMPLE_RATE_HZ
        if state[0] <= 0.0:
            state[0] += -math.log(1.0 - uniform(rng, 0))
            j = int(state[1])
            state[1] = (j + 1) % N_BUBBLES
            octave = controls[1, 0, B_RADIUS_SPREAD] * (uniform(rng, 0) + uniform(rng, 0) + uniform(rng, 0) - 1.5)
            radius = controls[1, 0, B_RADIUS] * 2.0**octave
            freq_hz = min(3.0 / radius, 9000.0)
            damping = controls[1, 0, B_DAMP] * (0.13 / radius + 0.0072 * radius**-1.5)
            depth = uniform(rng, 0)
            # Loudness grows with radius; deep bubbles are muffled and only shallow ones rise in pitch.
            x[j] = 0.0
            y[j] = controls[1, 0, B_AMP] * (radius / controls[1, 0, B_RADIUS]) * (0.15 + 0.85 * depth * depth)
            turn[j] = 2.0 * math.sin(math.pi * freq_hz / SAMPLE_RATE_HZ)
            rising = controls[1, 0, B_RISE] if depth > 0.5 else 0.0
            grow[j] = 1.0 + rising * damping / SAMPLE_RATE_HZ
            fall[j] = math.exp(-damping / SAMPLE_RATE_HZ)
        total = 0.0
        for j in range(N_BUBBLES):
            step = min(turn[j] * grow[j], 1.2)
            turn[j] = step
            x[j] = fall[j] * (x[j] + step * y[j])
            y[j] = fall[j] * y[j] - step * x[j]
            total += x[j]
        out[i] += total
    for j in range(N_BUBBLES):
        if abs(x[j]) + abs(y[j]) < 1e-9:
            x[j] = 0.0
            y[j] = 0.0


class Bands:
    """Filtered noises. The brain writes `now[band, column]`; gains and frequencies glide over one block."""

    def __init__(self, rng: random.Random, kinds: str) -> None:
        """`kinds` holds one letter per band: b(and-pass), l(ow-pass), s(teep band-pass)."""
        n = len(kinds)
        self._controls = np.zeros((2, n, 5))
        self._controls[:, :, FREQ], self._controls[:, :, Q], self._controls[:, :, GRIT_HZ] = 500.0, 0.7, 8.0
        self._kinds = np.array([float("bls".index(kind)) for kind in kinds])
        self._state = np.zeros((n, 8))
        self._seeds = stream_seeds(rng, n)
        self._fresh = True
        self.now = self._controls[1]

    def set(self, band: int, gain: float, freq_hz: float, q: float = 0.7) -> None:
        """Steer one band toward these values by the end of the block."""
        row = self.now[band]
        row[GAIN], row[FREQ], row[Q] = gain, freq_hz, q

    def grit(self, band: int, depth: float, rate_hz: float) -> None:
        """Let a band flutter at random: `depth` 0..1, up to about `rate_hz`."""
        self.now[band, GRIT], self.now[band, GRIT_HZ] = depth, rate_hz

    def add(self, out: Float32, pos: int) -> None:
        """See `engines.sound.dsp.Part`."""
        if self._fresh:
            self._controls[0] = self._controls[1]
            self._fresh = False
        _bands_add(out, pos, self._controls, self._kinds, self._state, self._seeds)
        if pos + out.size == BLOCK:
            self._controls[0] = self._controls[1]


class Grains:
    """Groups of noise bursts that arrive at random; the brain writes `now[group, column]`."""

    def __init__(self, rng: random.Random, n_groups: int) -> None:
        self._controls = np.zeros((2, n_groups, 9))
        self.now = self._controls[1]
        self.now[:, DECAY], self.now[:, CENTRE], self.now[:, SHARP] = 0.005, 2000.0, 1.0
        self._state = np.zeros((n_groups, 8))
        self._state[:, 3] = [rng.random() for _ in range(n_groups)]
        self._state[0, 3] = 0.0  # the first group speaks at once
        self._seeds = stream_seeds(rng, n_groups)
        self._fresh = True

    def set(
        self, group: int, rate_hz: float, amp: float, decay_s: float, centre_hz: float, q: float = 1.0,
        *, spread_db: float = 6.0, spread_octaves: float = 0.3, regular: float = 0.0, click: float = 0.0,
    ) -> None:  # fmt: skip
        """Steer one group; the arguments are the columns of `_grains_add`."""
        self.now[group] = (rate_hz, amp, spread_db, decay_s, centre_hz, spread_octaves, q, regular, click)

    def add(self, out: Float32, pos: int) -> None:
        """See `engines.sound.dsp.Part`."""
        if self._fresh:
            self._controls[0] = self._controls[1]
            self._fresh = False
        _grains_add(out, pos, self._controls, self._state, self._seeds)
        if pos + out.size == BLOCK:
            self._controls[0] = self._controls[1]


class Bubbles:
    """A pool of bubbles; the brain writes by `set`."""

    def __init__(self, rng: random.Random) -> None:
        self._controls = np.zeros((2, 1, 6))
        self._controls[:, :, B_RADIUS] = 0.003
        self._pool = np.zeros((5, N_BUBBLES))
        self._pool[3] = 1.0
        self._state = np.zeros(2)
        self._seeds = stream_seeds(rng, 1)
        self._fresh = True

    def set(
        self, rate_hz: float, amp: float, radius_m: float, *, spread_octaves: float = 1.0, rise: float = 0.1,
        damp: float = 1.0,
    ) -> None:  # fmt: skip
        """Steer the bubbles; the arguments are the columns of `_bubbles_add`."""
        self._controls[1, 0] = (rate_hz, amp, radius_m, spread_octaves, rise, damp)

    def add(self, out: Float32, pos: int) -> None:
        """See `engines.sound.dsp.Part`."""
        if self._fresh:
            self._controls[0] = self._controls[1]
            self._fresh = False
        _bubbles_add(out, pos, self._controls, self._pool, self._state, self._seeds)
        if pos + out.size == BLOCK:
            self._controls[0] = self._controls[1]


class Stir:
    """The quiet, unbroken noise of a body that moves: cloth, fur, feathers, grass, tyres; part of a voice.

    A voice made of strikes or calls has pauses, and what is silent cannot be located by ear while it moves on.

    Args:
        rng: gives every individual its own colour.
        gain_db: output gain of the voice.
        level_db: RMS in the output while the body moves, dB relative to full scale.
        centre_hz: middle of its band.
        q: sharpness of the band.
    """

    # A body that stands still only breathes; one in a hurry, in dB per unit of energy above one half.
    _STILL_DB, _WILD_DB = -14.0, 8.0

    def __init__(self, rng: random.Random, gain_db: float, level_db: float, centre_hz: float, q: float = 0.5) -> None:
        self._bands = Bands(rng, "b")
        self._centre_hz, self._q = centre_hz * rng.uniform(0.85, 1.18), q
        # Noise in [-1, 1) has an RMS of 1/sqrt(3); a band-pass of damping k passes k atan(g) of its power.
        rms = math.sqrt(math.atan(tune(self._centre_hz)) / q / 3.0)
        self._level = db(level_db - gain_db) / rms

    def set(self, speed_m_s: float, energy: float, swell: float = 1.0) -> None:
        """Follow the motion; `swell` is a linear factor for the rhythm of the body."""
        lively = clamp(max(speed_m_s, energy / 0.3), 0.0, 1.0)
        level_db = (1.0 - lively) * self._STILL_DB + clamp(energy - 0.5, 0.0, 0.5) * self._WILD_DB
        self._bands.set(0, self._level * swell * db(level_db), self._centre_hz, self._q)

    def add(self, out: Float32, pos: int) -> None:
        """See `engines.sound.dsp.Part`."""
        self._bands.add(out, pos)
