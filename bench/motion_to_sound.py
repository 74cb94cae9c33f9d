"""From a frame handed in to the first packet that plays its scene: the live loop with its real threads and processes.

Frames come at camera rate. Each is stamped when it is put into the mailbox; the audio process says with every packet
which scene it rendered, and the event loop, where viewers are served, looks at the clock when it has the packet. A packet
begins to move its sources within itself, so its end is when the new place is heard.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from bench.report import Report, percentiles
from engines.spatial.layouts import make_layout
from engines.specs import Frame
from engines.synthetic.scenes import make_scene
from engines.synthetic.stage import Painter
from engines.warmup import warm_up_vision
from stream.audio_words import BlockDone, Setup
from stream.clock import MonotonicClock
from stream.inputs.base import VideoInfo
from stream.live import Live, LiveOptions
from stream.playout import Playout

BUDGET_P50_MS, BUDGET_P99_MS = 40.0, 80.0
_SCENES = ("street", "passby", "crowd?n=8")
_FPS = 30.0


def run(bank: Path, seconds: float = 20.0, quick: bool = False) -> Report:
    """Measure three scenes.

    Args:
        bank: directory of a room's impulse responses.
        seconds: per scene.
        quick: one scene for two seconds.
    """
    report = Report("motion-to-sound")
    warm_up_vision()
    everything: list[float] = []
    realtime = False
    for name in _SCENES[:1] if quick else _SCENES:
        latencies, realtime = asyncio.run(_one(name, bank, 2.0 if quick else seconds))
        everything += latencies
        report.rows.append({"scene": name, **percentiles(latencies)})
    total = percentiles(everything)
    report.rows.append({"scene": "all", **total})
    report.passed = total["p50"] <= BUDGET_P50_MS and total["p99"] <= BUDGET_P99_MS
    report.notes.append(f"milliseconds; budget p50 <= {BUDGET_P50_MS:g}, p99 <= {BUDGET_P99_MS:g}")
    report.notes.append(f"audio process {'has' if realtime else 'does not have'} real-time priority; {_FPS:g} frames/s")
    return report


async def _one(name: str, bank: Path, seconds: float) -> tuple[list[float], bool]:
    scene = make_scene(f"{name}{'&' if '?' in name else '?'}fps={_FPS:g}&seconds={seconds}")
    painter = Painter(scene.stage)
    pictures = [painter.paint(i / _FPS, i)[0] for i in range(round(seconds * _FPS))]
    camera = scene.stage.camera
    info = VideoInfo(camera.width_px, camera.height_px, _FPS, None, live=True, hfov_deg=camera.hfov_deg)
    clock = MonotonicClock()
    heard_s: dict[int, float] = {}

    def tap(block: BlockDone) -> None:
        # The time stamp of a scene is that of its frame.
        heard_s.setdefault(round(block.scene_s * _FPS), time.monotonic())

    playout = Playout(Setup({"5.1": make_layout("5.1")}, bank, 0, False, logging.WARNING), clock, tap=tap)
    live = Live([], LiveOptions(), clock, dict, playout.show)
    # A listener, so that packets are really encoded.
    playout.fanouts["5.1"].subscribe()
    put_s: list[float] = []
    playout.start()
    await live.start()
    try:
        await playout.ready()
        await _feed(pictures, live.hand_in, info, put_s)
        await asyncio.sleep(0.3)
    finally:
        await live.stop()
        await playout.stop()
    latencies = [
        1000 * (heard_s[number] - at_s) for number, at_s in enumerate(put_s) if number in heard_s and number > 5
    ]
    return latencies, playout.stats.realtime


async def _feed(
    pictures: list, hand_in: Callable[[Frame, VideoInfo], None], info: VideoInfo, put_s: list[float]
) -> None:
    start_s = time.monotonic()
    for index, rgb in enumerate(pictures):
        await asyncio.sleep(max(0.0, start_s + index / _FPS - time.monotonic()))
        put_s.append(time.monotonic())
        hand_in(Frame(rgb, index, index / _FPS), info)
