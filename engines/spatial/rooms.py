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
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from engines.errors import ConfigError

WALLS = ("front", "back", "left", "right", "floor", "ceiling")
# Absorption 1 at every frequency: no wall. pyroomacoustics calls it "anechoic".
NO_WALL = "anechoic"
# Counts up when the meaning of a stored bank changes.
BANK_FORMAT = 3


@dataclass(frozen=True, slots=True)
class Room:
    """A shoebox room.

    Attributes:
        name: letters, digits and hyphens.
        size_m: length (x), width (y), height (z); each 1..200.
        listener_m: where the listener's head is, inside the room.
        front: wall material, a name from the pyroomacoustics table; `anechoic` means no wall.
        back: likewise; `left`, `right`, `floor` and `ceiling` too.
        rt60_s: reverberation time; 0 takes it from the materials (Eyring), > 0 overrides their absorption.
        early_s: reflections up to here are computed one by one; then the diffuse tail takes over.
        tail_db: level of the diffuse tail against a closed room of the same absorption; -inf for none.
        wet_db: level of all reflections against physics. Real rooms bury a source a few metres away in its own
            reverberation; what a viewer wants is to hear where it is.
    """

    name: str
    size_m: tuple[float, float, float]
    listener_m: tuple[float, float, float]
    front: str = "plasterboard"
    back: str = "plasterboard"
    left: str = "plasterboard"
    right: str = "plasterboard"
    floor: str = "wood_1.6cm"
    ceiling: str = "plasterboard"
    rt60_s: float = 0.0
    early_s: float = 0.06
    tail_db: float = 0.0
    wet_db: float = -16.0

    def __post_init__(self) -> None:
        """Refuse what cannot be a room.

        Raises:
            ConfigError: with the field that is wrong.
        """
        if not self.name or not all(c.isalnum() or c in "-_" for c in self.name):
            raise ConfigError(f"room name {self.name!r}: use letters, digits and hyphens")
        if len(self.size_m) != 3 or not all(1.0 <= s <= 200.0 for s in self.size_m):
            raise ConfigError(f"room {self.name}: size_m must be three lengths between 1 and 200 m, got {self.size_m}")
        inside = len(self.listener_m) == 3 and all(
            0.3 <= at <= size - 0.3 for at, size in zip(self.listener_m, self.size_m, strict=True)
        )
        if not inside:
            raise ConfigError(f"room {self.name}: listener_m {self.listener_m} must be >= 0.3 m inside {self.size_m}")
        if not 0.0 <= self.rt60_s <= 10.0:
            raise ConfigError(f"room {self.name}: rt60_s must be between 0 and 10, got {self.rt60_s}")
        if not 0.005 <= self.early_s <= 0.5:
            raise ConfigError(f"room {self.name}: early_s must be between 0.005 and 0.5, got {self.early_s}")
        if not self.tail_db <= 20.0:
            raise ConfigError(f"room {self.name}: tail_db must be at most 20 (-inf for no tail), got {self.tail_db}")
        if not -120.0 <= self.wet_db <= 20.0:
            raise ConfigError(f"room {self.name}: wet_db must be between -120 and 20, got {self.wet_db}")

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
            early_s=0.04,
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
            early_s=0.12,
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
            early_s=0.3,
            tail_db=-12.0,
        ),
        Room(
            "open",
            size_m=(120.0, 120.0, 40.0),
            listener_m=(60.0, 60.0, 1.6),
            front=NO_WALL,
            back=NO_WALL,
            left=NO_WALL,
            right=NO_WALL,
            floor="felt_5mm",
            ceiling=NO_WALL,
            early_s=0.02,
            tail_db=float("-inf"),
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
    for needed in ("size_m", "listener_m"):
        if needed not in values:
            raise ConfigError(f"room file {path}: {needed} is missing")
    return Room(**values)


def _checked(path: Path, key: str, value: object, kind: object) -> object:
    """The value as the field's type, or one line that says what was expected."""
    if kind is str and isinstance(value, str):
        return value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if get_origin(kind) is tuple and isinstance(value, list):
        numbers = [float(v) for v in value if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) == len(value) == len(get_args(kind)):
            return tuple(numbers)
    expected = {str: "text", float: "a number"}.get(kind, "three numbers")  # pyright: ignore[reportArgumentType, reportCallIssue]
    raise ConfigError(f"room file {path}: {key} must be {expected}, got {value!r}")
