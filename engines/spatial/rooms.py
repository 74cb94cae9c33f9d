"""Rooms: what they are made of, and the presets.

A room is a shoebox with the listener inside, facing +x. Its impulse responses are computed once by
`export.rir_bank` and loaded by `engines.spatial.bank`.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import tomllib
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeGuard, get_type_hints

from engines.errors import ConfigError

WALLS = ("front", "back", "left", "right", "floor", "ceiling")
# Absorption 1 at every frequency: no wall. pyroomacoustics calls it "anechoic".
NO_WALL = "anechoic"
# Octave bands in which absorption and reverberation times are given.
BANDS_HZ = (125, 250, 500, 1000, 2000, 4000, 8000)
# Counts up when the meaning of a stored bank changes.
BANK_FORMAT = 5
# The field of an outdoor room, wide enough that nothing but the ground is near.
OUTDOOR_SIZE_M = (120.0, 120.0, 40.0)
OUTDOOR_LISTENER_M = (60.0, 60.0, 1.6)
MAX_RT60_S = 10.0

# A name from the table of pyroomacoustics, or the share of energy absorbed in each of BANDS_HZ.
Material = str | tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Room:
    """A shoebox room.

    Attributes:
        name: letters, digits and hyphens.
        size_m: length (x), width (y), height (z); each 1..200.
        listener_m: where the listener's head is: x, y and height; at least 0.3 inside the room.
        front: what the wall is made of; `anechoic` means no wall.
        back: likewise; `left`, `right`, `floor` and `ceiling` too.
        rt60_s: reverberation time, 0.05..10, one for all bands or one for each of BANDS_HZ; 0 takes it from the materials
            (Eyring). Otherwise the absorption of all walls is scaled, band by band, until it gives this time.
        outdoor: no walls and no ceiling, only the ground; then there is no reverberation.
        early_s: reflections up to here are computed for every direction, 0.005..0.08; then the tail takes over.
        echoes_s: single reflections between `early_s` and here, at most 1, open the tail; 0 for none.
        wet_db: level of all reflections against physics. Real rooms bury a source a few metres away in its own
            reverberation; what a viewer wants is to hear where it is.
    """

    name: str
    size_m: tuple[float, float, float]
    listener_m: tuple[float, float, float]
    front: Material = "plasterboard"
    back: Material = "plasterboard"
    left: Material = "plasterboard"
    right: Material = "plasterboard"
    floor: Material = "wood_1.6cm"
    ceiling: Material = "plasterboard"
    rt60_s: float | tuple[float, ...] = 0.0
    outdoor: bool = False
    early_s: float = 0.04
    echoes_s: float = 0.0
    wet_db: float = -16.0

    def __post_init__(self) -> None:
        """Refuse what cannot be a room.

        Raises:
            ConfigError: with the field that is wrong.
        """
        if not self.name or not all(c.isascii() and (c.isalnum() or c in "-_") for c in self.name):
            raise ConfigError(f"room name {self.name!r}: use letters, digits and hyphens")
        if len(self.size_m) != 3 or not all(1.0 <= s <= 200.0 for s in self.size_m):
            raise ConfigError(f"room {self.name}: size_m must be three lengths between 1 and 200 m, got {self.size_m}")
        inside = len(self.listener_m) == 3 and all(
            0.3 <= at <= size - 0.3 for at, size in zip(self.listener_m, self.size_m, strict=True)
        )
        if not inside:
            raise ConfigError(f"room {self.name}: listener_m {self.listener_m} must be >= 0.3 m inside {self.size_m}")
        for wall in WALLS:
            self._check_material(wall)
        times = self.rt60_s if isinstance(self.rt60_s, tuple) else (self.rt60_s,)
        lowest = 0.05 if isinstance(self.rt60_s, tuple) or self.rt60_s != 0.0 else 0.0
        if len(times) not in (1, len(BANDS_HZ)) or not all(lowest <= t <= MAX_RT60_S for t in times):
            raise ConfigError(
                f"room {self.name}: rt60_s must be between 0.05 and {MAX_RT60_S:g} s (0: by the materials), "
                f"or {len(BANDS_HZ)} such times, got {self.rt60_s}"
            )
        if not all(0.5 <= b / a <= 2.0 for a, b in pairwise(times) if a > 0.0):
            raise ConfigError(
                f"room {self.name}: rt60_s of neighbouring bands may differ by a factor of 2 at most, got {self.rt60_s}"
            )
        if not 0.005 <= self.early_s <= 0.08:
            raise ConfigError(f"room {self.name}: early_s must be between 0.005 and 0.08, got {self.early_s}")
        if self.echoes_s != 0.0 and not 1.25 * self.early_s <= self.echoes_s <= 1.0:
            raise ConfigError(
                f"room {self.name}: echoes_s must be 0 or between {1.25 * self.early_s:g} and 1, got {self.echoes_s}"
            )
        if not -120.0 <= self.wet_db <= 20.0:
            raise ConfigError(f"room {self.name}: wet_db must be between -120 and 20, got {self.wet_db}")
        if self.outdoor and (self.rt60_s != 0.0 or self.echoes_s != 0.0):
            raise ConfigError(f"room {self.name}: outdoors nothing reverberates; leave out rt60_s and echoes_s")

    def _check_material(self, wall: str) -> None:
        material = getattr(self, wall)
        if isinstance(material, tuple) and not (
            len(material) == len(BANDS_HZ) and all(0.0 <= absorbed <= 1.0 for absorbed in material)
        ):
            raise ConfigError(
                f"room {self.name}: {wall} must be a material or the absorption (0..1) in each of the "
                f"{len(BANDS_HZ)} octave bands from {BANDS_HZ[0]} to {BANDS_HZ[-1]} Hz, got {list(material)}"
            )

    @property
    def materials(self) -> dict[str, Material]:
        """What every one of WALLS is made of, with the open sides of an outdoor room."""
        return {wall: NO_WALL if self.outdoor and wall != "floor" else getattr(self, wall) for wall in WALLS}

    @property
    def key(self) -> str:
        """Names the bank: changes with anything that changes its samples."""
        facts = {**dataclasses.asdict(self), "format": BANK_FORMAT, "pyroomacoustics": version("pyroomacoustics")}
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        return f"{self.name}-{digest[:16]}"


PRESETS = {
    room.name: room
    for room in (
        Room(
            "studio",
            size_m=(5.2, 4.2, 2.8),
            listener_m=(2.3, 2.1, 1.2),
            front="rockwool_50mm_80kgm3",
            back="rockwool_50mm_80kgm3",
            left="wooden_lining",
            right="wooden_lining",
            floor="carpet_cotton",
            ceiling="ceiling_fissured_tile",
            # ITU-R BS.1116-3, section 8.2.3.1, for its 61 m^3.
            rt60_s=0.21,
        ),
        Room(
            "living-room",
            size_m=(6.4, 4.8, 2.6),
            listener_m=(2.7, 2.3, 1.2),
            front="plasterboard",
            back="curtains_cotton_0.5",
            left="glass_window",
            right="gypsum_board",
            floor="carpet_thin",
            ceiling="plasterboard",
            rt60_s=0.45,
        ),
        Room(
            "hall",
            size_m=(28.0, 19.0, 11.0),
            listener_m=(11.0, 9.2, 1.6),
            front="wood_16mm",
            back="perforated_veneered_chipboard",
            left="acoustical_plaster_25mm",
            right="brickwork",
            floor="audience_floor",
            ceiling="plasterboard",
            rt60_s=1.8,
            early_s=0.08,
        ),
        Room(
            "street",
            size_m=(80.0, 15.0, 16.0),
            listener_m=(40.0, 5.0, 1.6),
            front=NO_WALL,
            back=NO_WALL,
            left="brick_wall_rough",
            right="rough_concrete",
            floor="rough_concrete",
            ceiling=NO_WALL,
            early_s=0.08,
            echoes_s=0.3,
        ),
        Room(
            "open",
            size_m=OUTDOOR_SIZE_M,
            listener_m=OUTDOOR_LISTENER_M,
            floor="felt_5mm",
            outdoor=True,
            early_s=0.02,
        ),
    )
}
DEFAULT_ROOM = "living-room"


def find_room(name_or_file: str) -> Room:
    """A preset by name, or a room from a TOML file.

    Raises:
        ConfigError: unknown name, unreadable file, or a value that is wrong.
    """
    if name_or_file in PRESETS:
        return PRESETS[name_or_file]
    if name_or_file.endswith(".toml"):
        return _read_toml(Path(name_or_file))
    near = difflib.get_close_matches(name_or_file, PRESETS, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ConfigError(f"no room called {name_or_file!r} (there are {', '.join(PRESETS)}, or a .toml file){hint}")


def _read_toml(path: Path) -> Room:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"room file {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"room file {path}: {error}") from error
    hints = get_type_hints(Room)
    values: dict[str, Any] = {"name": path.stem}
    for key, value in table.items():
        if key not in hints:
            near = difflib.get_close_matches(key, hints, n=1)
            raise ConfigError(f"room file {path}: unknown key {key!r}" + (f"; did you mean {near[0]}?" if near else ""))
        values[key] = _checked(path, key, value, hints[key])
    if values.get("outdoor"):
        walls = [key for key in table if key in WALLS and key != "floor"]
        if walls:
            raise ConfigError(f"room file {path}: outdoors there is only a floor; leave out {', '.join(walls)}")
        values = {"size_m": OUTDOOR_SIZE_M, "listener_m": OUTDOOR_LISTENER_M} | values
    for needed in ("size_m", "listener_m"):
        if needed not in values:
            raise ConfigError(f"room file {path}: {needed} is missing")
    return Room(**values)


def _checked(path: Path, key: str, value: object, kind: object) -> object:
    """The value as the field's type, or one line that says what was expected."""
    n_bands = len(BANDS_HZ)
    per_band = _numbers(value, n_bands)
    if key in WALLS:
        if isinstance(value, str):
            return value
        if _is_number(value):
            return (float(value),) * n_bands
        if per_band is not None:
            return per_band
        expected = f"the name of a material, a number or {n_bands} numbers"
    elif key == "rt60_s":
        if per_band is not None:
            return per_band
        if _is_number(value):
            return float(value)
        expected = f"a number or {n_bands} numbers"
    elif kind is float:
        if _is_number(value):
            return float(value)
        expected = "a number"
    elif kind is bool or kind is str:
        if isinstance(value, kind):
            return value
        expected = "true or false" if kind is bool else "text"
    else:
        three = _numbers(value, 3)
        if three is not None:
            return three
        expected = "three numbers"
    raise ConfigError(f"room file {path}: {key} must be {expected}, got {value!r}")


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers(value: object, n: int) -> tuple[float, ...] | None:
    """A list of n numbers as a tuple, None for anything else."""
    if not isinstance(value, list) or len(value) != n:
        return None
    numbers = [float(v) for v in value if _is_number(v)]
    return tuple(numbers) if len(numbers) == n else None
