"""Rooms: keyboard, clock, fan, vacuum, tap, kitchen, frying, paper."""

from __future__ import annotations

from engines.sound.call import Call, Calls, Formant
from engines.sound.dsp import BlockVoice, Drift, Space, clamp, pitch_of_size
from engines.sound.strike import Strikes, bar_modes
from engines.sound.texture import Bands, Bubbles, Grains
from engines.sound.tones import Tones
from engines.specs import BLOCK_S


class Keyboard(BlockVoice):
    """Typing: each key goes down and comes up; bursts of a word, pauses to think."""

    gain_db = 12.1
    _KEYS = 6

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        bodies = []
        for _ in range(self._KEYS):
            hz = rng.uniform(3873.7, 5939.7)
            bodies.append([(rng.uniform(238.0, 327.0), 0.0819, 0.235), (hz, 0.0209, 0.19), (hz * 1.97, 0.0212, 0.37), (hz * 0.52, 0.00536, 0.214),
                           (hz * 1.58, 0.0219, 0.187)])  # fmt: skip
        self._keys = Strikes(rng, bodies)
        self._room = Bands(rng, "b")
        self.parts = (self._keys, self._room)
        self.space = Space(rng, 0.136, -11.4, 1.0, 8996.4)
        self._wait_s, self._word = 0.0, rng.randint(3, 8)

    def control(self) -> None:
        """Type words; energy is how fast."""
        rng = self.rng
        self._wait_s -= BLOCK_S
        if self._wait_s <= 0.0:
            self._press()
            self._word -= 1
            pace = 0.55 + 0.9 * self.energy
            self._wait_s += rng.lognormvariate(-2.05, 0.35) / pace
            if self._word <= 0:
                self._word = rng.randint(3, 9)
                self._wait_s += rng.uniform(0.1, 0.35) / pace + (1.0 if self.energy < 0.05 else 0.0)
            self._wait_s = min(self._wait_s, 2.2)
        self._room.set(0, 0.00134, 312.0, 0.129)

    def _press(self) -> None:
        rng = self.rng
        key = rng.randrange(self._KEYS)
        space = rng.random() < 0.16
        weight = rng.uniform(0.0941, 1.0) ** 1.5 * (1.6 if space else 1.0) * (0.6 + 0.5 * self.energy)
        tune = rng.uniform(0.445, 0.532) * (0.633 if space else 1.0) * pitch_of_size(self.size_m, 0.08)
        self._keys.hit(
            rng.uniform(0.0, 0.0073), key, 0.329 * weight, contact_s=0.000286, direct=0.343, noise=0.635 * weight, attack_s=0.000205, decay_s=0.00756,
            centre_hz=3841.4 * tune, q=0.451, tune=tune, spread=0.984,
        )  # fmt: skip
        up_s = rng.uniform(0.0531, 0.106)
        self._keys.hit(
            up_s, (key + 1) % self._KEYS, 0.182 * weight, contact_s=0.000364, direct=0.223, noise=0.287 * weight, attack_s=0.0015, decay_s=0.00201,
            centre_hz=4527.4 * tune, q=1.47, tune=tune * 1.23, spread=1.88,
        )  # fmt: skip


class Clock(BlockVoice):
    """A pendulum clock: tick and tock through a wooden case."""

    gain_db = 8.6

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        case_hz = rng.uniform(945.0, 1193.3)
        bodies = []
        for factor in (1.0, rng.uniform(1.14, 1.26)):
            bodies.append([
                (case_hz * factor, 0.0219, 0.1), (case_hz * 5.01 * factor, 0.0298, 0.482), (case_hz * 17.5 * factor, 0.0232, 0.65),
                (case_hz * 1.34 * factor, 0.0698, 0.251), (case_hz * 17.1 * factor, 0.0122, 1.31), (case_hz * 11.6 * factor, 0.02, 0.131),
            ])  # fmt: skip
        self._case = Strikes(rng, bodies)
        self._room = Bands(rng, "b")
        self.parts = (self._case, self._room)
        self.space = Space(rng, 0.114, -18.6, 1.0, 2476.8)
        self._phase, self._side = 1.0, 0
        self._rate_hz = rng.uniform(1.61, 1.87)

    def control(self) -> None:
        """The escapement: a drop, then the pallet's small echo."""
        rng = self.rng
        self._phase += self._rate_hz * BLOCK_S
        if self._phase >= 1.0:
            self._phase -= 1.0
            self._side = 1 - self._side
            weight = rng.uniform(0.502, 0.572) * (0.7 + 0.6 * self.energy)
            tune = pitch_of_size(self.size_m)
            at_s = self._side * 0.00597 + rng.uniform(0.0, 0.00114)
            for delay_s, share in ((0.0, 0.326), (0.0394, 1.0), (0.0286, 0.987)):
                self._case.hit(
                    at_s + delay_s, self._side, 0.245 * share * weight, contact_s=0.000294, direct=0.575, noise=1.45 * share * weight,
                    attack_s=0.000875, decay_s=0.0031, centre_hz=11217.9, q=0.518, tune=tune, spread=0.0589,
                )  # fmt: skip
        self._room.set(0, 0.000265, 368.0, 0.181)


