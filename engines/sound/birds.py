"""Birds."""

from __future__ import annotations

from engines.sound.call import Call, Calls, Formant
from engines.sound.dsp import BlockVoice, pitch_of_size
from engines.sound.texture import Bands, Stir
from engines.specs import BLOCK_S


class Bird(BlockVoice):
    """A songbird: phrases of whistled syllables (sweeps, trills, chirps); a second one answers from afar."""

    gain_db = -11.4

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._song = Calls(rng, 3)
        self._wings = Stir(rng, self.gain_db, -49.5, 3000.0)
        self.parts = (self._song, self._wings)
        self._pitch_hz = [rng.uniform(2900.0, 3900.0), rng.uniform(3600.0, 5000.0), rng.uniform(2400.0, 5600.0)]
        self._wait_s = [0.0, rng.uniform(0.6, 1.2), rng.uniform(0.9, 2.0)]
        # A repertoire of syllables per bird: (length s, four relative pitches, trill rate or 0).
        self._syllables = [[self._syllable() for _ in range(5)] for _ in range(3)]

    def _syllable(self) -> tuple[float, tuple[float, float, float, float], float]:
        rng = self.rng
        shape = rng.choice((
            (1.0, 1.35, 1.1, 0.8), (0.8, 1.0, 1.3, 1.4), (1.4, 1.1, 0.9, 0.75), (1.0, 0.7, 1.5, 1.0), (1.1, 1.1, 1.05, 1.0),
        ))  # fmt: skip
        return rng.uniform(0.05, 0.16), shape, rng.choice((0.0, 0.0, rng.uniform(28.0, 45.0)))

    def control(self) -> None:
        """Sing phrases; the pauses shrink with energy."""
        rng = self.rng
        for k in range(3):
            self._wait_s[k] -= BLOCK_S
            if self._wait_s[k] <= 0.0:
                busy_s = self._phrase(k)
                pause_s = rng.uniform(0.25, 0.9) * (1.9 - 1.6 * self.energy) * (1.0 + 0.6 * k)
                self._wait_s[k] = busy_s + min(pause_s, 2.0)
        self._wings.set(self.speed_m_s, self.energy)

    def _phrase(self, k: int) -> float:
        rng, at_s = self.rng, 0.0
        base = self._pitch_hz[k] * pitch_of_size(self.size_m, 0.12)
        for _ in range(rng.randint(1, 3)):
            length_s, shape, trill_hz = rng.choice(self._syllables[k])
            for _ in range(rng.randint(1, 4)):
                wobble = rng.uniform(0.97, 1.03)
                pitch = [base * wobble * ratio for ratio in shape]
                call = Call(
                    caller=k, length_s=length_s, level=(1.0, 0.45, 0.22)[k] * rng.uniform(0.7, 1.0) * (0.5 + 0.6 * self.energy), attack_s=0.012,
                    release_s=0.02, pitch_0=pitch[0], pitch_1=pitch[1], pitch_2=pitch[2], pitch_3=pitch[3], loud_0=0.5, loud_1=1.1,
                    loud_2=1.0, loud_3=0.6, trill_depth=0.6 if trill_hz else 0.0, trill_hz=trill_hz, vibrato=0.03 if trill_hz else 0.0,
                    vibrato_hz=trill_hz, bright=0.08, breath=0.02, direct=0.6,
                )  # fmt: skip
                self._song.utter(at_s, call)
                at_s += length_s + rng.uniform(0.015, 0.05)
            at_s += rng.uniform(0.03, 0.1)
        return at_s


class Crow(BlockVoice):
    """Caws: rough, torn, two or three in a row."""

    gain_db = -5.3

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._throat = Calls(rng, 1)
        self._wings = Stir(rng, self.gain_db, -47.5, 2500.0)
        self.parts = (self._throat, self._wings)
        self._pitch_hz = rng.uniform(430.0, 520.0)
        self._wait_s, self._left = 0.0, 3

    def control(self) -> None:
        """Caw in threes."""
        rng = self.rng
        self._wait_s -= BLOCK_S
        if self._wait_s <= 0.0:
            length_s = self._caw()
            self._left -= 1
            self._wait_s = length_s + rng.uniform(0.12, 0.25)
            if self._left <= 0:
                self._left = rng.choice((2, 3, 3, 4))
                self._wait_s += rng.uniform(0.5, 1.2) * (1.6 - 1.2 * self.energy)
        self._wings.set(self.speed_m_s, self.energy)

    def _caw(self) -> float:
        rng = self.rng
        size = pitch_of_size(self.size_m, 0.12)
        pitch = self._pitch_hz * size * rng.uniform(0.95, 1.05)
        length_s = rng.uniform(0.28, 0.42)
        call = Call(
            length_s=length_s, level=0.5 + 0.5 * self.energy, attack_s=0.03, release_s=0.12, pitch_0=pitch * 0.92, pitch_1=pitch * 1.12,
            pitch_2=pitch * 1.05, pitch_3=pitch * 0.85, loud_0=0.6, loud_1=1.1, loud_2=1.0, loud_3=0.5, bright=0.92, breath=0.3,
            jitter=0.16, shimmer=0.5, doubling=0.35,
        )  # fmt: skip
        formants: tuple[Formant, ...] = (
            (1050.0, 1450.0, 1200.0, 250.0, 1.0), (1750.0, 2050.0, 1800.0, 300.0, 0.8), (3000.0, 3300.0, 3000.0, 500.0, 0.35),
            (5200.0, 5200.0, 5000.0, 900.0, 0.15),
        )  # fmt: skip
        self._throat.utter(0.0, call, formants)
        return length_s


