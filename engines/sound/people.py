"""People without words: footsteps, running shoes, murmur, applause."""

from __future__ import annotations

import math

from engines.sound.call import Call, Calls, Formant
from engines.sound.dsp import BlockVoice, Drift, Space, clamp, pitch_of_size
from engines.sound.strike import Strikes
from engines.sound.texture import Bands, Grains, Stir
from engines.specs import BLOCK_S

# Vowel-like formants (Hz) from Peterson & Barney's averages; used to colour murmur, never in the order of a word.
_VOWELS = (
    (640, 1190, 2390),
    (530, 1840, 2480),
    (390, 1990, 2550),
    (440, 1020, 2240),
    (300, 870, 2240),
    (490, 1350, 1690),
)


class Footsteps(BlockVoice):
    """Hard shoes on a floor: heel, roll, toe (Farnell's ground-reaction phases), left and right a little different."""

    gain_db = 21.4

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        floor_hz = rng.uniform(135.0, 180.0)
        shoe_hz = rng.uniform(660.0, 900.0)
        bodies: list[list[tuple[float, float, float]]] = []
        for foot in (1.0, rng.uniform(1.1, 1.3)):
            bodies.append([
                (floor_hz * foot, 0.052, 0.18), (floor_hz * 5.8 * foot, 0.045, 0.14), (shoe_hz * 0.42 * foot, 0.073, 0.09),
                (shoe_hz * foot, 0.013, 0.45), (shoe_hz * 3.3 * foot, 0.0083, 0.25), (shoe_hz * 5.9 * foot, 0.031, 0.67),
                (shoe_hz * 7.4 * foot, 0.006, 1.7), (shoe_hz * 13.3 * foot, 0.024, 0.9),
            ])  # fmt: skip
        # Sole and toe are only bursts of friction.
        self._feet = Strikes(rng, [*bodies, [], []])
        self._cloth = Stir(rng, self.gain_db, -40.0, 950.0, 0.3)
        self.parts = (self._feet, self._cloth)
        self._heel_hz = rng.uniform(75.0, 110.0)
        self._phase = 1.0
        self._foot = 0
        self._swish = 0.0
        self._sway = Drift(rng, 2.0)

    def rate_hz(self) -> float:
        """Steps per second: the seen gait, else cadence ~ sqrt(speed), else a stroll; 0 when standing."""
        if self.speed_m_s < 0.15 and self.energy < 0.05:
            return 0.0
        if self.gait_hz > 0.2:
            steps = self.gait_hz * (2.0 if self.gait_hz < 1.2 else 1.0)
            return clamp(steps, 0.7, 4.5)
        cadence = 1.63 * math.sqrt(self.speed_m_s)
        return clamp(cadence, 1.25 + 0.4 * self.energy, 4.2)

    def control(self) -> None:
        """One step per unit of phase; standing still, a rare shuffle."""
        rng, rate = self.rng, self.rate_hz()
        if rate > 0.0:
            self._phase += rate * BLOCK_S * (1.0 + 0.09 * self._sway.step())
            if self._phase >= 1.0:
                self._phase -= 1.0
                self._step(rate)
        else:
            self._phase += BLOCK_S
            if self._phase >= 1.0:
                self._phase = rng.uniform(-1.0, 0.2)
                self._shuffle()
        self._swish *= 0.93
        self._cloth.set(self.speed_m_s, self.energy, 0.5 + 1.2 * self._swish)

    def _step(self, rate: float) -> None:
        rng, foot = self.rng, self._foot
        self._foot = 1 - foot
        hurry = clamp((rate - 1.2) / 2.5, 0.0, 1.0)
        weight = (0.5 + 0.3 * self.energy + 0.4 * hurry) * rng.uniform(0.8, 1.2)
        tune = pitch_of_size(self.size_m) * rng.uniform(0.93, 1.07)
        heel_hz = self._heel_hz * tune * rng.uniform(0.73, 1.27)
        self._feet.hit(
            rng.uniform(0.0, 0.0023), foot, 0.113 * weight, contact_s=0.00098, direct=0.23, noise=0.23 * weight, attack_s=0.00045,
            decay_s=0.0025, centre_hz=heel_hz, q=0.46, tune=tune, spread=0.47,
        )  # fmt: skip
        self._feet.hit(
            rng.uniform(0.031, 0.051),
            2,
            0.0,
            noise=1.4 * weight,
            attack_s=0.0055,
            decay_s=0.032,
            centre_hz=0.44 * heel_hz,
            q=0.53,
        )
        toe_s = rng.uniform(0.088, 0.137) / (0.5 + 0.25 * rate)
        self._feet.hit(
            toe_s, 3, 0.0, noise=0.5 * weight * rng.uniform(0.63, 1.37), attack_s=0.0076, decay_s=0.0107,
            centre_hz=heel_hz * rng.uniform(4.0, 6.9), q=1.56,
        )  # fmt: skip
        self._swish = 0.4 + 0.6 * hurry

    def _shuffle(self) -> None:
        rng = self.rng
        for delay_s in (0.0, rng.uniform(0.08, 0.2)):
            self._feet.hit(
                delay_s, rng.choice((2, 3)), 0.0, noise=rng.uniform(0.05, 0.1), attack_s=0.02, decay_s=rng.uniform(0.024, 0.048),
                centre_hz=self._heel_hz * rng.uniform(5.0, 14.0), q=0.4,
            )  # fmt: skip
        self._swish = 0.5


