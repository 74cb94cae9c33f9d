"""Things that drive, roll, fly and float."""

from __future__ import annotations

from itertools import pairwise

from engines.sound.dsp import BlockVoice, Drift, clamp, pitch_of_size
from engines.sound.engine import CLATTER, CYCLE_HZ, HISS, MUFFLER_HZ, PULSE, ROUGHNESS, SHARPNESS, WHINE, Engine
from engines.sound.strike import Strikes, bar_modes
from engines.sound.texture import Bands, Bubbles, Grains
from engines.specs import BLOCK_S


class _Driven(BlockVoice):
    """A road vehicle: engine, gearbox, tyres."""

    idle_rpm = 750.0
    top_rpm = 4200.0
    # Speeds at which the driver shifts up.
    gears_m_s = (0.0, 5.0, 10.0, 17.0, 26.0, 60.0)
    motion_time_s = 0.25

    engine: Engine

    def rpm(self) -> float:
        """Engine speed from vehicle speed through the gears, plus throttle from energy."""
        return self.idle_rpm + (self.top_rpm - self.idle_rpm) * (0.5 * self._pull() + 0.15 * self.energy)

    def _pull(self) -> float:
        """How far the present gear is driven, 0 (standing or just shifted) to 1 (about to shift up)."""
        if self.speed_m_s <= 0.3:
            return 0.0
        for low, high in pairwise(self.gears_m_s):
            if self.speed_m_s <= high:
                return clamp((self.speed_m_s - 0.55 * low) / (high - 0.55 * low), 0.0, 1.0)
        return 1.0


class Car(_Driven):
    """A four-cylinder car."""

    gain_db = -9.3

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self.engine = Engine(
            rng, (0.0, 0.269, 0.523, 0.75), spread=0.139, pipe_m=rng.uniform(1.78, 2.5), reflection=0.371, hiss_hz=842.0,
            teeth=rng.uniform(11.1, 16.1), body=((rng.uniform(73.7, 85.2), 0.836, 0.542), (rng.uniform(188.0, 214.0), 1.85, 0.819),
            (rng.uniform(1020.2, 1205.7), 2.02, 1.68)),
        )  # fmt: skip
        self._road = Bands(rng, "lbb")
        self.parts = (self.engine, self._road)
        self._hunt = Drift(rng, 0.705)
        self.idle_rpm = rng.uniform(700.0, 830.0)

    def control(self) -> None:
        """Engine and tyres follow the speed."""
        rpm = self.rpm() * (1.0 + 0.0144 * self._hunt.step())
        load = clamp(0.35 + 0.8 * self.energy, 0.0, 1.2)
        now = self.engine.now
        # Four strokes: a cycle takes two turns. The noise of the gas grows with its flow.
        flow = clamp(rpm / 1500.0, 0.3, 2.0)
        tone = pitch_of_size(self.size_m)
        self.engine.resize(tone)
        now[CYCLE_HZ] = rpm / 120.0 * tone
        now[PULSE] = 0.477 * load + 0.299
        now[HISS] = (0.257 + 0.329 * load) * flow
        now[CLATTER] = (0.05 + 0.0303 * load) * flow
        now[MUFFLER_HZ] = (898.0 + 767.0 * load + 0.0918 * rpm) * tone
        now[WHINE] = 0.008
        now[SHARPNESS] = 3.2
        now[ROUGHNESS] = 0.16
        roll = clamp(self.speed_m_s / 37.2, 0.0, 2.0)
        self._road.set(0, 0.549 * roll, 229.0 * tone, 0.615)
        self._road.set(1, 0.0701 * roll, (1347.0 + 132.0 * roll) * tone, 0.799)
        self._road.set(2, 0.0775 * roll**1.5, 2846.0 * tone, 0.339)


