"""The spatial stage of SEE-2-SOUND (arXiv 2406.06612) against ours on the same work, in the same run.

Theirs, as their program does it: one pyroomacoustics room for every output channel, as large as the picture in pixels
(w x h x w/2 "metres"), rigid walls, first-order images, 16 kHz, one omnidirectional microphone in it, static sources,
`simulate`. Ours: the same room, sources and microphones, one `compute_rir` for all microphones, our convolver in large
blocks. Both outputs are compared sample by sample. Their room has its FR microphone outside of itself, where it hears
nothing and where this pyroomacoustics refuses it; here it stands inside, for both, so that both have six channels to compute.
"""

from __future__ import annotations

import numpy as np
import pyroomacoustics as pra
from numpy.typing import NDArray

from bench.report import Report
from bench.timing import Spent, cpu_features, spent, undisturbed
from engines.spatial.convolver import Convolver
from engines.specs import Float32

Float64 = NDArray[np.float64]

_RATE_HZ = 16_000
_PICTURE_PX = (512, 512)
# Offsets from (w/2, h/2, 0), in pixels: FL FR FC LFE BL BR.
_MICROPHONES = ((0, 0, 100), (0, 0, 200), (10, 0, 0), (0, -100, 0), (-100, 0, 0), (0, 100, 0))
_CLIP_SAMPLES = 163_872  # what CoDi gives: 10.24 s
_SOURCES = (3, 16)
_BLOCKS = (2048, 4096, 8192, 16_384, 32_768)
_ROUNDS = 5
BUDGET_TIMES_FASTER = 5.0
BUDGET_ERROR = 1e-5


def _room() -> pra.ShoeBox:
    width, height = _PICTURE_PX
    return pra.ShoeBox([width, height, 0.5 * width], fs=_RATE_HZ, max_order=1)


def _microphones() -> Float64:
    """Positions (3, 6)."""
    width, height = _PICTURE_PX
    return (np.array([0.5 * width, 0.5 * height, 0.0]) + np.array(_MICROPHONES, np.float64)).T


def see2sound(sources: Float64, sounds: Float32) -> list[Float64]:
    """Their stage: positions (n, 3), sounds (n, samples) -> one signal a channel, each of its own length."""
    channels = []
    for microphone in _microphones().T:
        room = _room()
        for position, sound in zip(sources, sounds, strict=True):
            room.add_source(position, signal=sound)
        room.add_microphone(microphone)
        room.simulate()
        channels.append(np.asarray(vars(room.mic_array)["signals"][0]))
    return channels


def responses(sources: Float64) -> Float32:
    """Impulse responses float32 (n_sources, 6, n_taps) of all sources and microphones in one room."""
    room = _room()
    for position in sources:
        room.add_source(position)
    room.add_microphone_array(_microphones())
    room.compute_rir()
    assert room.rir is not None
    h = np.zeros((len(sources), len(_MICROPHONES), max(len(r) for row in room.rir for r in row)), np.float32)
    for o, row in enumerate(room.rir):
        for i, r in enumerate(row):
            h[i, o, : len(r)] = r
    return h


def convolved(convolver: Convolver, sounds: Float32, n_taps: int, block: int) -> Float32:
    """Our stage with the convolver at hand, in whole blocks: (6, samples + tail)."""
    n = sounds.shape[1] + n_taps - 1
    padded = np.zeros((len(sounds), -(-n // block) * block), np.float32)
    padded[:, : sounds.shape[1]] = sounds
    convolver.reset()
    return convolver.step(padded)[:, :n]


def run(quick: bool = False) -> Report:
    """Measure three and sixteen sources.

    Args:
        quick: three sources of two seconds, one round.
    """
    report = Report("see2sound")
    rng = np.random.default_rng(0)
    n_samples = 2 * _RATE_HZ if quick else _CLIP_SAMPLES
    for n_sources in _SOURCES[:1] if quick else _SOURCES:
        sources = rng.uniform((50, 50, 10), (_PICTURE_PX[0] - 50, _PICTURE_PX[1] - 50, 200), (n_sources, 3))
        sounds = 0.1 * rng.standard_normal((n_sources, n_samples), np.float32)
        report.rows.append(_measure(sources, sounds, 1 if quick else _ROUNDS))
    report.passed = all(
        row["times faster"] >= BUDGET_TIMES_FASTER and row["max rel. error"] <= BUDGET_ERROR for row in report.rows
    )
    report.notes += [
        f"CPU seconds (all threads) for {n_samples / _RATE_HZ:.2f} s of six channels, medians of rounds that take turns; "
        + cpu_features(),
        f"ours counts impulse responses and their spectra; budget >= {BUDGET_TIMES_FASTER:g} times, error <= {BUDGET_ERROR:g}",
        "RIRs ready: with the convolver of the room at hand, as the product has it",
        "their FR microphone lies outside their room; it stands inside here, in both",
    ]
    return report


def _measure(sources: Float64, sounds: Float32, rounds: int) -> dict[str, object]:
    h = responses(sources)
    n_taps = h.shape[2]

    def whole(block: int) -> Float32:
        """From positions to sound."""
        return convolved(Convolver(responses(sources), block=block), sounds, n_taps, block)

    whole(_BLOCKS[0])  # compiles
    costs = {block: min(spent(lambda b=block: whole(b)).cpu_s for _ in range(2)) for block in _BLOCKS}
    block = min(costs, key=lambda b: costs[b])
    error = _error(whole(block), see2sound(sources, sounds))
    ready = Convolver(h, block=block)
    times: list[tuple[Spent, Spent, Spent]] = []
    with undisturbed():
        for _ in range(rounds):
            theirs, ours = spent(lambda: see2sound(sources, sounds)), spent(lambda: whole(block))
            times.append((theirs, ours, spent(lambda: convolved(ready, sounds, n_taps, block))))
    seconds = sounds.shape[1] / _RATE_HZ
    cpu = np.median([[each.cpu_s for each in row] for row in times], axis=0)
    wall = np.median([[each.wall_s for each in row] for row in times], axis=0)
    return {
        "sources": len(sources),
        "theirs CPU s": float(cpu[0]),
        "ours": float(cpu[1]),
        "RIRs ready": float(cpu[2]),
        "theirs x real time": seconds / float(cpu[0]),
        "ours x": seconds / float(cpu[1]),
        "RIRs ready x": seconds / float(cpu[2]),
        "times faster": float(cpu[0] / cpu[1]),
        "RIRs ready, faster": float(cpu[0] / cpu[2]),
        "by the wall": float(wall[0] / wall[1]),
        "block": block,
        "taps": n_taps,
        "max rel. error": error,
    }


def _error(y: Float32, reference: list[Float64]) -> float:
    """Largest difference, relative to the largest sample of all channels."""
    worst = max(float(np.abs(a[: len(b)] - b[: len(a)]).max()) for a, b in zip(y, reference, strict=True))
    return worst / max(float(np.abs(b).max()) for b in reference)
