"""Coroutine tests, and the promise that no test leaves a task, a thread or an audio process behind."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import settings

from engines.spatial.bank import RirBank, load_bank
from engines.spatial.rooms import PRESETS
from export.rir_bank import ensure_bank

_GRACE_S = 5.0
# The same examples on every run: what fails here fails everywhere.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run `async def` tests, and fail those that leave tasks running."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}

    async def run() -> None:
        await pyfuncitem.obj(**arguments)
        deadline = time.monotonic() + _GRACE_S
        while others := [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]:
            assert time.monotonic() < deadline, f"tasks left running: {others}"
            await asyncio.sleep(0.02)

    asyncio.run(run())
    return True


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Fail a test that leaves a thread behind."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + _GRACE_S
    while left := [t for t in threading.enumerate() if t not in before and not t.name.startswith("pytest")]:
        if time.monotonic() > deadline:
            pytest.fail(f"threads left running: {left}")
        time.sleep(0.02)


def audio_processes() -> set[int]:
    """Process ids of those that the tests, or the programs they started, have running."""
    found = set()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "stream.audio_process" in child.cmdline():
                found.add(child.pid)
    return found


@pytest.fixture(autouse=True)
def no_audio_process_is_left() -> Iterator[None]:
    """Fail a test that leaves one running."""
    before = audio_processes()
    yield
    deadline = time.monotonic() + _GRACE_S
    while left := audio_processes() - before:
        if time.monotonic() > deadline:
            pytest.fail(f"audio processes left running: {left}")
        time.sleep(0.02)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """XDG cache of every program that the tests start; the default room is built in it once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def bank_dir(cache: Path) -> Path:
    """Directory of a real bank: the default room."""
    return ensure_bank(PRESETS["living-room"], cache / "earshot" / "rooms")


@pytest.fixture(scope="session")
def bank(bank_dir: Path) -> RirBank:
    """The default room's bank."""
    return load_bank(bank_dir)


@pytest.fixture(scope="session")
def preset_banks(cache: Path) -> dict[str, RirBank]:
    """The bank of every preset, by name."""
    return {room.name: load_bank(ensure_bank(room, cache / "earshot" / "rooms")) for room in PRESETS.values()}


@pytest.fixture(scope="session")
def studio(cache: Path) -> RirBank:
    """Another room's bank."""
    return load_bank(ensure_bank(PRESETS["studio"], cache / "earshot" / "rooms"))
