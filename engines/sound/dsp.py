"""Sample-level building blocks shared by every voice: random numbers, filters, soft limiting, and the block clock.

A voice is a *brain* in Python that decides a hundred times a second (steps, calls, gusts, revolutions) and *parts*
compiled by numba that turn those decisions into samples. The brain always thinks on the same 480-sample grid,
counted from the voice's birth, so cutting a signal into other calls changes nothing.
"""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from engines.specs import BLOCK, BLOCK_S, SAMPLE_RATE_HZ, Float32, Motion

Float64 = NDArray[np.float64]
UInt64 = NDArray[np.uint64]
_F = TypeVar("_F", bound=Callable[..., Any])

# Filters are retuned every SUB samples inside a block; 480 is a multiple of it, so retuning sits on the same grid.
SUB = 32
# Highest frequency any filter is tuned to; keeps tan(pi f / fs) well-behaved.
MAX_FILTER_HZ = 0.42 * SAMPLE_RATE_HZ
# Sample peak that `finish` never exceeds: room for inter-sample overshoot below -1 dBTP.
CEILING = 0.66
_KNEE = 0.38

_SHIFT_A, _SHIFT_B, _SHIFT_C = np.uint64(12), np.uint64(25), np.uint64(27)
_SCRAMBLE = np.uint64(2685821657736338717)
_TOP = np.uint64(11)
_TO_UNIT = 2.0**-53


def kernel(function: _F) -> _F:
    """Compile on first call: cached on disk, without the GIL, with relaxed float order (no NaN ever enters)."""
    return njit(cache=True, nogil=True, fastmath=True)(function)  # type: ignore[no-any-return]


@kernel
def uniform(rng: UInt64, k: int) -> float:
    """Next number in [0, 1) from stream `k` of `rng`, uint64 (streams,): xorshift64* (Vigna 2016)."""
    x = rng[k]
    x ^= x >> _SHIFT_A
    x ^= x << _SHIFT_B
    x ^= x >> _SHIFT_C
    rng[k] = x
    return float((x * _SCRAMBLE) >> _TOP) * _TO_UNIT


@kernel
def noise(rng: UInt64, k: int) -> float:
    """White noise in [-1, 1), uniform (RMS 0.577)."""
    return 2.0 * uniform(rng, k) - 1.0


@kernel
def tune(freq_hz: float) -> float:
    """Warped frequency g = tan(pi f / fs) of a state-variable filter."""
    return math.tan(math.pi * min(max(freq_hz, 1.0), MAX_FILTER_HZ) / SAMPLE_RATE_HZ)


@kernel
def svf_low(x: float, z: Float64, g: float, k: float) -> float:
    """Low-pass output of a topology-preserving state-variable filter (Zavalishin, "The Art of VA Filter Design").

    Args:
        x: input sample.
        z: float64 (2,), the two integrator states; updated.
        g: warped frequency from `tune`.
        k: damping 1/Q.
    """
    band = (z[0] + g * (x - z[1])) / (1.0 + g * (g + k))
    low = z[1] + g * band
    z[0] = 2.0 * band - z[0]
    z[1] = 2.0 * low - z[1]
    return low


@kernel
def svf_band(x: float, z: Float64, g: float, k: float) -> float:
    """Band-pass output, unity gain at the centre; arguments as `svf_low`."""
    band = (z[0] + g * (x - z[1])) / (1.0 + g * (g + k))
    low = z[1] + g * band
    z[0] = 2.0 * band - z[0]
    z[1] = 2.0 * low - z[1]
    return k * band


