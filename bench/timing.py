"""Spent time, measured the same way for everybody."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

PRIORITY = 11  # of real-time threads; as the audio thread's


@dataclass(frozen=True, slots=True)
class Spent:
    """What a call took.

    Attributes:
        cpu_s: of all threads of this process.
        wall_s: by the clock on the wall.
    """

    cpu_s: float
    wall_s: float


@contextmanager
def undisturbed() -> Iterator[None]:
    """No garbage collection inside the `with` block."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def spent(work: Callable[[], object]) -> Spent:
    """Do something once and say what it took."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    work()
    return Spent(time.process_time() - cpu_s, time.perf_counter() - wall_s)


@contextmanager
def realtime(core: int | None = None) -> Iterator[bool]:
    """This thread with SCHED_FIFO priority, and on one core if one is named; gives whether the priority was granted."""
    cores = os.sched_getaffinity(0)
    granted = True
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except OSError:
        granted = False
    try:
        yield granted
    finally:
        if granted:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.sched_setaffinity(0, cores)


def cpu_features() -> str:
    """The vector extensions that matter to the kernels, as the kernel names them."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            flags = next((line.split(":", 1)[1].split() for line in file if line.startswith("flags")), [])
    except OSError:
        flags = []
    wanted = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl")
    return " ".join(flag for flag in wanted if flag in flags)
