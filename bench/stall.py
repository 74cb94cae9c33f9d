"""Bare real-time threads beside a benchmark, one a core: how long the machine itself keeps everybody waiting.

    python -m bench.stall CORE

Wakes every 10 ms like the audio thread does, with the same priority, and does nothing. Whatever makes it late (a
hypervisor that runs something else, most of all) makes every program late that is on this core. One line per late wake-up
until it is stopped: monotonic seconds, milliseconds late.
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
    """The bare threads as processes of their own, while the `with` block runs."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[str]] = []
        self.stalls: list[tuple[float, float]] = []

    def __enter__(self) -> StallMeter:
        for core in sorted(os.sched_getaffinity(0)):
            command = [sys.executable, "-m", "bench.stall", str(core)]
            self._processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT))
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            text, _ = process.communicate()
            self.stalls += [(float(t), float(late)) for t, late in (line.split() for line in text.splitlines())]
        self.stalls.sort()


def main() -> None:
    """Measure until SIGTERM."""
    running = True

    def stop(number: int, frame: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    os.sched_setaffinity(0, {int(sys.argv[1])})
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
