"""Who runs first when the machine is busy, as far as the system allows it. Everything here is for the calling thread.

audio process       real-time: a block every 10 ms; now and then a thread in it that prepares a room, below
event loop          real-time, below that: passes the packets on, and has little else to do
its worker threads  ahead of ordinary programs: whichever holds the interpreter lock keeps the event loop waiting
"""

from __future__ import annotations

import os

AUDIO, EVENT_LOOP, PREPARING = 10, 9, 8
_NICENESS = -10


def in_real_time(priority: int) -> bool:
    """SCHED_FIFO; threads and processes that are started later do not inherit it. False when it is not allowed."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
    except (AttributeError, OSError):
        return False
    return True


def ahead_of_others() -> None:
    """A better nice value; nothing happens when that is not allowed."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
    except OSError:
        pass  # `earshot doctor` says how to get it
