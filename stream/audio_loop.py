"""The audio loop: every 10 ms what is wanted now becomes one packet per layout that somebody listens to.

It waits for nothing but its own clock. A late block is made up for at once, so the time stamps have no gaps; only after
a long stall does it skip ahead. What it is told is a state, not a list of orders: the newest one is all that counts.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from engines.errors import EarshotError
from engines.soundscape import Soundscape
from engines.spatial.bank import load_bank
from engines.spatial.layouts import Layout
from engines.spatial.level import LiveLevel
from engines.specs import BLOCK_S, Scene
from stream.audio_words import BlockDone, Wanted
from stream.clock import Clock
from stream.opus import OpusEncoder
from stream.priority import PREPARING, in_real_time

logger = logging.getLogger(__name__)

_STALL_S = 0.25
# Without a new scene for this long the sources fade and the bed goes on.
STALE_S = 1.5
# Rendered when nobody listens, so that everything stays warm.
_IDLE_LAYOUT = "5.1"


class Gone(Exception):
    """Nobody is there any more to play for."""


class AudioLoop:
    """Soundscape, level and Opus encoders on one clock.

    Args:
        soundscape: renders; nobody else may touch it.
        room: directory of the bank that it begins with.
        layouts: that can be listened to.
        clock: paces the blocks.
        wanted: gives what is wanted now, before every block; must not block. May raise `Gone`.
        deliver: takes every block; must not block. May raise `Gone`.
        first_index: of the first block.
    """

    def __init__(
        self,
        soundscape: Soundscape,
        room: Path,
        layouts: Mapping[str, Layout],
        clock: Clock,
        wanted: Callable[[], Wanted],
        deliver: Callable[[BlockDone], None],
        first_index: int = 0,
    ) -> None:
        self._soundscape, self._room, self._layouts, self._clock = soundscape, room, layouts, clock
        self._wanted, self._deliver = wanted, deliver
        self._index = first_index
        self._skipped = 0
        self._encoders: dict[str, OpusEncoder] = {}
        self._levels: dict[str, LiveLevel] = {}
        self._active: frozenset[str] = frozenset()
        self._newest_seq = -1
        self._newest_s = 0.0
        self._preparing: threading.Thread | None = None
        self._prepared: object | None = None

    def run(self, stop: threading.Event) -> None:
        """Play until `stop` is set or nobody is there any more."""
        start_s = self._clock.now_s() - self._index * BLOCK_S
        while self._clock.sleep_until(start_s + self._index * BLOCK_S, stop):
            behind_s = self._clock.now_s() - (start_s + self._index * BLOCK_S)
            if behind_s > _STALL_S:
                missed = int(behind_s / BLOCK_S)
                self._skipped += missed
                start_s += missed * BLOCK_S
                logger.warning("sound stalled for %.0f ms", 1000 * behind_s)
            try:
                self._block(start_s + self._index * BLOCK_S)
            except Gone:
                break
            except Exception:
                # Sound never stops: this block is lost, the next one is tried.
                logger.exception("block %d failed", self._index)
            self._index += 1
        if self._preparing is not None:
            self._preparing.join()

    def _block(self, due_s: float) -> None:
        begun_s = self._clock.now_s()
        wanted = self._wanted()
        self._soundscape.mix = wanted.mix
        self._choose_layouts(wanted.layouts or frozenset({_IDLE_LAYOUT}))
        self._choose_room(wanted.room)
        scene = self._unless_stale(wanted.scene, begun_s)
        packets = {}
        for name, block in self._soundscape.step(scene).items():
            packets[name] = self._encoders[name].encode(self._levels[name].step(block, wanted.mix.night))
        done_s = self._clock.now_s()
        voices = self._soundscape.voices()
        self._deliver(BlockDone(self._index, due_s, begun_s, done_s, packets, scene.t_s, voices, self._skipped))

    def _choose_layouts(self, wanted: frozenset[str]) -> None:
        if wanted == self._active:
            return
        for name in wanted - self._active:
            self._encoders[name] = OpusEncoder(name)
            self._levels.setdefault(name, LiveLevel(self._layouts[name].loudness_weights))
        self._soundscape.renderer.set_layouts(self._layouts[name] for name in sorted(wanted))
        self._active = wanted

    def _choose_room(self, wanted: Path) -> None:
        """Cross-fade to another room as soon as a thread of its own has transformed its responses."""
        if self._preparing is not None:
            if self._preparing.is_alive():
                return
            self._preparing = None
            if self._prepared is not None:
                self._soundscape.renderer.switch_room(self._prepared)
                self._prepared = None
        if wanted != self._room:
            self._room = wanted
            self._preparing = threading.Thread(target=self._prepare_room, args=(wanted,), name="room")
            self._preparing.start()

    def _prepare_room(self, directory: Path) -> None:
        # It takes turns with the loop; if it had to wait while holding the interpreter lock, so would the loop.
        in_real_time(PREPARING)
        try:
            self._prepared = self._soundscape.renderer.prepare_room(load_bank(directory))
        except EarshotError as error:
            logger.error("the room stays as it is: %s", error)

    def _unless_stale(self, scene: Scene, now_s: float) -> Scene:
        if scene.seq != self._newest_seq:
            self._newest_seq, self._newest_s = scene.seq, now_s
        if now_s - self._newest_s > STALE_S:
            return Scene(scene.t_s, (), scene.seq, scene.ambience)
        return scene
