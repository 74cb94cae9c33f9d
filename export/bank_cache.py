"""The folder of RIR banks: what lies in it, what may go, how large it may grow."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engines.errors import ConfigError
from engines.spatial.bank import is_complete, load_bank
from engines.spatial.rooms import PRESETS, Room
from engines.specs import SAMPLE_RATE_HZ

# Bound of the folder in mebibytes; the environment variable of this name sets another.
LIMIT_VARIABLE = "EARSHOT_ROOMS_MB"
DEFAULT_LIMIT_MB = 2048

# current: will be used; stale: of an older version, of a preset that has changed, or damaged;
# unfinished: a build that was interrupted and would be continued; building: somebody is at it now.
State = Literal["current", "stale", "unfinished", "building"]


@dataclass(frozen=True, slots=True)
class CachedBank:
    """One bank in the folder.

    Attributes:
        directory: where it lies.
        room: name of the room.
        state: see `State`.
        n_bytes: on disk.
        length_s: of its impulse responses; 0 unless current.
        rt60_s: per octave band from 125 Hz; empty when nothing reverberates, or not current.
        used_ns: when it was last used, in the file system's nanoseconds.
    """

    directory: Path
    room: str
    state: State
    n_bytes: int
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
    """Everything in the folder that is or will be a bank, by name, last used first."""
    banks = [_describe(path) for path in _bank_paths(cache_dir)]
    return sorted(banks, key=lambda bank: (bank.room, -bank.used_ns))


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


def trim(cache_dir: Path, keep: Path) -> None:
    """Remove the banks used longest ago until the folder is within its bound; `keep` and what is being built stay."""
    left = limit_bytes()
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
    return [path for path in cache_dir.iterdir() if path.is_dir() and not path.is_symlink() and _split(path) is not None]


def _split(path: Path) -> tuple[str, bool] | None:
    """Name of the room, and whether the bank is under construction."""
    is_part = path.name.startswith(".") and path.name.endswith(".part")
    name, _, digest = (path.name[1:-5] if is_part else path.name).rpartition("-")
    hexadecimal = len(digest) == 16 and all(c in "0123456789abcdef" for c in digest)
    return (name, is_part) if name and hexadecimal else None


def _describe(path: Path) -> CachedBank:
    name, is_part = _split(path) or ("", False)
    state: State = "stale"
    length_s, rt60_s = 0.0, ()
    if is_part:
        state = "building" if _is_locked(path) else "unfinished"
    elif _is_current(path, name):
        bank = load_bank(path)
        state, rt60_s = "current", bank.rt60_s
        length_s = max(bank.early.shape[2], bank.late.shape[2]) / SAMPLE_RATE_HZ
    return CachedBank(path, name, state, _size(path), length_s, rt60_s, _used_ns(path))


def _is_current(path: Path, name: str) -> bool:
    """Whether a build of the room that the bank describes would end in this directory."""
    if name in PRESETS and path.name != PRESETS[name].key:
        return False
    if not is_complete(path):
        return False
    try:
        described = json.loads((path / "bank.json").read_text(encoding="utf-8"))["room"]
        lists_as_tuples = {key: tuple(v) if isinstance(v, list) else v for key, v in described.items()}
        return Room(**lists_as_tuples).key == path.name
    except (KeyError, TypeError, ValueError, ConfigError):
        return False


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
