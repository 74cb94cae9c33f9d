"""Where a rendered source is heard: the energy vector (Gerzon 1992) of the five main channels against ground truth.

One source at a time. First noise through the renderer alone, all around and at three heights; then scenes rendered to a file
through the whole program: drawn pictures, vision, voice, room, limiter.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from bench.report import Report
from engines.sound.naming import parse_label_rule
from engines.spatial.bank import RirBank, load_bank
from engines.spatial.layouts import make_layout
from engines.spatial.renderer import AZIMUTH, DISTANCE, ELEVATION, GAIN, N_PLACEMENT, Renderer
from engines.specs import BLOCK, CHANNELS_5_1, SAMPLE_RATE_HZ, wrap_deg
from stream.clock import ManualClock
from stream.render import RenderJob, render

WINDOW_S = 0.1
BUDGET_MEDIAN_DEG, BUDGET_P95_DEG = 5.0, 12.0
# Of the renderer alone, whose source is where it is told to be.
BUDGET_RENDERER_MEDIAN_DEG, BUDGET_RENDERER_P95_DEG = 3.0, 8.0
_AZIMUTHS_DEG = (30.0, -30.0, 0.0, 0.0, 110.0, -110.0)
_LFE = CHANNELS_5_1.index("LFE")
_MAIN = [c for c in range(6) if c != _LFE]
# A window this far below the loudest holds a pause of the voice.
_GATE_DB = 40.0
_LFE_EDGE_HZ = 150.0
_HEIGHTS_DEG = (-30.0, 0.0, 30.0)
_NOISE_BLOCKS = 25
SCENES = ("orbit", "orbit?elevation=20", "passby", "appear?n=1", "appear?n=1&seed=3", "shaky", "crossing?n=1")


def energy_vector_deg(window: NDArray[np.floating]) -> float:
    """Azimuth of the energy vector of (6, n) samples, counter-clockwise."""
    energy = (np.asarray(window, np.float64) ** 2).sum(axis=1)[_MAIN]
    angles = np.radians(np.asarray(_AZIMUTHS_DEG)[_MAIN])
    return float(np.degrees(np.arctan2((energy * np.sin(angles)).sum(), (energy * np.cos(angles)).sum())))


def direction_errors_deg(samples: NDArray[np.floating], truth: list[dict]) -> NDArray[np.float64]:
    """Absolute errors, one for each window in which the only source is wholly visible and sounding.

    Args:
        samples: (6, n) at 48 kHz.
        truth: rows of `--truth`.
    """
    n = round(WINDOW_S * SAMPLE_RATE_HZ)
    times = np.array([row["t_s"] for row in truth])
    windows = samples[:, : samples.shape[1] // n * n].reshape(6, -1, n).swapaxes(0, 1)
    level_db = 10 * np.log10((np.asarray(windows, np.float64)[:, _MAIN] ** 2).mean(axis=(1, 2)) + 1e-20)
    errors = []
    for index, window in enumerate(windows):
        row = truth[int(np.argmin(np.abs(times - (index + 0.5) * WINDOW_S)))]
        before = truth[int(np.argmin(np.abs(times - max(0.0, (index + 0.5) * WINDOW_S - 0.5))))]
        shown = len(row["sources"]) == 1 and row["sources"][0]["visible"] > 0.8 and len(before["sources"]) == 1
        if shown and level_db[index] > level_db.max() - _GATE_DB:
            errors.append(abs(wrap_deg(energy_vector_deg(window) - row["sources"][0]["azimuth_deg"])))
    return np.array(errors)


def lfe_share(samples: NDArray[np.floating]) -> float:
    """Share of the LFE's energy below _LFE_EDGE_HZ."""
    power = np.abs(np.fft.rfft(np.asarray(samples[_LFE], np.float64))) ** 2
    hz = np.fft.rfftfreq(samples.shape[1], 1 / SAMPLE_RATE_HZ)
    return float(power[hz < _LFE_EDGE_HZ].sum() / max(power.sum(), 1e-30))