class Crowd(BlockVoice):
    """Murmur: many people at once, syllable-like swells of vowel colour that never form a word."""

    gain_db = 2.9
    _TALKERS = 6

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._calls = Calls(rng, self._TALKERS)
        self._air = Bands(rng, "bbbbbl")
        self.parts = (self._calls, self._air)
        self.space = Space(rng, 0.4, -1.0, 2.8, 2600.0)
        self._pitch_hz = [
            rng.choice((160.0, 200.0, 290.0, 330.0, 460.0)) * rng.uniform(0.85, 1.3) for _ in range(self._TALKERS)
        ]
        self._tract = [rng.uniform(1.25, 1.9) for _ in range(self._TALKERS)]
        self._far = [rng.uniform(0.4, 1.0) for _ in range(self._TALKERS)]
        self._rest_s = [0.0, *(rng.uniform(0.0, 0.4) for _ in range(self._TALKERS - 1))]
        self._phrase = [rng.randint(3, 9) for _ in range(self._TALKERS)]
        self._vowel = [rng.choice(_VOWELS) for _ in range(self._TALKERS)]
        self._swell = Drift(rng, 1.0)

    def control(self) -> None:
        """Let each talker begin a new swell when the last one is over."""
        rng = self.rng
        for k in range(self._TALKERS):
            self._rest_s[k] -= BLOCK_S
            if self._rest_s[k] <= 0.0:
                length_s = self._syllable(k)
                self._phrase[k] -= 1
                gap_s = rng.uniform(-0.04, 0.06)
                if self._phrase[k] <= 0:
                    self._phrase[k] = rng.randint(3, 11)
                    gap_s = rng.uniform(0.1, 1.2 - 0.6 * self.energy)
                self._rest_s[k] = max(BLOCK_S, length_s + gap_s)
        # The people too far away to be told apart: formant bands that flutter at the rate of syllables.
        swell = 0.6 * clamp(1.0 + 0.08 * self._swell.step(), 0.6, 1.5) * (0.25 + self.energy)
        for band, (gain, freq_hz) in enumerate(
            ((0.025, 240.0), (0.04, 450.0), (0.042, 640.0), (0.037, 1150.0), (0.026, 1900.0))
        ):
            self._air.set(band, gain * swell, freq_hz, 2.9)
            self._air.grit(band, 0.9, 4.2)
        self._air.set(5, 0.0125, 340.0, 1.2)

    def _syllable(self, k: int) -> float:
        rng = self.rng
        length_s = rng.uniform(0.18, 0.6)
        begin, end = self._vowel[k], rng.choice(_VOWELS)
        self._vowel[k] = end
        scale = self._tract[k] * pitch_of_size(self.size_m)
        mid = rng.choice(_VOWELS)
        formants: tuple[Formant, ...] = tuple(
            (a * scale, m * scale, b * scale, 44.0 + 0.09 * b, gain)
            for a, m, b, gain in zip(begin, mid, end, (1.0, 0.22, 0.16), strict=True)
        )
        pitch = self._pitch_hz[k] * rng.uniform(0.9, 1.3) * (0.85 + 0.3 * self.energy)
        level = self._far[k] * rng.uniform(0.45, 0.7) * (0.55 + self.energy)
        call = Call(
            caller=k, length_s=length_s, level=0.33 * level, attack_s=0.025, release_s=0.06,
            pitch_0=pitch, pitch_1=pitch * rng.uniform(0.95, 1.3), pitch_2=pitch * rng.uniform(0.8, 1.1),
            pitch_3=pitch * rng.uniform(0.84, 1.0), bright=0.9, breath=rng.choice((0.3, 0.45, 0.6, 0.95)),
            jitter=0.003, shimmer=0.15,
        )  # fmt: skip
        self._calls.utter(rng.uniform(0.0, BLOCK_S), call, formants)
        return length_s