class Motorcycle(_Driven):
    """A big twin with an uneven beat."""

    gain_db = -9.1
    idle_rpm = 950.0
    top_rpm = 6500.0

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self.engine = Engine(
            rng, (0.0, rng.choice((0.51, 0.149, 0.339))), spread=0.203, pipe_m=rng.uniform(0.765, 1.05), reflection=0.331, hiss_hz=1125.4,
            body=((rng.uniform(119.0, 151.0), 1.58, 1.24), (rng.uniform(232.0, 286.0), 1.7, 1.04), (rng.uniform(738.0, 923.0), 5.29, 0.546)),
        )  # fmt: skip
        self._wind = Bands(rng, "b")
        self.parts = (self.engine, self._wind)
        self._hunt = Drift(rng, 0.304)

    def control(self) -> None:
        """Revs follow throttle and speed."""
        rpm = self.rpm() * (1.0 + 0.0147 * self._hunt.step())
        now = self.engine.now
        now[CYCLE_HZ] = rpm / 120.0 * pitch_of_size(self.size_m)
        now[PULSE] = 0.4 + 0.4 * self.energy
        now[HISS] = 0.5 + 0.5 * self.energy
        now[CLATTER] = 0.06
        now[MUFFLER_HZ] = 1300.0 + 2200.0 * self.energy
        now[SHARPNESS] = 6.0
        now[ROUGHNESS] = 0.22
        self._wind.set(0, 0.046 * clamp(self.speed_m_s / 6.32, 0.0, 2.0), 757.0, 0.231)


class Truck(_Driven):
    """A diesel: six unequal cylinders that knock."""

    gain_db = -7.6
    idle_rpm = 500.0
    top_rpm = 1900.0
    gears_m_s = (0.0, 3.0, 5.5, 11.0, 19.0, 28.0, 60.0)

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self.engine = Engine(
            rng, [k / 6.0 for k in range(6)], spread=0.6, pipe_m=rng.uniform(1.8, 2.2), reflection=0.31, hiss_hz=1100.0,
            teeth=66.5, body=((rng.uniform(47.0, 55.0), 2.0, 0.46), (rng.uniform(270.0, 310.0), 1.5, 0.84),
                  (rng.uniform(1500.0, 1700.0), 2.5, 0.67)),
        )  # fmt: skip
        self._road = Bands(rng, "lb")
        self.parts = (self.engine, self._road)
        self._hunt = Drift(rng, 1.09)

    def control(self) -> None:
        """Engine, turbo and tyres follow the speed; the knock of diesel combustion is heard at every load."""
        rpm = self.rpm() * (1.0 + 0.008 * self._hunt.step())
        flow = clamp(rpm / 1000.0, 0.3, 2.0)
        tone = pitch_of_size(self.size_m)
        now = self.engine.now
        self.engine.resize(tone)
        now[CYCLE_HZ] = rpm / 120.0 * tone
        now[PULSE] = 0.5 + 0.4 * self.energy
        now[HISS] = (0.3 + 0.3 * self.energy) * flow
        now[CLATTER] = 0.75 * flow
        now[MUFFLER_HZ] = (1600.0 + 1400.0 * self.energy) * tone
        now[WHINE] = 0.005 * self.energy
        now[SHARPNESS] = 6.8
        now[ROUGHNESS] = 0.12
        roll = clamp(self.speed_m_s / 11.4, 0.0, 2.0)
        self._road.set(0, 0.021 + 0.077 * roll, 260.0 * tone, 0.2)
        self._road.set(1, 0.004 + 0.019 * roll, 1676.0 * tone, 0.517)


