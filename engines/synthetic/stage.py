"""Actors on a stage: where they are at a time, how that looks, and what is true of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.camera import Camera
from engines.synthetic.sprites import N_POSES, Rgba, draw_sprite

Point = tuple[float, float, float]
# A long scene has hundreds of actors; drawing each a texture of its own would take half a minute.
_N_TEXTURES = 16
_NOISE_FIELDS = 7
_BACKGROUND_MARGIN = 0.25


@dataclass(frozen=True, slots=True)
class Actor:
    """Something that moves.

    Attributes:
        actor_id: unique on its stage.
        shape: of the sprite.
        colour: RGB.
        height_m: of the thing.
        path: t_s -> position of its centre (x front, y left, z up, camera at the origin), or None while absent.
        cycle_hz: poses per second divided by N_POSES: steps, wing beats.
    """

    actor_id: int
    shape: str
    colour: tuple[int, int, int]
    height_m: float
    path: Callable[[float], Point | None]
    cycle_hz: float = 0.0


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of one actor in one frame.

    Attributes:
        actor_id: whose.
        label: the shape.
        box_px: x0, y0, x1, y1, clipped to the picture (x1 may pass the seam of an equirectangular one).
        azimuth_deg: of its centre, as the camera sees it.
        elevation_deg: likewise.
        distance_m: of its centre.
        visible: share of its pixels that are in the picture and not behind another, 0..1.
    """

    actor_id: int
    label: str
    box_px: tuple[float, float, float, float]
    azimuth_deg: float
    elevation_deg: float
    distance_m: float
    visible: float


@dataclass(frozen=True, slots=True)
class Stage:
    """A whole synthetic scene.

    Attributes:
        camera: size, projection and field of view.
        actors: in any order.
        background: uint8 (H', W', 3), larger than the picture by a margin on each side (not where the picture wraps).
        pose_deg: t_s -> (yaw, pitch, roll) of the camera.
        noise: standard deviation of the sensor noise in grey levels.
        seed: of the noise.
    """

    camera: Camera
    actors: tuple[Actor, ...]
    background: NDArray[np.uint8]
    pose_deg: Callable[[float], tuple[float, float, float]] = lambda t_s: (0.0, 0.0, 0.0)
    noise: float = 2.0
    seed: int = 0


