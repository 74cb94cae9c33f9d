"""Room impulse responses as a file: written once by `export.rir_bank`, memory-mapped by everyone else.

Layout of a bank directory `<cache>/rooms/<room key>/`:
    early.npy   float32 (n_grid, 5, n_taps)   reflections without the direct sound, in time from the direct sound
    late.npy    float32 (1, 5, n_taps)        tail that all sources share, likewise
    bank.json   the room, the shells, reverberation times, SHA-256 of the arrays; written last
The five outputs are the main channels of 5.1 at their BS.775 angles; amplitudes are relative to a direct sound of 1 at
1 m. Both shells have the same energy in each direction: how reflections fall with distance is up to the renderer. The grid has `n_azimuth` directions on each of its two shells, near shell first.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.errors import AssetError
from engines.specs import Float32

# FL FR FC BL BR
MAIN_AZIMUTHS_DEG = (30.0, -30.0, 0.0, 110.0, -110.0)
N_MAIN = len(MAIN_AZIMUTHS_DEG)
# 5 degrees: panning between filters this far apart leaves the fewest artefacts of moving sources.
GRID_AZIMUTHS = 72
NEAR_SHELL_M = 1.0
ARRAYS = ("early.npy", "late.npy")


@dataclass(frozen=True, slots=True)
class RirBank:
    """A loaded bank; arrays as in the module docstring.

    Attributes:
        name: of the room.
        early: per grid point.
        late: shared by all sources.
        near_m: radius of the near shell.
        far_m: mean radius of the far shell.
        wet_db: level at which to play the reflections.
        rt60_s: per octave band from 125 Hz; empty when there is no tail.
    """

    name: str
    early: Float32
    late: Float32
    near_m: float
    far_m: float
    wet_db: float
    rt60_s: tuple[float, ...]


def is_complete(directory: Path) -> bool:
    """Whether a finished and undamaged bank lies there."""
    try:
        load_bank(directory)
        facts = json.loads((directory / "bank.json").read_text(encoding="utf-8"))
        return facts["sha256"] == hashes(directory)
    except (AssetError, OSError, KeyError):
        return False


def hashes(directory: Path) -> dict[str, str]:
    """SHA-256 of each array of a bank."""
    return {name: hashlib.sha256((directory / name).read_bytes()).hexdigest() for name in ARRAYS}


def load_bank(directory: Path) -> RirBank:
    """Memory-map a bank.

    Raises:
        AssetError: missing or damaged, with the command that rebuilds it.
    """
    name = directory.name.rsplit("-", 1)[0]
    try:
        facts = json.loads((directory / "bank.json").read_text(encoding="utf-8"))
        early = np.load(directory / "early.npy", mmap_mode="r")
        late = np.load(directory / "late.npy", mmap_mode="r")
        grid_ok = early.shape[:2] == (2 * GRID_AZIMUTHS, N_MAIN) and late.shape[:2] == (1, N_MAIN)
        if not (grid_ok and early.dtype == late.dtype == np.float32):
            raise ValueError(f"unexpected shape {early.shape} / {late.shape}")
        return RirBank(
            name=facts["room"]["name"],
            early=early,
            late=late,
            near_m=float(facts["near_m"]),
            far_m=float(facts["far_m"]),
            wet_db=float(facts["room"]["wet_db"]),
            rt60_s=tuple(facts["rt60_s"]),
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise AssetError(f"room bank {directory} cannot be used ({error}); run: earshot rooms build {name}") from error
