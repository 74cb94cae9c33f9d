"""The frame loop: newest frame in, newest scene out, on the event loop; and which input is on air.

Reader thread -> Latest (mailbox of one) -> frame loop task -> vision thread -> Scene (swapped by reference), and from
there to the audio process, and by way of the picture thread to the viewers of the page.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import cv2
import numpy as np
from av.video.frame import VideoFrame

from engines.camera import DEFAULT_HFOV_DEG, Camera, Projection, Stage
from engines.perception import Perception
from engines.sound.labelling import Labeller
from engines.specs import Frame, Region, Scene, Source
from stream.clock import Clock
from stream.fanout import Fanout
from stream.inputs.base import PTS_PER_S, VideoInfo
from stream.inputs.media import upright_rgb
from stream.latest import Closed, Latest
from stream.priority import ahead_of_others
from stream.reader import InputReader
from stream.rows import Row, scene_row

logger = logging.getLogger(__name__)

BROWSER = "browser"
_JPEG_QUALITY = 70
_PREVIEW_WIDTH_PX = 640
_OUTLINE_POINTS = 40
_KEPT = 300


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """How live pictures are understood; as in `RenderJob`."""

    stage: Stage = "natural"
    hfov_deg: float | None = None
    projection: Projection | None = None


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A frame on its way to vision; `raw` still has to be converted."""

    take: int
    t_s: float
    info: VideoInfo
    rgb: np.ndarray | None = None
    raw: VideoFrame | None = None


class Live:
    """Watches one input at a time and keeps the newest scene.

    Args:
        uris: inputs that can be chosen; the first is on air at once.
        options: how pictures are understood.
        clock: paces files and stamps frames.
        describe: gives what the page is told beside the scene; called once a frame.
        publish: takes every new scene, on the event loop.
    """

    def __init__(
        self,
        uris: list[str],
        options: LiveOptions,
        clock: Clock,
        describe: Callable[[], Row],
        publish: Callable[[Scene], None],
    ) -> None:
        self.uris = uris
        self.options = options
        self.status = "starting"
        self.labeller = Labeller()
        self.pictures: Fanout[bytes] = Fanout()
        self.vision_ms: deque[float] = deque(maxlen=_KEPT)
        self._clock, self._describe, self._publish = clock, describe, publish
        self._scene = Scene(0.0)
        self._mailbox: Latest[_Arrival] = Latest()
        self._reader: InputReader | None = None
        self._halted: list[InputReader] = []
        self._on_air: int | None = None
        self._browser: asyncio.Task[None] | None = None
        self._take = 0
        self._frames = 0
        self._view_deg: float | None = None
        self._vision = ThreadPoolExecutor(1, "vision", ahead_of_others)
        self._pictures_pool = ThreadPoolExecutor(1, "picture", ahead_of_others)
        self._drawing: asyncio.Future[None] | None = None
        self._loop_task: asyncio.Task[None] | None = None

    # -- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin with the first input."""
        self._loop_task = asyncio.create_task(self._frame_loop(), name="frame-loop")
        if self.uris:
            self.choose(0)

    async def stop(self) -> None:
        """Order: inputs, frame loop, worker threads."""
        self._halt_input()
        self._take += 1
        if self._browser is not None:
            self._browser.cancel()
            await asyncio.gather(self._browser, return_exceptions=True)
        for reader in self._halted:
            await asyncio.to_thread(reader.stop)
        self._mailbox.close()
        if self._loop_task is not None:
            await asyncio.gather(self._loop_task, return_exceptions=True)
        self._vision.shutdown(wait=True, cancel_futures=True)
        self._pictures_pool.shutdown(wait=True, cancel_futures=True)

    def scene(self) -> Scene:
        """The newest scene."""
        return self._scene

    @property
    def on_air(self) -> str:
        """URI of the input that is watched, or BROWSER."""
        return BROWSER if self._on_air is None else self.uris[self._on_air]

    @property
    def view_deg(self) -> float | None:
        """Angle at the listener that the newest picture covers, 0..360; None before the first."""
        return self._view_deg

    @property
    def frames(self) -> int:
        """Frames understood so far."""
        return self._frames

    @property
    def dropped(self) -> int:
        """Frames that came while another was being looked at and a newer one was already there."""
        return self._mailbox.dropped

    # -- inputs ---------------------------------------------------------------------------------------------------

    def choose(self, number: int) -> None:
        """Put one of `uris` on air."""
        self._halt_input()
        self._on_air = number
        self._take += 1
        take = self._take
        self.status = "opening"

        def deliver(frame: Frame, info: VideoInfo) -> None:
            self._mailbox.put(_Arrival(take, frame.t_s, info, rgb=frame.rgb))

        def report(state: str) -> None:
            if take == self._take:
                self.status = state

        self._reader = InputReader(self.uris[number], self._clock, deliver, report)
        self._reader.start()

    def hand_in(self, frame: Frame, info: VideoInfo) -> None:
        """Leave one frame of whatever is on air in the mailbox; from any thread."""
        self._mailbox.put(_Arrival(self._take, frame.t_s, info, rgb=frame.rgb))

    def _halt_input(self) -> None:
        if self._reader is not None:
            # Joining a reader that waits for the network would hold up the event loop.
            self._reader.stop(wait=False)
            self._halted = [r for r in (*self._halted, self._reader) if r.alive]
            self._reader = None

    def watch_browser(self, receive: Callable[[], Awaitable[VideoFrame]]) -> asyncio.Task[None]:
        """Put frames of a WebRTC track on air from its first one until it ends, then go back to what was before.

        Args:
            receive: awaitable that gives the next decoded frame.
        """
        if self._browser is not None:
            self._browser.cancel()
        self._browser = asyncio.create_task(self._pump(receive), name="browser-video")
        return self._browser

    async def _pump(self, receive: Callable[[], Awaitable[VideoFrame]]) -> None:
        """Always drain the track: aiortc queues frames without bound."""
        frame = await receive()
        before, start_s = self._on_air, self._clock.now_s()
        self._halt_input()
        self._on_air = None
        self._take += 1
        take = self._take
        self.status = "playing"
        try:
            while take == self._take:
                info = VideoInfo(frame.width, frame.height, 30.0, None, live=True)
                self._mailbox.put(_Arrival(take, self._clock.now_s() - start_s, info, raw=frame))
                frame = await receive()
        finally:
            if take == self._take and self.uris:
                self.choose(before if before is not None else 0)
            elif take == self._take:
                self.status = "waiting for a camera"

    # -- frame loop -----------------------------------------------------------------------------------------------

    async def _frame_loop(self) -> None:
        """One frame in the vision engine, one waiting, older ones dropped."""
        loop = asyncio.get_running_loop()
        perception: Perception | None = None
        take, options = -1, self.options
        while True:
            try:
                arrival = await self._mailbox.get()
            except Closed:
                return
            if arrival.take != self._take:
                continue
            begun_s = self._clock.now_s()
            try:
                frame = await loop.run_in_executor(self._vision, _converted, arrival)
                camera = self._camera(frame, arrival.info)
                if (
                    perception is None
                    or arrival.take != take
                    or camera != perception.camera
                    or options is not self.options
                ):
                    options, take = self.options, arrival.take
                    first_id = perception.next_id if perception is not None else 1
                    perception = Perception(camera, None, self._name, first_id=first_id)
                scene = await loop.run_in_executor(self._vision, perception.step, frame)
            except Exception:
                # A picture that cannot be understood must not end the loop; the scene stays as it was.
                logger.exception("frame at %.3f s", arrival.t_s)
                continue
            self._frames += 1
            left_deg, _ = camera.angles_deg(0.0, 0.5 * camera.height_px)
            self._view_deg = round(2.0 * camera.staged_deg(left_deg), 1)
            self._scene = replace(scene, seq=self._frames)
            self._publish(self._scene)
            self.vision_ms.append(1000 * (self._clock.now_s() - begun_s))
            self._show(frame, self._scene, arrival.info)

    def _name(self, source: Source, camera: Camera) -> str:
        """Vision thread: the labeller may have been exchanged since the last frame."""
        return self.labeller(source, camera)

    def _camera(self, frame: Frame, info: VideoInfo) -> Camera:
        return Camera(
            width_px=frame.rgb.shape[1],
            height_px=frame.rgb.shape[0],
            hfov_deg=self.options.hfov_deg or info.hfov_deg or DEFAULT_HFOV_DEG,
            projection=self.options.projection or info.projection or "pinhole",
            stage=self.options.stage,
        )

    def _show(self, frame: Frame, scene: Scene, info: VideoInfo) -> None:
        """Draw the picture for the page, unless nobody looks or the last one is still being drawn."""
        if not len(self.pictures) or (self._drawing is not None and not self._drawing.done()):
            return
        facts = self._describe()
        loop = asyncio.get_running_loop()
        self._drawing = loop.run_in_executor(self._pictures_pool, self._draw, frame, scene, info, facts, self._frames)

    def _draw(self, frame: Frame, scene: Scene, info: VideoInfo, facts: Row, number: int) -> None:
        """Picture thread."""
        height, width = frame.rgb.shape[:2]
        row = scene_row(scene, number, (info.width_px / width, info.height_px / height))
        for entry, source in zip(row["sources"], scene.sources, strict=True):
            if source.region is not None:
                entry["outline"] = outline(source.region, width, height)
                x0, y0, x1, y1 = source.region.box_px
                entry["box"] = [round(v, 4) for v in (x0 / width, y0 / height, x1 / width, y1 / height)]
        self.pictures.publish(picture_message(row | facts, frame.rgb))


