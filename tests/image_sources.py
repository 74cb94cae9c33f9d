"""The truth about reflections in a shoebox, slow and in float64: every image source at every moment.

Allen & Berkley (1979, "Image method for efficiently simulating small-room acoustics"), for a tone and a source that may
move: an image sounds from where it was when the source emitted, its path decides delay and level, its walls its loss, its
direction the loudspeakers. Written without the program's own impulse responses; only how a direction is shared among the
loudspeakers is taken from it.
"""

from __future__ import annotations

import itertools

import numpy as np

from engines.spatial.bank import MAIN_AZIMUTHS_DEG
from engines.spatial.panning import ring_shares
from engines.specs import SPEED_OF_SOUND_M_S

# ISO 9613-1, 20 degrees C, 50 % humidity, at 1 kHz.
AIR_DB_PER_M_AT_1_KHZ = 4.7e-3
LOW_CUT_HZ = 200.0
# Images quieter than this, against a direct sound of 1 at 1 m, are left out.
_QUIET = 5e-4


def images(size_m, listener_m, source_m, reach_m):
    """Yield (walls hit, mirror (3,), shift (3,)) of every image that may come within reach of the listener.

    The image of a source at p lies at mirror * p + shift. source_m: (n, 3), the path of the source.
    """
    orders = [range(-int(reach_m / s) - 1, int(reach_m / s) + 2) for s in size_m]
    for n in itertools.product(*orders):
        for mirrored in itertools.product((0, 1), repeat=3):
            hits = sum(abs(i - q) + abs(i) for i, q in zip(n, mirrored, strict=True))
            mirror, shift = 1.0 - 2.0 * np.array(mirrored), 2.0 * np.array(n) * np.array(size_m)
            if hits and np.linalg.norm(mirror * source_m + shift - listener_m, axis=1).min() < reach_m:
                yield hits, mirror, shift


def low_cut(tone_hz):
    """Complex gain of a second-order Butterworth high-pass, the minimum-phase filter of its magnitude."""
    s = 1j * tone_hz / LOW_CUT_HZ
    return s**2 / (s**2 + np.sqrt(2.0) * s + 1.0)


def reflections(room, absorption, position_at, tone_hz, time_s):
    """What the five main channels get of a tone's reflections: complex (5, n); the imaginary part is a sine's.

    Delays count from the arrival of the direct sound, levels from a direct sound of 1 at 1 m.

    Args:
        room: for its size, its listener and the time of its reflections; six equal walls.
        absorption: of their energy, at the tone's frequency.
        position_at: seconds (n,) -> source position relative to the listener (n, 3).
        tone_hz: 1 kHz, where the loss in air is known here.
        time_s: (n,), when it is heard.
    """
    wall, listener = np.sqrt(1.0 - absorption), np.asarray(room.listener_m)
    reach_m = np.linalg.norm(position_at(time_s), axis=1).max() + room.early_s * SPEED_OF_SOUND_M_S
    out = np.zeros((5, len(time_s)), np.complex128)
    fade_s = room.early_s / 4.0  # where the diffuse tail takes over
    for hits, mirror, shift in images(room.size_m, listener, listener + position_at(time_s), reach_m):
        # The moment of emission: when it began the way that ends now. Four rounds are enough far below the speed of sound.
        emitted_s = time_s
        for _ in range(4):
            position = position_at(emitted_s)
            offset = mirror * (listener + position) + shift - listener
            path_m = np.linalg.norm(offset, axis=1)
            emitted_s = time_s - (path_m - np.linalg.norm(position, axis=1)) / SPEED_OF_SOUND_M_S
        level = wall**hits / path_m * 10.0 ** (-AIR_DB_PER_M_AT_1_KHZ * path_m / 20.0)
        if level.max() < _QUIET:
            continue
        ending = np.clip((time_s - emitted_s - (room.early_s - fade_s)) / fade_s, 0.0, 1.0)
        shares = ring_shares(offset / path_m[:, None], MAIN_AZIMUTHS_DEG)
        phasor = np.exp(2j * np.pi * tone_hz * emitted_s)
        out += np.sqrt(shares).T * (level * np.cos(0.5 * np.pi * ending) * phasor)
    return out * low_cut(tone_hz)