class Applause(BlockVoice):
    """Many pairs of hands: each clap a short burst through the cavity of the palms (Peltola et al., DAFx 2007)."""

    gain_db = -14.0
    _GROUPS = 10

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._near = Grains(rng, self._GROUPS)
        self._far = Bands(rng, "bb")
        self.parts = (self._near, self._far)
        self._hands_hz = [rng.uniform(628.0, 2511.0) for _ in range(self._GROUPS)]
        self._rate_hz = [rng.uniform(5.32, 7.19) for _ in range(self._GROUPS)]
        self._mood = Drift(rng, 4.33)

    def control(self) -> None:
        """Claps get faster, louder and more with energy."""
        mood = clamp(1.0 + 0.0418 * self._mood.step(), 0.6, 1.4)
        loud = (0.35 + 1.1 * self.energy) * mood
        tone = pitch_of_size(self.size_m)
        for k in range(self._GROUPS):
            solo = k < 4
            people = 1.0 if solo else 3.0 + 10.0 * self.energy
            rate = self._rate_hz[k] * people * (0.7 + 0.5 * self.energy)
            # A wider band passes more noise; hands of every size clap equally loud.
            even = math.sqrt(1400.0 / self._hands_hz[k])
            self._near.set(
                k, rate, (0.406 if solo else 0.815) * loud * even, 0.0245, self._hands_hz[k] * tone, 2.33, spread_db=3.2,
                spread_octaves=0.426, regular=0.147 if solo else 0.0,
            )  # fmt: skip
        self._far.set(0, 0.0722 * loud, 451.0 * tone, 1.6)
        self._far.set(1, 0.0109 * loud, 3589.9 * tone, 0.424)
        self._far.grit(0, 0.127, 24.3)


class Ball(BlockVoice):
    """A basketball that is dribbled in a hall: the floor thuds, the air inside rings near 1 kHz."""

    gain_db = 6.4

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        air_hz = rng.uniform(975.0, 1114.7)
        # A hollow sphere's first air modes have the ratios 1, 1.6, 2.2; shell and floor lie far below.
        self._ball = Strikes(rng, [[
            (rng.uniform(74.2, 90.1), 0.287, 0.396), (rng.uniform(170.0, 205.0), 0.0819, 0.826), (rng.uniform(262.0, 308.0), 0.0389, 0.112),
            (air_hz, 0.0795, 0.257), (2.59 * air_hz, 0.096, 0.264), (1.34 * air_hz, 0.0489, 0.0476),
        ]])  # fmt: skip
        self._player = Stir(rng, self.gain_db, -43.0, 700.0)
        self.parts = (self._ball, self._player)
        self.space = Space(rng, 0.52, -8.49, 4.49, 5088.8)
        self._wait_s = 0.0
        self._tempo_s = rng.uniform(0.557, 0.668)

    def control(self) -> None:
        """Bounce after bounce, quicker with energy."""
        rng = self.rng
        self._wait_s -= BLOCK_S
        if self._wait_s <= 0.0:
            weight = rng.uniform(1.22, 2.13) * (0.4 + 0.7 * self.energy)
            self._ball.hit(
                rng.uniform(0.0, 0.00216), 0, 0.744 * weight, contact_s=0.00425, direct=0.963, noise=0.229 * weight, attack_s=0.000731,
                decay_s=0.0126, centre_hz=661.0, q=0.369, tune=pitch_of_size(self.size_m) * rng.uniform(0.337, 0.365), spread=0.9,
            )  # fmt: skip
            pause = rng.uniform(0.111, 1.0) if rng.random() < 0.1 else 0.0
            self._wait_s += self._tempo_s * rng.uniform(0.85, 1.15) * (1.4 - 0.8 * self.energy) + pause
        self._player.set(self.speed_m_s, self.energy)
