"""Warning and calling sounds: horn, siren, telephone, beeper."""

from __future__ import annotations

from engines.sound.dsp import BlockVoice, Drift, clamp, pitch_of_size
from engines.sound.strike import Strikes, bar_modes
from engines.sound.texture import Bands
from engines.sound.tones import Tones
from engines.specs import BLOCK_S


class Siren(BlockVoice):
    """An electronic siren that wails, sometimes yelps, through a horn loudspeaker."""

    gain_db = -16.2

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._horn = Tones(rng, 1, body=((900.0, 1.6, 1.0), (1500.0, 2.0, 0.8), (2700.0, 2.5, 0.5)))
        self._street = Bands(rng, "lb")
        self.parts = (self._horn, self._street)
        self._low_hz, self._high_hz = rng.uniform(560.0, 680.0), rng.uniform(1250.0, 1500.0)
        self._phase, self._mode_s, self._yelp = 0.0, rng.uniform(6.0, 10.0), False
        self._air = Drift(rng, 0.4)

    def control(self) -> None:
        """Sweep up fast and down slowly; change the pattern now and then."""
        rng = self.rng
        self._mode_s -= BLOCK_S
        if self._mode_s <= 0.0:
            self._yelp = not self._yelp
            self._mode_s = rng.uniform(3.0, 5.0) if self._yelp else rng.uniform(6.0, 11.0)
        rate = (2.9 if self._yelp else 0.26) * (0.85 + 0.3 * self.energy)
        self._phase = (self._phase + rate * BLOCK_S * (1.0 + 0.03 * self._air.step())) % 1.0
        up = self._phase / 0.35 if self._phase < 0.35 else (1.0 - self._phase) / 0.65
        share = up * up * (3.0 - 2.0 * up)
        pitch = self._low_hz * (self._high_hz / self._low_hz) ** share * pitch_of_size(self.size_m, 0.08)
        self._horn.set(0, pitch, 0.35 + 0.2 * self.energy, 0.82, 0.01)
        self._street.set(0, 0.02, 160.0)
        self._street.set(1, 0.01, 900.0, 0.5)


class Horn(BlockVoice):
    """A car horn: two notes a third apart, in impatient bursts."""

    gain_db = -17.2
    motion_time_s = 0.05

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._notes = Tones(rng, 2, body=((600.0, 1.2, 0.8), (1900.0, 1.6, 1.0), (3000.0, 2.0, 0.7)))
        self._street = Bands(rng, "lb")
        self.parts = (self._notes, self._street)
        self._low_hz = rng.uniform(340.0, 420.0)
        self._ratio = rng.choice((1.19, 1.25, 1.26))
        self._on_s, self._off_s = rng.uniform(0.3, 0.5), 0.0

    def control(self) -> None:
        """Press and let go."""
        rng = self.rng
        if self._on_s > 0.0:
            self._on_s -= BLOCK_S
            if self._on_s <= 0.0:
                self._off_s = rng.choice((rng.uniform(0.1, 0.2), rng.uniform(0.5, 1.4) * (1.5 - self.energy)))
        else:
            self._off_s -= BLOCK_S
            if self._off_s <= 0.0:
                self._on_s = rng.choice((rng.uniform(0.2, 0.4), rng.uniform(0.6, 1.5)))
        level = (0.25 + 0.25 * self.energy) if self._on_s > 0.0 else 0.0
        low = self._low_hz * pitch_of_size(self.size_m)
        self._notes.set(0, low, level, 0.93)
        self._notes.set(1, low * self._ratio, level, 0.93)
        self._street.set(0, 0.02, 160.0)
        self._street.set(1, 0.006, 900.0, 0.5)


class Telephone(BlockVoice):
    """A desk telephone: a clapper between two gongs, ring and pause."""

    gain_db = -18.1

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        hz = rng.uniform(1195.2, 1507.0)
        ratios = (1.0, 2.21, 1.54, 3.11, 2.79)
        self._gongs = Strikes(
            rng, [bar_modes(hz * k, 0.618, 5, ratios=ratios, tilt=0.06, damping=0.518) for k in (1.0, 1.24)]
        )
        self.parts = (self._gongs,)
        self._clock_s, self._stroke, self._gong = 0.0, 1.0, 0
        self._rate_hz = rng.uniform(27.1, 32.2)
        self._ring_s, self._pause_s = 4.46, 1.94

    def control(self) -> None:
        """Ring about two seconds, pause about two."""
        rng = self.rng
        self._clock_s += BLOCK_S
        if self._clock_s > self._ring_s + self._pause_s:
            self._clock_s, self._ring_s, self._pause_s = (
                0.0,
                rng.uniform(7.11, 9.33),
                rng.uniform(0.323, 0.512) * (1.2 - 0.5 * self.energy),
            )
        if self._clock_s < self._ring_s:
            self._stroke += self._rate_hz * BLOCK_S
            if self._stroke >= 1.0:
                self._stroke -= 1.0
                self._gong = 1 - self._gong
                self._gongs.hit(
                    rng.uniform(0.0, 0.00366), self._gong, 0.22 * rng.uniform(1.64, 2.25) * (0.6 + 0.8 * self.energy), contact_s=0.00026, direct=0.279,
                    noise=0.0201, decay_s=0.0025, centre_hz=5178.6, tune=pitch_of_size(self.size_m, 0.08), spread=0.245,
                )  # fmt: skip


class Alarm(BlockVoice):
    """An electronic alarm: groups of short beeps."""

    gain_db = -11.2

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._beep = Tones(rng, 1)
        self._room = Bands(rng, "b")
        self.parts = (self._beep, self._room)
        self._pitch_hz = rng.choice((2048.0, 2400.0, 2800.0)) * rng.uniform(0.95, 1.05)
        self._phase, self._count, self._rest_s = 0.0, 4, 0.0

    def control(self) -> None:
        """Four beeps and a rest, faster with energy."""
        rng = self.rng
        on = 0.0
        if self._rest_s > 0.0:
            self._rest_s -= BLOCK_S
        else:
            self._phase += 8.0 * BLOCK_S
            on = 1.0 if self._phase < 0.5 else 0.0
            if self._phase >= 1.0:
                self._phase = 0.0
                self._count -= 1
                if self._count == 0:
                    self._count = 4
                    self._rest_s = rng.uniform(0.42, 0.55) * clamp(1.5 - self.energy, 0.5, 2.0)
        self._beep.set(0, self._pitch_hz * pitch_of_size(self.size_m, 0.05), on * (0.2 + 0.3 * self.energy), 0.35)
        self._room.set(0, 0.001, 800.0, 0.4)
