"""Weather, water, plants, fire."""

from __future__ import annotations

import math

from engines.sound.dsp import BlockVoice, Drift, clamp, pitch_of_size
from engines.sound.texture import Bands, Bubbles, Grains
from engines.specs import BLOCK_S


class Wind(BlockVoice):
    """Gusts: turbulence whose band and level wander together, and a whistle round an edge."""

    gain_db = -9.8
    motion_time_s = 0.5

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._air = Bands(rng, "lbbss")
        self.parts = (self._air,)
        self._slow, self._mid, self._quick = Drift(rng, 1.0), Drift(rng, 0.746), Drift(rng, 0.024)
        self._edge_hz = rng.uniform(216.0, 329.0)

    def control(self) -> None:
        """Gust strength drives everything."""
        force = 0.45 + 0.9 * self.energy + 0.03 * min(self.speed_m_s, 20.0)
        slow, mid, quick = self._slow.step(), self._mid.step(), self._quick.step()
        gust = force * clamp(1.0 + 0.196 * slow + 0.0767 * mid + 0.3 * quick, 0.45, 1.7)
        tone = pitch_of_size(self.size_m)
        self._air.set(0, 2.5 * gust, (37.7 + 329.0 * gust) * tone, 1.24)
        self._air.set(1, 1.25 * gust**1.3, (85.5 + 63.4 * gust) * tone, 2.5)
        self._air.set(2, 0.006 * gust**1.8, (550.0 + 419.0 * gust) * tone, 0.151)
        self._air.set(3, 0.15 * gust**1.8, self._edge_hz * (2.5 + 0.166 * gust + 0.113 * quick) * tone, 2.63)
        self._air.set(4, 0.0775 * gust**1.8, self._edge_hz * 2.12 * (0.569 + 0.407 * gust + 0.2 * mid) * tone, 18.0)


class Leaves(BlockVoice):
    """Rustle: thousands of small contacts, driven by gusts."""

    gain_db = -5.3
    motion_time_s = 0.3

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._air = Bands(rng, "bbb")
        self._leaf = Grains(rng, 4)
        self.parts = (self._air, self._leaf)
        self._slow, self._quick = Drift(rng, 0.14), Drift(rng, 0.255)
        self._leaf_hz = rng.uniform(6037.3, 8678.7)

    def control(self) -> None:
        """Gusts raise the rate and level of the contacts."""
        force = 0.3 + 0.9 * self.energy
        gust = force * clamp(1.0 + 0.282 * self._slow.step() + 0.387 * self._quick.step(), 0.35, 1.8)
        tone = pitch_of_size(self.size_m)
        self._air.set(0, 0.268 * gust**1.5, self._leaf_hz * tone, 0.221)
        self._air.set(1, 0.0679 * gust**1.5, 14616.3 * tone, 2.54)
        self._air.set(2, 0.178 * gust, 132.0, 0.312)
        self._air.grit(0, 0.162, 19.4)
        self._air.grit(1, 0.511, 35.9)
        for k, (hz, rate) in enumerate(((1263.3, 34.4), (1304.9, 90.0), (1645.7, 216.0), (12055.8, 72.7))):
            self._leaf.set(
                k, rate * gust, 0.206 * gust**0.7, 0.00174, hz * tone, 1.04, spread_db=9.81, spread_octaves=0.341
            )


class Rain(BlockVoice):
    """A wide hiss of far drops, near drops that tick on a surface, and a few bubbles in puddles."""

    gain_db = -4.1
    motion_time_s = 0.5

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._far = Bands(rng, "bbb")
        self._drops = Grains(rng, 6)
        self._puddle = Bubbles(rng)
        self.parts = (self._far, self._drops, self._puddle)
        self._swell = Drift(rng, 2.0)
        self._surface_hz = rng.uniform(1500.0, 2300.0)

    def control(self) -> None:
        """Energy is how hard it rains."""
        hard = clamp((0.4 + 1.2 * self.energy) * (1.0 + 0.12 * self._swell.step()), 0.1, 3.0)
        self._far.set(0, 0.10 * hard, 5200.0, 0.35)
        self._far.set(1, 0.06 * hard, 1300.0, 0.4)
        self._far.set(2, 0.03 * hard, 320.0, 0.5)
        centres = (0.5, 1.0, 1.7, 2.6, 3.6, 5.0)
        for k, factor in enumerate(centres):
            rate = (12.0, 40.0, 90.0, 140.0, 160.0, 160.0)[k] * hard
            self._drops.set(
                k, rate, 0.28, 0.0016 + 0.002 / factor, self._surface_hz * factor, 1.6, spread_db=9.0, spread_octaves=0.5,
                click=0.3,
            )  # fmt: skip
        self._puddle.set(50.0 * hard, 0.05, 0.0016, spread_octaves=1.0, rise=0.1)