class Fan(BlockVoice):
    """A fan or air conditioner: blade-passing wobble of air, motor hum."""

    gain_db = -0.1
    motion_time_s = 0.5

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._air = Bands(rng, "lbbb")
        self._motor = Tones(rng, 3)
        self.parts = (self._air, self._motor)
        self._hum_hz = rng.choice((62.8, 120.0)) * rng.uniform(0.986, 1.01)
        self._blade_hz = rng.uniform(249.0, 337.0)
        self._slow = Drift(rng, 1.0)

    def control(self) -> None:
        """Speed of the blades follows energy."""
        spin = 0.75 + 0.5 * self.energy
        slow = self._slow.step()
        tone = pitch_of_size(self.size_m)
        blade = self._blade_hz * spin * tone * (1.0 + 0.00286 * slow)
        self._air.set(0, 0.163 * spin, 167.0 * tone, 0.288)
        self._air.set(1, 0.16 * spin**2, 567.0 * tone * spin, 0.813)
        self._air.set(2, 0.11 * spin**2, 2092.0 * tone * spin, 0.424)
        self._air.set(3, 0.0196 * spin**2, 5189.9 * tone, 0.22)
        self._motor.set(0, self._hum_hz, 0.0291, 0.365)
        self._motor.set(1, blade, 0.0436, 0.449)
        self._motor.set(2, 2.0 * blade, 0.0192, 0.0)


class Vacuum(BlockVoice):
    """A vacuum cleaner or hair dryer: fast motor with many harmonics and a loud stream of air."""

    gain_db = -6.4
    motion_time_s = 0.3

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._air = Bands(rng, "lbbb")
        self._motor = Tones(rng, 2)
        self.parts = (self._air, self._motor)
        self._motor_hz = rng.uniform(683.0, 862.0)
        self._load = Drift(rng, 0.242)

    def control(self) -> None:
        """Motor speed sags under load."""
        spin = 0.85 + 0.3 * self.energy
        load = self._load.step()
        hz = self._motor_hz * spin * (1.0 + 0.0189 * load) * pitch_of_size(self.size_m)
        self._air.set(0, 0.0616, 144.0, 0.824)
        self._air.set(1, 0.661 * spin, 790.0 * spin, 0.892)
        self._air.set(2, 0.125 * spin, 3087.5 * spin, 1.01)
        self._air.set(3, 0.111 * spin, 12473.7, 0.26)
        self._motor.set(0, hz, 0.0436, 0.335)
        self._motor.set(1, hz * 5.48, 0.051, 0.683)


class Pouring(BlockVoice):
    """Liquid poured into a glass again and again: bubbles, and a cavity whose note rises as it fills."""

    gain_db = -0.9

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._bubbles = Bubbles(rng)
        self._jet = Bands(rng, "ssbb")
        self.parts = (self._bubbles, self._jet)
        self._full, self._rest_s = 0.0482, 0.0
        self._length_s = rng.uniform(4.86, 7.43)
        self._splash = Drift(rng, 0.27)
        self._empty_hz = rng.uniform(84.8, 113.0)

    def control(self) -> None:
        """Fill, rest for a moment, fill the next glass."""
        rng = self.rng
        flow = 1.0
        if self._rest_s > 0.0:
            self._rest_s -= BLOCK_S
            flow = 0.06
        else:
            self._full += BLOCK_S / self._length_s * (0.6 + 0.8 * self.energy)
            if self._full >= 1.0:
                self._full, self._rest_s = 0.0871, rng.uniform(0.358, 1.0)
                self._length_s = rng.uniform(10.6, 16.2)
        splash = clamp(1.0 + 0.222 * self._splash.step(), 0.3, 1.8)
        loud = flow * (0.5 + 0.9 * self.energy)
        # A tube closed below: quarter wave of the air column that is left.
        cavity = self._empty_hz / (2.02 - 0.541 * self._full) * pitch_of_size(self.size_m)
        self._bubbles.set(382.0 * flow, 0.11 * loud, 0.00114, spread_octaves=1.72, rise=0.0533, damp=0.917)
        self._jet.set(0, 1.53 * loud * splash, cavity, 1.89)
        self._jet.set(1, 0.269 * loud * splash, 0.927 * cavity, 7.15)
        self._jet.set(2, 0.0451 * loud, 556.0, 0.198)
        self._jet.set(3, 0.00448 * loud, 27519.7, 0.804)


