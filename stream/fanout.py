"""One producer thread, many viewers: each has a short queue of its own and never holds up the others."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

# 160 ms of packets: a viewer that falls behind further loses the oldest.
QUEUE_LENGTH = 16


class Subscription(Generic[T]):
    """What one viewer still has to take; lives on the event loop."""

    def __init__(self, length: int = QUEUE_LENGTH) -> None:
        self._items: deque[T] = deque(maxlen=length)
        self._filled = asyncio.Event()
        self.dropped = 0
        self.closed = False

    def push(self, item: T) -> None:
        """Add an item; drops the oldest when full."""
        if len(self._items) == self._items.maxlen:
            self.dropped += 1
        self._items.append(item)
        self._filled.set()

    def clear(self) -> None:
        """Drop what waits."""
        self._items.clear()

    def close(self) -> None:
        """End the wait of `get`."""
        self.closed = True
        self._filled.set()

    async def get(self) -> T | None:
        """The oldest item; None once closed."""
        while not self._items:
            if self.closed:
                return None
            self._filled.clear()
            await self._filled.wait()
        return self._items.popleft()


class Fanout(Generic[T]):
    """Hands items from any thread to all subscriptions on the loop that made it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        # Replaced as a whole, so that the producer thread can look at it without a lock.
        self._subscriptions: tuple[Subscription[T], ...] = ()

    def __len__(self) -> int:
        return len(self._subscriptions)

    def subscribe(self, length: int = QUEUE_LENGTH) -> Subscription[T]:
        """A new viewer, from the next item on."""
        subscription: Subscription[T] = Subscription(length)
        self._subscriptions = (*self._subscriptions, subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription[T]) -> None:
        """A viewer less; may be called twice."""
        self._subscriptions = tuple(s for s in self._subscriptions if s is not subscription)
        subscription.close()

    def publish(self, item: T) -> None:
        """Give an item to everyone; from any thread."""
        if not self._subscriptions:
            return
        try:
            self._loop.call_soon_threadsafe(self.deliver, item)
        except RuntimeError:
            pass  # the loop is closed: nobody listens any more

    def deliver(self, item: T) -> None:
        """`publish` for those who are on the loop already."""
        for subscription in self._subscriptions:
            subscription.push(item)
