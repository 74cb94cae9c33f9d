"""Four-legged things and insects."""

from __future__ import annotations

from engines.sound.call import Call, Calls, Formant
from engines.sound.dsp import BlockVoice, Drift, Space, clamp, pitch_of_size
from engines.sound.strike import Strikes
from engines.sound.texture import Bands, Grains, Stir
from engines.specs import BLOCK_S


class Dog(BlockVoice):
    """Barks in short bouts, panting in between (Taylor & Reby: source-filter in dogs)."""

    gain_db = -17.0

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._throat = Calls(rng, 2)
        self._coat = Stir(rng, self.gain_db, -47.5, 1400.0)
        self.parts = (self._throat, self._coat)
        self._pitch_hz = rng.uniform(378.0, 504.0)
        self._tract = rng.uniform(0.565, 0.688)
        self._wait_s, self._bout = 0.0, rng.randint(2, 4)
        self._pant_s, self._pant_in = 0.431, True

    def control(self) -> None:
        """Bark while there is energy, pant always."""
        rng = self.rng
        self._wait_s -= BLOCK_S
        if self._wait_s <= 0.0:
            self._bark()
            self._bout -= 1
            self._wait_s = rng.uniform(0.339, 0.53)
            self._pant_s = self._wait_s + 0.0953
            if self._bout <= 0:
                self._bout = rng.randint(1, 4)
                self._wait_s += rng.uniform(0.5, 1.3) * (1.6 - 1.4 * self.energy) + (2.5 if self.energy < 0.05 else 0.0)
        self._pant_s -= BLOCK_S
        if self._pant_s <= 0.0 and self._wait_s > 0.3:
            self._pant_s = rng.uniform(0.266, 0.327)
            self._pant()
        self._coat.set(self.speed_m_s, self.energy)

    def _bark(self) -> None:
        rng = self.rng
        size = pitch_of_size(self.size_m, 0.25)
        pitch = self._pitch_hz * size * rng.uniform(2.88, 3.35)
        length_s = rng.uniform(0.15, 0.22)
        call = Call(
            caller=0, length_s=length_s, level=rng.uniform(0.827, 1.0) * (0.5 + 0.7 * self.energy), attack_s=0.0271,
            release_s=0.118, pitch_0=pitch * 0.813, pitch_1=pitch * 1.37, pitch_2=pitch * 1.33, pitch_3=pitch * 0.415,
            loud_0=0.897, loud_1=0.935, loud_2=3.53, loud_3=0.993, bright=1.65, breath=0.219, jitter=0.05, shimmer=0.335,
            doubling=0.37, direct=0.24,
        )  # fmt: skip
        t = self._tract * size
        formants: tuple[Formant, ...] = (
            (333.0 * t, 1590.1 * t, 335.0 * t, 161.0, 1.0), (1342.9 * t, 1289.1 * t, 1380.8 * t, 475.0, 2.0),
            (1209.8 * t, 6665.4 * t, 1829.9 * t, 541.0, 1.19), (3023.4 * t, 1722.8 * t, 3372.7 * t, 420.0, 0.278),
        )  # fmt: skip
        self._throat.utter(rng.uniform(0.0, 0.00536), call, formants)

    def _pant(self) -> None:
        rng = self.rng
        self._pant_in = not self._pant_in
        call = Call(
            caller=1, length_s=0.284, level=0.0226 * (0.5 + self.energy) * (2.04 if self._pant_in else 1.0), attack_s=0.141, release_s=0.0637,
            breath=1.0, pitch_0=48.1, pitch_1=55.9, pitch_2=338.0, pitch_3=44.1,
        )  # fmt: skip
        t = self._tract * (0.826 if self._pant_in else 1.0) * rng.uniform(1.44, 1.6)
        formants: tuple[Formant, ...] = (
            (577.0 * t, 280.0 * t, 1863.9 * t, 480.0, 0.634), (633.0 * t, 937.0 * t, 1844.8 * t, 434.0, 1.0),
            (4203.2 * t, 5562.4 * t, 3171.4 * t, 667.0, 0.504),
        )  # fmt: skip
        self._throat.utter(0.0, call, formants)


