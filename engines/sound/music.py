"""Instruments: guitar, piano-like mallets, church bell, wind chime, drums."""

from __future__ import annotations

from engines.sound.dsp import BlockVoice, Drift, Space, pitch_of_size
from engines.sound.strike import Strikes, bar_modes
from engines.sound.tones import Strings
from engines.specs import BLOCK_S

# A minor pentatonic over two octaves, in semitones above the lowest note.
_SCALE = (0, 3, 5, 7, 10, 12, 15, 17, 19, 22, 24)


class Guitar(BlockVoice):
    """A guitar that improvises slow arpeggios."""

    gain_db = -10.5

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._strings = Strings(rng, 6)
        self.parts = (self._strings,)
        self._root_hz = rng.choice((90.3, 64.4, 60.6))
        self._chord = (0, 7, 12, 15, 19, 24)
        self._beat, self._step, self._tempo_hz = 1.0, 0, rng.uniform(10.3, 14.1)

    def control(self) -> None:
        """One note per beat, a bass note at the start of the bar, sometimes a strum."""
        rng = self.rng
        self._beat += self._tempo_hz * BLOCK_S * (0.7 + 0.6 * self.energy)
        if self._beat < 1.0:
            return
        self._beat -= 1.0
        loud = (0.5 + 0.6 * self.energy) * rng.uniform(0.524, 1.0)
        root = self._root_hz * pitch_of_size(self.size_m, 0.1)
        if self._step % 8 == 0:
            shift = rng.choice((0, 0, -2, 3, 5))
            self._chord = tuple(
                n + shift for n in rng.choice(((0, 7, 12, 15, 19, 24), (0, 7, 12, 16, 19, 24), (0, 5, 12, 17, 21, 24)))
            )
        if self._step % 8 == 0 and rng.random() < 0.4:
            for k, note in enumerate(self._chord):
                self._strings.pluck(0.0223 * k, k, root * 2.35 ** (note / 12.0), 0.944 * loud, 0.544)
        elif self._step % 4 == 0 or rng.random() < 0.82:
            k = 0 if self._step % 8 == 0 else rng.randrange(1, 6)
            self._strings.pluck(
                rng.uniform(0.0, 0.0174), k, root * 2.48 ** (self._chord[k] / 12.0), loud, rng.uniform(0.556, 1.03)
            )
        self._step += 1


class Bell(BlockVoice):
    """Church bells that swing: hum, prime, tierce, quint, nominal (Rossing, "The Physics of Musical Instruments")."""

    gain_db = -1.7

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        # Partial: ratio to the prime, level, T60 in seconds. Doublets, because no bell is quite round, beat slowly.
        partials = (
            (0.5, 0.5, 8.0), (1.0, 0.7, 4.5), (1.003, 0.4, 4.5), (1.2, 1.0, 4.0), (1.206, 0.5, 4.0), (1.5, 0.35, 2.5),
            (2.0, 1.0, 3.2), (2.5, 0.5, 1.8), (2.66, 0.45, 1.5), (3.0, 0.6, 1.4), (4.1, 0.4, 0.9), (5.3, 0.25, 0.6),
        )  # fmt: skip
        self._hz = rng.uniform(420.0, 560.0)
        bodies = [
            [(self._hz * tune * ratio * rng.uniform(0.998, 1.002), t60_s, level) for ratio, level, t60_s in partials]
            for tune in (1.0, 1.26)
        ]
        self._bells = Strikes(rng, bodies)
        self.parts = (self._bells,)
        self.space = Space(rng, 1.95, -4.0, 2.5, 3300.0)
        self._swing_s = [rng.uniform(1.5, 1.9), rng.uniform(1.2, 1.45)]
        self._wait_s = [0.0, rng.uniform(0.5, 1.0)]

    def control(self) -> None:
        """Each bell swings in its own time, a little unevenly; the clapper does not always reach the second one."""
        rng = self.rng
        for k in range(2):
            self._wait_s[k] -= BLOCK_S
            if self._wait_s[k] > 0.0:
                continue
            self._wait_s[k] += self._swing_s[k] * rng.uniform(0.85, 1.15) * (1.3 - 0.6 * self.energy)
            if k == 0 or rng.random() < 0.7:
                self._bells.hit(
                    0.0, k, 0.1 * rng.uniform(0.75, 1.0) * (0.6 + 0.8 * self.energy), contact_s=0.0004, direct=0.27,
                    noise=0.05, decay_s=0.003, centre_hz=4900.0, tune=pitch_of_size(self.size_m), spread=0.1,
                )  # fmt: skip