def loudest_channels(samples: NDArray[np.floating]) -> set[str]:
    """Main channels that are the loudest in some window."""
    n = round(WINDOW_S * SAMPLE_RATE_HZ)
    windows = np.asarray(samples[:, : samples.shape[1] // n * n], np.float64).reshape(6, -1, n)
    energy = (windows**2).sum(axis=2)[_MAIN]
    return {CHANNELS_5_1[_MAIN[c]] for c in energy.argmax(axis=0)}


def renderer_errors_deg(bank: RirBank, elevation_deg: float, step_deg: int) -> NDArray[np.float64]:
    """Absolute errors of noise two metres away, all around, through the renderer alone."""
    dry = 0.1 * np.random.default_rng(0).standard_normal((_NOISE_BLOCKS, 1, BLOCK), np.float32)
    placement, on, bed = np.zeros((1, N_PLACEMENT)), np.ones(1, np.bool_), np.zeros((5, BLOCK), np.float32)
    placement[0, DISTANCE], placement[0, GAIN], placement[0, ELEVATION] = 2.0, 1.0, elevation_deg
    five = make_layout("5.1")
    errors = []
    for azimuth_deg in range(-180, 180, step_deg):
        renderer = Renderer(bank, [five], 1)
        placement[0, AZIMUTH] = azimuth_deg
        blocks = [renderer.step(block, placement, on, bed)["5.1"] for block in dry]
        errors.append(abs(wrap_deg(energy_vector_deg(np.concatenate(blocks, axis=1)) - azimuth_deg)))
    return np.array(errors)


def rendered(uri: str, bank: Path, folder: Path, labels: tuple[str, ...] = ()) -> tuple[NDArray, list[dict]]:
    """Samples (6, n) and truth rows of a synthetic scene, through files."""
    out, truth = folder / "scene.wav", folder / "truth.jsonl"
    rules = tuple(parse_label_rule(text) for text in labels)
    job = RenderJob(uri=uri, out=out, layout=make_layout("5.1"), bank=bank, truth=truth, rules=rules)
    render(job, ManualClock(), None, lambda stage, done, total: None)
    with av.open(str(out)) as file:
        samples = np.concatenate([f.to_ndarray().reshape(-1, 6) for f in file.decode(audio=0)]).T / float(1 << 31)
    return samples, [json.loads(line) for line in truth.read_text().splitlines()]


def run(bank: Path, quick: bool = False) -> Report:
    """Measure some scenes with the voices that they get by themselves, and the circle with a few others.

    Args:
        bank: directory of a room's impulse responses.
        quick: one short scene.
    """
    report = Report("directions")
    cases: list[tuple[str, tuple[str, ...]]] = [(name, ()) for name in SCENES]
    cases += [("orbit", (f"any={voice}",)) for voice in ("car", "footsteps", "dog", "rain", "bird")]
    if quick:
        cases = [("orbit?seconds=4", ())]
    kept = []
    for elevation_deg in (0.0,) if quick else _HEIGHTS_DEG:
        errors = renderer_errors_deg(load_bank(bank), elevation_deg, 30 if quick else 3)
        median, p95 = (float(p) for p in np.percentile(errors, (50, 95)))
        kept.append(median <= BUDGET_RENDERER_MEDIAN_DEG and p95 <= BUDGET_RENDERER_P95_DEG)
        report.rows.append(_row(f"renderer, {elevation_deg:g} deg high", "noise", len(errors), median, p95))
    with tempfile.TemporaryDirectory(prefix="earshot-bench-") as folder:
        for name, labels in cases:
            samples, truth = rendered(f"synthetic:{name}", bank, Path(folder), labels)
            errors = direction_errors_deg(samples, truth)
            median, p95 = (float(np.percentile(errors, q)) for q in (50, 95)) if len(errors) else (None, None)
            if not labels:
                kept.append(median is not None and median <= BUDGET_MEDIAN_DEG and (p95 or 0.0) <= BUDGET_P95_DEG)
            row = _row(name, labels[0].split("=")[1] if labels else "by itself", len(errors), median, p95)
            report.rows.append(
                row
                | {
                    "loudest somewhere": " ".join(sorted(loudest_channels(samples))),
                    "LFE below 150 Hz": lfe_share(samples),
                }
            )
    report.passed = all(kept)
    report.notes.append(
        f"budget where voices chose themselves: median <= {BUDGET_MEDIAN_DEG:g}, p95 <= {BUDGET_P95_DEG:g} deg; "
        f"of the renderer alone {BUDGET_RENDERER_MEDIAN_DEG:g} and {BUDGET_RENDERER_P95_DEG:g}"
    )
    return report


def _row(scene: str, voice: str, windows: int, median: float | None, p95: float | None) -> dict[str, object]:
    figures = {"scene": scene, "voice": voice, "windows": windows, "median deg": median, "p95 deg": p95}
    return {**figures, "loudest somewhere": None, "LFE below 150 Hz": None}