class Cat(BlockVoice):
    """Miaows that open and close the mouth, purring in between."""

    gain_db = -23.5

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._throat = Calls(rng, 1)
        self._purr = Bands(rng, "l")
        self._fur = Stir(rng, self.gain_db, -48.5, 2600.0)
        self.parts = (self._throat, self._purr, self._fur)
        self._pitch_hz = rng.uniform(666.0, 820.0)
        self._wait_s = 0.0
        self._breath = Drift(rng, 0.448)

    def control(self) -> None:
        """Miaow every second or two, more often when restless."""
        rng = self.rng
        self._wait_s -= BLOCK_S
        if self._wait_s <= 0.0:
            self._wait_s = (
                self._miaow() + rng.uniform(0.5, 1.2) * (1.5 - self.energy) + (3.0 if self.energy < 0.05 else 0.0)
            )
        purr = clamp(1.0 + 0.216 * self._breath.step(), 0.2, 1.8)
        self._purr.set(0, 0.35 * purr, 221.0, 1.0)
        self._purr.grit(0, 1.0, 22.4)
        self._fur.set(self.speed_m_s, self.energy)

    def _miaow(self) -> float:
        rng = self.rng
        size = pitch_of_size(self.size_m, 0.2)
        pitch = self._pitch_hz * size * rng.uniform(1.07, 1.28)
        length_s = rng.uniform(0.488, 0.843)
        call = Call(
            length_s=length_s, level=0.6 + 0.5 * self.energy, attack_s=0.119, release_s=0.126, pitch_0=pitch * 1.01,
            pitch_1=pitch * 0.597, pitch_2=pitch * 1.13, pitch_3=pitch * 0.673, loud_0=0.483, loud_1=4.1, loud_2=1.29, loud_3=0.456,
            bright=1.06, breath=0.0811, jitter=0.0112, shimmer=0.0672, vibrato=0.00808, vibrato_hz=1.4, direct=0.0586,
        )  # fmt: skip
        formants: tuple[Formant, ...] = (
            (177.0, 2229.5, 161.0, 46.0, 1.0), (4601.8, 2300.0, 1000.0, 346.0, 2.01), (1119.9, 3976.6, 5673.4, 228.0, 0.265),
            (2532.2, 4322.1, 2870.1, 2506.4, 0.337),
        )  # fmt: skip
        self._throat.utter(0.0, call, formants)
        return length_s


class Cow(BlockVoice):
    """Long low moos."""

    gain_db = -9.8

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._throat = Calls(rng, 1)
        self._grass = Grains(rng, 2)
        self._steps = Stir(rng, self.gain_db, -48.5, 800.0)
        self.parts = (self._throat, self._grass, self._steps)
        self._pitch_hz = rng.uniform(162.0, 205.0)
        self._wait_s = 0.0

    def control(self) -> None:
        """A moo every few seconds, grazing in between."""
        rng = self.rng
        self._wait_s -= BLOCK_S
        if self._wait_s <= 0.0:
            self._wait_s = (
                self._moo() + rng.uniform(0.6, 1.6) * (1.5 - self.energy) + (3.0 if self.energy < 0.05 else 0.0)
            )
        self._grass.set(0, 3.96, 0.0211, 0.0462, 1482.7, 0.359, spread_octaves=1.16)
        self._grass.set(1, 5.71, 0.00985, 0.0078, 3182.1, 1.72, spread_octaves=1.61)
        self._steps.set(self.speed_m_s, self.energy)

    def _moo(self) -> float:
        rng = self.rng
        pitch = self._pitch_hz * pitch_of_size(self.size_m) * rng.uniform(1.31, 1.5)
        length_s = rng.uniform(0.919, 1.59)
        call = Call(
            length_s=length_s, level=0.6 + 0.5 * self.energy, attack_s=0.153, release_s=0.537, pitch_0=pitch * 0.947,
            pitch_1=pitch * 1.33, pitch_2=pitch * 0.929, pitch_3=pitch * 1.32, loud_0=0.334, loud_1=0.682, loud_2=0.928, loud_3=0.277,
            bright=0.482, breath=0.0535, jitter=0.0211, shimmer=0.39, doubling=0.08, direct=0.0484,
        )  # fmt: skip
        formants: tuple[Formant, ...] = (
            (173.0, 366.0, 718.0, 90.0, 1.0), (1099.6, 843.0, 1560.1, 61.9, 1.87), (2456.8, 1360.0, 879.0, 578.0, 0.992),
            (1930.7, 1554.4, 3578.4, 418.0, 0.182),
        )  # fmt: skip
        self._throat.utter(0.0, call, formants)
        return length_s


