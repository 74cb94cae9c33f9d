"""What moving, jumping, appearing and switching leave behind: through the renderer, in 5.1 and on headphones.

Moving tones: energy beside the tone and peaks above 5 kHz, with positions that arrive at every block and at camera rate.
Events: the largest sudden step that an event adds to a low tone that plays on. The tone is 200 Hz, because what a step
adds lies above 2 kHz, and at -20 dBFS in the loudest channel, because that is how loud a programme is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.meters import beside_db, beside_own_db, click_db, loudest_rms_dbfs, step_dbfs
from bench.plots import figure_file
from bench.report import Report
from engines.spatial.bank import N_MAIN, RirBank, load_bank
from engines.spatial.hrtf import SYSTEM_SOFA, find_hrtf
from engines.spatial.layouts import Layout, make_layout
from engines.spatial.renderer import AZIMUTH, DISTANCE, GAIN, LFE, N_PLACEMENT, Renderer
from engines.specs import BLOCK, BLOCK_S, SAMPLE_RATE_HZ, Float32

BUDGET_BESIDE_DB = {1000.0: -74.0, 3000.0: -55.0}
BUDGET_CLICK_DB = {1000.0: -75.0}
BUDGET_STEP_DBFS = -60.0
_PROGRAMME_DBFS = -20.0
_EVENT_TONE_HZ = 200.0
_LEVEL = 0.1
_CAMERA_BLOCKS = 4
_SETTLE_BLOCKS = 100
_DISTANCE_M = 1.9
# As the soundscape does it: this long at gain 0 before a slot is given back.
_LEAVE_BLOCKS = 9

Place = Callable[[float], tuple[float, float]]
"""Seconds -> azimuth in degrees, distance in metres."""


@dataclass(slots=True)
class Take:
    """Something to play.

    Attributes:
        name: of the take.
        tone_hz: the tone that plays.
        seconds: how long.
        place: where it is.
        every: blocks between two positions.
        layout: which layout is listened to.
        events: block -> what happens before it.
        gain: source gain by block.
        sounding: whether the slot is taken, by block.
        listen_from: first block that counts.
    """

    name: str
    tone_hz: float
    seconds: float
    place: Place
    layout: Layout
    every: int = 1
    events: dict[int, Callable[[Renderer], None]] = field(default_factory=dict)
    gain: Callable[[int], float] = lambda index: 1.0
    sounding: Callable[[int], bool] = lambda index: True
    listen_from: int = _SETTLE_BLOCKS


def play(take: Take, bank: RirBank) -> Float32:
    """The layout's channels, float32 (n_channels, n), from `listen_from` on; silence where the layout is not rendered."""
    renderer = Renderer(bank, [take.layout], 1)
    placement = np.zeros((1, N_PLACEMENT))
    placement[0, LFE] = 1.0
    bed = np.zeros((N_MAIN, BLOCK), np.float32)
    silence = np.zeros((take.layout.n_channels, BLOCK), np.float32)
    blocks = []
    for index in range(round(take.seconds / BLOCK_S)):
        if index in take.events:
            take.events[index](renderer)
        if index % take.every == 0:
            placement[0, AZIMUTH], placement[0, DISTANCE] = take.place(index * BLOCK_S)
        placement[0, GAIN] = take.gain(index)
        time_s = (index * BLOCK + np.arange(BLOCK)) / SAMPLE_RATE_HZ
        dry = (_LEVEL * np.sin(2.0 * np.pi * take.tone_hz * time_s)).astype(np.float32)[None]
        rendered = renderer.step(dry, placement, np.array([take.sounding(index)]), bed)
        if index >= take.listen_from:
            blocks.append(rendered.get(take.layout.name, silence))
    return np.concatenate(blocks, axis=1)


def circle(speed_deg_s: float) -> Place:
    """Around the listener at one distance."""
    return lambda t_s: ((speed_deg_s * t_s + 180.0) % 360.0 - 180.0, _DISTANCE_M)