class Boat(BlockVoice):
    """An outboard motor, water slapping the hull."""

    gain_db = -10.3
    motion_time_s = 0.4

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._engine = Engine(
            rng, (0.0, 0.28, 0.61), spread=0.153, pipe_m=rng.uniform(0.601, 0.901), reflection=0.498, hiss_hz=2211.5,
            body=((rng.uniform(79.2, 89.6), 1.49, 0.422), (rng.uniform(235.0, 264.0), 1.63, 0.509)),
        )  # fmt: skip
        self._water = Bands(rng, "bbb")
        self._spray = Bubbles(rng)
        self.parts = (self._engine, self._water, self._spray)
        self._heave, self._hunt = Drift(rng, 0.137), Drift(rng, 0.568)

    def control(self) -> None:
        """Revs follow speed and energy; the hull heaves."""
        share = clamp(0.08 * self.speed_m_s + 0.45 * self.energy, 0.0, 1.3)
        rpm = (2200.0 + 4500.0 * min(share, 1.0)) * (1.0 + 0.0309 * self._hunt.step())
        heave = clamp(1.0 + 0.344 * self._heave.step(), 0.2, 2.0)
        now = self._engine.now
        # Two strokes: every turn is a cycle.
        now[CYCLE_HZ] = rpm / 60.0 * pitch_of_size(self.size_m)
        now[PULSE] = 0.194 + 0.305 * share
        now[HISS] = 0.203 + 0.0678 * share
        now[CLATTER] = 0.03
        now[MUFFLER_HZ] = (553.0 + 912.0 * share) * (0.508 + 0.271 * heave)
        now[SHARPNESS] = 3.0
        now[ROUGHNESS] = 0.25
        self._water.set(0, (0.0322 + 0.245 * share) * heave, 393.0, 1.01)
        self._water.set(1, (0.0056 + 0.0814 * share) * heave, 2739.5, 0.477)
        self._water.set(2, (0.0094 + 0.0203 * share) * heave, 5173.1, 0.58)
        self._spray.set(220.0 * heave, 0.089, 0.00477, spread_octaves=2.64)


class Airplane(BlockVoice):
    """A jet passing high: broadband roar and the whine of the fan."""

    gain_db = 0.8
    motion_time_s = 0.6

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._roar = Bands(rng, "lbbbss")
        self.parts = (self._roar,)
        self._slow, self._quick = Drift(rng, 2.14), Drift(rng, 0.153)
        self._fan_hz = rng.uniform(3732.5, 5107.7)

    def control(self) -> None:
        """Thrust follows energy; the air between makes it waver."""
        thrust = 0.5 + 0.8 * self.energy
        waver = clamp(1.0 + 0.0501 * self._slow.step() + 0.0217 * self._quick.step(), 0.4, 1.8)
        tone = pitch_of_size(self.size_m, 0.08)
        self._roar.set(0, 0.149 * thrust * waver, 664.0 * tone, 1.61)
        self._roar.set(1, 0.672 * thrust * waver, 112.0 * tone, 0.472)
        self._roar.set(2, 0.107 * thrust * waver, 1773.2 * tone, 0.258)
        self._roar.set(3, 0.0134 * thrust, 714.0 * tone, 0.104)
        self._roar.set(4, 0.597 * thrust, self._fan_hz * tone * (0.9 + 0.2 * self.energy), 52.3)
        self._roar.set(5, 0.0172 * thrust, 1.25 * self._fan_hz * tone * (0.9 + 0.2 * self.energy), 58.8)


class Helicopter(BlockVoice):
    """Blade slap and turbine."""

    gain_db = -12.1
    motion_time_s = 0.5

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._rotor = Engine(
            rng, (0.0, 0.444), spread=0.0225, pipe_m=1.56, reflection=0.482, hiss_hz=226.0,
            body=((28.5, 1.6, 1.96), (648.0, 1.01, 1.8), (263.0, 2.99, 0.385)),
        )  # fmt: skip
        self._air = Bands(rng, "lbs")
        self.parts = (self._rotor, self._air)
        self._rotor_hz = rng.uniform(11.3, 13.3)
        self._gust, self._governor = Drift(rng, 0.227), Drift(rng, 1.5)

    def control(self) -> None:
        """The slap gets harder with energy."""
        gust = clamp(1.0 + 0.212 * self._gust.step(), 0.5, 1.6)
        now = self._rotor.now
        turn = 1.0 + 0.006 * self._governor.step()
        now[CYCLE_HZ] = self._rotor_hz * (0.92 + 0.16 * self.energy) * turn * pitch_of_size(self.size_m, 0.08)
        now[PULSE] = (0.5 + 0.5 * self.energy) * gust
        now[HISS] = 1.2
        now[MUFFLER_HZ] = 900.0
        now[SHARPNESS] = 3.5
        now[ROUGHNESS] = 0.08
        self._air.set(0, 0.947, 253.0, 1.32)
        self._air.set(1, 0.0178, 492.0, 0.507)
        self._air.set(2, 0.0386, 540.0, 14.8)


