"""How good the procedural voices are: what an audio tagger hears, how loud and how fast each one is.

    python -m bench.voices --tagger yamnet.tflite --classes yamnet_class_map.csv [--plots DIR] [--voice NAME]...

The tagger is YAMNet (Hershey et al., "CNN architectures for large-scale audio classification", ICASSP 2017) as a
TensorFlow Lite file: 15600 samples at 16 kHz in, one score per AudioSet class out. A voice passes when a class of its
intended family is among the five best of all classes, scores averaged over a dry render.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import resample_poly, sosfilt

from engines.sound.registry import VOICES, make_voice
from engines.specs import BLOCK, SAMPLE_RATE_HZ, Float32, Motion

TAGGER_RATE_HZ = 16_000
TAGGER_SAMPLES = 15_600
TAGGER_HOP = TAGGER_SAMPLES // 2
# What every voice is calibrated with: a person walking.
REFERENCE_MOTION = Motion(speed_m_s=1.4, energy=0.5)
MOTIONS = {
    "walk": REFERENCE_MOTION,
    "still": Motion(speed_m_s=0.0, energy=0.1),
    "run": Motion(speed_m_s=4.0, energy=0.8, gait_hz=2.6),
    "drive": Motion(speed_m_s=12.0, energy=1.0),
}

Tagger = Callable[[Float32], Float32]


@dataclass(frozen=True, slots=True)
class Row:
    """One measured voice.

    Attributes:
        voice: name.
        seed: which individual.
        motion: a key of `MOTIONS`.
        family: intended AudioSet classes.
        rank: place of the family's best class among all classes, 1 is best.
        best: that class.
        top: the five best (class, score).
        times_real: seconds of sound per second of one core, rendered block by block.
        loudness_lufs: integrated, BS.1770.
        true_peak_db: dBTP, eight-fold oversampled.
    """

    voice: str
    seed: int
    motion: str
    family: tuple[str, ...]
    rank: int
    best: str
    top: tuple[tuple[str, float], ...]
    times_real: float
    loudness_lufs: float
    true_peak_db: float


def loudness_lufs(signal: Float32) -> float:
    """Integrated loudness of a mono programme at 48 kHz, ITU-R BS.1770-5: K-weighting, 400 ms blocks, two gates."""
    k_weighting = np.array([
        [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585],
        [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621],
    ])  # fmt: skip
    power = np.cumsum(np.concatenate([[0.0], np.asarray(sosfilt(k_weighting, signal.astype(np.float64))) ** 2]))
    size, hop = int(0.4 * SAMPLE_RATE_HZ), int(0.1 * SAMPLE_RATE_HZ)
    starts = np.arange(0, len(signal) - size + 1, hop)
    blocks = (power[starts + size] - power[starts]) / size
    loud = blocks[-0.691 + 10.0 * np.log10(blocks + 1e-20) > -70.0]
    if not len(loud):
        return float("-inf")
    loud = loud[10.0 * np.log10(loud) > 10.0 * np.log10(loud.mean()) - 10.0]
    return float(-0.691 + 10.0 * np.log10(loud.mean()))


def true_peak_db(signal: Float32) -> float:
    """Peak of the eight-fold oversampled signal, dB relative to full scale."""
    return float(20.0 * np.log10(np.max(np.abs(resample_poly(signal.astype(np.float64), 8, 1))) + 1e-12))


def load_tagger(path: Path) -> Tagger:
    """A function from 15600 samples at 16 kHz to class scores; exits with one line when the runtime is missing."""
    try:
        from ai_edge_litert.interpreter import Interpreter  # pyright: ignore[reportMissingImports]
    except ImportError:
        sys.exit("bench.voices needs the LiteRT runtime for the tagger: pip install ai-edge-litert")
    interpreter: Any = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]
    exits = [detail["index"] for detail in interpreter.get_output_details() if detail["shape"][-1] > 500]

    def tag(window: Float32) -> Float32:
        interpreter.set_tensor(entry["index"], window.reshape(entry["shape"]))
        interpreter.invoke()
        return interpreter.get_tensor(exits[0]).reshape(-1)

    return tag


def scores_of(signal: Float32, tag: Tagger) -> Float32:
    """Class scores of a signal at 48 kHz, averaged over windows that overlap by half."""
    low = resample_poly(signal.astype(np.float64), 1, SAMPLE_RATE_HZ // TAGGER_RATE_HZ).astype(np.float32)
    low = np.pad(low, (0, max(0, TAGGER_SAMPLES - len(low))))
    windows = [low[a : a + TAGGER_SAMPLES] for a in range(0, len(low) - TAGGER_SAMPLES + 1, TAGGER_HOP)]
    return np.mean([tag(window) for window in windows], axis=0)


def render_blocks(name: str, seed: int, seconds: float, motion: Motion) -> tuple[Float32, float]:
    """A dry render in 480-sample calls, and how many times faster than real time it was."""
    make_voice(name, seed).render(BLOCK, motion)
    voice, n_blocks = make_voice(name, seed), int(seconds * SAMPLE_RATE_HZ / BLOCK)
    start_s = time.thread_time()
    blocks = [voice.render(BLOCK, motion) for _ in range(n_blocks)]
    return np.concatenate(blocks), seconds / (time.thread_time() - start_s)


def measure(
    name: str, seed: int, motion: str, seconds: float, tag: Tagger, classes: Sequence[str]
) -> tuple[Row, Float32]:
    """One voice, measured, and the sound itself."""
    signal, times_real = render_blocks(name, seed, seconds, MOTIONS[motion])
    scores = scores_of(signal, tag)
    order = np.argsort(-scores)
    family = VOICES[name].family
    ranks = {classes[k]: place for place, k in enumerate(order, start=1)}
    best = min(family, key=ranks.__getitem__)
    top = tuple((classes[int(k)], float(scores[k])) for k in order[:5])
    loud, peak = loudness_lufs(signal), true_peak_db(signal)
    return Row(name, seed, motion, family, ranks[best], best, top, times_real, loud, peak), signal


def save_plot(signal: Float32, path: Path, title: str) -> None:
    """Spectrogram PNG, 50 Hz to 20 kHz."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(11, 4))
    axes.specgram(signal + 1e-9, NFFT=1024, noverlap=768, Fs=SAMPLE_RATE_HZ, vmin=-140, vmax=-40, cmap="magma")
    axes.set_yscale("symlog", linthresh=1000)
    axes.set_ylim(50, 20_000)
    axes.set_title(title)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def run(
    tagger: Path,
    class_map: Path,
    seconds: float = 10.0,
    seeds: Sequence[int] = (0,),
    *,
    motions: Sequence[str] = ("walk",),
    voices: Sequence[str] = (),
    plots: Path | None = None,
) -> list[Row]:
    """Measure voices (all by default) for every seed.

    Args:
        tagger: the `.tflite` file.
        class_map: CSV with the columns index, mid, display_name.
        seconds: length of each render.
        seeds: individuals.
        motions: keys of `MOTIONS`.
        voices: names; empty means all.
        plots: where spectrograms go, one PNG per row.
    """
    with class_map.open(newline="", encoding="utf-8") as file:
        classes = [row["display_name"] for row in csv.DictReader(file)]
    tag = load_tagger(tagger)
    rows = []
    for name in voices or VOICES:
        for seed, motion in itertools.product(seeds, motions):
            row, signal = measure(name, seed, motion, seconds, tag, classes)
            rows.append(row)
            if plots is not None:
                plots.mkdir(parents=True, exist_ok=True)
                title = f"{name} (seed {seed}, {motion}): {row.best}, rank {row.rank}"
                save_plot(signal, plots / f"{name}-{seed}-{motion}.png", title)
    return rows


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text with a summary line."""
    lines = [
        f"{'voice':<12}{'seed':>4} {'motion':<6}{'rank':>5}  {'best of family':<24}{'x real':>7}{'LUFS':>7}{'dBTP':>6}  top five"
    ]
    for row in rows:
        top = ", ".join(f"{label[:22]} {score:.2f}" for label, score in row.top)
        lines.append(
            f"{row.voice:<12}{row.seed:>4} {row.motion:<6}{row.rank:>5}  {row.best[:22]:<24}{row.times_real:>7.0f}"
            f"{row.loudness_lufs:>7.1f}{row.true_peak_db:>6.1f}  {top}"
        )
    for limit in (1, 3, 5):
        lines.append(f"top {limit}: {sum(row.rank <= limit for row in rows)} of {len(rows)}")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.voices", description="Let an audio tagger judge the voices.")
    parser.add_argument("--tagger", type=Path, required=True, help="YAMNet as .tflite")
    parser.add_argument("--classes", type=Path, required=True, help="its class map, .csv")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--motions", nargs="+", default=["walk"], choices=list(MOTIONS))
    parser.add_argument("--voice", action="append", default=[], choices=list(VOICES), metavar="NAME")
    parser.add_argument("--plots", type=Path, help="folder for spectrogram PNGs")
    args = parser.parse_args()
    rows = run(
        args.tagger, args.classes, args.seconds, args.seeds, motions=args.motions, voices=args.voice, plots=args.plots
    )
    print(table(rows))


if __name__ == "__main__":
    main()