def stays(t_s: float) -> tuple[float, float]:
    """To the left in front, all the time."""
    return 40.0, _DISTANCE_M


def run(bank: Path, other_bank: Callable[[str], Path], quick: bool = False, plot: Path | None = None) -> Report:
    """Measure.

    Args:
        bank: directory of the default room's impulse responses.
        other_bank: directory of another room's, by name.
        quick: 5.1 only, one moving tone, two events.
        plot: PNG of spectrograms of the loudest channels.
    """
    report = Report("artefacts")
    room, other = load_bank(bank), load_bank(other_bank("hall"))
    five = make_layout("5.1")
    layouts = [five] if quick else [five, make_layout("binaural", find_hrtf(SYSTEM_SOFA))]
    pictures: dict[str, tuple[Float32, float]] = {}
    for layout in layouts:
        for tone_hz, speed_deg_s in ((1000.0, 45.0), (3000.0, 180.0)) if not quick else ((3000.0, 180.0),):
            for every in (1, _CAMERA_BLOCKS):
                # Whole circles, after some time for the room to fill.
                seconds = 360.0 / speed_deg_s * (1 if speed_deg_s < 90 else 2) + _SETTLE_BLOCKS * BLOCK_S
                name = f"{tone_hz / 1000:g} kHz, {speed_deg_s:g} deg/s, {'camera' if every > 1 else 'block'} rate"
                take = Take(name, tone_hz, seconds, circle(speed_deg_s), layout, every)
                y = play(take, room)
                report.rows.append(_moving_row(take, y))
                pictures[f"{layout.name}: {name}"] = y, tone_hz
        still = play(Take("still", _EVENT_TONE_HZ, 4.0, stays, layout), room)
        takes = _events(layout, other)
        for take in takes[:2] if quick else takes:
            y = play(take, room)
            report.rows.append(_event_row(take, y, still))
            pictures[f"{layout.name}: {take.name}"] = y, take.tone_hz
    report.passed = all(row["within"] == "yes" for row in report.rows if row["within"])
    report.notes += [
        "beside: energy further than 400 Hz from the tone, dB against the whole programme; own: against its channel (worst)",
        "click: peak above 5 kHz, dB against the RMS of the whole programme",
        "step: height of the sudden step with the same peak above 2 kHz, dBFS, loudest channel at -20 dBFS; "
        f"without the event: {report.rows[-1]['still']:.0f}",
        "budget: beside <= -74 (1 kHz), -55 (3 kHz) dB; click <= -75 dB (1 kHz); step <= -60 dBFS",
        f"positions at camera rate arrive every {1000 * _CAMERA_BLOCKS * BLOCK_S:g} ms",
    ]
    if plot is not None:
        _draw(pictures, plot)
    return report


def _moving_row(take: Take, y: Float32) -> dict[str, object]:
    beside, own, click = beside_db(y, take.tone_hz), beside_own_db(y, take.tone_hz), click_db(y)
    within = beside.max() <= BUDGET_BESIDE_DB[take.tone_hz] and click.max() <= BUDGET_CLICK_DB.get(take.tone_hz, 0.0)
    return _row(
        take, "yes" if within else "NO", beside=float(beside.max()), own=float(np.nanmax(own)), click=float(click.max()),
        channels=" ".join(f"{c}{b:.0f}" for c, b in zip(take.layout.channels, beside, strict=True)),
    )  # fmt: skip


def _event_row(take: Take, y: Float32, still: Float32) -> dict[str, object]:
    y = y * 10.0 ** ((_PROGRAMME_DBFS - loudest_rms_dbfs(y)) / 20.0)
    still = still * 10.0 ** ((_PROGRAMME_DBFS - loudest_rms_dbfs(still)) / 20.0)
    step, before = step_dbfs(y), step_dbfs(still)
    added = 20.0 * math.log10(max(10.0 ** (step / 20.0) - 10.0 ** (before / 20.0), 1e-12))
    return _row(take, "yes" if added <= BUDGET_STEP_DBFS else "NO", step=added, still=before)


