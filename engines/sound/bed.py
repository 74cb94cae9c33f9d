"""The quiet, enveloping sound of the place itself: Ambience -> five decorrelated channels.

Five loudspeakers with independent noise of the same colour give a diffuse field (Blauert, "Spatial Hearing", 3.3).
The bed lies about 20 dB below one source and keeps that level whatever the mixture: each component is calibrated on
its own, and the square roots of the shares add up to constant power.
"""

from __future__ import annotations

import random

import numpy as np

from engines.sound.dsp import Drift, clamp, db, smoothing
from engines.sound.texture import Bands
from engines.specs import BLOCK, Ambience, Float32

CHANNELS = ("FL", "FR", "FC", "BL", "BR")

# Time constant of the cross-fade between one ambience and the next.
_FADE_S = 1.2
# Bands of one channel: (kind, component, level, Hz, Q). Components: room, air, green, urban, water.
_BANDS = (
    ("l", 0, 1.00, 75.0, 0.7), ("b", 0, 0.16, 320.0, 0.4), ("s", 0, 0.50, 100.0, 14.0),
    ("l", 1, 0.60, 95.0, 0.7), ("b", 1, 0.16, 420.0, 0.45),
    ("b", 2, 0.10, 2300.0, 0.5), ("b", 2, 0.12, 5200.0, 0.6), ("l", 2, 0.30, 110.0, 0.6),
    ("l", 3, 0.90, 85.0, 0.8), ("b", 3, 0.22, 260.0, 0.5), ("b", 3, 0.07, 850.0, 0.5),
    ("b", 4, 0.12, 650.0, 0.5), ("b", 4, 0.08, 2600.0, 0.5), ("l", 4, 0.25, 120.0, 0.6),
)  # fmt: skip
_N_COMPONENTS = 5
# Level of each component alone that measures -43 LUFS over the five channels, dB.
_LEVEL_DB = (-20.0, -19.9, -28.2, -21.6, -23.0)


class Bed:
    """Endless ambience in FL FR FC BL BR."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(f"bed:{seed}")
        kinds = "".join(band[0] for band in _BANDS)
        self._channels = tuple(Bands(rng, kinds) for _ in CHANNELS)
        self._weather = Drift(rng, 1.2)
        self._gusts = tuple(Drift(rng, 0.7) for _ in CHANNELS)
        self._swells = tuple(Drift(rng, 1.4) for _ in CHANNELS)
        for bands in self._channels:
            for k, (_, component, _, _, _) in enumerate(_BANDS):
                if component in (2, 4):
                    bands.grit(k, 0.35, 9.0 if component == 2 else 14.0)
        self._levels = [db(level_db) for level_db in _LEVEL_DB]
        self._now: list[float] | None = None
        self._rate = smoothing(_FADE_S)
        self._pos = 0

    def render(self, n_samples: int, ambience: Ambience) -> Float32:
        """The next samples, float32 (5, n_samples), [-1, 1), about -43 LUFS in sum; any cuts give the same sound."""
        out = np.zeros((len(CHANNELS), n_samples), np.float32)
        done = 0
        while done < n_samples:
            if self._pos == 0:
                self._control(ambience)
            step = min(n_samples - done, BLOCK - self._pos)
            for channel, bands in enumerate(self._channels):
                bands.add(out[channel, done : done + step], self._pos)
            self._pos = (self._pos + step) % BLOCK
            done += step
        return out

    def _control(self, ambience: Ambience) -> None:
        """Move toward the ambience; let gusts and traffic swell."""
        shares = component_shares(ambience)
        if self._now is None:
            self._now = shares
        self._now = [now + self._rate * (share - now) for now, share in zip(self._now, shares, strict=True)]
        gains = [level * share**0.5 for level, share in zip(self._levels, self._now, strict=True)]
        weather = 0.12 * self._weather.step()
        for channel, bands in enumerate(self._channels):
            gust = clamp(1.0 + weather + 0.12 * self._gusts[channel].step(), 0.5, 1.5)
            swell = clamp(1.0 + 0.12 * self._swells[channel].step(), 0.5, 1.5)
            motion = (1.0, 0.5 + 0.5 * gust, gust, swell, 0.6 + 0.4 * swell)
            for k, (_, component, level, freq_hz, q) in enumerate(_BANDS):
                gain = gains[component]
                bands.set(k, level * gain * motion[component] if gain > 1e-5 else 0.0, freq_hz, q)


def component_shares(ambience: Ambience) -> list[float]:
    """Power shares of room, air, green, urban and water; they add up to 1.

    Indoors what lies outside is heard through walls, a tenth as strong.
    """
    outdoor = clamp(ambience.outdoor, 0.0, 1.0)
    open_air = 0.1 + 0.9 * outdoor
    scenes = [open_air * clamp(value, 0.0, 1.0) for value in (ambience.green, ambience.urban, ambience.water)]
    busy = min(1.0, sum(scenes))
    ground = max(0.15, 1.0 - 0.8 * busy)
    shares = [ground * (1.0 - outdoor), ground * outdoor, *scenes]
    total = sum(shares)
    return [share / total for share in shares]