class Train(BlockVoice):
    """Wheels on jointed rail: rumble, roar, and the double knock of each bogie over each joint."""

    gain_db = 2.6
    motion_time_s = 0.6

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._roll = Bands(rng, "llbbs")
        self._joint = Strikes(rng, [
            [(rng.uniform(33.0, 41.0), 0.105, 1.0), (rng.uniform(240.0, 310.0), 0.175, 1.15), (rng.uniform(404.0, 482.0), 0.292, 0.623),
             (rng.uniform(225.0, 290.0), 0.066, 0.246), (rng.uniform(3600.0, 4200.0), 0.104, 0.175),
             (rng.uniform(5000.0, 5900.0), 0.0756, 0.212)]
            for _ in range(4)
        ])  # fmt: skip
        self.parts = (self._roll, self._joint)
        self._metre = rng.uniform(14.0, 18.0)
        self._sway, self._squeal, self._pace = Drift(rng, 0.992), Drift(rng, 1.0), Drift(rng, 2.0)

    def control(self) -> None:
        """Joints come by every 18 m; a slow or still train is heard as if it rolled gently."""
        rng = self.rng
        speed = (11.0 + 10.0 * self.energy + 0.3 * self.speed_m_s) * (1.0 + 0.05 * self._pace.step())
        self._metre += speed * BLOCK_S
        if self._metre >= 18.0:
            self._metre %= 18.0
            for k, wheel_m in enumerate((0.0, 4.09, 7.42, 10.5)):
                weight = rng.uniform(0.328, 0.525) * (0.6 + 0.5 * self.energy)
                self._joint.hit(
                    wheel_m / speed, k, 0.878 * weight, contact_s=0.00273, direct=0.199, noise=0.593 * weight, decay_s=0.0465,
                    centre_hz=825.0, q=0.268, tune=rng.uniform(1.35, 1.44), spread=0.215,
                )  # fmt: skip
        sway = clamp(1.0 + 0.256 * self._sway.step(), 0.3, 1.8)
        loud = 0.5 + 0.7 * self.energy
        self._roll.set(0, 0.236 * loud * sway, 208.0, 0.466)
        self._roll.set(1, 0.296 * loud * sway, 453.0, 1.26)
        self._roll.set(2, 0.0877 * loud, 1403.1, 0.924)
        self._roll.set(3, 0.0809 * loud * sway, 2658.0, 2.89)
        squeal = clamp(self._squeal.step() - 1.27, 0.0, 1.5)
        self._roll.set(4, 0.112 * squeal * loud, 2086.3, 27.4)
        self._roll.grit(2, 0.19, 9.33)
        self._roll.grit(3, 0.262, 20.5)