class Tap(BlockVoice):
    """Water running from a tap into a sink."""

    gain_db = 13.9
    motion_time_s = 0.3

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._jet = Bands(rng, "bbbb")
        self._bubbles = Bubbles(rng)
        self.parts = (self._jet, self._bubbles)
        self._sink_hz = rng.uniform(264.0, 385.0)
        self._swirl = Drift(rng, 1.22)

    def control(self) -> None:
        """Energy opens the tap."""
        flow = 0.5 + 0.8 * self.energy
        swirl = clamp(1.0 + 0.174 * self._swirl.step(), 0.5, 1.6)
        self._jet.set(0, 0.0601 * flow * swirl, self._sink_hz, 10.2)
        self._jet.set(1, 0.0125 * flow, 1310.0, 0.108)
        self._jet.set(2, 0.042 * flow, 2640.4, 6.9)
        self._jet.set(3, 0.0192 * flow, 4347.9, 0.924)
        self._jet.grit(0, 0.164, 23.1)
        self._jet.grit(1, 0.0482, 23.0)
        self._bubbles.set(113.0 * flow, 0.069, 0.00055, spread_octaves=0.62, rise=0.257)


class Dishes(BlockVoice):
    """Plates, bowls, glasses and cutlery handled in a kitchen."""

    gain_db = 13.8
    _THINGS = 7

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        ratios = (1.0, 1.73, 6.95, 3.47, 6.46, 1.63, 2.56, 11.5)
        bodies = []
        for k in range(self._THINGS):
            hz, t60_s = (
                (rng.uniform(1430.4, 2524.2), 0.0885),
                (rng.uniform(2523.0, 4249.2), 0.171),
                (rng.uniform(2277.9, 3679.7), 0.439),
            )[k % 3]
            bodies.append(
                bar_modes(hz, t60_s, 8, ratios=[r * rng.uniform(1.61, 1.82) for r in ratios], damping=0.893, tilt=0.825)
            )
        self._things = Strikes(rng, bodies)
        self._room = Bands(rng, "b")
        self.parts = (self._things, self._room)
        self.space = Space(rng, 0.343, -7.21, 1.0, 12036.4)
        self._wait_s = 0.0

    def control(self) -> None:
        """Clusters of contacts: a thing put down touches several times."""
        rng = self.rng
        self._wait_s -= BLOCK_S
        if self._wait_s <= 0.0:
            thing = rng.randrange(self._THINGS)
            other = rng.randrange(self._THINGS)
            weight, at_s = rng.uniform(0.55, 1.0) * (0.4 + 0.8 * self.energy), 0.0
            for _ in range(rng.randint(1, 5)):
                self._things.hit(
                    at_s, thing if rng.random() < 0.7 else other, 0.202 * weight, contact_s=rng.uniform(0.000052, 0.000158), direct=0.279,
                    noise=0.184 * weight, decay_s=0.00225, centre_hz=rng.uniform(931.0, 2327.2), tune=rng.uniform(1.33, 1.41), spread=0.8,
                )  # fmt: skip
                at_s += rng.uniform(0.0344, 0.224)
                weight *= rng.uniform(0.5, 1.1)
            self._wait_s = at_s + min(rng.expovariate(1.0 / 0.22) / (0.4 + 1.2 * self.energy), 2.0)
        self._room.set(0, 0.0006, 996.0, 0.0975)


class Frying(BlockVoice):
    """Fat in a pan: sizzle and spits."""

    gain_db = -2.2
    motion_time_s = 0.4

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._sizzle = Bands(rng, "bbb")
        self._spit = Grains(rng, 4)
        self.parts = (self._sizzle, self._spit)
        self._heat = Drift(rng, 1.11)

    def control(self) -> None:
        """Energy is heat."""
        heat = clamp((0.5 + 0.9 * self.energy) * (1.0 + 0.0916 * self._heat.step()), 0.2, 2.5)
        self._sizzle.set(0, 0.18 * heat, 14484.6, 0.88)
        self._sizzle.set(1, 0.0922 * heat, 15613.2, 0.587)
        self._sizzle.set(2, 0.00973 * heat, 2170.0, 1.51)
        self._sizzle.grit(0, 0.326, 92.4)
        self._sizzle.grit(1, 0.625, 55.6)
        for k, (hz, rate) in enumerate(((482.0, 6.01), (3876.9, 72.2), (5175.4, 146.0), (9730.9, 128.0))):
            self._spit.set(k, rate * heat, 0.275, 0.00208, hz, 3.05, spread_db=8.03, spread_octaves=0.402, click=0.292)


