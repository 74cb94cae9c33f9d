"""Chromium, the live server as a process, and what tests of the page need of both."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.program import COMMAND, environment

T = TypeVar("T")

# Generous: it ends a broken run, it does not judge a slow one.
PATIENCE_S = 60.0
_ARGUMENTS = [
    "--no-sandbox",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream=fps=30",
]

# Planes of samples as Base64: a million figures as JSON would take seconds and starve the sound.
PACK = """(planes) => planes.map((plane) => {
    const bytes = new Uint8Array(plane.buffer, plane.byteOffset, plane.byteLength);
    let text = "";
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    return btoa(text);
})"""


def unpacked(planes: list[str]) -> np.ndarray:
    """What PACK made of planes: float32 (planes, n)."""
    return np.stack([np.frombuffer(base64.b64decode(text), np.float32) for text in planes])


def until(condition: Callable[[], T | None], what: str) -> T:
    """Poll until a condition gives something."""
    end_s = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < end_s, f"never: {what}"
        time.sleep(0.05)
    return value


class Process:
    """`earshot serve`.

    Args:
        cache: of the program.
        sources: to choose from.
        port: 0 takes a free one.
    """

    def __init__(self, cache: Path, *sources: str, port: int = 0) -> None:
        arguments = [argument for source in sources for argument in ("--source", source)]
        self._process = subprocess.Popen(
            [*COMMAND, "serve", "--port", str(port), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(cache),
        )
        assert self._process.stdout is not None
        self.url = ""
        for line in self._process.stdout:
            if found := re.search(r"http://\S+/", line):
                self.url = found[0]
                break
        assert self.url, "the server ended without an address"

    def state(self) -> dict[str, Any]:
        """What the server says of itself."""
        with urllib.request.urlopen(self.url + "api/state") as answer:
            return json.load(answer)

    def command(self, **body: Any) -> None:
        """As the page would send it."""
        request = urllib.request.Request(
            self.url + "api/command", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request).close()

    def stop(self) -> None:
        """Ends in order; a server that does not is killed, and that is a failure."""
        self._process.terminate()
        try:
            code = self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            assert self._process.stdout is not None
            self._process.stdout.close()
        assert code == 0


@contextmanager
def chromium() -> Iterator[Browser]:
    """A real one, without a window."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "the page is tested in a real browser: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=_ARGUMENTS)
        yield browser
        browser.close()


class Tab:
    """One open page, with everything that it complained about."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(url)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def state(self) -> dict[str, Any]:
        """`earshot.state()`."""
        return self.page.evaluate("earshot.state()")

    def facts(self) -> dict[str, Any]:
        """`earshot.facts()`."""
        return self.page.evaluate("earshot.facts()")

    def playing(self) -> dict[str, Any]:
        """Wait for sound; gives the state then."""

        def state() -> dict[str, Any] | None:
            now = self.state()
            return now if now["state"] == "playing" else None

        return until(state, "the page plays")

    def samples(self, seconds: float) -> np.ndarray:
        """The newest samples, float32 (channels, n)."""
        return unpacked(self.page.evaluate(f"earshot.recentSamples({seconds}).then({PACK})"))

    def fresh_samples(self, seconds: float) -> np.ndarray:
        """Samples of which none has arrived before the call."""
        wanted = self.facts()["packets"] + 100 * seconds + 50
        until(lambda: self.facts()["packets"] >= wanted, "more packets")
        return self.samples(seconds)

    def level_db(self) -> float:
        """RMS of all channels together over the newest second, dBFS."""
        samples = self.fresh_samples(1.0)
        return 10 * float(np.log10(np.mean(np.square(samples)) + 1e-20))
