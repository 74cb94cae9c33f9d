"""The audio thread: every 10 ms the newest scene becomes one packet per layout that somebody listens to.

It waits for nothing but its own clock: the scene is read by reference, packets are handed over without a lock. A late
block is made up for at once, so the time stamps have no gaps; only after a long stall does the thread skip ahead.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from av.packet import Packet

from engines.soundscape import Soundscape
from engines.spatial.layouts import Layout
from engines.spatial.level import LiveLevel
from engines.specs import BLOCK_S, Scene
from stream.clock import Clock
from stream.fanout import Fanout
from stream.opus import OpusEncoder

logger = logging.getLogger(__name__)

# A listener's buffer starts at 30 ms; a block later than this may have been missed.
UNDERRUN_S = 0.020
_STALL_S = 0.25
# Without a new scene for this long the sources fade and the bed goes on.
STALE_S = 1.5
_PRIORITY = 10
_KEPT_BLOCKS = 6000


@dataclass(slots=True)
class PlayoutStats:
    """What the audio thread has been doing.

    Attributes:
        blocks: rendered so far.
        underruns: blocks handed over more than UNDERRUN_S late.
        skipped: blocks left out after a stall.
        realtime: whether the thread runs with real-time priority.
        late_ms: per block, ring of the last minute.
        render_ms: likewise, time to render and encode.
    """

    blocks: int = 0
    underruns: int = 0
    skipped: int = 0
    realtime: bool = False
    late_ms: np.ndarray = field(default_factory=lambda: np.zeros(_KEPT_BLOCKS, np.float32))
    render_ms: np.ndarray = field(default_factory=lambda: np.zeros(_KEPT_BLOCKS, np.float32))

    def percentiles(self) -> dict[str, float]:
        """p50, p95, p99 and maximum over the last minute, in ms."""
        n = min(self.blocks, _KEPT_BLOCKS)
        if n == 0:
            return {}
        result = {}
        for name, values in (("late", self.late_ms[:n]), ("render", self.render_ms[:n])):
            for q, value in zip(("p50", "p95", "p99"), np.percentile(values, (50, 95, 99)), strict=True):
                result[f"{name}_{q}_ms"] = round(float(value), 3)
            result[f"{name}_max_ms"] = round(float(values.max()), 3)
        return result


class Playout:
    """Owns the audio thread.

    Args:
        soundscape: renders; only the audio thread touches it after `start`.
        layouts: that can be listened to.
        scene: gives the newest scene; must not block.
        clock: paces the thread.
        tap: told about each block rendered (index, scene that it plays); for measurements.
    """

    def __init__(
        self,
        soundscape: Soundscape,
        layouts: Mapping[str, Layout],
        scene: Callable[[], Scene],
        clock: Clock,
        tap: Callable[[int, Scene], None] | None = None,
    ) -> None:
        self._soundscape, self._layouts, self._scene, self._clock, self._tap = soundscape, layouts, scene, clock, tap
        self.fanouts: dict[str, Fanout[Packet]] = {name: Fanout() for name in layouts}
        self.stats = PlayoutStats()
        self._encoders: dict[str, OpusEncoder] = {}
        self._levels: dict[str, LiveLevel] = {}
        self._active: frozenset[str] = frozenset()
        self._work: list[Callable[[Soundscape], None]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audio", daemon=True)
        self._newest_seq = -1
        self._newest_s = 0.0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; waits for the block in hand."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def submit(self, work: Callable[[Soundscape], None]) -> None:
        """Run something on the audio thread before its next block; it must be quick."""
        self._work.append(work)

    # -- audio thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self.stats.realtime = _ask_for_realtime()
        start_s = self._clock.now_s()
        index = 0
        while self._clock.sleep_until(start_s + index * BLOCK_S, self._stop):
            behind_s = self._clock.now_s() - (start_s + index * BLOCK_S)
            if behind_s > _STALL_S:
                missed = int(behind_s / BLOCK_S)
                self.stats.skipped += missed
                start_s += missed * BLOCK_S
                logger.warning("sound stalled for %.0f ms", 1000 * behind_s)
            try:
                self._block(index, start_s + index * BLOCK_S)
            except Exception:
                # Sound never stops: this block is lost, the next one is tried.
                logger.exception("block %d failed", index)
            index += 1

    def _block(self, index: int, due_s: float) -> None:
        begun_s = self._clock.now_s()
        while self._work:
            self._work.pop(0)(self._soundscape)
        self._choose_layouts()
        scene = self._current_scene(begun_s)
        for name, block in self._soundscape.step(scene).items():
            levelled = self._levels[name].step(block, self._soundscape.mix.night)
            self.fanouts[name].publish(self._encoders[name].encode(levelled, index))
        done_s = self._clock.now_s()
        stats, slot = self.stats, index % _KEPT_BLOCKS
        stats.late_ms[slot] = 1000 * (begun_s - due_s)
        stats.render_ms[slot] = 1000 * (done_s - begun_s)
        stats.blocks += 1
        if done_s - due_s > UNDERRUN_S:
            stats.underruns += 1
        if self._tap is not None:
            self._tap(index, scene)

    def _choose_layouts(self) -> None:
        """Render what is listened to; 5.1 when nobody listens, so that everything stays warm."""
        wanted = frozenset(name for name, fanout in self.fanouts.items() if len(fanout)) or frozenset({"5.1"})
        if wanted == self._active:
            return
        for name in wanted - self._active:
            self._encoders[name] = OpusEncoder(name)
            self._levels.setdefault(name, LiveLevel(self._layouts[name].loudness_weights))
        self._soundscape.renderer.set_layouts(self._layouts[name] for name in sorted(wanted))
        self._active = wanted

    def _current_scene(self, now_s: float) -> Scene:
        scene = self._scene()
        if scene.seq != self._newest_seq:
            self._newest_seq, self._newest_s = scene.seq, now_s
        if now_s - self._newest_s > STALE_S:
            return Scene(scene.t_s, (), scene.seq, scene.ambience)
        return scene


def _ask_for_realtime() -> bool:
    """SCHED_FIFO for the calling thread, where the system allows it."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
    except (AttributeError, OSError):
        return False
    return True
