"""Latest value wins: a mailbox of one, between any thread and the event loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Closed(Exception):
    """Nothing more will come."""


class Latest(Generic[T]):
    """Holds the newest value; an older one that nobody took is dropped and counted.

    `put` and `close` may be called from any thread, `get` from one task of the loop that made the mailbox.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._filled = asyncio.Event()
        self._lock = threading.Lock()
        self._value: T | None = None
        self._closed = False
        self.received = 0
        self.dropped = 0

    def put(self, value: T) -> None:
        """Leave a value."""
        with self._lock:
            if self._closed:
                return
            self.received += 1
            if self._value is not None:
                self.dropped += 1
            self._value = value
        self._wake()

    def close(self) -> None:
        """No more values; `get` raises once it is empty."""
        with self._lock:
            self._closed = True
        self._wake()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._filled.set)
        except RuntimeError:
            pass  # the loop is closed: nobody waits any more

    async def get(self) -> T:
        """The newest value, once there is one.

        Raises:
            Closed: nothing is left and nothing will come.
        """
        while True:
            with self._lock:
                self._filled.clear()
                if self._value is not None:
                    value, self._value = self._value, None
                    return value
                if self._closed:
                    raise Closed
            await self._filled.wait()
