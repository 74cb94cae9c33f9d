"""Things driven by pulses: combustion engines, rotors. Firing pulses -> exhaust pipe -> muffler and body.

After Baldan, Lachambre, Delle Monache & Boussard, "Physically informed car engine sound synthesis" (IEEE SIVE 2015)
and Farnell, "Designing Sound": every cylinder pushes one pressure pulse per cycle into the exhaust, which is a tube
open at the far end; turbulence and valve noise follow the pulses.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np

from engines.sound.dsp import SUB, Float64, UInt64, kernel, noise, stream_seeds, svf_band, svf_low, tune
from engines.specs import BLOCK, SAMPLE_RATE_HZ, SPEED_OF_SOUND_M_S, Float32

# Columns of the controls, gliding over a block.
CYCLE_HZ, PULSE, HISS, CLATTER, MUFFLER_HZ, WHINE, SHARPNESS, ROUGHNESS = range(8)
_N_CONTROLS = 8
# State: phase, pulse low-pass z (2), pipe write index, reflection low-pass, hiss z (2), clatter z (2), whine phase,
# muffler g, clatter envelope, last hiss.
_PHASE, _LP, _WRITE, _REFLECT, _HISS_Z, _CLATTER_Z, _WHINE_PHASE, _MUFFLER_G, _CLATTER_ENV, _PINK = (
    0, 1, 3, 4, 5, 7, 9, 10, 11, 12,
)  # fmt: skip


@kernel
def _engine_add(
    out: Float32,
    pos: int,
    controls: Float64,
    cylinders: Float64,
    pipe: Float64,
    tube: Float64,
    body: Float64,
    state: Float64,
    rng: UInt64,
) -> None:
    """Add an engine to `out`.

    Args:
        out: float32 (n,).
        pos: position of `out[0]` in the block.
        controls: float64 (2, 8), last and present CYCLE_HZ (full cycles per second), PULSE, HISS, CLATTER (levels),
            MUFFLER_HZ, WHINE (level), SHARPNESS (pulses get shorter), ROUGHNESS (pulse-to-pulse scatter, 0..1).
        cylinders: float64 (n_cylinders, 4): firing angle 0..1, its strength, strength of this cycle, last position.
        pipe: float64 (4,): delay in samples, reflection, hiss centre Hz, whine teeth per cycle.
        tube: float64 (length,), ring buffer of the pipe.
        body: float64 (resonances, 5): warped frequency, Q, gain, filter states.
        state: float64 (13,).
        rng: uint64 (1,).
    """
    n_cylinders, size = cylinders.shape[0], tube.shape[0]
    g_hiss, g_clatter = tune(pipe[2]), tune(3300.0)
    fall = math.exp(-1.0 / (0.0015 * SAMPLE_RATE_HZ))
    for i in range(out.size):
        at = (pos + i) / BLOCK
        step = (controls[0, CYCLE_HZ] + (controls[1, CYCLE_HZ] - controls[0, CYCLE_HZ]) * at) / SAMPLE_RATE_HZ
        phase = state[_PHASE] + step
        phase -= math.floor(phase)
        state[_PHASE] = phase
        sharp = controls[0, SHARPNESS] + (controls[1, SHARPNESS] - controls[0, SHARPNESS]) * at
        pressure = 0.0
        for c in range(n_cylinders):
            p = phase - cylinders[c, 0]
            p -= math.floor(p)
            if p < cylinders[c, 3]:
                rough = controls[1, ROUGHNESS]
                cylinders[c, 2] = cylinders[c, 1] * (1.0 + rough * noise(rng, 0))
                state[_CLATTER_ENV] += 1.0 + rough * noise(rng, 0)
            cylinders[c, 3] = p
            u = p * sharp
            if u < 1.0:
                # Blow-down: steep rise, slow tail; zero at both ends, so no step and little aliasing.
                pressure += cylinders[c, 2] * 6.75 * u * (1.0 - u) * (1.0 - u)
        if (pos + i) % SUB == 0:
            state[_MUFFLER_G] = tune(controls[0, MUFFLER_HZ] + (controls[1, MUFFLER_HZ] - controls[0, MUFFLER_HZ]) * at)
        write = int(state[_WRITE])
        back = tube[(write - int(pipe[0])) % size]
        state[_REFLECT] += 0.35 * (back - state[_REFLECT])
        wave = pressure * (controls[0, PULSE] + (controls[1, PULSE] - controls[0, PULSE]) * at)
        hiss_level = controls[0, HISS] + (controls[1, HISS] - controls[0, HISS]) * at
        hiss = svf_band(noise(rng, 0), state[_HISS_Z : _HISS_Z + 2], g_hiss, 1.6)
        wave += hiss_level * hiss * (0.12 + pressure)
        tube[write] = wave - pipe[1] * state[_REFLECT]
        state[_WRITE] = (write + 1) % size
        y = svf_low(tube[write] + back, state[_LP : _LP + 2], state[_MUFFLER_G], 0.9)
        total = y
        for b in range(body.shape[0]):
            total += body[b, 2] * svf_band(y, body[b, 3:5], body[b, 0], 1.0 / body[b, 1])
        state[_CLATTER_ENV] *= fall
        clatter = controls[0, CLATTER] + (controls[1, CLATTER] - controls[0, CLATTER]) * at
        grit = svf_band(noise(rng, 0), state[_CLATTER_Z : _CLATTER_Z + 2], g_clatter, 0.8)
        total += clatter * grit * (0.1 + state[_CLATTER_ENV])
        whine = controls[0, WHINE] + (controls[1, WHINE] - controls[0, WHINE]) * at
        if whine > 0.0:
            w = state[_WHINE_PHASE] + step * pipe[3]
            state[_WHINE_PHASE] = w - math.floor(w)
            angle = 2.0 * math.pi * state[_WHINE_PHASE]
            total += whine * (math.sin(angle) + 0.4 * math.sin(2.0 * angle))
        out[i] += total


class Engine:
    """A pulse-driven machine; the brain writes `now[...]`.

    Args:
        rng: source of noise seeds and of the individual spread of the cylinders.
        firing: firing angle of each cylinder, as fractions of a full cycle (two turns of a four-stroke).
        spread: how unequal the cylinders are, 0..1.
        pipe_m: length of the exhaust.
        reflection: how much comes back from its open end, 0..0.9.
        hiss_hz: centre of the turbulence noise.
        teeth: whine frequency in units of the cycle.
        body: resonances (Hz, Q, gain) of what surrounds the engine.
    """

    def __init__(
        self, rng: random.Random, firing: Sequence[float], *, spread: float = 0.1, pipe_m: float = 1.6,
        reflection: float = 0.5, hiss_hz: float = 900.0, teeth: float = 11.0,
        body: Sequence[tuple[float, float, float]] = (),
    ) -> None:  # fmt: skip
        self._controls = np.zeros((2, _N_CONTROLS))
        self.now = self._controls[1]
        self.now[:] = (10.0, 0.3, 0.0, 0.0, 1500.0, 0.0, 4.0, 0.1)
        self._cylinders = np.zeros((len(firing), 4))
        self._cylinders[:, 0] = firing
        strengths = np.array([1.0 + spread * (2.0 * rng.random() - 1.0) for _ in firing])
        # Equal power, so that two individuals are equally loud.
        self._cylinders[:, 1] = strengths / math.sqrt(np.mean(strengths**2))
        self._cylinders[:, 2] = self._cylinders[:, 1]
        delay = max(2, int(2.0 * pipe_m / SPEED_OF_SOUND_M_S * SAMPLE_RATE_HZ))
        self._pipe = np.array([delay, reflection, hiss_hz, teeth], dtype=np.float64)
        self._tube = np.zeros(delay + 1)
        self._body = np.zeros((len(body), 5))
        for row, (freq_hz, q, gain) in enumerate(body):
            self._body[row, :3] = (math.tan(math.pi * freq_hz / SAMPLE_RATE_HZ), q, gain)
        self._body_g = self._body[:, 0].copy()
        self._state = np.zeros(13)
        self._seeds = stream_seeds(rng, 1)
        self._fresh = True

    def resize(self, tone: float) -> None:
        """Move the resonances of the body by the factor `tone`; the warped frequency is all but proportional there."""
        self._body[:, 0] = tone * self._body_g

    def add(self, out: Float32, pos: int) -> None:
        """See `engines.sound.dsp.Part`."""
        if self._fresh:
            self._controls[0] = self._controls[1]
            self._fresh = False
        _engine_add(
            out, pos, self._controls, self._cylinders, self._pipe, self._tube, self._body, self._state, self._seeds
        )
        if pos + out.size == BLOCK:
            self._controls[0] = self._controls[1]