class Sheep(BlockVoice):
    """Bleats: a tremulous nasal vowel."""

    gain_db = -1.3

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._throat = Calls(rng, 2)
        self._grass = Stir(rng, self.gain_db, -47.5, 1800.0)
        self.parts = (self._throat, self._grass)
        self._pitch_hz = (rng.uniform(189.0, 228.0), rng.uniform(334.0, 401.0))
        self._wait_s = [0.0, rng.uniform(4.0, 7.5)]

    def control(self) -> None:
        """An ewe and a lamb answer each other."""
        rng = self.rng
        for k in range(2):
            self._wait_s[k] -= BLOCK_S
            if self._wait_s[k] <= 0.0:
                self._wait_s[k] = (
                    self._bleat(k) + rng.uniform(0.5, 1.4) * (1.5 - self.energy) + (1.2 if self.energy < 0.05 else 0.0)
                )
        self._grass.set(self.speed_m_s, self.energy)

    def _bleat(self, k: int) -> float:
        rng = self.rng
        size = pitch_of_size(self.size_m)
        pitch = self._pitch_hz[k] * size * rng.uniform(0.692, 0.772)
        length_s = rng.uniform(0.944, 1.73)
        call = Call(
            caller=k, length_s=length_s, level=(0.63, 0.489)[k] * (0.6 + 0.6 * self.energy), attack_s=0.238, release_s=0.0313,
            pitch_0=pitch * 0.75, pitch_1=pitch * 0.727, pitch_2=pitch * 0.978, pitch_3=pitch * 0.9, loud_0=0.284, loud_1=0.996,
            loud_2=0.761, loud_3=0.4, bright=1.11, breath=0.113, jitter=0.025, shimmer=0.102, trill_depth=0.555,
            trill_hz=rng.uniform(9.46, 12.4), vibrato=0.0574, vibrato_hz=6.03,
        )  # fmt: skip
        s = size * (1.0, 1.86)[k]
        formants: tuple[Formant, ...] = (
            (1099.1 * s, 720.0 * s, 661.0 * s, 104.0, 1.0), (1894.8 * s, 3179.9 * s, 4369.6 * s, 223.0, 0.9),
            (2500.0 * s, 1619.2 * s, 2608.0 * s, 127.0, 0.771), (5014.9 * s, 3537.8 * s, 3503.1 * s, 342.0, 0.0888),
        )  # fmt: skip
        self._throat.utter(0.0, call, formants)
        return length_s


class Horse(BlockVoice):
    """Hooves on a hard road: walk (four beats), trot (two pairs), canter (three beats)."""

    gain_db = 6.8

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        bodies = []
        for _ in range(4):
            hz = rng.uniform(312.0, 451.0)
            bodies.append([(hz, 0.0336, 1.21), (hz * 2.74, 0.00756, 0.034), (hz * 0.446, 0.0167, 0.258), (hz * 2.44, 0.00875, 0.0532),
                           (rng.uniform(111.0, 187.0), 0.0217, 1.01)])  # fmt: skip
        self._hooves = Strikes(rng, bodies)
        self._harness = Stir(rng, self.gain_db, -38.5, 1400.0)
        self.parts = (self._hooves, self._harness)
        self.space = Space(rng, 0.0682, -32.0, 0.689, 3233.4)
        self._phase, self._next = 1.0, 4
        self._sway = Drift(rng, 0.994)

    def _gait(self) -> tuple[float, tuple[float, ...]]:
        """Strides per second and the moments of the four hooves within a stride."""
        pace = self.speed_m_s + 2.2 * self.energy
        if pace < 0.15:
            return 0.4, (0.0, 0.53)
        if self.speed_m_s > 5.5:
            return clamp(1.5 + 0.05 * self.speed_m_s, 1.5, 2.4), (0.0, 0.22, 0.26, 0.5)
        stride_hz = clamp(self.gait_hz, 0.6, 2.2) if self.gait_hz > 0.2 else 0.85 + 0.24 * pace
        if pace > 2.2:
            return stride_hz, (0.0, 0.09, 0.5, 0.58)
        return stride_hz, (0.0, 0.2, 0.5, 0.7)

    def control(self) -> None:
        """Strike each hoof at its moment."""
        stride_hz, beats = self._gait()
        self._phase += stride_hz * BLOCK_S * (1.0 + 0.0518 * self._sway.step())
        if self._phase >= 1.0:
            self._phase -= 1.0
            self._next = 0
        while self._next < len(beats) and self._phase >= beats[self._next]:
            self._strike(stride_hz)
            self._next += 1
        self._harness.set(self.speed_m_s, self.energy)

    def _strike(self, stride_hz: float) -> None:
        rng = self.rng
        weight = rng.uniform(0.411, 1.08) * (0.3 + 0.7 * self.energy if stride_hz > 0.5 else 0.0628)
        self._hooves.hit(
            rng.uniform(0.0, 0.0197), self._next % 4, 0.594 * weight, contact_s=0.000289, direct=0.79, noise=0.578 * weight,
            attack_s=0.000085, decay_s=0.00789, centre_hz=rng.uniform(345.0, 2587.9), q=1.49,
            tune=pitch_of_size(self.size_m) * rng.uniform(1.9, 2.06), spread=0.422,
        )  # fmt: skip


