"""The audio loop as a process of its own, so that nobody else can hold the interpreter lock when a block is due.

    python -m stream.audio_process LINK SETUP FIRST_INDEX

Both are file descriptors: LINK one end of a socket pair (SOCK_SEQPACKET: one message, one packet), SETUP a file with
the pickled `Setup`. Started by `stream.playout` and by nobody else. What it is told: `Wanted`. What it tells: `Warming`
and `Logged` now and then, `Ready` once, then a `BlockDone` every 10 ms. It ends when the other end of the link does.
"""

from __future__ import annotations

import gc
import logging
import mmap
import pickle
import signal
import socket
import sys
import threading
from typing import Any

from engines.errors import EarshotError
from engines.soundscape import Soundscape
from engines.spatial.bank import load_bank
from engines.warmup import warm_up_sound
from stream.audio_loop import AudioLoop, Gone
from stream.audio_words import MESSAGE_BYTES, Logged, Ready, Setup, Wanted, Warming
from stream.clock import MonotonicClock
from stream.priority import AUDIO, in_real_time

_LINE_CHARACTERS = 10_000
# A thread that prepares a room may hold the lock for so long.
_SWITCH_INTERVAL_S = 0.0005


class Link:
    """The child's end: never waits, except in `first`.

    Args:
        link: connected SOCK_SEQPACKET socket.
    """

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._wanted: Wanted | None = None

    def tell(self, message: Any) -> None:
        """Send; dropped when the parent has not read for a long time.

        Raises:
            Gone: the parent has ended.
        """
        try:
            self._link.send(pickle.dumps(message), socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass
        except OSError as error:
            raise Gone from error

    def first(self) -> None:
        """Wait until something is wanted.

        Raises:
            Gone: the parent has ended.
        """
        try:
            data = self._link.recv(MESSAGE_BYTES)
        except OSError as error:
            raise Gone from error
        if not data:
            raise Gone
        self._wanted = pickle.loads(data)

    def wanted(self) -> Wanted:
        """The newest state.

        Raises:
            Gone: the parent has ended.
        """
        newest = None
        try:
            while data := self._link.recv(MESSAGE_BYTES, socket.MSG_DONTWAIT):
                newest = data
            raise Gone
        except BlockingIOError:
            pass
        except OSError as error:
            raise Gone from error
        if newest is not None:
            self._wanted = pickle.loads(newest)
        assert self._wanted is not None
        return self._wanted


class _Logger(logging.Handler):
    """Sends records to the parent."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._link.tell(Logged(record.levelno, record.name, self.format(record)[:_LINE_CHARACTERS]))
        except Gone:
            pass  # the loop will notice


def main() -> None:
    """Play until the parent ends; signals that ask for an end are for the parent."""
    # Whoever ends everything at once (Ctrl-C, a service manager) ends the parent too, and that keeps the order.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    link_fd, setup_fd, first_index = (int(argument) for argument in sys.argv[1:])
    link = Link(socket.socket(fileno=link_fd))
    # Mapped, because a process that is started later reads the same file from its beginning.
    with mmap.mmap(setup_fd, 0, access=mmap.ACCESS_READ) as data:
        setup: Setup = pickle.loads(data)
    logging.basicConfig(level=setup.log_level, handlers=[_Logger(link)])
    logging.getLogger("numba").setLevel(logging.WARNING)
    try:
        _play(link, setup, first_index)
    except Gone:
        pass
    except EarshotError as error:
        link.tell(Logged(logging.ERROR, __name__, str(error)))
        sys.exit(1)


def _play(link: Link, setup: Setup, first_index: int) -> None:
    soundscape = Soundscape(load_bank(setup.room), (), setup.seed, doppler=setup.doppler)
    warm_up_sound(tuple(setup.layouts.values()), lambda done, total: link.tell(Warming(done, total)))
    # What was imported and compiled stays; looking through it all again and again would only take time.
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    link.tell(Ready(in_real_time(AUDIO)))
    link.first()
    clock = MonotonicClock()
    loop = AudioLoop(soundscape, setup.room, setup.layouts, clock, link.wanted, link.tell, first_index)
    loop.run(threading.Event())


if __name__ == "__main__":
    main()
