"""The named synthetic scenes and their keys: `NAME?key=value&key=value`."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

import numpy as np

from engines.camera import DEFAULT_HFOV_DEG, Camera
from engines.errors import ConfigError
from engines.synthetic.stage import Actor, Point, Stage, textured_background

_COLOURS = (
    (196, 52, 44),
    (38, 84, 168),
    (222, 178, 40),
    (44, 128, 66),
    (120, 52, 140),
    (226, 118, 36),
    (32, 140, 150),
    (90, 60, 40),
)
_STREET_ROUND_S = 120.0  # then the same cars come again
_EYE_M = 1.5  # height of the camera above the ground


@dataclass(frozen=True, slots=True)
class Keys:
    """What every scene understands; a scene reads those that concern it.

    Attributes:
        seconds: how long a file of it lasts.
        fps: frames per second.
        width: of the picture in pixels.
        height: likewise.
        seed: of textures, noise and random paths.
        n: number of actors (crossing, crowd).
        period: seconds for one round (orbit) or one way (passby, crossing).
        distance: metres to the path.
        elevation: degrees (orbit).
        speed: metres per second (passby, shaky).
        shake: degrees of camera shake (shaky).
        noise: sensor noise in grey levels.
        hfov: horizontal field of view in degrees (pinhole scenes).
    """

    seconds: float = 12.0
    fps: float = 25.0
    width: int = 640
    height: int = 360
    seed: int = 0
    n: int = 2
    period: float = 12.0
    distance: float = 4.0
    elevation: float = 0.0
    speed: float = 2.5
    shake: float = 1.2
    noise: float = 2.0
    hfov: float = DEFAULT_HFOV_DEG


_RANGES: dict[str, tuple[float, float]] = {
    "seconds": (0.1, 86_400),
    "fps": (1, 240),
    "width": (64, 8192),
    "height": (64, 8192),
    "seed": (0, 2**31),
    "n": (1, 16),
    "period": (0.5, 600),
    "distance": (1, 50),
    "elevation": (-60, 60),
    "speed": (0.1, 30),
    "shake": (0, 5),
    "noise": (0, 20),
    "hfov": (20, 120),
}


@dataclass(frozen=True, slots=True)
class SyntheticScene:
    """A stage with its timing."""

    name: str
    stage: Stage
    fps: float
    seconds: float


def make_scene(text: str) -> SyntheticScene:
    """Build a scene from `NAME?key=value&...`.

    Raises:
        ConfigError: unknown name or key, or a value out of range.
    """
    name, _, query = text.partition("?")
    if name not in _BUILDERS:
        near = difflib.get_close_matches(name, _BUILDERS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"no synthetic scene called {name!r} (there are {', '.join(_BUILDERS)}){hint}")
    builder, defaults = _BUILDERS[name]
    keys = Keys(**(defaults | _parse(name, query)))  # pyright: ignore[reportArgumentType]
    return SyntheticScene(name, builder(keys), keys.fps, keys.seconds)


def scene_names() -> tuple[str, ...]:
    """All names that `make_scene` knows."""
    return tuple(_BUILDERS)


def _parse(scene: str, query: str) -> dict[str, float | int]:
    values: dict[str, float | int] = {}
    for key, text in parse_qsl(query, keep_blank_values=True):
        if key not in _RANGES:
            near = difflib.get_close_matches(key, _RANGES, n=1)
            hint = f"; did you mean {near[0]}?" if near else f" (there are {', '.join(_RANGES)})"
            raise ConfigError(f"synthetic scene {scene} has no key {key!r}{hint}")
        kind = int if key in ("width", "height", "seed", "n") else float
        try:
            value = kind(text)
        except ValueError:
            raise ConfigError(f"synthetic scene {scene}: {key} must be a number, got {text!r}") from None
        low, high = _RANGES[key]
        if not low <= value <= high:
            raise ConfigError(f"synthetic scene {scene}: {key} must be between {low:g} and {high:g}, got {text}")
        values[key] = value
    return values


def _pinhole(keys: Keys) -> Camera:
    return Camera(keys.width, keys.height, keys.hfov)


def _half_width_m(keys: Keys, distance_m: float) -> float:
    """Half of what the camera sees at a distance."""
    return distance_m * math.tan(math.radians(0.5 * keys.hfov))


def _walk_height(height_m: float) -> float:
    """Height of the centre of something that stands on the ground, against the camera."""
    return 0.5 * height_m - _EYE_M


def _orbit(keys: Keys) -> Stage:
    camera = Camera(keys.width, keys.height, projection="equirectangular")
    elevation = math.radians(keys.elevation)

    def path(t_s: float) -> Point:
        azimuth = 2 * math.pi * t_s / keys.period
        return (
            keys.distance * math.cos(elevation) * math.cos(azimuth),
            keys.distance * math.cos(elevation) * math.sin(azimuth),
            keys.distance * math.sin(elevation),
        )

    actor = Actor(0, "ball", _COLOURS[0], 1.2, path, cycle_hz=0.5)
    return Stage(camera, (actor,), textured_background(camera, keys.seed), noise=keys.noise, seed=keys.seed)


def _passby(keys: Keys) -> Stage:
    """Cars one after the other, from alternating sides."""
    camera = _pinhole(keys)
    height = 1.5
    reach = _half_width_m(keys, keys.distance) + 2.0
    way_s = 2 * reach / keys.speed

    n_cars = min(200, math.ceil(keys.seconds / way_s) + 1)

    def path(number: int) -> Callable[[float], Point | None]:
        side = 1 if number % 2 == 0 else -1

        def drive(t_s: float) -> Point | None:
            t = (t_s - number * way_s) % (n_cars * way_s)
            return (keys.distance, side * (reach - keys.speed * t), _walk_height(height)) if t < way_s else None

        return drive

    actors = tuple(Actor(i, "car", _COLOURS[i % len(_COLOURS)], height, path(i), cycle_hz=1.5) for i in range(n_cars))
    return Stage(camera, actors, textured_background(camera, keys.seed), noise=keys.noise, seed=keys.seed)


def _crossing(keys: Keys) -> Stage:
    camera = _pinhole(keys)
    actors = []
    for i in range(keys.n):
        distance = keys.distance + 1.3 * i
        reach = 0.82 * _half_width_m(keys, distance)
        actors.append(
            Actor(i, "person", _COLOURS[i % len(_COLOURS)], 1.7, _pendulum(i, distance, reach, keys), cycle_hz=1.0)
        )
    return Stage(camera, tuple(actors), textured_background(camera, keys.seed), noise=keys.noise, seed=keys.seed)


def _pendulum(index: int, distance: float, reach: float, keys: Keys) -> Callable[[float], Point]:
    """From side to side and back, neighbours in opposite directions."""
    side = 1 if index % 2 == 0 else -1
    # Pairs one after the other, so that no two start in one place.
    delay = keys.period * 0.5 * (index // 2) / max(1, math.ceil(keys.n / 2))

    def path(t_s: float) -> Point:
        y = side * reach * math.cos(2 * math.pi * (t_s - delay) / keys.period)
        return distance, y, _walk_height(1.7)

    return path


def _appear(keys: Keys) -> Stage:
    camera = _pinhole(keys)
    rng = np.random.default_rng(keys.seed)
    shapes = ("person", "ball", "car", "person", "ball", "bird")
    actors = []
    for i in range(6):
        distance = float(rng.uniform(7.0, 9.0)) if shapes[i] == "car" else float(rng.uniform(4.0, 9.0))
        share = (i % 3 - 1) * 0.62 + float(rng.uniform(-0.06, 0.06))
        height = {"person": 1.7, "ball": 0.9, "car": 1.4, "bird": 0.6}[shapes[i]]
        z = 1.2 if shapes[i] == "bird" else _walk_height(height)
        begin = 1.0 + 1.5 * i
        position = (distance, share * _half_width_m(keys, distance), z)
        cycle_hz = 3.0 if shapes[i] == "bird" else 0.0
        actors.append(Actor(i, shapes[i], _COLOURS[i], height, _stay(position, begin, begin + 3.5), cycle_hz))
    return Stage(camera, tuple(actors), textured_background(camera, keys.seed), noise=keys.noise, seed=keys.seed)


def _stay(position: Point, begin_s: float, end_s: float) -> Callable[[float], Point | None]:
    return lambda t_s: position if begin_s <= t_s < end_s else None


def _crowd(keys: Keys) -> Stage:
    """Rows of people seen over each other's heads; everyone strolls about a place of their own."""
    camera = _pinhole(keys)
    rng = np.random.default_rng(keys.seed + 1)
    n_rows = max(1, round(math.sqrt(keys.n / 2)))
    n_columns = math.ceil(keys.n / n_rows)
    actors = []
    for i in range(keys.n):
        row, column = divmod(i, n_columns)
        distance = 9.0 + 4.0 * row
        half = 0.9 * _half_width_m(keys, distance)
        home = half * (1 - 2 * (column + 0.5) / n_columns)
        roam = 0.8 * half / n_columns
        z = (row - 0.5 * (n_rows - 1)) * 0.24 * distance * keys.height / keys.width * 1.4
        rates = rng.uniform(0.06, 0.14, 2)
        phases = rng.uniform(0, 2 * math.pi, 2)
        actors.append(
            Actor(
                i,
                "person",
                _COLOURS[i % len(_COLOURS)],
                1.7,
                _stroll(distance, home, roam, z, rates, phases),
                cycle_hz=1.0,
            )
        )
    return Stage(camera, tuple(actors), textured_background(camera, keys.seed), noise=keys.noise, seed=keys.seed)


