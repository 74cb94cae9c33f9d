"""The quiet sound of a thing being there, heard in the pauses of its voice: air, cloth, leaves, feet on the ground.

A dog is silent between two barks, but a listener who follows it by ear, above all one who sees nothing, loses it in
every pause. So whatever is in the picture rustles a little where it is, more when it moves; a voice that leaves no
pauses covers it, and then it is not there at all.
"""

from __future__ import annotations

import math
import random

import numpy as np

from engines.sound.dsp import (
    Float64,
    UInt64,
    clamp,
    db,
    kernel,
    noise,
    pitch_of_size,
    smoothing,
    stream_seeds,
    svf_band,
    tune,
)
from engines.specs import SAMPLE_RATE_HZ, Float32, Motion

# Against a voice at -23 LUFS; between the two it follows the motion.
STILL_DB, MOVING_DB = -18.0, -11.0
# RMS of noise through the band below that measures -23 LUFS (ITU-R BS.1770-5).
_REFERENCE_RMS = 0.0583
_CENTRE_HZ, _DAMPING = 1100.0, 1.4
# Pauses shorter than this are part of the voice.
_RELEASE_S = 0.02
_GATE_S = 0.008
_MOTION_S = 0.15
# The voice counts as pausing when its envelope is under so many RMS of the presence.
_COVER = 3.0


@kernel
def _fill(
    out: Float32, rng: UInt64, z: Float64, state: Float64, g: float, k: float, level: float, rms: float, cover: float
) -> None:
    """Add noise to float32 (n,) where it pauses; `state` holds envelope, gate and level."""
    release = math.exp(-1.0 / (_RELEASE_S * SAMPLE_RATE_HZ))
    open_rate = 1.0 - math.exp(-1.0 / (_GATE_S * SAMPLE_RATE_HZ))
    level_rate = 1.0 - math.exp(-1.0 / (0.02 * SAMPLE_RATE_HZ))
    envelope, gate, now = state[0], state[1], state[2]
    for i in range(out.size):
        envelope = max(abs(out[i]), envelope * release)
        gate += open_rate * (max(0.0, 1.0 - envelope / (cover * level + 1e-9)) - gate)
        now += level_rate * (level - now)
        out[i] += now * gate * svf_band(noise(rng, 0), z, g, k) / rms
    state[0], state[1], state[2] = envelope, gate, now


class Presence:
    """Fills the pauses of one source.

    Args:
        seed: the same seed gives the same rustle.
    """

    def __init__(self, seed: int) -> None:
        rng = random.Random(f"presence:{seed}")
        self._rng = stream_seeds(rng, 1)
        self._filter, self._state = np.zeros(2), np.zeros(3)
        self._character = rng.uniform(0.8, 1.25)
        self._rate = smoothing(_MOTION_S)
        self._lively: float | None = None

    def fill(self, block: Float32, motion: Motion) -> None:
        """Add to the voice's block, float32 (BLOCK,), in place."""
        lively = clamp(max(motion.speed_m_s / 1.0, motion.energy / 0.3), 0.0, 1.0)
        self._lively = lively if self._lively is None else self._lively + self._rate * (lively - self._lively)
        level = _REFERENCE_RMS * db(STILL_DB + self._lively * (MOVING_DB - STILL_DB))
        g = tune(_CENTRE_HZ * self._character * pitch_of_size(motion.size_m))
        # White noise in [-1, 1) has an RMS of 1/sqrt(3); a band-pass of damping k passes pi/2 k f of its fs/2.
        rms = math.sqrt(_DAMPING * math.atan(g) / 3.0)
        _fill(block, self._rng, self._filter, self._state, g, _DAMPING, level, rms, _COVER)