class Painter:
    """Draws a stage; keeps sprites and noise between frames."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._sprites = {
            a.actor_id: draw_sprite(a.shape, a.colour, stage.seed + a.actor_id % _N_TEXTURES) for a in stage.actors
        }
        rng = np.random.default_rng(stage.seed)
        shape = (stage.camera.height_px, stage.camera.width_px, 3)
        self._noise = [(rng.standard_normal(shape) * stage.noise).astype(np.int8) for _ in range(_NOISE_FIELDS)]

    def paint(self, t_s: float, index: int) -> tuple[NDArray[np.uint8], list[Truth]]:
        """The picture at a time, uint8 (H, W, 3), and the truth about every actor in view, by id."""
        camera = self._stage.camera
        picture = self._backdrop(t_s)
        owner = np.zeros(picture.shape[:2], np.int32)
        drawn: list[tuple[Actor, Point, tuple[float, float, float, float], float]] = []
        placed = [(a, p) for a in self._stage.actors if (p := self._seen_from_camera(a, t_s)) is not None]
        for actor, position in sorted(placed, key=lambda pair: -math.hypot(*pair[1])):
            box = self._box(actor, position)
            if box is None:
                continue
            pose = int(actor.cycle_hz * t_s * N_POSES) % N_POSES
            area = self._paste(picture, owner, self._sprites[actor.actor_id][pose], box, actor.actor_id)
            drawn.append((actor, position, box, area))
        noise = self._noise[index % _NOISE_FIELDS]
        picture = cv2.add(picture, noise, dtype=cv2.CV_8U).astype(np.uint8, copy=False)
        truths = [self._truth(*entry, owner, camera) for entry in drawn]
        return picture, sorted((t for t in truths if t.visible > 0), key=lambda t: t.actor_id)

    def _backdrop(self, t_s: float) -> NDArray[np.uint8]:
        stage, camera = self._stage, self._stage.camera
        if camera.wraps:
            return stage.background.copy()
        yaw, pitch, roll = stage.pose_deg(t_s)
        margin_x = 0.5 * (stage.background.shape[1] - camera.width_px)
        margin_y = 0.5 * (stage.background.shape[0] - camera.height_px)
        # The camera turns left: the world moves right in the picture.
        shift = (math.radians(yaw) * camera.focal_px, math.radians(pitch) * camera.focal_px)
        centre = (0.5 * camera.width_px, 0.5 * camera.height_px)
        turn = cv2.getRotationMatrix2D(centre, -roll, 1.0)
        turn[:, 2] += turn[:, :2] @ np.array([shift[0] - margin_x, shift[1] - margin_y])
        size = (camera.width_px, camera.height_px)
        return cv2.warpAffine(
            stage.background, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        ).astype(np.uint8, copy=False)

    def _seen_from_camera(self, actor: Actor, t_s: float) -> Point | None:
        position = actor.path(t_s)
        if position is None:
            return None
        yaw, pitch, roll = (math.radians(a) for a in self._stage.pose_deg(t_s))
        x, y, z = position
        x, y = x * math.cos(yaw) + y * math.sin(yaw), -x * math.sin(yaw) + y * math.cos(yaw)
        x, z = x * math.cos(pitch) + z * math.sin(pitch), -x * math.sin(pitch) + z * math.cos(pitch)
        y, z = y * math.cos(roll) + z * math.sin(roll), -y * math.sin(roll) + z * math.cos(roll)
        return x, y, z

    def _box(self, actor: Actor, position: Point) -> tuple[float, float, float, float] | None:
        camera = self._stage.camera
        x, y, z = position
        if not camera.wraps and x < 0.3:
            return None
        distance = math.hypot(x, y, z)
        u, v = camera.pixel(math.degrees(math.atan2(y, x)), math.degrees(math.asin(z / distance)))
        height = actor.height_m * camera.focal_px / (distance if camera.wraps else x)
        sprite = self._sprites[actor.actor_id][0]
        width = height * sprite.shape[1] / sprite.shape[0]
        return u - 0.5 * width, v - 0.5 * height, u + 0.5 * width, v + 0.5 * height

    def _paste(
        self,
        picture: NDArray[np.uint8],
        owner: NDArray[np.int32],
        sprite: Rgba,
        box: tuple[float, float, float, float],
        actor_id: int,
    ) -> float:
        """Blend a sprite over the picture; returns the number of pixels that it has as a whole."""
        total = 0.0
        # Across the seam of an equirectangular picture the same sprite is drawn twice.
        offsets = (-picture.shape[1], 0, picture.shape[1]) if self._stage.camera.wraps else (0,)
        for offset in offsets:
            total = max(
                total, _blend(picture, owner, sprite, (box[0] + offset, box[1], box[2] + offset, box[3]), actor_id)
            )
        return total

    def _truth(
        self,
        actor: Actor,
        position: Point,
        box: tuple[float, float, float, float],
        area: float,
        owner: NDArray[np.int32],
        camera: Camera,
    ) -> Truth:
        x, y, z = position
        distance = math.hypot(x, y, z)
        seen = float((owner == actor.actor_id + 1).sum())
        x0, x1 = (box[0], box[2]) if camera.wraps else (max(box[0], 0.0), min(box[2], camera.width_px))
        if camera.wraps and x0 < 0:
            x0, x1 = x0 + camera.width_px, x1 + camera.width_px
        return Truth(
            actor_id=actor.actor_id,
            label=actor.shape,
            box_px=(x0, max(box[1], 0.0), x1, min(box[3], float(camera.height_px))),
            azimuth_deg=math.degrees(math.atan2(y, x)),
            elevation_deg=math.degrees(math.asin(z / distance)),
            distance_m=distance,
            visible=min(1.0, seen / area) if area > 0 else 0.0,
        )


def _blend(
    picture: NDArray[np.uint8],
    owner: NDArray[np.int32],
    sprite: Rgba,
    box: tuple[float, float, float, float],
    actor_id: int,
) -> float:
    x0, y0 = math.floor(box[0]), math.floor(box[1])
    width, height = math.ceil(box[2]) - x0 + 1, math.ceil(box[3]) - y0 + 1
    left, top = max(x0, 0), max(y0, 0)
    right, bottom = min(x0 + width, picture.shape[1]), min(y0 + height, picture.shape[0])
    scale_x, scale_y = (box[2] - box[0]) / sprite.shape[1], (box[3] - box[1]) / sprite.shape[0]
    area = float((sprite[..., 3] > 127).sum()) * scale_x * scale_y
    if right <= left or bottom <= top:
        return area
    if scale_x < 0.5:  # shrink with an area filter first, or the texture aliases
        small = (max(1, round(sprite.shape[1] * scale_x * 1.5)), max(1, round(sprite.shape[0] * scale_y * 1.5)))
        sprite = cv2.resize(sprite, small, interpolation=cv2.INTER_AREA).astype(np.uint8)
        scale_x, scale_y = (box[2] - box[0]) / small[0], (box[3] - box[1]) / small[1]
    matrix = np.array([[scale_x, 0, box[0] - left], [0, scale_y, box[1] - top]])
    # Pixel centres: picture (u + .5) = scale * (sprite + .5) + offset.
    matrix[:, 2] += (0.5 * scale_x - 0.5, 0.5 * scale_y - 0.5)
    patch = cv2.warpAffine(sprite, matrix, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
    alpha = patch[..., 3:].astype(np.float32) / 255.0
    target = picture[top:bottom, left:right]
    target[:] = (target + alpha * (patch[..., :3].astype(np.float32) - target)).astype(np.uint8)
    owner[top:bottom, left:right][patch[..., 3] > 127] = actor_id + 1
    return area


def textured_background(camera: Camera, seed: int, horizon: float = 0.5) -> NDArray[np.uint8]:
    """Sky over ground with clouds, stones and stains; seamless where the camera wraps.

    Args:
        camera: gives size and projection.
        seed: of the texture.
        horizon: its row as a share of the height.
    """
    margin = 0.0 if camera.wraps else _BACKGROUND_MARGIN
    width, height = round(camera.width_px * (1 + 2 * margin)), round(camera.height_px * (1 + 2 * margin))
    rng = np.random.default_rng(seed)
    rows = (np.arange(height, dtype=np.float32) / height - margin / (1 + 2 * margin)) * (1 + 2 * margin)
    sky = np.array([168, 190, 214], np.float32) + np.array([30, 22, 14], np.float32) * (rows / horizon)[:, None]
    ground = np.array([112, 108, 98], np.float32) + 26 * ((rows - horizon) / (1 - horizon))[:, None]
    blend = 1 / (1 + np.exp(-(rows - horizon) * 80))[:, None]
    picture = np.repeat((sky * (1 - blend) + ground * blend)[:, None, :], width, axis=1)
    for size, strength in ((24, 9.0), (9, 6.0), (3, 4.0)):
        grid = rng.standard_normal((height // size + 2, width // size + 2)).astype(np.float32)
        # Three copies side by side: the middle one meets itself across the seam.
        layer = cv2.resize(np.tile(grid, (1, 3)), (3 * width, height), interpolation=cv2.INTER_CUBIC)[
            :, width : 2 * width
        ]
        weight = 0.4 + 0.6 * blend
        picture += (strength * weight * layer)[..., None]
    return np.clip(picture, 0, 255).astype(np.uint8)