class Paper(BlockVoice):
    """Paper or packaging that is crumpled and leafed through."""

    gain_db = 4.6

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._sheet = Bands(rng, "bb")
        self._crinkle = Grains(rng, 5)
        self.parts = (self._sheet, self._crinkle)
        self._hand, self._tremor = Drift(rng, 0.0966), Drift(rng, 0.0673)

    def control(self) -> None:
        """The hand closes and opens."""
        force = clamp(0.35 + self.energy, 0.0, 1.5)
        grip = force * clamp(0.75 + 0.55 * self._hand.step() + 0.22 * self._tremor.step(), 0.12, 2.2)
        tone = pitch_of_size(self.size_m)
        self._sheet.set(0, 0.0384 * grip, 3044.8 * tone, 0.47)
        self._sheet.set(1, 0.045 * grip, 5883.8 * tone, 0.496)
        self._sheet.grit(0, 0.865, 53.1)
        self._sheet.grit(1, 1.0, 116.0)
        for k, hz in enumerate((863.0, 1747.6, 3883.7, 4565.4, 7706.3)):
            self._crinkle.set(
                k, 41.7 * grip**1.3, 0.392, 0.00211, hz * tone, 3.27, spread_db=9.24, spread_octaves=0.269, click=0.3
            )


class Creak(BlockVoice):
    """Wood and hinges that stick and slip: a train of slips whose rate bends with the load (Farnell's creaking door)."""

    gain_db = -7.2

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self._hinge = Calls(rng, 1)
        self._board = Strikes(
            rng, [[(rng.uniform(187.0, 263.0), 0.0341, 1.0), (440.0, 0.156, 0.283), (1111.5, 0.031, 0.312)]]
        )
        self._room = Bands(rng, "b")
        self.parts = (self._hinge, self._board, self._room)
        self.space = Space(rng, 0.166, -4.87, 1.0, 27626.2)
        self._slip_hz = rng.uniform(179.0, 290.0)
        self._wood = rng.uniform(0.456, 0.545)
        self._wait_s = 0.0

    def control(self) -> None:
        """Creak, rest, sometimes a knock."""
        rng = self.rng
        self._wait_s -= BLOCK_S
        if self._wait_s <= 0.0:
            length_s = self._creak()
            self._wait_s = length_s + rng.uniform(0.1, 0.5) * (1.5 - self.energy)
            if rng.random() < 0.35:
                weight = rng.uniform(0.0173, 0.052) * (0.4 + self.energy)
                self._board.hit(length_s + 0.0182, 0, weight, contact_s=0.00132, noise=0.127, decay_s=0.00556)
        self._room.set(0, 0.000929, 658.0, 0.309)

    def _creak(self) -> float:
        rng = self.rng
        length_s = rng.uniform(0.154, 0.463)
        slip = self._slip_hz * pitch_of_size(self.size_m) * rng.uniform(3.4, 6.6)
        bend = rng.choice(
            (
                (0.546, 2.52, 3.15, 3.93),
                (3.44, 0.731, 0.809, 1.68),
                (1.23, 0.778, 0.486, 1.58),
                (0.298, 0.69, 1.25, 1.33),
            )
        )
        call = Call(
            length_s=length_s, level=0.5 + 0.6 * self.energy, attack_s=0.0491, release_s=0.329, pitch_0=slip * bend[0],
            pitch_1=slip * bend[1], pitch_2=slip * bend[2], pitch_3=slip * bend[3], loud_0=1.2, loud_1=0.236, loud_2=0.175,
            loud_3=0.408, bright=1.57, jitter=0.0323, shimmer=0.338, breath=0.0308, direct=0.117,
        )  # fmt: skip
        w = self._wood * rng.uniform(2.33, 2.85)
        formants: tuple[Formant, ...] = (
            (1130.4 * w, 437.0 * w, 3015.6 * w, 93.8, 0.783), (7139.7 * w, 614.0 * w, 3135.3 * w, 567.0, 1.0),
            (1667.9 * w, 4299.5 * w, 5057.2 * w, 203.0, 1.66), (6128.3 * w, 23450.3 * w, 4791.7 * w, 88.4, 1.35),
        )  # fmt: skip
        self._hinge.utter(0.0, call, formants)
        return length_s
