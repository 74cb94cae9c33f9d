"""Room -> RIR bank on disk: in parallel, to be continued after an interruption, published in one step.

A bank under construction is the hidden directory `.<room key>.part` beside where the bank will be. Finished grid
points lie in it as files of a few points each, so that a build that was killed goes on with them; whoever builds
holds a lock on the directory, so that a second process waits and then finds the bank.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.errors import OutputError
from engines.spatial.bank import GRID_AZIMUTHS, N_MAIN, NEAR_SHELL_M, hashes, is_complete
from engines.spatial.rooms import BANK_FORMAT, Room
from engines.specs import SAMPLE_RATE_HZ
from export.bank_cache import limit_bytes, mark_used, part_of, trim
from export.room_acoustics import (
    MIN_FAR_SHELL_M,
    Walls,
    balance_shells,
    early_response,
    examine_walls,
    grid,
    late_response,
    late_taps,
)

Progress = Callable[[int, int], None]

N_POINTS = 2 * GRID_AZIMUTHS
_POINTS_PER_FILE = 8
_N_FILES = N_POINTS // _POINTS_PER_FILE
# Points that a trial computes: one in this many, in all directions and on both shells.
_TRIAL_STEP = 18


@dataclass(frozen=True, slots=True)
class Plan:
    """What a build would take.

    Attributes:
        n_bytes: size of the finished bank.
        n_points: grid points of the bank.
        n_left: of these, still to be computed; 0 when the bank is there.
        n_trial: grid points that `trial` computes.
        trial: computes that many, the way the build would, and throws them away: for the caller to time.
    """

    n_bytes: int
    n_points: int
    n_left: int
    n_trial: int
    trial: Callable[[], None]


def plan_bank(room: Room, cache_dir: Path, jobs: int | None = None) -> Plan:
    """What `ensure_bank` would have to do now.

    Raises:
        ConfigError: as `ensure_bank`.
    """
    walls = examine_walls(room)
    positions = grid(room)[0][::_TRIAL_STEP]
    n_taps = N_POINTS * round(room.early_s * SAMPLE_RATE_HZ) + late_taps(room, walls.rt60_s)
    directory = cache_dir / room.key
    n_files = sum(not _points_file(part_of(directory), k).exists() for k in range(_N_FILES))

    def trial() -> None:
        with ThreadPoolExecutor(jobs or _cores()) as pool:
            list(pool.map(lambda position: early_response(room, walls, position), positions))

    return Plan(
        n_bytes=n_taps * N_MAIN * 4,
        n_points=N_POINTS,
        n_left=0 if is_complete(directory) else n_files * _POINTS_PER_FILE,
        n_trial=len(positions),
        trial=trial,
    )


def ensure_bank(room: Room, cache_dir: Path, progress: Progress | None = None, jobs: int | None = None) -> Path:
    """The directory of the room's bank, built now if it is not there.

    Args:
        room: what to build.
        cache_dir: parent of all banks; kept below its bound by removing banks not used for longest.
        progress: called with (done, total) grid points.
        jobs: threads, at least 1; None for one per core. The bank is the same for any number.

    Raises:
        ConfigError: a material that pyroomacoustics does not know, a reverberation time that the room cannot have,
            or a bound of the cache that is no number.
        OutputError: the cache cannot be written.
    """
    directory = cache_dir / room.key
    limit = limit_bytes()
    try:
        if not is_complete(directory):
            walls = examine_walls(room)
            cache_dir.mkdir(parents=True, exist_ok=True)
            with _alone(directory) as part:
                if part is not None:
                    _build(room, walls, part, progress or (lambda done, total: None), jobs or _cores())
                    if directory.exists():  # damaged
                        shutil.rmtree(directory)
                    os.rename(part, directory)
            trim(cache_dir, limit, keep=directory)
        mark_used(directory)
    except OSError as error:
        raise OutputError(f"room bank {directory}: {error.strerror or error}") from error
    return directory


def _cores() -> int:
    return len(os.sched_getaffinity(0))


@contextmanager
def _alone(directory: Path) -> Iterator[Path | None]:
    """The bank's directory under construction, locked; None once the bank is complete."""
    part = part_of(directory)
    while True:
        part.mkdir(exist_ok=True)
        handle = os.open(part, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            # While we waited the directory may have become the bank, or have been removed.
            if not part.exists() or not os.path.samestat(os.fstat(handle), part.stat()):
                continue
            if is_complete(directory):
                shutil.rmtree(part)
                yield None
            else:
                yield part
            return
        finally:
            os.close(handle)


def _build(room: Room, walls: Walls, part: Path, progress: Progress, jobs: int) -> None:
    positions, radii_m = grid(room)
    n_early = round(room.early_s * SAMPLE_RATE_HZ)
    done = [k for k in range(_N_FILES) if _load_points(part, k, n_early) is not None]
    n_done = len(done) * _POINTS_PER_FILE
    progress(n_done, N_POINTS)

    def compute(k: int) -> None:
        rows = positions[k * _POINTS_PER_FILE : (k + 1) * _POINTS_PER_FILE]
        points = np.stack([early_response(room, walls, position) for position in rows]).astype(np.float32)
        path = _points_file(part, k)
        unfinished = path.with_suffix(".tmp")
        with unfinished.open("wb") as file:
            np.save(file, points)
        unfinished.replace(path)

    with ThreadPoolExecutor(jobs, thread_name_prefix="room") as pool:
        running = [pool.submit(compute, k) for k in range(_N_FILES) if k not in done]
        try:
            for finished in as_completed(running):
                finished.result()
                n_done += _POINTS_PER_FILE
                progress(n_done, N_POINTS)
        except BaseException:
            # An interruption keeps what is finished, and waits for no more than what is in hand.
            pool.shutdown(cancel_futures=True)
            raise
    _write_bank(room, walls, part, float(np.mean(radii_m[GRID_AZIMUTHS:])), n_early)


def _write_bank(room: Room, walls: Walls, part: Path, far_m: float, n_early: int) -> None:
    pieces = [_load_points(part, k, n_early) for k in range(_N_FILES)]
    early = balance_shells(np.concatenate([piece for piece in pieces if piece is not None]))
    late = late_response(room, walls, early)
    np.save(part / "early.npy", early)
    np.save(part / "late.npy", late[None].astype(np.float32))
    facts = {
        "format": BANK_FORMAT,
        "room": dataclasses.asdict(room),
        "near_m": NEAR_SHELL_M,
        "far_m": max(far_m, MIN_FAR_SHELL_M),
        "rt60_s": [round(float(t), 4) for t in walls.rt60_s],
        "sha256": hashes(part),
    }
    (part / "bank.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    for leftover in [*part.glob("points-*")]:
        leftover.unlink()


def _points_file(part: Path, k: int) -> Path:
    return part / f"points-{k:02d}.npy"


def _load_points(part: Path, k: int, n_early: int) -> NDArray[np.float32] | None:
    """A file of finished points; None when it is missing or not whole."""
    try:
        points = np.load(_points_file(part, k))
    except (OSError, ValueError, EOFError):
        return None
    return points if points.shape == (_POINTS_PER_FILE, N_MAIN, n_early) and points.dtype == np.float32 else None
