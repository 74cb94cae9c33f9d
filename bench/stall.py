"""A bare real-time thread beside a benchmark: how long the machine itself keeps everybody waiting.

    python -m bench.stall

Wakes every 10 ms like the audio thread does, with the same priority, and does nothing. Whatever makes it late (a
hypervisor that runs something else, most of all) makes every program late. One line per late wake-up until it is stopped:
monotonic seconds, milliseconds late.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

_TICK_S = 0.01
_WORTH_TELLING_S = 0.005
_PRIORITY = 11
_ROOT = Path(__file__).parents[1]


class StallMeter:
    """The bare thread as a process of its own, while the `with` block runs."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self.stalls: list[tuple[float, float]] = []

    def __enter__(self) -> StallMeter:
        command = [sys.executable, "-m", "bench.stall"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT)
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        text, _ = self._process.communicate()
        self.stalls = [(float(t), float(late)) for t, late in (line.split() for line in text.splitlines())]


def main() -> None:
    """Measure until SIGTERM."""
    running = True

    def stop(number: int, frame: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
    except OSError:
        pass  # then it measures what a thread without priority gets
    due_s = time.monotonic()
    while running:
        due_s += _TICK_S
        time.sleep(max(0.0, due_s - time.monotonic()))
        late_s = time.monotonic() - due_s
        if late_s > _WORTH_TELLING_S:
            print(f"{due_s:.4f} {1000 * late_s:.2f}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
