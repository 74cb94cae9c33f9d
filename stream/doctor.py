"""What this machine has: versions, codecs, devices, permissions; and the command that mends what is missing."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import threading
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import av

from engines.spatial.hrtf import SYSTEM_SOFA
from engines.spatial.spectral import WIDTH
from stream.opus import OpusEncoder
from stream.priority import AUDIO, in_real_time

State = Literal["ok", "note", "bad"]

_PACKAGES = ("numpy", "numba", "rocket-fft", "av", "aiortc", "aiohttp", "opencv-python-headless", "pyroomacoustics")
_EXTRAS = {"torch": "export", "onnx": "export", "onnxruntime-gpu": "gpu"}
_ENCODERS = {"libopus": "bad", "aac": "bad", "flac": "bad", "pcm_s24le": "bad", "libx264": "note"}
_DECODERS = {"h264": "bad", "hevc": "note", "vp9": "note", "av1": "note", "gif": "note", "mjpeg": "note"}
_MIN_PYTHON = (3, 11)
_MIN_FREE_GIB = 1.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        state: "ok"; "note" when something optional is missing; "bad" when the program cannot do its work.
        what: was looked at.
        found: in a few words.
        mend: a command, or "" when there is nothing to do.
    """

    state: State
    what: str
    found: str
    mend: str = ""


def examine(cache: Path) -> list[Finding]:
    """Look at everything.

    Args:
        cache: folder for room banks.
    """
    return [
        _python(),
        *(_package(name) for name in _PACKAGES),
        *(_extra(name, extra) for name, extra in _EXTRAS.items()),
        *_codecs(),
        _surround_opus(),
        _hrtf(),
        _cameras(),
        _realtime(),
        _cores(),
        _cache(cache),
    ]


def _python() -> Finding:
    good = sys.version_info >= _MIN_PYTHON
    return Finding("ok" if good else "bad", "Python", platform.python_version(), "" if good else "install Python 3.11+")


def _package(name: str) -> Finding:
    try:
        return Finding("ok", name, version(name))
    except PackageNotFoundError:
        return Finding("bad", name, "not installed", f"pip install {name}")


def _extra(name: str, extra: str) -> Finding:
    try:
        return Finding("ok", name, version(name))
    except PackageNotFoundError:
        return Finding(
            "ok",
            name,
            "not installed (not needed for builtin vision and procedural voices)",
            f"pip install 'earshot[{extra}]'",
        )


def _codecs() -> list[Finding]:
    findings = []
    for kind, mode, wanted in (("encoder", "w", _ENCODERS), ("decoder", "r", _DECODERS)):
        for name, importance in wanted.items():
            try:
                av.Codec(name, mode)  # pyright: ignore[reportArgumentType]
                findings.append(Finding("ok", f"{name} {kind}", "in FFmpeg"))
            except ValueError:
                state: State = "bad" if importance == "bad" else "note"
                findings.append(Finding(state, f"{name} {kind}", "missing", "pip install --force-reinstall av"))
    return findings


def _surround_opus() -> Finding:
    """Six channels in one packet is what everything hangs on; so it is tried, not only looked up."""
    try:
        head = OpusEncoder("5.1").head
    except Exception as error:  # whatever FFmpeg says, it is the finding
        return Finding("bad", "5.1 Opus", str(error), "pip install --force-reinstall av")
    good = head[:8] == b"OpusHead" and head[9] == 6
    return Finding(
        "ok" if good else "bad", "5.1 Opus", "6 channels in one packet" if good else f"unexpected header {head[:12]!r}"
    )


def _hrtf() -> Finding:
    if SYSTEM_SOFA.is_file():
        return Finding("ok", "HRTF for headphones", f"MIT KEMAR ({SYSTEM_SOFA})")
    return Finding("note", "HRTF for headphones", "a sphere stands in for the head", "apt install libmysofa1")


def _cameras() -> Finding:
    devices = sorted(str(path) for path in Path("/dev").glob("video*"))
    if not devices:
        return Finding("note", "cameras", "none (files, streams and browser cameras work)", "plug one in")
    readable = [device for device in devices if os.access(device, os.R_OK | os.W_OK)]
    if not readable:
        return Finding("note", "cameras", f"{', '.join(devices)}, not allowed", "sudo usermod -aG video $USER")
    return Finding("ok", "cameras", ", ".join(readable))


def _realtime() -> Finding:
    """Try it on a thread that ends at once."""
    result: list[bool] = []
    thread = threading.Thread(target=lambda: result.append(in_real_time(AUDIO)))
    thread.start()
    thread.join()
    if result == [True]:
        return Finding("ok", "real-time priority", "the audio process and the event loop get it")
    mend = "add '@audio - rtprio 20' to /etc/security/limits.conf, or run with CAP_SYS_NICE"
    return Finding("note", "real-time priority", "not allowed; sound may stutter on a busy machine", mend)


def _cores() -> Finding:
    flags = next((line for line in _cpuinfo() if line.startswith("flags")), "")
    vectors = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"
    used = f"convolution in vectors of {WIDTH} floats"
    return Finding("ok", "processor", f"{os.cpu_count()} cores, {platform.machine()}, {vectors}; {used}")


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []


def _cache(cache: Path) -> Finding:
    folder = cache
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        return Finding("bad", "cache", f"{folder} is not writable", f"chown $USER {folder}")
    free_gib = shutil.disk_usage(folder).free / (1 << 30)
    if free_gib < _MIN_FREE_GIB:
        return Finding("note", "cache", f"{cache}, only {free_gib:.1f} GiB free", "free some space")
    return Finding("ok", "cache", f"{cache}, {free_gib:.0f} GiB free")
