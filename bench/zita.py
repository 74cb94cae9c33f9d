"""zita-convolver (F. Adriaensen), the reference for partitioned convolution, compiled on the spot and called in-process.

Needs its header and a C++ compiler: `apt-get install libzita-convolver-dev g++`. Where Debian's sources can be had
(`apt-get source`), zita itself is compiled for this CPU too; otherwise Debian's generic build is linked.
"""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs

from engines.specs import Float32

QUANTUM = 512  # zita wants powers of two; the next one above a block of ours
_OPT_FFTW_MEASURE, _OPT_VECTOR_MODE = 1, 2
_HEADER = Path("/usr/include/zita-convolver.h")
_DRIVER = Path(__file__).with_name("zita.cpp")
_FLAGS = ("-O3", "-march=native", "-ffast-math", "-fno-access-control", "-fPIC", "-shared")
_SOURCE_TIMEOUT_S = 60.0
INSTALL = "apt-get install libzita-convolver-dev g++"


@dataclass(frozen=True, slots=True)
class Setting:
    """How zita partitions.

    Attributes:
        quantum: samples per call, also the smallest partition: the latency is that of one call.
        max_part: largest partition, 512..8192.
        vector: its hand-written vector mode.
        sparse: its cost model is told a matrix of one connection per input (its default) rather than a full one.
    """

    quantum: int = QUANTUM
    max_part: int = 8192
    vector: bool = False
    sparse: bool = False

    def __str__(self) -> str:
        extras = " vector" * self.vector + " sparse" * self.sparse
        return f"{self.quantum}..{self.max_part}{extras}"


class Zita:
    """zita-convolver loaded from the cache, compiled when it is not there.

    Raises:
        OSError: it cannot be had here; the text says why.
    """

    def __init__(self, may_fetch: bool = True) -> None:
        compiler = shutil.which("g++")
        if compiler is None or not _HEADER.exists():
            raise OSError(f"zita-convolver is not here; run: {INSTALL}")
        folder = platformdirs.user_cache_path("earshot") / "bench"
        folder.mkdir(parents=True, exist_ok=True)
        source = _source(folder, may_fetch)
        self.build = "its source for this CPU" if source is not None else "Debian's generic build"
        target = folder / f"zita-{'native' if source is not None else 'debian'}-{_digest()}.so"
        if not target.exists():
            zita = [str(source), "-I", str(source.parent), "-lfftw3f"] if source is not None else ["-lzita-convolver"]
            part = target.with_suffix(".part")
            command = [compiler, *_FLAGS, str(_DRIVER), *zita, "-lpthread", "-o", str(part)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise OSError(f"zita-convolver does not compile: {done.stderr.strip().splitlines()[0]}")
            part.rename(target)
        self._library = ctypes.CDLL(str(target))
        self._library.engine_open.restype = ctypes.c_void_p

    def open(self, h: Float32, setting: Setting) -> ZitaConvolver:
        """An engine for impulse responses, float32 (n_in, n_out, n_taps)."""
        return ZitaConvolver(self._library, h, setting)


class ZitaConvolver:
    """One engine; close it when done."""

    def __init__(self, library: ctypes.CDLL, h: Float32, setting: Setting) -> None:
        self._library = library
        self.n_in, self.n_out, n_taps = h.shape
        self.quantum = setting.quantum
        h = np.ascontiguousarray(h, np.float32)
        self._handle = library.engine_open(
            self.n_in,
            self.n_out,
            n_taps,
            h.ctypes.data_as(ctypes.c_void_p),
            setting.quantum,
            setting.quantum,
            setting.max_part,
            ctypes.c_float(0.0 if setting.sparse else 1.0),
            _OPT_FFTW_MEASURE | (_OPT_VECTOR_MODE if setting.vector else 0),
        )
        if not self._handle:
            raise OSError(f"zita-convolver refuses {setting}")

    def run(self, x: Float32) -> Float32:
        """Convolve (n_in, n) into (n_out, n), n a multiple of the quantum."""
        assert x.flags.c_contiguous
        assert x.dtype == np.float32
        assert x.shape[1] % self.quantum == 0
        y = np.empty((self.n_out, x.shape[1]), np.float32)
        flags = self._library.engine_run(
            ctypes.c_void_p(self._handle),
            x.ctypes.data_as(ctypes.c_void_p),
            y.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_size_t(x.shape[1]),
        )
        if flags:
            raise OSError(f"zita-convolver stopped with flags {flags:#x}")
        return y

    def close(self) -> None:
        """Stop its threads and free it."""
        self._library.engine_close(ctypes.c_void_p(self._handle))
        self._handle = None


def _digest() -> str:
    """Of all that the compiled library depends on: our driver, its header, the CPU."""
    parts = [_DRIVER.read_bytes(), _HEADER.read_bytes(), " ".join(_FLAGS).encode()]
    cpu = [line for line in Path("/proc/cpuinfo").read_bytes().splitlines() if line.startswith((b"flags", b"model"))]
    return hashlib.sha256(b"".join(parts + cpu[:4])).hexdigest()[:12]


def _source(folder: Path, may_fetch: bool) -> Path | None:
    """zita-convolver.cc from an earlier run or from Debian; None when it cannot be had."""
    home = folder / "zita-source"
    found = sorted(home.rglob("zita-convolver.cc"))
    if not found and may_fetch and shutil.which("apt-get") and shutil.which("dpkg-source"):
        home.mkdir(exist_ok=True)
        try:
            command = ["apt-get", "source", "-qq", "zita-convolver"]
            subprocess.run(command, cwd=home, capture_output=True, check=False, timeout=_SOURCE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return None
        found = sorted(home.rglob("zita-convolver.cc"))
    return found[0] if found else None
