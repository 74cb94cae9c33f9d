"""The convolver against zita-convolver, scipy and torch on the same work: sources x length, six outputs, 48 kHz.

Everybody streams: what goes in comes out in the same call, ours and the scripts in blocks of 480 samples, zita in blocks of
512 (it wants powers of two), so that it answers a little later than ours. zita gets the best of its settings for every cell,
ours whatever it chooses by itself. All is counted per 10 ms of sound, as CPU time of all threads of the process, in rounds
that take turns; the ratio is that of the medians, and its range is over the rounds.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from bench.plots import figure_file
from bench.report import Report
from bench.timing import Spent, cpu_features, spent, undisturbed
from bench.zita import QUANTUM, Setting, Zita, ZitaConvolver
from engines.spatial.convolver import Convolver
from engines.specs import BLOCK, BLOCK_S, SAMPLE_RATE_HZ, Float32

_SOURCES = (1, 8, 16, 32, 64)
_LENGTHS_S = (0.3, 0.5, 1.0)
_OUTPUTS = 6
_ROUNDS = 5
# Whole cycles of zita's largest partition (8192) and of any short cycle of ours: 2.4 s.
_BLOCKS, _QUANTA = 240, 224
_TUNING_QUANTA = 64
_CHECK_S = 0.3
BUDGET_ERROR = 1e-6
_ZITA_IS_RIGHT = 1e-5


def budget(n_sources: int, length_s: float) -> float:
    """Largest CPU time against zita's."""
    if n_sources == 64 and length_s >= 0.5:
        return 0.60
    return 0.90 if (n_sources, length_s) == (16, 1.0) else 1.00


@dataclass(slots=True)
class _Cell:
    """One point of the grid."""

    n_sources: int
    length_s: float
    h: Float32
    x: Float32  # (n_sources, whole rounds of ours and of zita's)


def run(quick: bool = False, plot: Path | None = None) -> Report:
    """Measure the grid.

    Args:
        quick: two small cells, one round, and no attempt to fetch zita's source.
        plot: PNG of CPU times and ratios.
    """
    report = Report("convolver")
    try:
        zita, missing = Zita(may_fetch=not quick), ""
    except OSError as error:
        zita, missing = None, str(error)
    cells = [(n, s) for n in _SOURCES for s in _LENGTHS_S] if not quick else [(1, 0.1), (4, 0.1)]
    for n_sources, length_s in cells:
        report.rows.append(_measure(_make(n_sources, length_s), zita, 1 if quick else _ROUNDS))
    kept = [row["error"] <= BUDGET_ERROR and row["within"] != "NO" for row in report.rows]
    # Without zita nobody knows whether ours is fast enough.
    report.passed = all(kept) if zita is not None or not all(kept) else None
    report.notes.append(f"CPU us per 10 ms of sound, all threads; {cpu_features()}")
    report.notes.append("budget CPU ours / zita: 0.60 for 64 x 0.5 and 64 x 1.0, 0.90 for 16 x 1.0, 1.00 elsewhere")
    report.notes.append(f"largest error against float64, relative to the largest sample: budget {BUDGET_ERROR:g}")
    report.notes.append(f"zita: {zita.build}, best of its settings per cell" if zita else f"no comparison: {missing}")
    if find_spec("torch") is None:
        report.notes.append("torch is not installed")
    if plot is not None:
        _draw(report, plot)
    return report


def _make(n_sources: int, length_s: float) -> _Cell:
    rng = np.random.default_rng(n_sources)
    n_taps = round(length_s * SAMPLE_RATE_HZ)
    h = rng.standard_normal((n_sources, _OUTPUTS, n_taps), np.float32)
    x = 0.1 * rng.standard_normal((n_sources, max(_BLOCKS * BLOCK, _QUANTA * QUANTUM)), np.float32)
    return _Cell(n_sources, length_s, h, x)


