"""Struck things: contact force + noise burst -> modal resonators. Steps, hooves, keys, bells, dishes, ticks.

Modal synthesis after van den Doel & Pai, "The sounds of physical shapes" (Presence 7(4), 1998): a rigid body is a
bank of damped sinusoids driven by the contact force; a harder contact is shorter and reaches higher modes.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np

from engines.sound.dsp import Float64, UInt64, kernel, noise, stream_seeds, svf_band, tune
from engines.specs import BLOCK, SAMPLE_RATE_HZ, Float32

# Columns of an event.
_AT, _BODY, _FORCE, _CONTACT, _DIRECT, _NOISE, _ATTACK, _DECAY, _CENTRE, _Q, _TUNE, _SPREAD = range(12)
_EVENT_WIDTH = 12
_MAX_EVENTS = 24
# Columns of a body's exciter state.
_AGE, _LENGTH, _AREA, _CLICK, _BURST, _RISE, _ENV, _FALL, _G, _K, _RING = range(11)
_STATE_WIDTH = 11


@kernel
def _start(
    event: Float64, body: int, modes: Float64, bank: Float64, gains: Float64, state: Float64, rng: UInt64
) -> None:
    """Begin one strike: retune the body, scatter its mode gains (another place is hit), arm force and noise burst."""
    longest_s = 0.0
    for m in range(modes.shape[1]):
        freq_hz, t60_s, gain = modes[body, m, 0] * event[_TUNE], modes[body, m, 1], modes[body, m, 2]
        longest_s = max(longest_s, t60_s)
        radius = 10.0 ** (-3.0 / (max(t60_s, 1e-3) * SAMPLE_RATE_HZ))
        turn = 2.0 * math.pi * min(freq_hz, 0.45 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
        bank[body, 2, m] = radius * math.cos(turn)
        bank[body, 3, m] = radius * math.sin(turn)
        audible = 1.0 if freq_hz < 0.45 * SAMPLE_RATE_HZ else 0.0
        gains[body, m] = audible * gain * (1.0 + event[_SPREAD] * noise(rng, body))
    s = state[body]
    s[_AGE] = 0.0
    s[_LENGTH] = max(2.0, event[_CONTACT] * SAMPLE_RATE_HZ)
    s[_AREA] = event[_FORCE]
    s[_CLICK] = event[_DIRECT]
    s[_BURST] = event[_NOISE]
    s[_RISE] = 1.0 - math.exp(-1.0 / (max(event[_ATTACK], 2e-5) * SAMPLE_RATE_HZ))
    s[_FALL] = math.exp(-1.0 / (max(event[_DECAY], 2e-5) * SAMPLE_RATE_HZ))
    s[_G] = tune(event[_CENTRE])
    s[_K] = 1.0 / event[_Q]
    s[_RING] = SAMPLE_RATE_HZ * (1.6 * longest_s + 8.0 * event[_DECAY] + 4.0 * event[_ATTACK] + event[_CONTACT])


@kernel
def _strike_add(
    out: Float32,
    pos: int,
    events: Float64,
    n_events: int,
    modes: Float64,
    bank: Float64,
    gains: Float64,
    state: Float64,
    burst: Float64,
    rng: UInt64,
) -> None:
    """Add all bodies to `out`.

    Args:
        out: float32 (n,).
        pos: position of `out[0]` in the block.
        events: float64 (_MAX_EVENTS, _EVENT_WIDTH), sorted by sample.
        n_events: rows in use.
        modes: float64 (bodies, modes, 3): frequency in Hz, T60 in s, gain.
        bank: float64 (bodies, 4, modes): real, imaginary, pole real, pole imaginary.
        gains: float64 (bodies, modes), of the strike that sounds.
        state: float64 (bodies, _STATE_WIDTH).
        burst: float64 (bodies, 4): filter states z0, z1, envelope target, unused.
        rng: uint64 (bodies,).
    """
    n_modes = modes.shape[1]
    for body in range(modes.shape[0]):
        s, zr, zi, pr, pi = state[body], bank[body, 0], bank[body, 1], bank[body, 2], bank[body, 3]
        nxt = 0
        for i in range(out.size):
            while nxt < n_events and events[nxt, _AT] <= pos + i:
                if events[nxt, _AT] == pos + i and int(events[nxt, _BODY]) == body:
                    _start(events[nxt], body, modes, bank, gains, state, rng)
                    burst[body, 2] = s[_BURST]
                nxt += 1
            if s[_RING] <= 0.0:
                continue
            s[_RING] -= 1.0
            force = 0.0
            if s[_AGE] < s[_LENGTH]:
                # Raised-cosine contact; unit area, so duration changes the colour and not the impulse.
                force = s[_AREA] * (1.0 - math.cos(2.0 * math.pi * (s[_AGE] + 0.5) / s[_LENGTH])) / s[_LENGTH]
            s[_AGE] += 1.0
            burst[body, 2] *= s[_FALL]
            s[_ENV] += s[_RISE] * (burst[body, 2] - s[_ENV])
            y = s[_CLICK] * force + svf_band(s[_ENV] * noise(rng, body), burst[body], s[_G], s[_K])
            total = 0.0
            for m in range(n_modes):
                re = zr[m] * pr[m] - zi[m] * pi[m] + force * gains[body, m]
                im = zr[m] * pi[m] + zi[m] * pr[m]
                zr[m], zi[m] = re, im
                total += im
            out[i] += y + total
            if s[_RING] <= 0.0:
                burst[body, :] = 0.0
                s[_ENV] = 0.0
                zr[:] = 0.0
                zi[:] = 0.0


class Strikes:
    """A set of bodies that can be struck; part of a voice.

    Args:
        rng: source of the noise seeds.
        bodies: per body a list of (frequency Hz, T60 s, gain); shorter lists are padded with
            silent modes, an empty one leaves only the contact and the noise burst.
    """

    def __init__(self, rng: random.Random, bodies: Sequence[Sequence[tuple[float, float, float]]]) -> None:
        n_bodies, n_modes = len(bodies), max(len(modes) for modes in bodies)
        self.modes = np.zeros((n_bodies, n_modes, 3))
        self.modes[:, :, 1] = 1e-3
        for b, modes in enumerate(bodies):
            self.modes[b, : len(modes)] = np.reshape(modes, (-1, 3))
        self._bank = np.zeros((n_bodies, 4, n_modes))
        self._gains = np.zeros((n_bodies, n_modes))
        self._state = np.zeros((n_bodies, _STATE_WIDTH))
        self._burst = np.zeros((n_bodies, 4))
        self._seeds = stream_seeds(rng, n_bodies)
        self._events = np.zeros((_MAX_EVENTS, _EVENT_WIDTH))
        self._n_events = 0
        self._waiting: list[tuple[float, ...]] = []
        self._now = 0  # first sample of the block being decided

    def _collect(self) -> None:
        """Take the waiting strikes that fall into the block that starts now."""
        self._n_events = 0
        end = self._now + BLOCK
        if self._waiting:
            due = sorted(e for e in self._waiting if e[0] < end)[:_MAX_EVENTS]
            self._waiting = [e for e in self._waiting if e[0] >= end]
            for row, event in enumerate(due):
                self._events[row] = event
                self._events[row, _AT] -= self._now
            self._n_events = len(due)
        self._now = end

    def hit(
        self,
        delay_s: float,
        body: int,
        force: float,
        *,
        contact_s: float = 0.001,
        direct: float = 0.0,
        noise: float = 0.0,
        attack_s: float = 0.0002,
        decay_s: float = 0.005,
        centre_hz: float = 2000.0,
        q: float = 0.7,
        tune: float = 1.0,
        spread: float = 0.2,
    ) -> None:
        """Strike `body` `delay_s` seconds after the start of the block being decided.

        Args:
            delay_s: >= 0.
            body: index into the bodies.
            force: impulse into the modes; the level of the ringing is about `force` x mode gain.
            contact_s: duration of the contact; long is soft and dull.
            direct: level of the bare contact pulse in the output.
            noise: level of the noise burst.
            attack_s: rise time of the burst.
            decay_s: fall time constant of the burst.
            centre_hz: centre of the burst's band.
            q: sharpness of the burst's band.
            tune: factor on all mode frequencies.
            spread: how much mode gains scatter from strike to strike, 0..1.
        """
        at = float(self._now + int(delay_s * SAMPLE_RATE_HZ))
        row = (at, body, force, contact_s, direct, noise, attack_s, decay_s, centre_hz, q, tune, spread)
        self._waiting.append(row)

    def add(self, out: Float32, pos: int) -> None:
        """See `engines.sound.dsp.Part`."""
        if pos == 0:
            self._collect()
        _strike_add(
            out, pos, self._events, self._n_events, self.modes, self._bank, self._gains, self._state, self._burst,
            self._seeds,
        )  # fmt: skip


def bar_modes(
    base_hz: float, t60_s: float, n_modes: int, *, ratios: Sequence[float] = (), damping: float = 1.0, tilt: float = 0.7
) -> list[tuple[float, float, float]]:
    """Modes of a free bar or of given `ratios`, higher ones shorter and weaker.

    Args:
        base_hz: lowest mode.
        t60_s: its decay time.
        n_modes: how many.
        ratios: frequency ratios; empty means the free-free Euler-Bernoulli bar, (2k+1)^2 / 9.
        damping: exponent of the decay of higher modes, T60 ~ ratio^-damping.
        tilt: exponent of their gain, ratio^-tilt.
    """
    if not ratios:
        ratios = [((2 * k + 3) / 3.0) ** 2 for k in range(n_modes)]
    return [(base_hz * r, t60_s * r**-damping, r**-tilt) for r in list(ratios)[:n_modes]]
