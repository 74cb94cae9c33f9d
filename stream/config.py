"""The configuration file of the server."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any

from engines.camera import PROJECTIONS, STAGES
from engines.errors import ConfigError

_KEYS = {
    "source": list, "host": str, "port": int, "room": str, "stage": str, "hfov_deg": float, "projection": str,
    "seed": int, "label": list, "prompt": str, "sofa": str, "doppler": bool,
}  # fmt: skip


def read_config(path: Path | None) -> dict[str, Any]:
    """Options of `earshot serve` from a file; empty without one.

    Args:
        path: a TOML file whose keys are the long options with underscores.

    Raises:
        ConfigError: unreadable, an unknown key, or a value of the wrong kind.
    """
    if path is None:
        return {}
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    for key, value in table.items():
        kind = _KEYS.get(key)
        if kind is None:
            near = difflib.get_close_matches(key, _KEYS, n=1)
            raise ConfigError(f"{path}: unknown option {key!r}" + (f"; did you mean {near[0]}?" if near else ""))
        fits = isinstance(value, (int, float) if kind is float else kind)
        # In Python a truth value is a whole number, in TOML it is not.
        fits = fits and isinstance(value, bool) == (kind is bool)
        entries = value if isinstance(value, list) else []
        if not fits or not all(isinstance(entry, str) for entry in entries):
            words = {list: "a list of texts", str: "a text", int: "a whole number", float: "a number"}
            wanted = words.get(kind, "true or false")
            raise ConfigError(f"{path}: {key} must be {wanted}, got {value!r}")
    for key, allowed in (("stage", STAGES), ("projection", PROJECTIONS)):
        if key in table and table[key] not in allowed:
            raise ConfigError(f"{path}: {key} must be one of {', '.join(allowed)}, got {table[key]!r}")
    return table
