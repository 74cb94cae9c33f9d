"""Calls of animals: an oscillator with bent pitch, breath and roughness, shaped by a moving vocal tract.

Source-filter theory (Fant 1960; for mammals Taylor & Reby 2010, for song birds Fagerlund & Smyth's and Farnell's
models): harmonics are a discrete summation formula (Moorer 1976), which is band-limited by its own roll-off; the tract
is up to four formants in parallel. Song birds are nearly pure tones, so they use the oscillator directly.
"""

from __future__ import annotations

import math
import random
from dataclasses import astuple, dataclass

import numpy as np

from engines.sound.dsp import SUB, Float64, UInt64, kernel, noise, stream_seeds, svf_band, tune
from engines.specs import BLOCK, SAMPLE_RATE_HZ, Float32

N_FORMANTS = 4


@dataclass(slots=True)
class Call:
    """One utterance. Contours are Bezier curves: they start and end at the outer values, the inner ones pull.

    Attributes:
        at: sample, set by `Calls.utter`.
        caller: which animal of the group.
        length_s: duration.
        level: peak of the envelope.
        attack_s: rise time.
        release_s: fall time, inside the duration.
        pitch_0, pitch_1, pitch_2, pitch_3: fundamental in Hz.
        loud_0, loud_1, loud_2, loud_3: envelope, 0..1.
        bright: ratio of neighbouring harmonics, 0 (sine) .. 0.98 (buzz).
        breath: share of noise in the source, 0..1.
        jitter: random spread of the length of each period.
        shimmer: random spread of the loudness of each period.
        doubling: how much weaker every other period is (a torn voice), 0..1.
        trill_depth: amplitude modulation, 0..1.
        trill_hz: its rate.
        vibrato: frequency modulation, relative.
        vibrato_hz: its rate.
        direct: level of the unfiltered source.
    """

    at: float = 0.0
    caller: int = 0
    length_s: float = 0.2
    level: float = 1.0
    attack_s: float = 0.01
    release_s: float = 0.05
    pitch_0: float = 400.0
    pitch_1: float = 400.0
    pitch_2: float = 400.0
    pitch_3: float = 400.0
    loud_0: float = 1.0
    loud_1: float = 1.0
    loud_2: float = 1.0
    loud_3: float = 1.0
    bright: float = 0.0
    breath: float = 0.0
    jitter: float = 0.0
    shimmer: float = 0.0
    doubling: float = 0.0
    trill_depth: float = 0.0
    trill_hz: float = 20.0
    vibrato: float = 0.0
    vibrato_hz: float = 6.0
    direct: float = 0.0


_AT, _CALLER, _LENGTH, _LEVEL, _ATTACK, _RELEASE = range(6)
_PITCH, _LOUD = 6, 10
_BRIGHT, _BREATH, _JITTER, _SHIMMER, _DOUBLING, _TRILL, _TRILL_HZ, _VIB, _VIB_HZ, _DIRECT = range(14, 24)
_N_CALL = 24
# After the call columns: per formant start, middle and end frequency (Hz), bandwidth (Hz), gain.
_FORMANT_WIDTH = 5
_WIDTH = _N_CALL + N_FORMANTS * _FORMANT_WIDTH
_MAX_CALLS = 8
# Columns of a caller's state.
_AGE, _PHASE, _PERIOD, _STRENGTH, _ODD, _TAIL, _ROLL, _NORM = range(8)
_STATE_WIDTH = 8

# One formant as (start Hz, middle Hz, end Hz, bandwidth Hz, gain).
Formant = tuple[float, float, float, float, float]


@kernel
def _bezier(points: Float64, first: int, t: float) -> float:
    """Cubic Bezier curve through `points[first]` (t = 0) and `points[first + 3]` (t = 1)."""
    u = 1.0 - t
    return (
        u * u * u * points[first]
        + 3.0 * u * u * t * points[first + 1]
        + 3.0 * u * t * t * points[first + 2]
        + t * t * t * points[first + 3]
    )


@kernel
def _envelope(call: Float64, age_s: float, t: float) -> float:
    """Loudness contour with smooth (squared-sine) attack and release."""
    gain = _bezier(call, _LOUD, t)
    if age_s < call[_ATTACK]:
        gain *= math.sin(0.5 * math.pi * age_s / call[_ATTACK]) ** 2
    left_s = call[_LENGTH] - age_s
    if left_s < call[_RELEASE]:
        gain *= math.sin(0.5 * math.pi * left_s / call[_RELEASE]) ** 2
    return gain * call[_LEVEL]


@kernel
def _source(call: Float64, s: Float64, rng: UInt64, k: int, age_s: float, t: float) -> float:
    """One sample of the voiced and breathy excitation, about unit RMS."""
    pitch_hz = _bezier(call, _PITCH, t) * (1.0 + s[_PERIOD])
    if call[_VIB] > 0.0:
        pitch_hz *= 1.0 + call[_VIB] * math.sin(2.0 * math.pi * call[_VIB_HZ] * age_s)
    s[_PHASE] += pitch_hz / SAMPLE_RATE_HZ
    if s[_PHASE] >= 1.0 or s[_AGE] <= 1.0:
        s[_PHASE] -= math.floor(s[_PHASE])
        # Roll-off steep enough that nothing above half the sample rate is louder than -60 dB.
        s[_ROLL] = min(call[_BRIGHT], math.exp(-6.9 * pitch_hz / (0.5 * SAMPLE_RATE_HZ)))
        s[_NORM] = 1.414 * math.sqrt(1.0 - s[_ROLL] * s[_ROLL])
        s[_PERIOD] = call[_JITTER] * noise(rng, k)
        s[_ODD] = 1.0 - s[_ODD]
        s[_STRENGTH] = (1.0 + call[_SHIMMER] * noise(rng, k)) * (1.0 - call[_DOUBLING] * s[_ODD])
    theta, a = 2.0 * math.pi * s[_PHASE], s[_ROLL]
    sine, cosine = math.sin(theta), math.cos(theta)
    y = (1.0 - call[_BREATH]) * s[_STRENGTH] * s[_NORM] * sine / (1.0 - 2.0 * a * cosine + a * a)
    if call[_BREATH] > 0.0:
        # Breath comes in puffs, once per period.
        y += call[_BREATH] * 1.7 * noise(rng, k) * (0.6 + 0.4 * cosine) * s[_STRENGTH]
    if call[_TRILL] > 0.0:
        y *= 1.0 - call[_TRILL] * (0.5 + 0.5 * math.cos(2.0 * math.pi * call[_TRILL_HZ] * age_s))
    return y


