"""The only place that reads time: monotonic seconds, real or by hand."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic seconds from an arbitrary zero."""

    def now_s(self) -> float:
        """The time now."""
        ...

    def sleep_until(self, t_s: float, stop: threading.Event) -> bool:
        """Wait for a time; False when `stop` was set first."""
        ...


class MonotonicClock:
    """The machine's monotonic clock: never steps, not even when the wall clock does."""

    def now_s(self) -> float:
        """The time now."""
        return time.monotonic()

    def sleep_until(self, t_s: float, stop: threading.Event) -> bool:
        """Wait for a time; False when `stop` was set first."""
        remaining_s = t_s - time.monotonic()
        return not (stop.wait(remaining_s) if remaining_s > 0 else stop.is_set())


class ManualClock:
    """A clock that jumps: sleeping moves it. For file renders and tests."""

    def __init__(self, t_s: float = 0.0) -> None:
        self._t_s = t_s

    def now_s(self) -> float:
        """The time now."""
        return self._t_s

    def sleep_until(self, t_s: float, stop: threading.Event) -> bool:
        """Jump to a time; False when `stop` is set."""
        self._t_s = max(self._t_s, t_s)
        return not stop.is_set()
