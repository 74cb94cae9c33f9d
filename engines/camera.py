"""Pixels <-> directions: pinhole and equirectangular cameras, and how far a picture is spread around the listener."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from engines.errors import ConfigError

Projection = Literal["pinhole", "equirectangular"]
Stage = Literal["natural", "wide", "surround"]

STAGES: tuple[Stage, ...] = ("natural", "wide", "surround")
PROJECTIONS: tuple[Projection, ...] = ("pinhole", "equirectangular")
DEFAULT_HFOV_DEG = 70.0
# Azimuth at which the edges of a pinhole picture sound; natural leaves them where the lens saw them.
_EDGE_DEG = {"wide": 75.0, "surround": 150.0}


@dataclass(frozen=True, slots=True)
class Camera:
    """Where a pixel lies in space, seen from the camera.

    Attributes:
        width_px: of the picture.
        height_px: likewise.
        hfov_deg: horizontal field of view of a pinhole camera, 1..175; equirectangular pictures cover 360.
        projection: "pinhole" or "equirectangular".
        stage: how far the picture is spread around the listener.
    """

    width_px: int
    height_px: int
    hfov_deg: float = DEFAULT_HFOV_DEG
    projection: Projection = "pinhole"
    stage: Stage = "natural"

    def __post_init__(self) -> None:
        """Refuse impossible optics.

        Raises:
            ConfigError: with the value that is wrong.
        """
        if not 1.0 <= self.hfov_deg <= 175.0:
            raise ConfigError(f"field of view must be between 1 and 175 degrees, got {self.hfov_deg:g}")
        if self.projection not in PROJECTIONS:
            raise ConfigError(f"no projection called {self.projection!r} (there are {', '.join(PROJECTIONS)})")
        if self.stage not in STAGES:
            raise ConfigError(f"no stage called {self.stage!r} (there are {', '.join(STAGES)})")

    @property
    def wraps(self) -> bool:
        """Whether the left and the right edge of the picture are neighbours."""
        return self.projection == "equirectangular"

    @property
    def focal_px(self) -> float:
        """Focal length in pixels; for an equirectangular picture, pixels per radian."""
        if self.wraps:
            return self.width_px / (2.0 * math.pi)
        return 0.5 * self.width_px / math.tan(math.radians(0.5 * self.hfov_deg))

    def angles_deg(self, u_px: float, v_px: float) -> tuple[float, float]:
        """Azimuth and elevation of a pixel position as the camera saw it."""
        right, down = u_px - 0.5 * self.width_px, v_px - 0.5 * self.height_px
        if self.wraps:
            return -math.degrees(right / self.focal_px), -math.degrees(down / self.focal_px)
        f = self.focal_px
        return -math.degrees(math.atan2(right, f)), -math.degrees(math.atan2(down, math.hypot(f, right)))

    def pixel(self, azimuth_deg: float, elevation_deg: float) -> tuple[float, float]:
        """Inverse of `angles_deg`; needs |azimuth| < 90 for a pinhole camera."""
        f = self.focal_px
        if self.wraps:
            right, down = -math.radians(azimuth_deg) * f, -math.radians(elevation_deg) * f
        else:
            right = -math.tan(math.radians(azimuth_deg)) * f
            down = -math.tan(math.radians(elevation_deg)) * math.hypot(f, right)
        return right + 0.5 * self.width_px, down + 0.5 * self.height_px

    def staged_deg(self, azimuth_deg: float) -> float:
        """Azimuth at which something sounds that the camera saw at `azimuth_deg`."""
        edge = _EDGE_DEG.get(self.stage)
        if edge is None or self.wraps:
            return azimuth_deg
        return azimuth_deg * edge / (0.5 * self.hfov_deg)