class Duck(BlockVoice):
    """Quacks: nasal, falling, in a laughing row."""

    gain_db = -4.9

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._throat = Calls(rng, 1)
        self._water = Stir(rng, self.gain_db, -45.5, 910.0, 0.3)
        self.parts = (self._throat, self._water)
        self._pitch_hz = rng.uniform(159.0, 197.0)
        self._wait_s, self._left, self._loud = 0.0, 4, 1.0

    def control(self) -> None:
        """A row of quacks, each softer."""
        rng = self.rng
        self._wait_s -= BLOCK_S
        if self._wait_s <= 0.0:
            length_s = self._quack()
            self._left -= 1
            self._loud *= 0.88
            self._wait_s = length_s + rng.uniform(0.0706, 0.141)
            if self._left <= 0:
                self._left, self._loud = rng.randint(3, 6), 1.0
                self._wait_s += rng.uniform(0.238, 1.0) * (1.6 - 1.2 * self.energy)
        self._water.set(self.speed_m_s, self.energy)

    def _quack(self) -> float:
        rng = self.rng
        pitch = self._pitch_hz * pitch_of_size(self.size_m, 0.12) * rng.uniform(1.6, 1.75)
        length_s = rng.uniform(0.105, 0.162)
        call = Call(
            length_s=length_s, level=self._loud * (0.5 + 0.5 * self.energy), attack_s=0.0797, release_s=0.0664, pitch_0=pitch * 0.403,
            pitch_1=pitch * 1.64, pitch_2=pitch, pitch_3=pitch * 1.05, loud_0=0.351, loud_1=1.38, loud_2=0.869, loud_3=0.647, bright=1.16,
            breath=0.196, jitter=0.0409, shimmer=0.515,
        )  # fmt: skip
        formants: tuple[Formant, ...] = (
            (185.0, 3704.2, 1754.1, 187.0, 0.998), (1134.9, 2997.2, 1895.8, 388.0, 1.0), (12266.9, 4068.8, 2804.3, 599.0, 0.546),
            (3920.2, 2893.0, 2657.9, 367.0, 0.298),
        )  # fmt: skip
        self._throat.utter(0.0, call, formants)
        return length_s


class Owl(BlockVoice):
    """Hoots in the rhythm of a tawny owl."""

    gain_db = -13.7

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._throat = Calls(rng, 1)
        self._night = Bands(rng, "bb")
        self._wings = Stir(rng, self.gain_db, -53.0, 800.0)
        self.parts = (self._throat, self._night, self._wings)
        self._pitch_hz = rng.uniform(534.0, 679.0)
        self._wait_s = 0.0

    def control(self) -> None:
        """One long hoot, a rest, a short one and a trembling long one."""
        rng = self.rng
        self._wait_s -= BLOCK_S
        if self._wait_s <= 0.0:
            at_s = 0.0
            for length_s, rest_s, vibrato in ((0.189, 0.343, 0.0), (0.0473, 0.0891, 0.0), (0.452, 0.0, 0.0183)):
                pitch = self._pitch_hz * pitch_of_size(self.size_m, 0.12) * rng.uniform(2.06, 2.14)
                length_s *= rng.uniform(0.999, 1.22)
                call = Call(
                    length_s=length_s, level=0.5 + 0.5 * self.energy, attack_s=0.0652, release_s=0.45, pitch_0=pitch * 0.369, pitch_1=pitch * 1.93,
                    pitch_2=pitch * 0.436, pitch_3=pitch * 0.825, vibrato=vibrato, vibrato_hz=8.36, trill_depth=5.06 * vibrato, trill_hz=22.9,
                    bright=0.0498, breath=0.031, direct=1.0,
                )  # fmt: skip
                self._throat.utter(at_s, call)
                at_s += length_s + rest_s * rng.uniform(0.682, 0.91)
            self._wait_s = at_s + rng.uniform(0.7, 1.4) * (1.4 - 0.8 * self.energy)
        self._night.set(0, 0.00377, 1382.0, 0.702)
        self._night.set(1, 0.00203, 2766.5, 1.51)
        self._wings.set(self.speed_m_s, self.energy)