def _measure(cell: _Cell, zita: Zita | None, rounds: int) -> dict[str, object]:
    error, zita_error, setting, engine = _error(cell, lambda h, x: Convolver(h).step(x)), None, None, None
    if zita is not None:
        setting = _best_setting(zita, cell)
        zita_error = _zita_error(cell, zita, setting)
        engine = zita.open(cell.h, setting)
    ours, theirs = _Ours(cell), _Theirs(cell, engine) if engine is not None else None
    our_times, their_times = [], []
    with undisturbed():
        for _ in range(rounds):
            our_times.append(ours.round())
            if theirs is not None:
                their_times.append(theirs.round())
        scipy_us = _scipy_us(cell)
        torch_us = _torch_us(cell) if find_spec("torch") is not None else None
    if engine is not None:
        engine.close()
    right = zita_error is not None and zita_error <= _ZITA_IS_RIGHT
    per_round = [a.cpu_s / b.cpu_s for a, b in zip(our_times, their_times, strict=True)] if right else []
    our_us = float(np.median([t.cpu_s for t in our_times]))
    their_us = float(np.median([t.cpu_s for t in their_times])) if right else None
    ratio = our_us / their_us if their_us else None
    limit = budget(cell.n_sources, cell.length_s)
    return {
        "sources": cell.n_sources,
        "RIR s": cell.length_s,
        "ours": our_us,
        "wall": float(np.median([t.wall_s for t in our_times])),
        "zita": their_us,
        "zita wall": float(np.median([t.wall_s for t in their_times])) if right else None,
        "ours/zita": ratio,
        "least": min(per_round) if per_round else None,
        "most": max(per_round) if per_round else None,
        "budget": limit if right else None,
        # A zita that is wrong is no reference, and no reason to pass.
        "within": ("NO" if zita is not None else "") if ratio is None else ("yes" if ratio <= limit else "NO"),
        "worst block": ours.worst_us(),
        "error": error,
        "zita error": zita_error,
        "zita setting": str(setting) if setting is not None else None,
        "scipy": scipy_us,
        "torch": torch_us,
    }


def _per_block(spent_: Spent, seconds: float) -> Spent:
    """Microseconds per 10 ms."""
    scale = 1e6 * BLOCK_S / seconds
    return Spent(spent_.cpu_s * scale, spent_.wall_s * scale)