class Crickets(BlockVoice):
    """Field crickets: chirps of three or four pulses near 4.5 kHz, several animals out of step."""

    gain_db = -24.8
    _ANIMALS = 4

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._wings = Calls(rng, self._ANIMALS)
        self._night = Bands(rng, "bb")
        self.parts = (self._wings, self._night)
        self._pitch_hz = [rng.uniform(6824.1, 8322.1) for _ in range(self._ANIMALS)]
        self._every_s = [rng.uniform(0.276, 0.494) for _ in range(self._ANIMALS)]
        self._far = [1.0, 0.101, 0.312, 0.289]
        self._wait_s = [0.0, *(rng.uniform(0.132, 0.79) for _ in range(self._ANIMALS - 1))]

    def control(self) -> None:
        """Chirp rate rises with energy (as it does with warmth, Dolbear 1897)."""
        rng = self.rng
        for k in range(self._ANIMALS):
            self._wait_s[k] -= BLOCK_S
            if self._wait_s[k] <= 0.0:
                pulses = rng.choice((3, 3, 4))
                rate_hz = 30.0 + 6.0 * self.energy
                pitch = self._pitch_hz[k] * pitch_of_size(self.size_m, 0.08)
                call = Call(
                    caller=k, length_s=pulses / rate_hz, level=2.5 * self._far[k] * (0.4 + self.energy), attack_s=0.00236, release_s=0.0121,
                    pitch_0=pitch, pitch_1=pitch * 0.912, pitch_2=pitch, pitch_3=pitch * 1.67, trill_depth=1.0, trill_hz=rate_hz,
                    direct=1.0, loud_0=0.486, loud_1=1.0, bright=0.0142,
                )  # fmt: skip
                self._wings.utter(rng.uniform(0.0, 0.00576), call)
                self._wait_s[k] = self._every_s[k] * rng.uniform(0.505, 0.581) * (1.4 - 0.8 * self.energy)
        self._night.set(0, 0.00277, 3123.4, 1.0)
        self._night.set(1, 0.00453, 606.0, 0.418)


class Beast(BlockVoice):
    """A big animal: growls that swell into roars, heavy breath between."""

    gain_db = -2.9

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._throat = Calls(rng, 2)
        self._brush = Stir(rng, self.gain_db, -44.5, 900.0)
        self.parts = (self._throat, self._brush)
        self._pitch_hz = rng.uniform(105.0, 145.0)
        self._wait_s, self._breath_s = 0.0, 0.136

    def control(self) -> None:
        """Growl, breathe, growl."""
        rng = self.rng
        self._wait_s -= BLOCK_S
        if self._wait_s <= 0.0:
            length_s = self._growl()
            self._wait_s = (
                length_s + rng.uniform(0.4, 1.2) * (1.6 - 1.2 * self.energy) + (3.0 if self.energy < 0.05 else 0.0)
            )
            self._breath_s = length_s + 0.122
        self._breath_s -= BLOCK_S
        if self._breath_s <= 0.0:
            self._breath_s = rng.uniform(0.508, 0.698)
            self._breathe()
        self._brush.set(self.speed_m_s, self.energy)

    def _growl(self) -> float:
        rng = self.rng
        size = pitch_of_size(self.size_m, 0.2)
        pitch = self._pitch_hz * size * rng.uniform(1.77, 2.16)
        length_s = rng.uniform(0.484, 0.969)
        call = Call(
            length_s=length_s, level=0.6 + 0.5 * self.energy, attack_s=0.16, release_s=0.478, pitch_0=pitch * 0.415,
            pitch_1=pitch * 1.49, pitch_2=pitch * 1.47, pitch_3=pitch * 0.529, loud_0=0.364, loud_1=1.1, loud_2=1.0, loud_3=0.427,
            bright=0.23, breath=0.188, jitter=0.14, shimmer=0.558, doubling=0.485,
        )  # fmt: skip
        formants: tuple[Formant, ...] = (
            (301.0 * size, 734.0 * size, 502.0 * size, 179.0, 1.0), (908.0 * size, 1000.0 * size, 1675.3 * size, 172.0, 0.957),
            (1820.4 * size, 1900.0 * size, 1211.1 * size, 391.0, 0.547), (1549.8, 2205.7, 1525.6, 720.0, 0.17),
        )  # fmt: skip
        self._throat.utter(0.0, call, formants)
        return length_s

    def _breathe(self) -> None:
        rng = self.rng
        call = Call(caller=1, length_s=0.626, level=0.05, attack_s=0.187, release_s=0.221, breath=1.0, pitch_0=75.6, pitch_1=55.9,
                    pitch_2=75.4, pitch_3=89.5)  # fmt: skip
        hz = rng.uniform(283.0, 441.0)
        self._throat.utter(0.0, call, ((hz, hz * 0.708, hz, 292.0, 1.0), (1668.6, 2498.9, 1382.6, 675.0, 0.359)))
