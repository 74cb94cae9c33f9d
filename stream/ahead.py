"""Work ahead of whoever needs the result, in a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

T = TypeVar("T")

_POLL_S = 0.1


class _End:
    """Comes after the last item; carries what went wrong, if anything did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def read_ahead(items: Iterator[T], length: int, name: str) -> Generator[T, None, None]:
    """The items of an iterator, of which a thread has up to `length` ready.

    Args:
        items: consumed by the thread alone, and closed by it when it is a generator.
        length: bound of what waits.
        name: of the thread.

    Raises:
        Exception: whatever `items` raised, in its place.
    """
    ready: queue.Queue[T | _End] = queue.Queue(length)
    stop = threading.Event()

    def offer(item: T | _End) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False

    def run() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if not offer(item):
                    break
        except BaseException as caught:
            error = caught
        finally:
            if isinstance(items, Generator):
                items.close()
        offer(_End(error))

    thread = threading.Thread(target=run, name=name)
    thread.start()
    try:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()
        thread.join()