class _Ours:
    """Our convolver past its beginning, so that every partition has something to do."""

    def __init__(self, cell: _Cell) -> None:
        self._convolver = Convolver(cell.h)
        self._blocks = [np.ascontiguousarray(cell.x[:, i * BLOCK : (i + 1) * BLOCK]) for i in range(_BLOCKS)]
        self._block_us: list[list[float]] = []
        for index in range(-(-cell.h.shape[2] // BLOCK) + 2):
            self._convolver.step(self._blocks[index % _BLOCKS])

    def round(self) -> Spent:
        """Microseconds per 10 ms."""
        return _per_block(spent(self._all), _BLOCKS * BLOCK_S)

    def worst_us(self) -> float:
        """The dearest block, each taken as the median over the rounds, because interrupts are not ours."""
        return float(np.median(self._block_us, axis=0).max())

    def _all(self) -> None:
        times = []
        for block in self._blocks:
            begun_ns = time.thread_time_ns()
            self._convolver.step(block)
            times.append((time.thread_time_ns() - begun_ns) / 1000.0)
        self._block_us.append(times)


class _Theirs:
    """zita, likewise."""

    def __init__(self, cell: _Cell, engine: ZitaConvolver) -> None:
        self._engine = engine
        self._x = np.ascontiguousarray(cell.x[:, : _QUANTA * QUANTUM])
        engine.run(self._x)

    def round(self) -> Spent:
        """Microseconds per 10 ms."""
        return _per_block(spent(lambda: self._engine.run(self._x)), _QUANTA * QUANTUM / SAMPLE_RATE_HZ)


def _best_setting(zita: Zita, cell: _Cell) -> Setting:
    """The setting with the least CPU time: first the largest partition, then what else there is to choose."""
    x = np.ascontiguousarray(cell.x[:, : _TUNING_QUANTA * QUANTUM])

    def cost_s(setting: Setting) -> float:
        engine = zita.open(cell.h, setting)
        try:
            engine.run(x)
            return min(spent(lambda: engine.run(x)).cpu_s for _ in range(2))
        finally:
            engine.close()

    costs = {s: cost_s(s) for s in (Setting(max_part=part) for part in (512, 1024, 2048, 4096, 8192))}
    best = min(costs, key=lambda s: costs[s])
    others = (Setting(QUANTUM, best.max_part, vector=True), Setting(QUANTUM, best.max_part, sparse=True))
    for setting in (
        *others,
        Setting(QUANTUM, best.max_part, vector=True, sparse=True),
        Setting(QUANTUM // 2, best.max_part),
    ):
        costs[setting] = cost_s(setting)
    return min(costs, key=lambda s: costs[s])


def _error(cell: _Cell, convolve: Callable[[Float32, Float32], Float32]) -> float:
    """Largest error relative to the largest sample, over a signal longer than the impulse responses."""
    n = (cell.h.shape[2] + round(_CHECK_S * SAMPLE_RATE_HZ)) // QUANTUM * QUANTUM
    x = np.ascontiguousarray(np.resize(cell.x, (cell.n_sources, n)))
    y = convolve(cell.h, x)
    n_fft = 1 << (n + cell.h.shape[2]).bit_length()
    spectrum = np.zeros((_OUTPUTS, n_fft // 2 + 1), np.complex128)
    for source, responses in zip(x, cell.h, strict=True):
        spectrum += np.fft.rfft(source.astype(np.float64), n_fft) * np.fft.rfft(responses.astype(np.float64), n_fft)
    reference = np.fft.irfft(spectrum, n_fft, axis=1)[:, :n]
    return float(np.abs(y - reference).max() / np.abs(reference).max())


def _zita_error(cell: _Cell, zita: Zita, setting: Setting) -> float:
    def convolve(h: Float32, x: Float32) -> Float32:
        engine = zita.open(h, setting)
        try:
            return engine.run(x)
        finally:
            engine.close()

    return _error(cell, convolve)


def _scipy_us(cell: _Cell) -> float:
    """One block the way a script would stream it: convolve, keep the overlap; CPU us."""
    from scipy.signal import fftconvolve

    block = cell.x[:, None, :BLOCK]
    fftconvolve(block[:1], cell.h[:1], axes=2)
    return 1e6 * min(spent(lambda: fftconvolve(block, cell.h, axes=2).sum(axis=0)).cpu_s for _ in range(2))


def _torch_us(cell: _Cell) -> float:
    """The same with torch on one thread and the spectra of the impulse responses kept; CPU us."""
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    n_fft = 1 << (cell.h.shape[2] + BLOCK - 1).bit_length()
    block, spectra = torch.from_numpy(cell.x[:, :BLOCK].copy()), torch.fft.rfft(torch.from_numpy(cell.h), n_fft)

    def step() -> object:
        return torch.fft.irfft((torch.fft.rfft(block, n_fft)[:, None] * spectra).sum(dim=0), n_fft)

    step()
    return 1e6 * min(spent(step).cpu_s for _ in range(5))


def _draw(report: Report, path: Path) -> None:
    rows = report.rows
    names = [f"{row['sources']} x {row['RIR s']:g} s" for row in rows]
    at = np.arange(len(rows))
    with figure_file(path, 2, (11, 8)) as axes:
        for key, label in (("ours", "ours"), ("zita", "zita"), ("scipy", "scipy, block-wise"), ("torch", "torch")):
            values = [np.nan if row[key] is None else row[key] for row in rows]
            if not np.all(np.isnan(values)):
                axes[0].plot(at, values, "o-", label=label, linewidth=1)
        axes[0].set_yscale("log")
        axes[0].set_title("CPU us per 10 ms of sound, six outputs", loc="left", fontsize=10)
        axes[0].legend(fontsize=8)
        axes[1].set_title("ours / zita: median, range over the rounds, budget", loc="left", fontsize=10)
        for i, row in enumerate(rows):
            if row["ours/zita"] is not None:
                axes[1].plot([i, i], [row["least"], row["most"]], color="0.6", linewidth=3)
                axes[1].plot(i, row["ours/zita"], "o", color="tab:blue" if row["within"] == "yes" else "tab:red")
                axes[1].plot([i - 0.3, i + 0.3], [row["budget"]] * 2, "k-", linewidth=1)
        axes[1].set_ylim(bottom=0)
        for axis in axes:
            axis.set_xticks(at, names, rotation=45, fontsize=8)
            axis.grid(alpha=0.3)