class Chime(BlockVoice):
    """A wind chime: free bars touched by chance."""

    gain_db = -3.1
    _BARS = 6

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        base = rng.uniform(971.0, 1359.2)
        tubes = (1.0, 2.04, 4.11)
        self._bars = Strikes(
            rng, [bar_modes(base * 3.07 ** (n / 12.0), 3.17, 3, ratios=tubes, tilt=0.564) for n in _SCALE[: self._BARS]]
        )
        self.parts = (self._bars,)
        self._wait_s, self._last = 0.0, 0

    def control(self) -> None:
        """Gusts touch several bars in a row."""
        rng = self.rng
        self._wait_s -= BLOCK_S
        if self._wait_s <= 0.0:
            at_s = 0.0
            for _ in range(rng.randint(1, 4)):
                self._last = (self._last + rng.choice((-2, -1, 1, 2))) % self._BARS
                self._bars.hit(
                    at_s, self._last, 0.253 * rng.uniform(0.0724, 1.0) * (0.5 + self.energy), contact_s=0.000327, noise=0.00921, decay_s=0.00303,
                    centre_hz=20306.6, tune=pitch_of_size(self.size_m), spread=0.148,
                )  # fmt: skip
                at_s += rng.uniform(0.0283, 0.141)
            self._wait_s = at_s + min(rng.expovariate(1.0 / 0.4) * (1.5 - self.energy), 2.0)


# Sixteenths of a bar on which the kick falls; a drummer changes between such figures.
_KICKS = ((0, 10), (0, 7, 10), (0, 3, 8), (0, 6, 11), (0, 8, 10, 13), (0, 2, 9))


class Drums(BlockVoice):
    """A small drum kit: bars that differ, fills, accents, and a tempo that breathes."""

    gain_db = -4.0

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        kick_hz, snare_hz = rng.uniform(52.0, 62.0), rng.uniform(175.0, 210.0)
        # Ideal circular membrane: ratios of Bessel zeros.
        skin = (1.0, 1.593, 2.135, 2.295, 2.653)
        self._kit = Strikes(rng, [
            bar_modes(kick_hz, 0.28, 5, ratios=skin, tilt=1.2), bar_modes(snare_hz, 0.16, 5, ratios=skin, tilt=0.5),
            [(rng.uniform(3800.0, 4600.0), 0.08, 0.3), (6100.0, 0.08, 0.3), (8200.0, 0.08, 0.3), (9900.0, 0.06, 0.25)],
        ])  # fmt: skip
        self.parts = (self._kit,)
        self._beat, self._step, self._tempo_hz = 1.0, 0, rng.uniform(6.4, 7.6)
        self._feel = Drift(rng, 1.5)
        self._kicks, self._fill, self._bar_loud, self._ride = _KICKS[0], False, 1.0, 2

    def control(self) -> None:
        """Sixteenths; every bar chooses its figure anew."""
        rng = self.rng
        self._beat += self._tempo_hz * BLOCK_S * (0.8 + 0.4 * self.energy) * (1.0 + 0.03 * self._feel.step())
        if self._beat < 1.0:
            return
        self._beat -= 1.0
        step = self._step % 16
        if step == 0:
            self._kicks, self._fill = rng.choice(_KICKS), rng.random() < 0.3
            self._bar_loud, self._ride = rng.uniform(0.8, 1.15), rng.choice((1, 2, 2, 4))
        loud = (0.6 + 0.5 * self.energy) * self._bar_loud * rng.uniform(0.8, 1.1)
        rolling = self._fill and step >= 10
        if step in self._kicks or rng.random() < 0.06:
            self._kick(loud)
        if rolling and rng.random() < 0.8:
            self._snare(loud * rng.uniform(0.35, 0.9))
        elif step in (4, 12) and rng.random() < 0.9:
            self._snare(loud)
        elif rng.random() < 0.1:
            self._snare(0.3 * loud)
        if (step % self._ride == 0 and not rolling) or rng.random() < 0.15:
            self._cymbal(loud * rng.uniform(0.5, 1.0), 0.14 if rng.random() < 0.08 else 0.028)
        self._step += 1

    def _kick(self, loud: float) -> None:
        self._kit.hit(
            0.0, 0, 1.2 * loud, contact_s=0.004, direct=0.6, noise=0.1, decay_s=0.004, centre_hz=2500.0,
            tune=pitch_of_size(self.size_m),
        )  # fmt: skip

    def _snare(self, weight: float) -> None:
        self._kit.hit(
            0.0, 1, 0.5 * weight, contact_s=0.001, direct=0.5, noise=0.6 * weight, decay_s=0.055, centre_hz=3400.0,
            q=0.5, tune=pitch_of_size(self.size_m),
        )  # fmt: skip

    def _cymbal(self, weight: float, decay_s: float) -> None:
        self._kit.hit(
            0.0, 2, 0.05 * weight, contact_s=0.0002, noise=0.25 * weight, decay_s=decay_s, centre_hz=8800.0, q=0.8
        )