def _stroll(
    distance: float, home: float, roam: float, z: float, rates: np.ndarray, phases: np.ndarray
) -> Callable[[float], Point]:
    def path(t_s: float) -> Point:
        y = home + roam * (
            0.7 * math.sin(2 * math.pi * rates[0] * t_s + phases[0])
            + 0.3 * math.sin(2 * math.pi * 2.3 * rates[1] * t_s + phases[1])
        )
        return distance, y, z

    return path


def _shaky(keys: Keys) -> Stage:
    camera = _pinhole(keys)
    reach = 0.8 * _half_width_m(keys, keys.distance)
    period = 4 * reach / keys.speed
    height = 1.7

    def path(t_s: float) -> Point:
        return keys.distance, reach * math.sin(2 * math.pi * t_s / period), _walk_height(height)

    rng = np.random.default_rng(keys.seed + 2)
    phases = rng.uniform(0, 2 * math.pi, 9)

    def pose(t_s: float) -> tuple[float, float, float]:
        def wander(k: int, *rates: float) -> float:
            return sum(math.sin(2 * math.pi * r * t_s + phases[3 * k + i]) for i, r in enumerate(rates)) / len(rates)

        yaw, pitch = wander(0, 0.23, 0.9, 2.1), wander(1, 0.31, 1.1, 2.6)
        return 1.6 * keys.shake * yaw, keys.shake * pitch, 0.4 * keys.shake * wander(2, 0.4, 1.3, 1.9)

    actor = Actor(0, "person", _COLOURS[0], height, path, cycle_hz=1.2)
    return Stage(camera, (actor,), textured_background(camera, keys.seed), pose, noise=keys.noise, seed=keys.seed)


