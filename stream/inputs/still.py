"""Standing pictures: one, or a folder of them shown one after the other."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.errors import InputError
from engines.specs import Frame
from stream.inputs.base import PTS_PER_S, VideoInfo, VideoInput

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
# Pictures are shown, not only analysed.
MAX_SIDE_PX = 1280
_FPS = 10.0
DEFAULT_HOLD_S = 4.0
_MAX_PIXELS = 1 << 28


def read_picture(path: Path) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """An upright uint8 (H, W, 3) picture, no side longer than MAX_SIDE_PX, and its own (width, height).

    Raises:
        InputError: not readable.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    if data.size == 0:
        raise InputError(f"{path}: the file is empty")
    try:
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise InputError(f"{path}: {error.err or 'the picture is damaged'}") from error
    if bgr is None:
        raise InputError(f"{path}: not a picture that can be read")
    height, width = bgr.shape[:2]
    shrink = min(1.0, MAX_SIDE_PX / max(height, width))
    if shrink < 1.0:
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        bgr = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False), (width, height)


class StillInput(VideoInput):
    """One picture that stands for ever.

    Args:
        path: of the picture.
    """

    def __init__(self, path: Path) -> None:
        self._rgb, (width, height) = read_picture(path)
        super().__init__(VideoInfo(width, height, _FPS, duration_s=None, still=True))

    def frames(self) -> Generator[Frame, None, None]:
        """See `VideoInput.frames`."""
        index = 0
        while not self._closed:
            self._end_s = (index + 1) / _FPS
            yield Frame(self._rgb, round(index * PTS_PER_S / _FPS), index / _FPS)
            index += 1


class FolderInput(VideoInput):
    """The pictures of a folder in natural order, each held for a while; all are fitted to the first one's size.

    Args:
        folder: holds at least one picture; others files are passed over.
        hold_s: how long each is shown.
    """

    def __init__(self, folder: Path, hold_s: float = DEFAULT_HOLD_S) -> None:
        self._paths = sorted((p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES), key=_natural)
        if not self._paths:
            raise InputError(f"{folder}: no pictures in this folder")
        self._hold_s = hold_s
        self._first, (width, height) = read_picture(self._paths[0])
        super().__init__(VideoInfo(width, height, _FPS, duration_s=hold_s * len(self._paths), still=True))

    def frames(self) -> Generator[Frame, None, None]:
        """See `VideoInput.frames`."""
        height, width = self._first.shape[:2]
        per_picture = max(1, round(self._hold_s * _FPS))
        index = 0
        for path in self._paths:
            rgb, _ = read_picture(path)
            fitted = _letterboxed(rgb, width, height)
            for _ in range(per_picture):
                if self._closed:
                    return
                self._end_s = (index + 1) / _FPS
                yield Frame(fitted, round(index * PTS_PER_S / _FPS), index / _FPS)
                index += 1


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    """Sorts picture2 before picture10."""
    parts = re.split(r"(\d+)", path.name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def _letterboxed(rgb: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    if rgb.shape[:2] == (height, width):
        return rgb
    scale = min(width / rgb.shape[1], height / rgb.shape[0])
    size = max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale))
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    return canvas
