"""Programme level: toward -23 LUFS with the true peak under a ceiling; at once for a file, slowly for a live stream."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from engines.spatial.limiter import Limiter
from engines.spatial.loudness import TARGET_LUFS, LoudnessMeter
from engines.spatial.night import NightMode
from engines.specs import BLOCK_S, Float32

# What another pass is worth.
_TOLERANCE_LU = 0.1
_MAX_PASSES = 4
_MAX_GAIN_DB = 40.0

_LIVE_WINDOW_HOPS = 30
LIVE_RISE_DB_S, LIVE_FALL_DB_S = 0.8, 3.0
# Near the target the gain moves by a share of what is missing, so that it does not follow single sounds.
_LIVE_SETTLE_S = 4.0
_LIVE_GATE_LUFS = -55.0
_LIVE_RANGE_DB = (-24.0, 24.0)
_LIVE_START_DB = 6.0


def programme_gain_db(
    loudness: LoudnessMeter,
    peak_dbtp: float,
    ceiling_dbtp: float,
    weights: Float32,
    blocks: Callable[[], Iterable[Float32]],
) -> float:
    """Gain that brings a whole programme to the target after limiting.

    Args:
        loudness: has heard the whole programme.
        peak_dbtp: its true peak.
        ceiling_dbtp: of the limiter that comes after the gain.
        weights: channel weights of the loudness measurement.
        blocks: gives the programme once more, as often as it is called.

    Returns:
        dB; 0 for digital silence.
    """
    measured = loudness.integrated_lufs()
    if not math.isfinite(measured):
        return 0.0
    gain_db = min(TARGET_LUFS - measured, _MAX_GAIN_DB)
    # Below the ceiling the limiter does nothing; above it takes loudness away, and the gain has to make up for it.
    for _ in range(_MAX_PASSES):
        if peak_dbtp + gain_db <= ceiling_dbtp - 0.5:
            return gain_db
        meter = LoudnessMeter(weights)
        limiter: Limiter | None = None
        for block in blocks():
            limiter = limiter or Limiter(block.shape[0], ceiling_dbtp)
            meter.step(limiter.step(block, 10.0 ** (gain_db / 20.0)))
        missing = TARGET_LUFS - meter.integrated_lufs()
        if abs(missing) <= _TOLERANCE_LU or not math.isfinite(missing):
            break
        gain_db = min(gain_db + missing, _MAX_GAIN_DB)
    return gain_db


class LiveLevel:
    """Gain, night mode and limiter of one live layout.

    The gain follows the loudness of the last three seconds: by a quarter of what is missing per second, at most
    LIVE_RISE_DB_S up and LIVE_FALL_DB_S down; in a pause it stays.

    Args:
        weights: BS.1770 channel weights.
        ceiling_dbtp: of the limiter.
    """

    def __init__(self, weights: Float32, ceiling_dbtp: float = -1.0) -> None:
        self._meter = LoudnessMeter(weights, keep_hops=_LIVE_WINDOW_HOPS)
        self._night = NightMode(weights, on=False)
        self._limiter = Limiter(len(weights), ceiling_dbtp)
        self.gain_db = _LIVE_START_DB

    @property
    def limiting_db(self) -> float:
        """Reduction in the last block, <= 0."""
        return self._limiter.gain_db

    def step(self, block: Float32, night: bool = False) -> Float32:
        """Level one block, float32 (n_channels, BLOCK); the output lags by the limiter's delay.

        Args:
            block: before level control.
            night: compress the dynamic range, see `NightMode`.
        """
        self._meter.step(block)
        heard = self._meter.short_term_lufs()
        if heard > _LIVE_GATE_LUFS:
            low, high = _LIVE_RANGE_DB
            missing = min(max(TARGET_LUFS - heard, low), high) - self.gain_db
            self.gain_db += BLOCK_S * min(max(missing / _LIVE_SETTLE_S, -LIVE_FALL_DB_S), LIVE_RISE_DB_S)
        self._night.on = night
        if not self._night.idle:
            self._night.reference_lufs = TARGET_LUFS - self.gain_db
            block = self._night.step(block)
        return self._limiter.step(block, 10.0 ** (self.gain_db / 20.0))
