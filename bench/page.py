"""The page in a real browser for some minutes: packets, gaps, buffer and latency there; late blocks and memory here.

Beside it bare real-time threads tell when the machine itself stood still, so that late blocks can be told from ours.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from bench.report import Report, percentiles
from bench.stall import StallMeter
from engines.errors import ConfigError

SOURCE = "synthetic:street"
CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_EVERY_S = 1.0
_WARM_UP_S = 5.0
_FIRST_PACKETS = 100
# A stall of the machine this long can make a block miss its time, its own or one soon after.
_STALL_MS = 10.0
_NEAR_S = 0.05
_ROOT = Path(__file__).parents[1]

# Begin and end, monotonic seconds.
Span = tuple[float, float]


def run(minutes: float, plot: Path | None = None) -> Report:
    """Listen with the page.

    Args:
        minutes: after a warm-up.
        plot: PNG of everything over time.

    Raises:
        ConfigError: playwright or Chromium is missing.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise ConfigError("bench page needs playwright: pip install 'earshot[dev]'") from error
    browser_path = next((path for path in CHROMIUM if Path(path).exists()), None)
    if browser_path is None:
        raise ConfigError("bench page needs Chromium: apt-get install chromium")
    command = [sys.executable, str(_ROOT / "earshot.py"), "serve", "--port", "0", "--source", SOURCE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, sync_playwright() as playwright:
        try:
            assert server.stdout is not None
            url = re.search(r"http://\S+", server.stdout.readline())
            if url is None:
                raise ConfigError("the server did not start")
            browser = playwright.chromium.launch(executable_path=browser_path, args=list(FLAGS))
            try:
                with StallMeter() as machine:
                    samples, underruns = _listened(browser, url[0], server.pid, minutes)
            finally:
                browser.close()
        finally:
            server.terminate()
    if plot is not None:
        _draw(samples, plot)
    return _report(samples, underruns, minutes, machine.stalls)


def _listened(browser: Any, url: str, pid: int, minutes: float) -> tuple[list[dict[str, float]], set[Span]]:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(url)
    page.evaluate("earshot.player.start('5.1')")
    # The page's policy forbids what wait_for_function would evaluate.
    while page.evaluate("earshot.facts().packets") < _FIRST_PACKETS:
        time.sleep(0.2)
    time.sleep(_WARM_UP_S)
    return _sampled(page, url, pid, minutes)


def _sampled(page: Any, url: str, pid: int, minutes: float) -> tuple[list[dict[str, float]], set[Span]]:
    """One row a second: the page's facts, the server's, its memory; and when the underruns were."""
    rows: list[dict[str, float]] = []
    underruns: set[Span] = set()
    begun = time.monotonic()
    while (at_s := time.monotonic() - begun) < 60.0 * minutes:
        facts = page.evaluate("earshot.facts()")
        with urllib.request.urlopen(f"{url}api/state") as answer:
            state = json.load(answer)
        playout = state["playout"]
        underruns |= {(begin_s, end_s) for begin_s, end_s in playout["underrun_times"] if begin_s >= begun}
        rows.append(
            {
                "t_s": at_s,
                "monotonic_s": begun + at_s,
                "packets": facts["packets"],
                "lost": facts["lost"],
                "gaps": facts["sequenceGaps"] + facts["timestampGaps"],
                "underruns": facts["underruns"],
                "concealed": facts["concealed"],
                "buffer_ms": facts["bufferMs"],
                "latency_ms": facts["latencyMs"],
                "server_underruns": state["stats"]["underruns"],
                "server_skipped": state["stats"]["skipped"],
                "late_arrivals": playout["late_arrivals"],
                "missing": playout["missing"],
                "restarts": playout["restarts"],
                "late_p99_ms": playout["late_p99_ms"],
                "render_p99_ms": playout["render_p99_ms"],
                "arrival_p99_ms": playout["arrival_p99_ms"],
                "frames": state["stats"]["frames"],
                "vision_ms": state["stats"]["vision_ms"] or 0.0,
                "rss_mb": _resident_mb(pid),
                "audio_rss_mb": _resident_mb(playout["pid"]),
                "realtime": float(playout["realtime"]),
            }
        )
        time.sleep(max(0.0, _EVERY_S - (time.monotonic() - begun - at_s)))
    return rows, underruns


def _resident_mb(pid: int | None) -> float:
    if pid is None:
        return 0.0
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # pyright: ignore[reportOptionalSubscript]


def explained(underruns: set[Span], stalls: list[tuple[float, float]]) -> int:
    """How many late blocks have a stall of the machine within _NEAR_S.

    Args:
        underruns: when each block was due and when it was handed over, monotonic seconds.
        stalls: monotonic seconds at which the reference thread wanted to wake, and how many ms late it did.
    """
    spans = [(at_s - _NEAR_S, at_s + late_ms / 1000 + _NEAR_S) for at_s, late_ms in stalls if late_ms >= _STALL_MS]
    return sum(any(a <= end_s and begin_s <= b for a, b in spans) for begin_s, end_s in underruns)


def _in_quiet_seconds(rows: list[dict[str, float]], stalls: list[tuple[float, float]]) -> int:
    """Server underruns in seconds in which the machine did not stand still."""
    count = 0
    for before, row in itertools.pairwise(rows):
        begin_s, end_s = before["monotonic_s"] - _EVERY_S, row["monotonic_s"]
        if not any(begin_s <= t_s <= end_s and late_ms >= _STALL_MS for t_s, late_ms in stalls):
            count += int(row["server_underruns"] - before["server_underruns"])
    return count


def _report(
    rows: list[dict[str, float]], underruns: set[Span], minutes: float, stalls: list[tuple[float, float]]
) -> Report:
    first, last = rows[0], rows[-1]
    seconds = max(last["t_s"] - first["t_s"], 1e-9)
    report = Report("page")

    def grown(name: str) -> int:
        return int(last[name] - first[name])

    for name, values in (
        ("latency ms", [r["latency_ms"] for r in rows]),
        ("buffer ms", [r["buffer_ms"] for r in rows]),
        ("audio process: late p99 ms", [r["late_p99_ms"] for r in rows]),
        ("server: packets late p99 ms", [r["arrival_p99_ms"] for r in rows]),
        ("vision ms", [r["vision_ms"] for r in rows]),
        ("server memory MB", [r["rss_mb"] for r in rows]),
        ("audio process memory MB", [r["audio_rss_mb"] for r in rows]),
    ):
        report.rows.append({"figure": name, **percentiles(values)})
    ours = len(underruns) - explained(underruns, stalls)
    lost = grown("server_skipped") + grown("missing") + grown("restarts")
    report.passed = ours == 0 and lost == 0 and grown("gaps") == 0
    report.notes += [
        f"{minutes:g} min: {len(underruns)} server underruns; {ours} of them without a stall of the machine within "
        f"{1000 * _NEAR_S:.0f} ms, {_in_quiet_seconds(rows, stalls)} in seconds without any",
        f"{grown('late_arrivals')} packets late in the server's event loop, {grown('server_skipped')} blocks skipped, "
        f"{grown('missing')} missing, {grown('restarts')} restarts",
        f"page {grown('underruns')} underruns, {grown('lost')} packets lost, {grown('gaps')} gaps, "
        f"{grown('concealed')} blocks concealed",
        f"{grown('packets') / seconds:.2f} packets/s, {grown('frames') / seconds:.1f} frames/s",
        f"audio process {'has' if last['realtime'] else 'does not have'} real-time priority",
        f"reference: bare real-time threads, one a core, woke more than 20 ms late {sum(late > 20 for _, late in stalls)} times, "
        f"at most {max((late for _, late in stalls), default=0.0):.0f} ms",
        "budget: no server underrun that the machine does not explain, no block skipped, no gap",
    ]
    return report


def _draw(rows: list[dict[str, float]], path: Path) -> None:
    """Small multiples over time, one scale each."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    t_min = np.array([r["t_s"] for r in rows]) / 60
    panels = (
        ("latency and buffer, ms", ("latency_ms", "buffer_ms")),
        ("server: late, render and arrival p99, ms", ("late_p99_ms", "render_p99_ms", "arrival_p99_ms")),
        ("underruns and gaps", ("underruns", "server_underruns", "gaps", "concealed")),
        ("memory, MB", ("rss_mb", "audio_rss_mb")),
    )
    figure, axes = plt.subplots(len(panels), 1, figsize=(10, 10), sharex=True, layout="constrained")
    for axis, (title, names) in zip(axes, panels, strict=True):
        for name in names:
            axis.plot(t_min, [r[name] for r in rows], label=name, linewidth=1)
        axis.set_title(title, loc="left", fontsize=10)
        axis.legend(fontsize=8, loc="upper right")
        axis.grid(alpha=0.3)
        axis.set_ylim(0, 1.15 * max(1.0, *(r[name] for r in rows for name in names)))
    axes[-1].set_xlabel("minutes")
    figure.savefig(path, dpi=110)
    plt.close(figure)
