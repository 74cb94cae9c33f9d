"""The convolver against scipy on the same work: n sources x RIR length, six outputs, 10 ms blocks."""

from __future__ import annotations

import time

import numpy as np
from scipy.signal import fftconvolve, oaconvolve

from bench.report import Report
from engines.spatial.convolver import Convolver
from engines.specs import BLOCK, BLOCK_S, SAMPLE_RATE_HZ, Float32

_SOURCES = (1, 4, 16)
_LENGTHS_S = (0.1, 0.5, 1.0)
_OUTPUTS = 6
_BLOCKS = 200
_ROUNDS = 3
_CHECK_S = 0.5


def run(quick: bool = False) -> Report:
    """Measure the grid; `quick` takes its corner only."""
    report = Report("convolver")
    rng = np.random.default_rng(0)
    worst = 0.0
    for n_sources in _SOURCES[:1] if quick else _SOURCES:
        for length_s in _LENGTHS_S[:1] if quick else _LENGTHS_S:
            h = rng.standard_normal((n_sources, _OUTPUTS, round(length_s * SAMPLE_RATE_HZ))).astype(np.float32)
            x = rng.standard_normal((n_sources, _BLOCKS * BLOCK)).astype(np.float32)
            # Interleaved rounds, because the machine may be busy with something else now and then.
            ours_ms, whole_ms, blockwise_ms = [], [], []
            for _ in range(1 if quick else _ROUNDS):
                ours_ms += _ours_ms(h, x)
                blockwise_ms.append(_scipy_blockwise_ms(h, x))
                whole_ms.append(_scipy_whole_ms(h, x))
            error = _error(h, x)
            worst = max(worst, error)
            ours = float(np.median(ours_ms))
            report.rows.append({
                "sources": n_sources,
                "RIR s": length_s,
                "ours ms/block": ours,
                "p99": float(np.percentile(ours_ms, 99)),
                "% of a core": 100 * ours / (1000 * BLOCK_S),
                "scipy fftconvolve per block": float(np.median(blockwise_ms)),
                "ours / scipy": ours / float(np.median(blockwise_ms)),
                "scipy oaconvolve, whole signal": float(np.median(whole_ms)),
                "max rel. error": error,
            })  # fmt: skip
    report.passed = worst <= 1e-5
    report.notes.append(f"largest error against float64 scipy: {worst:.1e} (budget 1e-5)")
    report.notes.append("scipy's whole-signal figure is not streaming: it needs the future")
    return report


def _ours_ms(h: Float32, x: Float32) -> list[float]:
    convolver = Convolver(h)
    blocks = [np.ascontiguousarray(x[:, i : i + BLOCK]) for i in range(0, x.shape[1], BLOCK)]
    for block in blocks[: convolver.n_parts + 2]:
        convolver.step(block)
    spent = []
    for block in blocks:
        begun = time.perf_counter()
        convolver.step(block)
        spent.append(1000 * (time.perf_counter() - begun))
    return spent


def _scipy_blockwise_ms(h: Float32, x: Float32) -> float:
    """One block the way a script would stream it: convolve, add the overlap."""
    block = x[:, :BLOCK]
    begun = time.perf_counter()
    for o in range(h.shape[1]):
        for i in range(h.shape[0]):
            fftconvolve(block[i], h[i, o])
    return 1000 * (time.perf_counter() - begun)


def _scipy_whole_ms(h: Float32, x: Float32) -> float:
    begun = time.perf_counter()
    for i in range(h.shape[0]):
        oaconvolve(x[i][None], h[i], axes=1)
    return 1000 * (time.perf_counter() - begun) / _BLOCKS


def _error(h: Float32, x: Float32) -> float:
    n = round(_CHECK_S * SAMPLE_RATE_HZ)
    x = np.ascontiguousarray(x[:, :n])
    ours = Convolver(h).step(x)
    reference = np.stack([
        sum(fftconvolve(x[i].astype(np.float64), h[i, o].astype(np.float64))[:n] for i in range(h.shape[0]))
        for o in range(h.shape[1])
    ])  # fmt: skip
    return float(np.abs(ours - reference).max() / np.abs(reference).max())