class Bicycle(BlockVoice):
    """Freewheel ticks, tyre hiss, and now and then the bell, whose toothed wheel strikes it many times per turn."""

    gain_db = -11.3

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        bell_hz = rng.uniform(1490.0, 1950.0)
        pawl = [
            (rng.uniform(2993.7, 3635.2), 0.0124, 0.727),
            (rng.uniform(4557.1, 5511.0), 0.0117, 0.39),
            (1460.0, 0.00623, 0.516),
        ]
        bell = bar_modes(bell_hz, 2.5, 5, ratios=(1.0, 1.59, 1.59, 3.51, 8.7), tilt=0.3, damping=0.37)
        self._hub = Strikes(rng, [pawl, bell])
        self._tyre = Bands(rng, "bb")
        self.parts = (self._hub, self._tyre)
        self._tick, self._ring_s = 1.0, 0.0
        self._sway = Drift(rng, 0.404)

    def control(self) -> None:
        """The freewheel ticks with the wheel; the bell rings every few seconds."""
        rng = self.rng
        pace = max(self.speed_m_s, 1.2 + 1.6 * self.energy)
        self._tick += 1.06 * pace * BLOCK_S * (1.0 + 0.0351 * self._sway.step())
        while self._tick >= 1.0:
            self._tick -= 1.0
            self._hub.hit(
                rng.uniform(0.0, 0.00704), 0, 0.0592 * rng.uniform(0.754, 1.19), contact_s=0.000105, noise=0.0286, decay_s=0.00273,
                centre_hz=12390.5, q=1.28, tune=rng.uniform(1.44, 1.49),
            )  # fmt: skip
        self._ring_s -= BLOCK_S
        if self._ring_s <= 0.0:
            self._ring_s = rng.uniform(1.79, 3.36) * (1.4 - 0.8 * self.energy)
            self._ring()
        roll = clamp(pace / 2.75, 0.1, 2.0)
        self._tyre.set(0, 0.048 * roll, 510.0, 0.593)
        self._tyre.set(1, 0.021 * roll, 4500.0, 0.429)
        self._tyre.grit(0, 0.912, 37.5)

    def _ring(self) -> None:
        rng, at_s = self.rng, 0.0
        tune = pitch_of_size(self.size_m)
        for _ in range(rng.choice((1, 2, 2))):
            for _ in range(rng.randint(4, 7)):
                self._hub.hit(
                    at_s, 1, 0.154 * rng.uniform(0.6, 1.0), contact_s=0.0001, direct=0.2, noise=0.016, decay_s=0.000446,
                    centre_hz=3973.5, tune=tune, spread=0.194,
                )  # fmt: skip
                at_s += rng.uniform(0.0166, 0.026)
            at_s += rng.uniform(0.0944, 0.157)


class Skateboard(BlockVoice):
    """Hard wheels on rough ground, knocks over the cracks."""

    gain_db = 1.2

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._roll = Bands(rng, "bbb")
        self._grit = Grains(rng, 3)
        self._deck = Strikes(rng, [
            [(rng.uniform(136.0, 175.0), 0.145, 1.0), (86.0, 0.0779, 0.237), (912.0, 0.0121, 0.105), (9001.8, 0.0633, 0.429)]
            for _ in range(2)
        ])  # fmt: skip
        self.parts = (self._roll, self._grit, self._deck)
        self._metre = 2.0
        self._push = Drift(rng, 2.22)

    def control(self) -> None:
        """Front and rear wheels cross each crack in turn."""
        rng = self.rng
        pace = max(self.speed_m_s, 1.0 + 2.5 * self.energy) * (1.0 + 0.0699 * self._push.step())
        self._metre += pace * BLOCK_S
        if self._metre > 1.8:
            self._metre -= 1.51 * rng.uniform(0.862, 1.6)
            for k in range(2):
                self._deck.hit(0.609 * k / max(pace, 0.5), k, rng.uniform(0.282, 0.564), contact_s=0.00156, noise=0.885,
                               decay_s=0.0188, centre_hz=1046.8)  # fmt: skip
        roll = 0.62 * clamp(pace / 2.25, 0.3, 6.0) ** 0.6
        self._roll.set(0, 0.248 * roll, 390.0 + 307.0 * roll, 3.09)
        self._roll.set(1, 0.17 * roll, 455.0 + 1500.0 * roll, 3.09)
        self._roll.set(2, 0.104 * roll, 1101.2, 3.0)
        for k in range(3):
            self._roll.grit(k, 0.153, 139.0)
            self._grit.set(k, 24.1 * roll, 0.292, 0.00396, (1137.7, 853.0, 20000.0)[k], 1.0, spread_db=13.5)
