"""The server's side of the sound: keeps the audio process alive, tells it what is wanted, hands out its packets.

All of it happens on the event loop. Whatever keeps that busy makes packets late on their way out, never the blocks
themselves.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from av.packet import Packet

from engines.errors import OutputError
from engines.soundscape import Mix
from engines.specs import Scene
from stream.audio_words import MESSAGE_BYTES, BlockDone, Logged, Ready, Setup, Wanted, Warming
from stream.clock import Clock
from stream.fanout import Fanout
from stream.opus import packet

logger = logging.getLogger(__name__)

# A listener's buffer starts at 30 ms; a block later than this may have been missed.
UNDERRUN_S = 0.020
_KEPT_BLOCKS = 6000
_KEPT_LATE_BLOCKS = 256
_RESTART_S, _LONGEST_RESTART_S = 0.1, 5.0
# A process that lived as long as this starts a new count of failures.
_STEADY_S = 10.0
_END_S = 1.0
_ROOT = Path(__file__).parents[1]
# One thread each: a helper of ordinary priority would keep the audio waiting on a busy machine.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


@dataclass(slots=True)
class PlayoutStats:
    """What the audio process has been doing.

    Attributes:
        blocks: received so far.
        underruns: of these, handed over by the audio process more than UNDERRUN_S late.
        late_arrivals: of these, seen by the event loop more than UNDERRUN_S late.
        missing: blocks that failed, or that found the way blocked because the event loop stood still.
        skipped: blocks left out after a stall of the audio process.
        restarts: audio processes started after the first.
        realtime: whether the audio process has real-time priority.
        late_ms: when blocks were begun against when they should have been; ring of the last minute.
        render_ms: likewise, time to render and encode.
        arrival_ms: likewise, when the event loop had the packets against when the block should have been begun.
        underrun_times: begin and end of the newest underruns on the monotonic clock, seconds.
    """

    blocks: int = 0
    underruns: int = 0
    late_arrivals: int = 0
    missing: int = 0
    skipped: int = 0
    restarts: int = 0
    realtime: bool = False
    late_ms: np.ndarray = field(default_factory=lambda: np.zeros(_KEPT_BLOCKS, np.float32))
    render_ms: np.ndarray = field(default_factory=lambda: np.zeros(_KEPT_BLOCKS, np.float32))
    arrival_ms: np.ndarray = field(default_factory=lambda: np.zeros(_KEPT_BLOCKS, np.float32))
    underrun_times: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_KEPT_LATE_BLOCKS))

    def count(self, block: BlockDone, now_s: float) -> None:
        """One more block, seen now."""
        slot = self.blocks % _KEPT_BLOCKS
        self.late_ms[slot] = 1000 * (block.begun_s - block.due_s)
        self.render_ms[slot] = 1000 * (block.done_s - block.begun_s)
        self.arrival_ms[slot] = 1000 * (now_s - block.due_s)
        self.blocks += 1
        self.late_arrivals += now_s - block.due_s > UNDERRUN_S
        if block.done_s - block.due_s > UNDERRUN_S:
            self.underruns += 1
            self.underrun_times.append((block.due_s, block.done_s))

    def percentiles(self) -> dict[str, float]:
        """p50, p95, p99 and maximum over the last minute, in ms."""
        n = min(self.blocks, _KEPT_BLOCKS)
        if n == 0:
            return {}
        result = {}
        for name, ring in (("late", self.late_ms), ("render", self.render_ms), ("arrival", self.arrival_ms)):
            values = ring[:n]
            for q, value in zip(("p50", "p95", "p99"), np.percentile(values, (50, 95, 99)), strict=True):
                result[f"{name}_{q}_ms"] = round(float(value), 3)
            result[f"{name}_max_ms"] = round(float(values.max()), 3)
        return result


class Playout:
    """Owns the audio process.

    Args:
        setup: what it plays with.
        clock: must be the monotonic one that the audio process has.
        warming: told (kernels compiled, of how many) while the first process starts.
        tap: told about every block as it arrives; for measurements.
    """

    def __init__(
        self,
        setup: Setup,
        clock: Clock,
        warming: Callable[[int, int], None] | None = None,
        tap: Callable[[BlockDone], None] | None = None,
    ) -> None:
        self._setup, self._clock, self._warming, self._tap = setup, clock, warming, tap
        self.fanouts: dict[str, Fanout[Packet]] = {name: Fanout() for name in setup.layouts}
        self.stats = PlayoutStats()
        self.voices: dict[int, str] = {}
        self._wanted = Wanted(Scene(0.0), frozenset(), setup.room, Mix())
        self._told = True
        self._next_index = 0
        self._skipped_before = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._setup_fd = -1
        self._playing = False
        self._ended = asyncio.Event()
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of the audio process; None while there is none."""
        return self._process.pid if self._process is not None else None

    # -- what is wanted -------------------------------------------------------------------------------------------

    def show(self, scene: Scene) -> None:
        """From the next block on, this is the scene."""
        # Masks and embeddings are most of a scene, and nobody hears them.
        sources = tuple(replace(s, region=None) if s.region is not None else s for s in scene.sources)
        self._want(replace(self._wanted, scene=replace(scene, sources=sources)))

    @property
    def mix(self) -> Mix:
        """Mutes, solos, gains."""
        return self._wanted.mix

    @mix.setter
    def mix(self, mix: Mix) -> None:
        self._want(replace(self._wanted, mix=mix))

    def enter(self, room: Path) -> None:
        """Cross-fade to another room, given the directory of its bank."""
        self._want(replace(self._wanted, room=room))

    def _want(self, wanted: Wanted) -> None:
        self._wanted, self._told = wanted, False
        self._tell()

    def _tell(self) -> None:
        """Everything at once; what does not get through now goes with the next block."""
        if self._told or not self._playing or self._link is None:
            return
        try:
            self._link.send(pickle.dumps(self._wanted))
        except BlockingIOError:
            return
        except OSError as error:
            # It has ended, which is noticed elsewhere; the next one is told anew.
            logger.debug("not told: %s", error)
        self._told = True

    # -- life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to start the audio process."""
        self._setup_fd = os.memfd_create("earshot-setup")
        with open(self._setup_fd, "wb", closefd=False) as file:
            pickle.dump(self._setup, file)
        self._keeper = asyncio.create_task(self._keep_alive(), name="audio-process")

    async def ready(self) -> None:
        """Wait until it is about to play.

        Raises:
            OutputError: it ended before.
        """
        await asyncio.shield(self._first)

    async def stop(self) -> None:
        """End the audio process."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        self._first.cancel()
        playing = self._playing
        self._hang_up()
        if self._process is not None:
            # One that has not played yet would compile to the end before it notices.
            if not playing:
                self._process.kill()
            try:
                await asyncio.to_thread(self._process.wait, _END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                await asyncio.to_thread(self._process.wait)
            self._process = None
        if self._setup_fd >= 0:
            os.close(self._setup_fd)
            self._setup_fd = -1

    async def _keep_alive(self) -> None:
        pause_s = _RESTART_S
        while True:
            begun_s = self._clock.now_s()
            process = self._spawn()
            await self._ended.wait()
            self._hang_up()
            status = await asyncio.to_thread(process.wait)
            self._process = None
            if not self._first.done():
                self._first.set_exception(
                    OutputError(f"no sound: the audio process ended as it started (status {status})")
                )
                self._first.exception()  # whoever does not wait for it reads the log
                return
            if self._clock.now_s() - begun_s >= _STEADY_S:
                pause_s = _RESTART_S
            logger.error("the audio process ended (status %d); another one starts", status)
            await asyncio.sleep(pause_s)
            pause_s = min(2.0 * pause_s, _LONGEST_RESTART_S)
            self.stats.restarts += 1

    def _spawn(self) -> subprocess.Popen[bytes]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            fds = (theirs.fileno(), self._setup_fd)
            arguments = [*(str(fd) for fd in fds), str(self._next_index)]
            path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
            # A process group of its own, because Ctrl-C on a terminal may come before signals are ignored.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "stream.audio_process", *arguments],
                stdin=subprocess.DEVNULL,
                env=os.environ | _ONE_THREAD | {"PYTHONPATH": path},
                pass_fds=fds,
                process_group=0,
            )
        ours.setblocking(False)
        self._link = ours
        self._ended.clear()
        asyncio.get_running_loop().add_reader(ours, self._read)
        return self._process

    def _hang_up(self) -> None:
        self._playing = False
        if self._link is not None:
            asyncio.get_running_loop().remove_reader(self._link)
            self._link.close()
            self._link = None

    # -- what comes -----------------------------------------------------------------------------------------------

    def _read(self) -> None:
        assert self._link is not None
        try:
            while data := self._link.recv(MESSAGE_BYTES):
                self._take(pickle.loads(data))
        except BlockingIOError:
            return
        except OSError as error:
            logger.debug("the link broke: %s", error)
        asyncio.get_running_loop().remove_reader(self._link)
        self._ended.set()

    def _take(self, message: Any) -> None:
        if isinstance(message, BlockDone):
            self._take_block(message)
        elif isinstance(message, Ready):
            self.stats.realtime = message.realtime
            self._skipped_before = self.stats.skipped
            self._playing, self._told = True, False
            self._choose_layouts()
            self._tell()
            if not self._first.done():
                self._first.set_result(None)
        elif isinstance(message, Logged):
            logging.getLogger(message.name).log(message.level, "%s", message.text)
        elif isinstance(message, Warming) and self._warming is not None and not self._first.done():
            self._warming(message.done, message.total)

    def _take_block(self, block: BlockDone) -> None:
        for name, data in block.packets.items():
            if len(self.fanouts[name]):
                self.fanouts[name].deliver(packet(data, block.index))
        self.voices = block.voices
        self.stats.count(block, self._clock.now_s())
        self.stats.missing += block.index - self._next_index
        self.stats.skipped = self._skipped_before + block.skipped
        self._next_index = block.index + 1
        if self._tap is not None:
            self._tap(block)
        self._choose_layouts()
        self._tell()

    def _choose_layouts(self) -> None:
        wanted = frozenset(name for name, fanout in self.fanouts.items() if len(fanout))
        if wanted != self._wanted.layouts:
            self._wanted, self._told = replace(self._wanted, layouts=wanted), False
