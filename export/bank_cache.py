"""The folder of RIR banks: what lies in it, what may go, how large it may grow."""

from __future__ import annotations

import difflib
import fcntl
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engines.errors import ConfigError
from engines.spatial.bank import is_complete, load_bank
from engines.spatial.rooms import PRESETS, Room
from engines.specs import SAMPLE_RATE_HZ

# Bound of the folder in mebibytes; the environment variable of this name sets another.
LIMIT_VARIABLE = "EARSHOT_ROOMS_MB"
DEFAULT_LIMIT_MB = 2048

# not built: of a preset, to be built when needed; current: will be used; stale: of an older version, of a preset that has changed, or damaged;
# unfinished: a build that was interrupted and would be continued; building: somebody is at it now.
State = Literal["not built", "current", "stale", "unfinished", "building"]


@dataclass(frozen=True, slots=True)
class CachedBank:
    """One bank in the folder.

    Attributes:
        directory: where it lies.
        room: name of the room.
        state: see `State`.
        n_bytes: on disk.
        format: of its files; 0 when that cannot be read.
        size_m: of the room; empty unless current or not built.
        length_s: of its impulse responses; 0 unless current.
        rt60_s: per octave band from 125 Hz; empty when nothing reverberates, or not current.
        used_ns: when it was last used, in the file system's nanoseconds.
    """

    directory: Path
    room: str
    state: State
    n_bytes: int
    format: int
    size_m: tuple[float, ...]
    length_s: float
    rt60_s: tuple[float, ...]
    used_ns: int


def part_of(directory: Path) -> Path:
    """Where the bank of this directory is put together."""
    return directory.with_name(f".{directory.name}.part")


def mark_used(directory: Path) -> None:
    """Make a bank the last to be removed."""
    os.utime(directory)


def list_banks(cache_dir: Path) -> list[CachedBank]:
    """Every preset, and everything in the folder that is or will be a bank: by name, last used first."""
    banks = [_describe(path) for path in _bank_paths(cache_dir)]
    there = {bank.room for bank in banks if bank.state == "current"}
    banks += [
        CachedBank(cache_dir / room.key, room.name, "not built", 0, 0, room.size_m, 0.0, (), 0)
        for room in PRESETS.values()
        if room.name not in there
    ]
    return sorted(banks, key=lambda bank: (bank.room, -bank.used_ns))


def choose_banks(cache_dir: Path, names: list[str], *, only_stale: bool) -> list[CachedBank]:
    """The banks to remove: of these rooms, `all` for all; never one that is being built.

    Raises:
        ConfigError: nothing is asked for, or a room that nobody knows.
    """
    banks = list_banks(cache_dir)
    known = {bank.room for bank in banks}
    for name in names:
        if name != "all" and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise ConfigError(f"no bank of a room called {name!r}" + (f"; did you mean {near[0]}?" if near else ""))
    if not names and not only_stale:
        raise ConfigError("say which rooms to remove, all, or --stale")
    wanted = known if "all" in names or not names else set(names)
    states = {"stale", "unfinished"} if only_stale else {"current", "stale", "unfinished"}
    return [bank for bank in banks if bank.room in wanted and bank.state in states]


def remove_bank(bank: CachedBank) -> None:
    """Delete it. A program that has it open goes on with what it has mapped."""
    shutil.rmtree(bank.directory, ignore_errors=True)


def limit_bytes() -> int:
    """How large the folder may grow.

    Raises:
        ConfigError: the environment variable does not hold a number.
    """
    text = os.environ.get(LIMIT_VARIABLE, str(DEFAULT_LIMIT_MB))
    try:
        limit = int(float(text) * 2**20)
    except (ValueError, OverflowError):
        limit = -1
    if limit < 0:
        raise ConfigError(f"{LIMIT_VARIABLE} must be a size in MiB, got {text!r}")
    return limit


def trim(cache_dir: Path, limit: int, keep: Path) -> None:
    """Remove the banks used longest ago until `limit` bytes hold the rest; `keep` and what is being built stay."""
    left = limit
    # No need to look into the banks here: name, age and size are enough.
    paths = sorted(_bank_paths(cache_dir), key=_used_ns, reverse=True)
    for path in sorted(paths, key=lambda path: path != keep):
        left -= _size(path)
        if left < 0 and path != keep and not _is_locked(path):
            shutil.rmtree(path, ignore_errors=True)


def _bank_paths(cache_dir: Path) -> list[Path]:
    """Directories called `<name>-<16 hexadecimal digits>`, or that between a dot and `.part`; nothing else is ours."""
    if not cache_dir.is_dir():
        return []
    return [
        path for path in cache_dir.iterdir() if path.is_dir() and not path.is_symlink() and _split(path) is not None
    ]


def _split(path: Path) -> tuple[str, bool] | None:
    """Name of the room, and whether the bank is under construction."""
    is_part = path.name.startswith(".") and path.name.endswith(".part")
    name, _, digest = (path.name[1:-5] if is_part else path.name).rpartition("-")
    hexadecimal = len(digest) == 16 and all(c in "0123456789abcdef" for c in digest)
    return (name, is_part) if name and hexadecimal else None


def _describe(path: Path) -> CachedBank:
    name, is_part = _split(path) or ("", False)
    facts = _facts(path)
    state: State = "stale"
    length_s, rt60_s, size_m = 0.0, (), ()
    if is_part:
        state = "building" if _is_locked(path) else "unfinished"
    elif (room := _room_of(facts)) is not None and _is_current(path, room):
        bank = load_bank(path)
        state, rt60_s, size_m = "current", bank.rt60_s, room.size_m
        length_s = max(bank.early.shape[2], bank.late.shape[2]) / SAMPLE_RATE_HZ
    stored_format = facts.get("format", 0)
    return CachedBank(
        directory=path,
        room=name,
        state=state,
        n_bytes=_size(path),
        format=stored_format if isinstance(stored_format, int) else 0,
        size_m=size_m,
        length_s=length_s,
        rt60_s=rt60_s,
        used_ns=_used_ns(path),
    )


def _facts(path: Path) -> dict[str, Any]:
    """What a bank says about itself; empty when it cannot be read."""
    try:
        facts = json.loads((path / "bank.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _room_of(facts: dict[str, Any]) -> Room | None:
    """The room that a bank was built for; None when this version knows no such rooms."""
    try:
        described: dict[str, Any] = facts["room"]
        values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in described.items()}
        return Room(**values)
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError):
        return None


def _is_current(path: Path, room: Room) -> bool:
    """Whether a build of the room would end in this directory, and this is what it would give."""
    of_old_preset = room.name in PRESETS and PRESETS[room.name].key != path.name
    return room.key == path.name and not of_old_preset and is_complete(path)


def _is_locked(path: Path) -> bool:
    """Whether somebody is building in this directory; see `export.rir_bank`."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _size(path: Path) -> int:
    try:
        return sum(file.stat().st_size for file in path.iterdir())
    except OSError:  # going away just now
        return 0


def _used_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