def _row(take: Take, within: str, **figures: float | str) -> dict[str, object]:
    keys = ("beside", "own", "click", "step", "still", "channels")
    return {"layout": take.layout.name, "take": take.name, **{k: figures.get(k) for k in keys}, "within": within}


def _events(layout: Layout, other: RirBank) -> list[Take]:
    """One take an event; the event in the middle of it."""
    tone, seconds, middle, later = _EVENT_TONE_HZ, 4.0, 200, 300
    prepared: list[object] = []

    def prepare(renderer: Renderer) -> None:
        prepared.append(renderer.prepare_room(other))

    def pass_by(t_s: float) -> tuple[float, float]:
        x = 20.0 * (t_s - 2.5)
        return math.degrees(math.atan2(2.0, x)), math.hypot(2.0, x)

    def comes(index: int) -> bool:
        return middle <= index < later + _LEAVE_BLOCKS

    second = make_layout("stereo")
    return [
        Take("jump by 90 deg", tone, seconds, lambda t_s: (40.0 if t_s < 2.0 else -50.0, _DISTANCE_M), layout),
        Take(
            "another room", tone, seconds, stays, layout,
            events={middle - 50: prepare, middle: lambda r: r.switch_room(prepared.pop())},
        ),
        Take("passes by at 20 m/s", tone, 5.0, pass_by, layout, every=1),
        Take("passes by, camera rate", tone, 5.0, pass_by, layout, every=_CAMERA_BLOCKS),
        Take(
            "gain 1 to 0 and back", tone, seconds, stays, layout,
            gain=lambda index: 0.0 if middle <= index < later else 1.0,
        ),
        Take(
            "comes and leaves", tone, seconds, stays, layout, sounding=comes,
            gain=lambda index: 1.0 if middle <= index < later else 0.0,
            events={later + _LEAVE_BLOCKS: lambda r: r.reset(0)},
        ),
        Take(
            "another layout comes and goes", tone, seconds, stays, layout,
            events={middle: lambda r: r.set_layouts([layout, second]), later: lambda r: r.set_layouts([layout])},
        ),
        Take(
            "this layout is added", tone, seconds, stays, layout,
            events={0: lambda r: r.set_layouts([second]), middle: lambda r: r.set_layouts([layout, second])},
        ),
    ]  # fmt: skip


def _draw(pictures: dict[str, tuple[Float32, float]], path: Path) -> None:
    """Spectrograms of the channel with the most energy, against its largest bin; everything yellow beside the tone is bad."""
    from scipy.signal import ShortTimeFFT, get_window

    transform = ShortTimeFFT(np.asarray(get_window("blackmanharris", 1024)), 256, SAMPLE_RATE_HZ, scale_to="magnitude")
    n_columns = 3
    n_rows = -(-len(pictures) // n_columns)
    with figure_file(path, n_rows, (15, 3.0 * n_rows), n_columns) as axes:
        for axis, (name, (y, _)) in zip(axes, pictures.items(), strict=False):
            channel = np.asarray(y[(y**2).sum(axis=1).argmax()], np.float64)
            # Without the slices that reach beyond the ends: the cut there is ours.
            power = 10.0 * np.log10(transform.spectrogram(channel)[:, 6:-6] + 1e-24)
            extent = (0.0, y.shape[1] / SAMPLE_RATE_HZ, 0.0, SAMPLE_RATE_HZ / 2000.0)
            top = power.max()
            axis.imshow(power, origin="lower", aspect="auto", extent=extent, vmin=top - 130, vmax=top, cmap="magma")
            axis.set_title(name, loc="left", fontsize=9)
            axis.set_ylim(0, 12)
        for axis in axes[len(pictures) :]:
            axis.set_visible(False)
        axes[0].set_ylabel("kHz; colours: 130 dB")
        axes[0].set_xlabel("seconds")