@kernel
def finish(out: Float32, gain: float, state: Float64) -> None:
    """Scale in place, remove DC (one-pole high-pass at 12 Hz), bend peaks under `CEILING`, round off the top octave.

    The last step, y[n] = 0.75 x[n] + 0.25 x[n-1], takes 6 dB off at half the sample rate: what is bent there would
    otherwise swing far beyond its samples once it is converted to analogue (ITU-R BS.1770-5, annex 2).

    Args:
        out: float32 (n,), updated.
        gain: linear.
        state: float64 (2,): DC estimate, last bent sample.
    """
    slow = 2.0 * math.pi * 12.0 / SAMPLE_RATE_HZ
    mean, last = state[0], state[1]
    for i in range(out.size):
        x = gain * out[i] - mean
        size = abs(x)
        if size > _KNEE:
            size = _KNEE + (CEILING - _KNEE) * math.tanh((size - _KNEE) / (CEILING - _KNEE))
            x = math.copysign(size, x)
        # Fed back from behind the bend: bending a one-sided signal makes DC of its own.
        mean += slow * x + 1e-24
        out[i] = 0.75 * x + 0.25 * last
        last = x
    state[0], state[1] = mean, last


@kernel
def _space(
    out: Float32, line: Float64, state: Float64, lengths: UInt64, feedback: Float64, level: float, damp: float
) -> None:
    """Four-line feedback delay network (Jot & Chaigne, AES 90, 1991) with a Householder matrix, in place.

    Args:
        out: float32 (n,), updated: dry + level * reflections.
        line: float64 (4, size), delay lines.
        state: float64 (5,): write index, four damping low-passes.
        lengths: uint64 (4,), delays in samples.
        feedback: float64 (4,), gain per pass.
        level: of the reflections.
        damp: share of the low-pass that is new per sample, 1 = no damping.
    """
    size = line.shape[1]
    write = int(state[0])
    for i in range(out.size):
        a = line[0, (write - int(lengths[0])) % size]
        b = line[1, (write - int(lengths[1])) % size]
        c = line[2, (write - int(lengths[2])) % size]
        d = line[3, (write - int(lengths[3])) % size]
        state[1] += damp * (a * feedback[0] - state[1])
        state[2] += damp * (b * feedback[1] - state[2])
        state[3] += damp * (c * feedback[2] - state[3])
        state[4] += damp * (d * feedback[3] - state[4])
        mean = 0.5 * (state[1] + state[2] + state[3] + state[4])
        x = out[i] + 1e-20
        line[0, write] = x + state[1] - mean
        line[1, write] = -x + state[2] - mean
        line[2, write] = x + state[3] - mean
        line[3, write] = -x + state[4] - mean
        write = (write + 1) % size
        out[i] += level * (a + b + c + d)
    state[0] = write


def db(level_db: float) -> float:
    """Decibels to a linear factor."""
    return 10.0 ** (level_db / 20.0)


def clamp(x: float, low: float, high: float) -> float:
    """`x` held within [low, high]."""
    return low if x < low else high if x > high else x


def smoothing(time_s: float) -> float:
    """Share of the way to its target that a value moves per block to settle with time constant `time_s`."""
    return 1.0 - math.exp(-BLOCK_S / time_s)


def pitch_of_size(size_m: float, strength: float = 0.15) -> float:
    """Bigger things sound lower: a frequency factor, 1 at 1 m, within about an octave."""
    return clamp(size_m, 0.05, 20.0) ** -strength


def stream_seeds(rng: random.Random, n_streams: int) -> UInt64:
    """Non-zero start values of `n_streams` independent kernel random streams, uint64 (n_streams,)."""
    return np.array([rng.getrandbits(64) | 1 for _ in range(n_streams)], dtype=np.uint64)


class Part(Protocol):
    """A sound-making component of a voice; its brain writes its controls, `add` makes the samples."""

    def add(self, out: Float32, pos: int) -> None:
        """Add the next samples to `out`, float32 (n,); `pos` is where in the 480-sample block they start."""
        ...


