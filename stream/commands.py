"""What the page may say about the mix, checked: every function raises ConfigError for what is wrong."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from engines.errors import ConfigError
from engines.soundscape import Mix

GAIN_RANGE_DB = (-60.0, 20.0)
_MAX_MARKED = 1000


def whole(key: str, value: Any, low: int, high: int) -> int:
    """A whole number from low to high."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"{key} must be a whole number from {low} to {high}")
    return value


def number(key: str, value: Any, low: float, high: float) -> float:
    """A number from low to high."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ConfigError(f"{key} must be a number from {low:g} to {high:g}")
    return float(value)


def toggled(mix: Mix, key: str, source_id: int) -> Mix:
    """`mix` after "mute", "unmute", "solo" or "unsolo" of a source."""
    changed = {"mute": mix.muted, "unmute": mix.muted, "solo": mix.solo, "unsolo": mix.solo}[key]
    ids = changed - {source_id} if key.startswith("un") else changed | {source_id}
    _check_count(ids)
    return replace(mix, muted=ids) if key.endswith("mute") else replace(mix, solo=ids)


def with_gain(mix: Mix, value: Any) -> Mix:
    """`mix` after {"id", "db"}."""
    if not isinstance(value, dict) or set(value) != {"id", "db"}:
        raise ConfigError('gain_db must be {"id": ID, "db": DECIBELS}')
    source_id = whole("gain_db.id", value["id"], 1, 1 << 53)
    level = number("gain_db.db", value["db"], *GAIN_RANGE_DB)
    gains = {**(mix.gain_db or {}), source_id: level}
    _check_count(gains)
    return replace(mix, gain_db=gains)


def _check_count(marked: Collection[int]) -> None:
    """The whole mix has to fit into one message to the audio process."""
    if len(marked) > _MAX_MARKED:
        raise ConfigError(f"more than {_MAX_MARKED} sources are marked; unmark some")