class Stream(BlockVoice):
    """A brook: a dense cloud of bubbles over the rush of small falls."""

    gain_db = 3.5
    motion_time_s = 0.4

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._bubbles = Bubbles(rng)
        self._rush = Bands(rng, "bbb")
        self.parts = (self._bubbles, self._rush)
        self._swirl, self._flow = Drift(rng, 0.755), Drift(rng, 1.02)
        self._radius_m = rng.uniform(0.00381, 0.00588)

    def control(self) -> None:
        """Faster water has more and smaller bubbles."""
        flow = clamp((0.55 + 0.9 * self.energy) * (1.0 + 0.107 * self._flow.step()), 0.2, 2.5)
        swirl = self._swirl.step()
        radius = self._radius_m * (1.15 - 0.3 * self.energy) / pitch_of_size(self.size_m)
        self._bubbles.set(
            175.0 * flow * (1.0 + 0.0649 * swirl), 0.0358, radius, spread_octaves=0.592, rise=0.185, damp=0.878
        )
        self._rush.set(0, 0.0618 * flow, 2478.3 + 173.0 * swirl, 0.484)
        self._rush.set(1, 0.0136 * flow, 1694.5, 0.716)
        self._rush.set(2, 0.15 * flow, 1053.4, 0.602)
        self._rush.grit(0, 0.362, 26.2)
        self._rush.grit(1, 0.164, 8.12)


class Sea(BlockVoice):
    """Waves that rise, break and draw back over the shore; each has its own height and length."""

    gain_db = 8.4
    motion_time_s = 0.8

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._water = Bands(rng, "lbbbb")
        self._foam = Bubbles(rng)
        self.parts = (self._water, self._foam)
        # Two trains of waves; (age, length, height) each.
        self._waves = [[2.21, 4.89, 1.0], [0.445, 5.97, 0.934]]
        self._wander = Drift(rng, 0.207)

    def control(self) -> None:
        """Sum the waves: the crest is bright and full, the wash is high and thin."""
        rng, body, wash = self.rng, 0.0, 0.0
        for wave in self._waves:
            wave[0] += BLOCK_S
            if wave[0] >= wave[1]:
                wave[:] = [0.0, rng.uniform(3.5, 8.0) * (1.2 - 0.4 * self.energy), rng.uniform(0.75, 1.15)]
            t = wave[0] / wave[1]
            rise = math.exp(-(((t - 0.296) / (0.123 if t < 0.32 else 0.152)) ** 2))
            # Powers add: the trains come from different places.
            body += (wave[2] * rise) ** 2
            wash += wave[2] * math.exp(-(((t - 1.55) / (0.0554 if t < 0.52 else 0.201)) ** 2))
        loud = (0.4 + 1.2 * self.energy) * (1.0 + 0.08 * self._wander.step())
        body, wash = loud * (0.182 + math.sqrt(body)), loud * (0.0585 + wash)
        self._water.set(0, 0.258 * body, 153.0, 0.419)
        self._water.set(1, 0.117 * body, 496.0 + 230.0 * body, 1.45)
        self._water.set(2, 0.175 * body**1.3, 462.0 + 118.0 * body, 0.592)
        self._water.set(3, 0.0601 * wash, 5510.9, 0.253)
        self._water.set(4, 0.0505 * wash, 6485.7, 0.7)
        self._water.grit(3, 0.144, 39.9)
        self._foam.set(132.0 * wash, 0.0172, 0.00403, spread_octaves=1.0)