class Space:
    """The nearest surfaces round a struck thing (floor, desk, case): a few centimetres to metres of reflections.

    Args:
        rng: gives every individual its own delays.
        t60_s: decay time.
        level_db: reflections against the direct sound.
        size: scale of the delays, 1 = a small room.
        damp_hz: above this the reflections are dull.
    """

    def __init__(
        self, rng: random.Random, t60_s: float, level_db: float, size: float = 1.0, damp_hz: float = 6000.0
    ) -> None:
        delays = [
            max(8, int(size * ms * 0.001 * SAMPLE_RATE_HZ * rng.uniform(0.94, 1.06))) for ms in (7.3, 11.9, 17.1, 23.7)
        ]
        self._lengths = np.array(delays, dtype=np.uint64)
        self._feedback = np.array([10.0 ** (-3.0 * delay / (t60_s * SAMPLE_RATE_HZ)) for delay in delays])
        self._line = np.zeros((4, max(delays) + 1))
        self._state = np.zeros(5)
        self._level = 0.5 * db(level_db)
        self._damp = 1.0 - math.exp(-2.0 * math.pi * damp_hz / SAMPLE_RATE_HZ)

    def process(self, out: Float32) -> None:
        """Add the reflections to `out`, float32 (n,)."""
        _space(out, self._line, self._state, self._lengths, self._feedback, self._level, self._damp)


class BlockVoice(ABC):
    """Base of all voices: keeps the block grid, smooths the motion, runs the brain, sums the parts, limits.

    A subclass builds its parts in `__init__` from `self.rng` and steers them in `control`.
    """

    # Linear output gain, chosen so that the voice measures -23 LUFS at 1.4 m/s and energy 0.5.
    gain_db = 0.0
    # Time constant of the followed motion; things with mass take a moment to change what they do.
    motion_time_s = 0.12

    def __init__(self, seed: int) -> None:
        # A string seed is hashed with SHA-512 by the standard library: the same on every machine and run.
        self.rng = random.Random(f"{type(self).__name__}:{seed}")
        self.parts: tuple[Part, ...] = ()
        self.space: Space | None = None
        self.speed_m_s = self.energy = self.gait_hz = 0.0
        self.size_m = 1.0
        self.age_blocks = 0
        self._pos = 0
        self._finish = np.zeros(2)
        self._gain = db(self.gain_db)
        self._smooth = smoothing(self.motion_time_s)

    @abstractmethod
    def control(self) -> None:
        """Decide what happens in the next 480 samples, from `speed_m_s`, `energy`, `gait_hz` and `size_m`."""

    def render(self, n_samples: int, motion: Motion) -> Float32:
        """The next `n_samples`, float32 mono in [-1, 1); see `engines.sound.voice.Voice`."""
        out = np.zeros(n_samples, np.float32)
        done = 0
        while done < n_samples:
            if self._pos == 0:
                self._follow(motion)
                self.control()
                self.age_blocks += 1
            step = min(n_samples - done, BLOCK - self._pos)
            piece = out if step == n_samples else out[done : done + step]
            for part in self.parts:
                part.add(piece, self._pos)
            self._pos = (self._pos + step) % BLOCK
            done += step
        if self.space is not None:
            self.space.process(out)
        finish(out, self._gain, self._finish)
        return out

    def _follow(self, motion: Motion) -> None:
        rate = self._smooth if self.age_blocks else 1.0
        self.speed_m_s += rate * (clamp(motion.speed_m_s, 0.0, 300.0) - self.speed_m_s)
        self.energy += rate * (clamp(motion.energy, 0.0, 1.0) - self.energy)
        self.gait_hz = motion.gait_hz
        self.size_m += rate * (clamp(motion.size_m, 0.05, 50.0) - self.size_m)


class Drift:
    """A slow random wander with zero mean and unit spread: two cascaded one-poles on noise, stepped per block."""

    def __init__(self, rng: random.Random, time_s: float) -> None:
        self._rng = rng
        self._rate = smoothing(time_s)
        # Variance of two cascaded one-poles fed with unit uniform noise, to bring the spread back to one.
        a = 1.0 - self._rate
        b = self._rate
        gain = b**4 * (1.0 + a * a) / (1.0 - a * a) ** 3
        self._scale = math.sqrt(3.0 / gain)
        self._first = rng.gauss(0.0, 1.0) / self._scale
        self._second = rng.gauss(0.0, 1.0) / self._scale

    def step(self) -> float:
        """The next value, about -2 to 2."""
        self._first += self._rate * (2.0 * self._rng.random() - 1.0 - self._first)
        self._second += self._rate * (self._first - self._second)
        return self._second * self._scale
