"""Sums: arrays and `t_s` in, arrays out. No clock, no sockets, no tasks, no media containers.

Error tree of the whole project (each message is one line a user can act on):

    EarshotError
    ├── InputError      a video or image that cannot be opened or read
    ├── OutputError     a file that cannot be written
    ├── ConfigError     an option, a config file or a room description that is wrong
    └── AssetError      a room bank or an HRTF that is missing or damaged
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

_KERNELS = "kernels-"
_KEPT = 3


def _keep_kernels_fresh() -> None:
    """Keep compiled kernels by the content of all files that have any.

    Numba's own rule looks at a kernel's file alone: after a change in another file from which it has inlined something
    it would go on with the old code.
    """
    chosen = os.environ.get("NUMBA_CACHE_DIR", "")
    if chosen and not Path(chosen).name.startswith(_KERNELS):
        return
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(here.rglob("*.py")):
        content = path.read_bytes()
        if b"njit" in content:
            digest.update(str(path.relative_to(here)).encode() + content)
    parent = here / "__pycache__"
    if not os.access(here, os.W_OK):
        parent = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "earshot"
    directory = parent / (_KERNELS + digest.hexdigest()[:16])
    try:
        directory.mkdir(parents=True, exist_ok=True)
        os.utime(directory)
        old = sorted(parent.glob(_KERNELS + "*"), key=lambda path: path.stat().st_mtime)[:-_KEPT]
    except OSError:
        return
    for path in old:
        shutil.rmtree(path, ignore_errors=True)
    os.environ["NUMBA_CACHE_DIR"] = str(directory)
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = str(directory)


_keep_kernels_fresh()
