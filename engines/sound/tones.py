"""Made sounds: horns, sirens, beepers, whistles, and plucked strings.

Tones are band-limited harmonic sums (Moorer 1976) behind resonances; strings are Karplus & Strong (CMJ 7(2), 1983) with
the fractional tuning of Jaffe & Smith (same issue).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np

from engines.sound.dsp import Float64, UInt64, kernel, noise, stream_seeds, svf_band, uniform
from engines.specs import BLOCK, SAMPLE_RATE_HZ, Float32

# Columns of a tone's controls: pitch, level, brightness, breath noise.
PITCH, LEVEL, BRIGHT, BREATH = range(4)


@kernel
def _tones_add(out: Float32, pos: int, controls: Float64, body: Float64, state: Float64, rng: UInt64) -> None:
    """Add steady oscillators whose pitch and level glide (level over at least a millisecond).

    Args:
        out: float32 (n,).
        pos: position of `out[0]` in the block.
        controls: float64 (2, tones, 4): last and present PITCH (Hz), LEVEL, BRIGHT (0..0.98), BREATH (0..1).
        body: float64 (resonances, 5): warped frequency, Q, gain, filter states.
        state: float64 (tones, 2): phase, smoothed level.
        rng: uint64 (1,).
    """
    n_tones, n_body = controls.shape[1], body.shape[0]
    rate = 1.0 - math.exp(-1.0 / (0.002 * SAMPLE_RATE_HZ))
    for i in range(out.size):
        at = (pos + i) / BLOCK
        x = 0.0
        for k in range(n_tones):
            s = state[k]
            s[1] += rate * (controls[1, k, LEVEL] - s[1])
            if s[1] < 1e-6:
                s[1] = 0.0
                continue
            pitch_hz = controls[0, k, PITCH] + (controls[1, k, PITCH] - controls[0, k, PITCH]) * at
            s[0] += pitch_hz / SAMPLE_RATE_HZ
            s[0] -= math.floor(s[0])
            theta = 2.0 * math.pi * s[0]
            a = min(controls[1, k, BRIGHT], math.exp(-6.9 * pitch_hz / (0.5 * SAMPLE_RATE_HZ)))
            y = 1.414 * math.sqrt(1.0 - a * a) * math.sin(theta) / (1.0 - 2.0 * a * math.cos(theta) + a * a)
            breath = controls[1, k, BREATH]
            if breath > 0.0:
                y = (1.0 - breath) * y + breath * 1.7 * noise(rng, 0)
            x += s[1] * y
        total = 0.0 if n_body else x
        for b in range(n_body):
            total += body[b, 2] * svf_band(x, body[b, 3:5], body[b, 0], 1.0 / body[b, 1])
        out[i] += total


@kernel
def _strings_add(
    out: Float32, pos: int, plucks: Float64, n_plucks: int, loop: Float64, state: Float64, rng: UInt64
) -> None:
    """Add plucked strings.

    Args:
        out: float32 (n,).
        pos: position of `out[0]` in the block.
        plucks: float64 (rows, 5): sample, string, pitch Hz, level, softness 0..1.
        n_plucks: rows in use.
        loop: float64 (strings, size), delay lines.
        state: float64 (strings, 8): write index, delay, loop gain, all-pass c, all-pass x, all-pass y, filter z, life.
        rng: uint64 (strings,).
    """
    size = loop.shape[1]
    for k in range(loop.shape[0]):
        s, line = state[k], loop[k]
        nxt = 0
        for i in range(out.size):
            while nxt < n_plucks and plucks[nxt, 0] <= pos + i:
                if plucks[nxt, 0] == pos + i and int(plucks[nxt, 1]) == k:
                    _pluck(plucks[nxt], line, s, rng, k)
                nxt += 1
            if s[7] <= 0.0:
                continue
            s[7] -= 1.0
            write = int(s[0])
            x = line[(write - int(s[1])) % size]
            # Averaging two neighbours is the string's loss; the all-pass sets the fraction of a sample.
            y = s[2] * (0.5 * x + 0.5 * s[6])
            s[6] = x
            z = s[3] * (y - s[5]) + s[4]
            s[4], s[5] = y, z
            line[write] = z
            s[0] = (write + 1) % size
            out[i] += z


@kernel
def _pluck(pluck: Float64, line: Float64, s: Float64, rng: UInt64, k: int) -> None:
    """Fill one period of a string with low-passed noise, comb-filtered by the place where it is plucked."""
    period = SAMPLE_RATE_HZ / pluck[2] - 0.5
    whole = int(period - 0.3)
    fraction = period - whole
    s[1], s[3] = whole, (1.0 - fraction) / (1.0 + fraction)
    s[2] = 10.0 ** (-3.0 / (pluck[2] * 3.5))
    s[7] = 4.0 * SAMPLE_RATE_HZ
    write, size, low = int(s[0]), line.shape[0], 0.0
    for j in range(whole):
        low += (1.0 - 0.9 * pluck[4]) * (noise(rng, k) - low)
        line[(write - whole + j) % size] = pluck[3] * low
    place = max(1, int(whole * (0.12 + 0.15 * uniform(rng, k))))
    for j in range(whole - 1, place - 1, -1):
        line[(write - whole + j) % size] -= 0.9 * line[(write - whole + j - place) % size]


class Tones:
    """A chord of oscillators; the brain writes by `set`.

    Args:
        rng: source of noise seeds.
        n_tones: how many.
        body: resonances (Hz, Q, gain); none means the bare oscillators.
    """

    def __init__(self, rng: random.Random, n_tones: int, body: Sequence[tuple[float, float, float]] = ()) -> None:
        self._controls = np.zeros((2, n_tones, 4))
        self._controls[:, :, PITCH] = 440.0
        self._body = np.zeros((len(body), 5))
        for row, (freq_hz, q, gain) in enumerate(body):
            self._body[row, :3] = (math.tan(math.pi * freq_hz / SAMPLE_RATE_HZ), q, gain)
        self._state = np.zeros((n_tones, 2))
        self._seeds = stream_seeds(rng, 1)
        self._fresh = True

    def set(self, tone: int, pitch_hz: float, level: float, bright: float = 0.0, breath: float = 0.0) -> None:
        """Steer one tone; the arguments are the columns of `_tones_add`."""
        self._controls[1, tone] = (pitch_hz, level, bright, breath)

    def add(self, out: Float32, pos: int) -> None:
        """See `engines.sound.dsp.Part`."""
        if self._fresh:
            self._controls[0] = self._controls[1]
            self._fresh = False
        _tones_add(out, pos, self._controls, self._body, self._state, self._seeds)
        if pos + out.size == BLOCK:
            self._controls[0] = self._controls[1]


class Strings:
    """A set of plucked strings."""

    def __init__(self, rng: random.Random, n_strings: int) -> None:
        self._loop = np.zeros((n_strings, 1024))
        self._state = np.zeros((n_strings, 8))
        self._plucks = np.zeros((8, 5))
        self._n_plucks = 0
        self._waiting: list[tuple[float, ...]] = []
        self._seeds = stream_seeds(rng, n_strings)
        self._now = 0

    def pluck(self, delay_s: float, string: int, pitch_hz: float, level: float, softness: float = 0.5) -> None:
        """Pluck `string` `delay_s` seconds after the start of the block being decided; pitch in 60..5000 Hz."""
        at = float(self._now + int(delay_s * SAMPLE_RATE_HZ))
        self._waiting.append((at, string, pitch_hz, level, softness))

    def add(self, out: Float32, pos: int) -> None:
        """See `engines.sound.dsp.Part`."""
        if pos == 0:
            end = self._now + BLOCK
            due = sorted(p for p in self._waiting if p[0] < end)[:8]
            self._waiting = [p for p in self._waiting if p[0] >= end]
            for row, pluck in enumerate(due):
                self._plucks[row] = pluck
                self._plucks[row, 0] -= self._now
            self._n_plucks = len(due)
            self._now = end
        _strings_add(out, pos, self._plucks, self._n_plucks, self._loop, self._state, self._seeds)
