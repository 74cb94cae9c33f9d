"""The program as its users run it: a process with arguments, two streams and an exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMAND = (sys.executable, str(ROOT / "earshot.py"))


def environment(cache: Path) -> dict[str, str]:
    """The caller's, with the cache elsewhere."""
    return os.environ | {"XDG_CACHE_HOME": str(cache), "PYTHONWARNINGS": "error", "PYTHONUNBUFFERED": "1"}


def earshot(*arguments: object, cache: Path, **options) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [*COMMAND, *(str(a) for a in arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment(cache), **options)


def refused(done: subprocess.CompletedProcess[str], code: int) -> str:
    """Assert one line of reason and no traceback; returns the line."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("earshot: ")]
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert len(lines) == 1, done.stderr
    return lines[0]