@kernel
def _retune(call: Float64, tract: Float64, t: float) -> None:
    """Move the formants along their quadratic Bezier curves."""
    u = 1.0 - t
    for f in range(N_FORMANTS):
        c = call[_N_CALL + f * _FORMANT_WIDTH :]
        freq_hz = max(u * u * c[0] + 2.0 * u * t * c[1] + t * t * c[2], 20.0)
        tract[f, 2] = tune(freq_hz)
        tract[f, 3] = c[3] / freq_hz


@kernel
def _calls_add(
    out: Float32, pos: int, queue: Float64, n_queue: int, calls: Float64, state: Float64, tract: Float64, rng: UInt64
) -> None:
    """Add all callers.

    Args:
        out: float32 (n,).
        pos: position of `out[0]` in the block.
        queue: float64 (_MAX_CALLS, _WIDTH), calls that begin in this block, sorted by sample.
        n_queue: rows in use.
        calls: float64 (callers, _WIDTH), the call each caller is in.
        state: float64 (callers, _STATE_WIDTH).
        tract: float64 (callers, N_FORMANTS, 4): filter states, g, k.
        rng: uint64 (callers,).
    """
    for v in range(calls.shape[0]):
        call, s = calls[v], state[v]
        nxt = 0
        for i in range(out.size):
            while nxt < n_queue and queue[nxt, _AT] <= pos + i:
                if queue[nxt, _AT] == pos + i and int(queue[nxt, _CALLER]) == v:
                    call[:] = queue[nxt]
                    s[_AGE] = 0.0
                    s[_TAIL] = call[_LENGTH] * SAMPLE_RATE_HZ + 0.08 * SAMPLE_RATE_HZ
                    s[_STRENGTH] = 1.0
                nxt += 1
            if s[_TAIL] <= 0.0:
                continue
            s[_TAIL] -= 1.0
            age_s = s[_AGE] / SAMPLE_RATE_HZ
            t = min(1.0, age_s / call[_LENGTH])
            if int(s[_AGE]) % SUB == 0:
                _retune(call, tract[v], t)
            s[_AGE] += 1.0
            x = 0.0
            if age_s < call[_LENGTH]:
                x = _envelope(call, age_s, t) * _source(call, s, rng, v, age_s, t)
            y = call[_DIRECT] * x
            for f in range(N_FORMANTS):
                gain = call[_N_CALL + f * _FORMANT_WIDTH + 4]
                if gain != 0.0:
                    y += gain * svf_band(x, tract[v, f], tract[v, f, 2], tract[v, f, 3])
            out[i] += y
            if s[_TAIL] <= 0.0:
                tract[v, :, 0:2] = 0.0


class Calls:
    """A group of callers; part of a voice."""

    def __init__(self, rng: random.Random, n_callers: int = 1) -> None:
        self._queue = np.zeros((_MAX_CALLS, _WIDTH))
        self._n_queue = 0
        self._calls = np.zeros((n_callers, _WIDTH))
        self._calls[:, _LENGTH] = 1.0
        self._state = np.zeros((n_callers, _STATE_WIDTH))
        self._tract = np.zeros((n_callers, N_FORMANTS, 4))
        self._seeds = stream_seeds(rng, n_callers)
        self._waiting: list[tuple[float, ...]] = []
        self._now = 0  # first sample of the block being decided

    def utter(self, delay_s: float, call: Call, formants: tuple[Formant, ...] = ()) -> None:
        """Let `call` begin `delay_s` seconds after the start of the block being decided; replaces a running one."""
        call.at = float(self._now + int(delay_s * SAMPLE_RATE_HZ))
        call.release_s = max(call.release_s, 1e-3)
        call.attack_s = max(call.attack_s, 1e-4)
        flat = [value for formant in formants for value in formant]
        flat += [0.0] * (N_FORMANTS * _FORMANT_WIDTH - len(flat))
        self._waiting.append((*astuple(call), *flat))

    def _collect(self) -> None:
        """Take the waiting calls that begin in the block that starts now."""
        self._n_queue = 0
        end = self._now + BLOCK
        if self._waiting:
            due = sorted(c for c in self._waiting if c[0] < end)[:_MAX_CALLS]
            self._waiting = [c for c in self._waiting if c[0] >= end]
            for row, call in enumerate(due):
                self._queue[row] = call
                self._queue[row, _AT] -= self._now
            self._n_queue = len(due)
        self._now = end

    def add(self, out: Float32, pos: int) -> None:
        """See `engines.sound.dsp.Part`."""
        if pos == 0:
            self._collect()
        _calls_add(out, pos, self._queue, self._n_queue, self._calls, self._state, self._tract, self._seeds)