class Fire(BlockVoice):
    """Lapping flames, hiss of steam, and the crackle of wood (Farnell)."""

    gain_db = 6.6
    motion_time_s = 0.4

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._flame = Bands(rng, "lbb")
        self._crackle = Grains(rng, 6)
        self.parts = (self._flame, self._crackle)
        self._burst, self._lap = Drift(rng, 0.652), Drift(rng, 0.0714)
        self._wood_hz = rng.uniform(531.0, 821.0)

    def control(self) -> None:
        """Crackles come in showers."""
        heat = 0.4 + 1.1 * self.energy
        shower = math.exp(0.145 * self._burst.step())
        lap = clamp(1.0 + 0.359 * self._lap.step(), 0.1, 2.5)
        self._flame.set(0, 0.296 * heat * lap, 116.0, 1.37)
        self._flame.set(1, 0.0657 * heat * lap, 620.0, 0.649)
        self._flame.set(2, 0.00798 * heat, 5904.2, 0.259)
        self._flame.grit(2, 0.97, 19.0)
        tone = pitch_of_size(self.size_m)
        for k, (factor, rate, decay_s, amp) in enumerate((
            (0.658, 1.73, 0.0106, 0.584), (1.0, 4.87, 0.00614, 0.311), (2.76, 9.29, 0.00318, 0.5),
            (2.85, 8.11, 0.00238, 0.234), (7.61, 5.38, 0.00145, 0.559), (4.09, 5.16, 0.000551, 0.08),
        )):  # fmt: skip
            self._crackle.set(
                k, rate * heat * shower, amp, decay_s, self._wood_hz * factor * tone, 1.05, spread_db=12.8,
                spread_octaves=1.55, click=0.326,
            )  # fmt: skip


class Thunder(BlockVoice):
    """Distant storm: rolling rumbles that begin with a tearing crack, over steady rain."""

    gain_db = 1.4
    motion_time_s = 0.5

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._roll = Bands(rng, "lllbbb")
        self._tear = Grains(rng, 3)
        self.parts = (self._roll, self._tear)
        self._age_s, self._length_s, self._near = 0.0, rng.uniform(4.5, 7.0), 1.0
        self._bumps = self._new_bumps()

    def _new_bumps(self) -> list[tuple[float, float, float]]:
        """Reflections of one lightning channel: (time s, width s, strength), later ones broader."""
        rng = self.rng
        times = [0.0, *sorted(rng.uniform(0.1, 3.6) for _ in range(rng.randint(5, 9)))]
        bumps = [(t, rng.uniform(0.08, 0.2) + 0.09 * t, rng.uniform(0.4, 1.0) * math.exp(-0.28 * t)) for t in times]
        # One roll differs from the next in its course, not in its whole energy.
        scale = math.sqrt(0.55 / sum(width * strength**2 for _, width, strength in bumps))
        return [(t, width, scale * strength) for t, width, strength in bumps]

    def control(self) -> None:
        """Roll through one thunderclap after another."""
        rng = self.rng
        self._age_s += BLOCK_S
        if self._age_s > self._length_s:
            self._age_s, self._near = 0.0, rng.uniform(0.7, 1.0)
            self._length_s = rng.uniform(4.0, 8.0) * (1.3 - 0.6 * self.energy)
            self._bumps = self._new_bumps()
        roll = 0.0
        for start_s, width_s, strength in self._bumps:
            d = self._age_s - start_s
            if d > -0.02:
                roll += strength * (min(1.0, (d + 0.02) / 0.03)) * math.exp(-max(d, 0.0) / (2.2 * width_s))
        crack = math.exp(-self._age_s / 0.22) * self._near
        loud = 0.5 + 0.9 * self.energy
        self._roll.set(0, 2.2 * roll * loud, 70.0 + 60.0 * roll, 0.8)
        self._roll.set(1, 0.9 * roll * loud, 150.0 + 130.0 * roll, 0.7)
        self._roll.set(2, 0.25 * roll**1.5 * loud, 400.0 + 400.0 * roll, 0.6)
        self._roll.set(3, 0.5 * crack * loud, 1300.0, 0.5)
        self._roll.set(4, 0.022, 4500.0, 0.4)
        self._roll.set(5, 0.02, 1100.0, 0.4)
        for k in range(3):
            self._roll.grit(k, 0.5, (9.0, 14.0, 25.0)[k])
        for k, (hz, decay_s) in enumerate(((500.0, 0.02), (1200.0, 0.01), (2600.0, 0.006))):
            self._tear.set(
                k, 8.0 + 90.0 * crack, 0.02 + 0.5 * crack, decay_s, hz, 0.8, spread_db=8.0, spread_octaves=0.5
            )