def _street(keys: Keys) -> Stage:
    """A small piece of town for the demonstration: cars both ways, walkers, a bird."""
    camera = _pinhole(keys)
    background = textured_background(camera, keys.seed, horizon=0.48)
    _draw_houses(background, camera, keys.seed)

    def drive(lane_m: float, speed: float, begin_s: float) -> Callable[[float], Point | None]:
        reach = _half_width_m(keys, lane_m) + 2.5

        def path(t_s: float) -> Point | None:
            way = abs(speed) * ((t_s - begin_s) % _STREET_ROUND_S)
            side = math.copysign(1.0, speed)
            return (lane_m, side * (reach - way), _walk_height(1.5)) if t_s >= begin_s and way < 2 * reach else None

        return path

    def flutter(t_s: float) -> Point:
        return 7.0, 4.2 * math.sin(0.35 * t_s), 1.7 + 0.35 * math.sin(1.3 * t_s)

    def walk(distance: float, reach: float, rate: float, phase: float) -> Callable[[float], Point]:
        return lambda t_s: (distance, reach * math.sin(2 * math.pi * rate * t_s + phase), _walk_height(1.7))

    actors = [
        Actor(0, "person", _COLOURS[2], 1.7, walk(5.5, 2.6, 0.06, 0.4), cycle_hz=1.0),
        Actor(1, "person", _COLOURS[4], 1.7, walk(7.0, 3.6, 0.06, 0.4 + math.pi), cycle_hz=0.9),
        Actor(2, "bird", _COLOURS[7], 0.5, flutter, cycle_hz=3.0),
    ]
    for i in range(round(_STREET_ROUND_S / 5.0)):
        lane_m, speed = ((9.0, 6.0), (12.0, -5.0))[i % 2]
        colour = _COLOURS[(0, 1, 3, 5, 6)[i % 5]]
        actors.append(Actor(3 + i, "car", colour, 1.5, drive(lane_m, speed, 1.0 + 5.0 * i), cycle_hz=2.0))
    actors = tuple(actors)
    return Stage(camera, actors, background, noise=keys.noise, seed=keys.seed)


def _draw_houses(background: np.ndarray, camera: Camera, seed: int) -> None:
    rng = np.random.default_rng(seed + 3)
    height, width = background.shape[:2]
    horizon = round(height * (0.48 + 0.25) / 1.5)
    left = 0
    while left < width:
        wide, tall = int(rng.uniform(0.08, 0.16) * width), int(rng.uniform(0.10, 0.24) * height)
        wall = rng.uniform(120, 190) * np.array([1.0, rng.uniform(0.85, 0.95), rng.uniform(0.72, 0.9)])
        top = horizon - tall
        house = background[top : horizon + 4, left : left + wide]
        house[:] = np.clip(0.35 * house + 0.65 * wall, 0, 255).astype(np.uint8)
        step = max(10, wide // 5)
        for x in range(step // 2, wide - step // 2, step):
            for y in range(10, tall - 10, 22):
                house[y : y + 11, x : x + max(4, step // 2)] = (78, 88, 104)
        left += wide + int(rng.uniform(0, 0.02) * width)
    road = slice(round(height * 0.56), round(height * 0.68))
    background[road] = (0.55 * background[road] + 0.45 * np.array([70, 70, 76])).astype(np.uint8)


_BUILDERS: dict[str, tuple[Callable[[Keys], Stage], dict[str, float | int]]] = {
    "orbit": (_orbit, {"width": 960, "height": 480}),
    "passby": (_passby, {"distance": 6.0}),
    "crossing": (_crossing, {"period": 8.0, "distance": 5.0, "seconds": 40.0}),
    "appear": (_appear, {}),
    "crowd": (_crowd, {"n": 4}),
    "shaky": (_shaky, {"distance": 6.0, "speed": 1.5}),
    "street": (_street, {"seconds": 60.0}),
}
