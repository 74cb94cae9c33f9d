"""URI -> video input."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from engines.errors import ConfigError, InputError
from stream.clock import Clock
from stream.inputs.base import VideoInput
from stream.inputs.camera import CameraInput
from stream.inputs.media import MediaInput, is_still, open_container
from stream.inputs.network import NetworkInput, is_endless
from stream.inputs.still import FolderInput, StillInput
from stream.inputs.synthetic import SyntheticInput

NETWORK_SCHEMES = ("rtsp", "rtsps", "http", "https")


def open_input(uri: str, clock: Clock, *, live: bool = False, offline: bool = False) -> VideoInput:
    """Open whatever a URI names.

    Args:
        uri: path of a video, a picture or a folder of pictures, `rtsp://`, `http(s)://`, `/dev/videoN`, `camera:N`,
            `synthetic:NAME?key=value`, or `-` for standard input.
        clock: for inputs without a time base of their own.
        live: for a server: synthetic scenes do not end, a network stream that is not there yet is waited for.
        offline: refuse what needs the network.

    Raises:
        InputError: it cannot be opened, in one line.
        ConfigError: a synthetic scene that does not exist, or a network address with `offline`.
    """
    scheme = uri.split(":", 1)[0].lower() if ":" in uri else ""
    if scheme == "synthetic":
        return SyntheticInput(uri.split(":", 1)[1], endless=live)
    if match := re.fullmatch(r"(?:camera:|/dev/video)(\d+)", uri):
        return CameraInput(int(match[1]), clock)
    if scheme == "camera":
        raise ConfigError(f"{uri}: write camera:N with a number, for example camera:0")
    if scheme in NETWORK_SCHEMES:
        if offline:
            raise ConfigError(f"{uri}: needs the network, and --offline was given")
        if scheme.startswith("http") and not live and not is_endless(uri):
            return MediaInput(uri)
        return NetworkInput(uri, clock, patient=live)
    if "://" in uri:
        raise InputError(f"{uri}: {scheme} addresses are not supported (there are {', '.join(NETWORK_SCHEMES)})")
    if uri == "-":
        return MediaInput(str(spooled_stdin()))
    return _open_path(uri)


def _open_path(uri: str) -> VideoInput:
    path = Path(uri)
    if path.is_dir():
        return FolderInput(path)
    if not path.exists() and "?" in uri and Path(uri.split("?")[0]).is_dir():
        parts = urlsplit(uri)
        try:
            hold_s = float(parse_qs(parts.query)["hold"][0])
        except (KeyError, ValueError):
            raise ConfigError(f"{uri}: a folder takes one key, hold=SECONDS") from None
        if not 0.1 <= hold_s <= 3600:
            raise ConfigError(f"{uri}: hold must be between 0.1 and 3600 seconds")
        return FolderInput(Path(uri.split("?")[0]), hold_s)
    container = open_container(uri)
    still = is_still(container)
    container.close()
    return StillInput(path) if still else MediaInput(uri)


def spooled_stdin() -> Path:
    """Standard input as a file, which can be read twice; removed with its folder at the end of the program."""
    if sys.stdin.isatty():
        raise InputError("standard input is a terminal; pipe a video into it")
    folder = tempfile.TemporaryDirectory(prefix="earshot-")
    path = Path(folder.name) / "stdin"
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    _spools.append(folder)
    return path


# Keeps the folders alive until the program ends.
_spools: list[tempfile.TemporaryDirectory[str]] = []
