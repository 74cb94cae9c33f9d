"""Reads an input in a thread of its own and leaves each frame in a mailbox when its time has come."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from engines.errors import EarshotError
from engines.specs import Frame
from stream.clock import Clock
from stream.inputs.base import VideoInfo, VideoInput
from stream.inputs.opening import open_input
from stream.priority import ahead_of_others

logger = logging.getLogger(__name__)

_RETRY_S = 2.0


class InputReader:
    """Plays one URI for ever: files and scenes at their own pace, live sources as they come.

    Args:
        uri: see `open_input`.
        clock: paces files.
        deliver: told each frame and what is known of the input, on the reader's thread.
        report: told the state in words: "playing", or why not.
    """

    def __init__(
        self, uri: str, clock: Clock, deliver: Callable[[Frame, VideoInfo], None], report: Callable[[str], None]
    ) -> None:
        self._uri, self._clock, self._deliver, self._report = uri, clock, deliver, report
        self._stop = threading.Event()
        self._input: VideoInput | None = None
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether its thread still runs."""
        return self._thread.is_alive()

    def stop(self, *, wait: bool = True) -> None:
        """End; a read from the network may take a few seconds to notice."""
        self._stop.set()
        if self._input is not None:
            self._input.close()
        if wait and self._thread.is_alive():
            self._thread.join(timeout=8.0)

    def _run(self) -> None:
        ahead_of_others()
        played_s = 0.0
        while not self._stop.is_set():
            try:
                self._input = open_input(self._uri, self._clock, live=True)
                played_s = self._play(self._input, played_s)
                if self._input.info.live and not self._stop.is_set():
                    raise EarshotError(f"{self._uri}: gives no more pictures")
            except EarshotError as error:
                logger.warning("%s", error)
                self._report(str(error))
                self._clock.sleep_until(self._clock.now_s() + _RETRY_S, self._stop)
            except Exception as error:
                # A reader that dies would leave a silent picture: say so and try again.
                logger.exception("%s", self._uri)
                self._report(f"{self._uri}: {type(error).__name__}: {error}")
                self._clock.sleep_until(self._clock.now_s() + _RETRY_S, self._stop)
            finally:
                if self._input is not None:
                    self._input.close()

    def _play(self, source: VideoInput, offset_s: float) -> float:
        """One run through; returns the time at which the next one goes on."""
        start_s = self._clock.now_s() - offset_s
        t_s = offset_s
        for frame in source.frames():
            t_s = offset_s + frame.t_s
            if not source.info.live and not self._clock.sleep_until(start_s + t_s, self._stop):
                break
            if self._stop.is_set():
                break
            self._report("playing")
            self._deliver(Frame(frame.rgb, frame.pts, t_s), source.info)
        return max(t_s, offset_s + source.end_s)