def _converted(arrival: _Arrival) -> Frame:
    """Vision thread: the frame as RGB."""
    rgb = arrival.rgb if arrival.raw is None else upright_rgb(arrival.raw)
    assert rgb is not None
    return Frame(rgb, round(arrival.t_s * PTS_PER_S), arrival.t_s)


def picture_message(facts: Row, rgb: np.ndarray) -> bytes:
    """One message to the page: length of the JSON (4 bytes, little endian), JSON in UTF-8, JPEG."""
    height, width = rgb.shape[:2]
    if width > _PREVIEW_WIDTH_PX:
        size = (_PREVIEW_WIDTH_PX, max(1, round(height * _PREVIEW_WIDTH_PX / width)))
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))
    header = json.dumps(facts, separators=(",", ":")).encode()
    return len(header).to_bytes(4, "little") + header + jpeg.tobytes()


def outline(region: Region, width_px: int, height_px: int) -> list[list[float]]:
    """Contour of a region's mask as points [x, y] in 0..1 of the frame, at most _OUTLINE_POINTS."""
    mask = np.pad(region.mask.astype(np.uint8), 1)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1)
    if not contours:
        return []
    points = max(contours, key=cv2.contourArea).reshape(-1, 2).astype(np.float64)
    points = points[:: max(1, -(-len(points) // _OUTLINE_POINTS))]
    x0, y0, x1, y1 = region.box_px
    # A mask pixel k covers [k, k + 1); the padding shifted it by one.
    u = (x0 + (points[:, 0] - 0.5) / region.mask.shape[1] * (x1 - x0)) / width_px
    v = (y0 + (points[:, 1] - 0.5) / region.mask.shape[0] * (y1 - y0)) / height_px
    return [[round(float(a), 4), round(float(b), 4)] for a, b in zip(u, v, strict=True)]
