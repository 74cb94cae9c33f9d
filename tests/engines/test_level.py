import math

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from engines.spatial.level import TARGET_LUFS, LiveLevel, programme_gain_db
from engines.spatial.limiter import LIMITER_DELAY, Limiter
from engines.spatial.loudness import LoudnessMeter, PeakMeter
from engines.specs import SAMPLE_RATE_HZ

FIVE_ONE = np.array([1, 1, 1, 0, 1.41, 1.41], np.float32)


def sine(level_dbfs, seconds=5.0, frequency_hz=997.0):
    t = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return (10 ** (level_dbfs / 20) * np.sin(2 * np.pi * frequency_hz * t)).astype(np.float32)


def integrated(x, weights):
    meter = LoudnessMeter(np.asarray(weights, np.float32))
    meter.step(x)
    return meter.integrated_lufs()


def ffmpeg_lufs(x, layout):
    """Integrated loudness by FFmpeg's ebur128 filter: an implementation that is not ours."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(format="fltp", sample_rate=SAMPLE_RATE_HZ, layout=layout)
    meter = graph.add("ebur128", "metadata=1")
    sink = graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(x), format="fltp", layout=layout)
    frame.sample_rate = SAMPLE_RATE_HZ
    graph.push(frame)
    graph.push(None)
    value = None
    while True:
        try:
            value = graph.pull().metadata.get("lavfi.r128.I", value)
        except (av.error.EOFError, av.error.BlockingIOError):
            return float(value)


def test_ebu_tech_3341_sines():
    # Tech 3341, table 1: stereo 1 kHz at -23 and -33 dBFS.
    for level in (-23.0, -33.0):
        tone = sine(level, seconds=20, frequency_hz=1000)
        assert integrated(np.stack([tone, tone]), [1, 1]) == pytest.approx(level, abs=0.1)


def test_gating_ignores_the_quiet_parts():
    # Tech 3341, case 3: -36, -23, -36 dBFS of 10, 60, 10 s; scaled down.
    parts = [sine(-36, 5, 1000), sine(-23, 30, 1000), sine(-36, 5, 1000)]
    tone = np.concatenate(parts)
    assert integrated(np.stack([tone, tone]), [1, 1]) == pytest.approx(-23.0, abs=0.1)


def test_agrees_with_an_independent_meter_in_surround():
    rng = np.random.default_rng(0)
    x = 0.05 * rng.standard_normal((6, 12 * SAMPLE_RATE_HZ)).astype(np.float32)
    x *= np.linspace(0.2, 1.0, x.shape[1], dtype=np.float32)
    x[3] *= 8  # the LFE does not count
    assert integrated(x, FIVE_ONE) == pytest.approx(ffmpeg_lufs(x, "5.1"), abs=0.15)


def test_silence_and_shorts():
    assert integrated(np.zeros((2, 48_000), np.float32), [1, 1]) == -math.inf
    assert integrated(sine(-20, 0.2)[None], [1]) == pytest.approx(-23.0, abs=0.7)


def test_peak_between_samples_is_seen():
    # A quarter of the sample rate at 45 degrees: samples at 0.707, peaks at 1.
    t = np.arange(4800)
    x = (0.5 * np.sin(np.pi / 2 * t + np.pi / 4)).astype(np.float32)[None]
    meter = PeakMeter(1)
    meter.step(x)
    assert meter.peak_dbtp == pytest.approx(20 * math.log10(0.5), abs=0.2)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.3, 1.0, 4.0]))
def test_limiter_keeps_the_true_peak_under_its_ceiling(seed, gain):
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((2, 9600)) * np.exp(2 * np.sin(np.arange(9600) / 500))).astype(np.float32) * 0.3
    y = Limiter(2, -1.0).step(x, gain)
    continuous = resample_poly(y.astype(float), 8, 1, axis=1)
    assert 20 * math.log10(np.abs(continuous).max()) <= -0.75


def test_limiter_leaves_quiet_sound_alone_and_keeps_directions():
    rng = np.random.default_rng(1)
    x = 0.02 * rng.standard_normal((3, 5000)).astype(np.float32)
    y = Limiter(3).step(x)
    np.testing.assert_array_equal(y[:, LIMITER_DELAY:], x[:, :-LIMITER_DELAY])
    loud = np.stack([sine(0, 0.2), 0.25 * sine(0, 0.2)])
    limited = Limiter(2, -6.0).step(loud)[:, 2000:]
    assert np.abs(limited[1] / limited[0])[np.abs(limited[0]) > 0.1] == pytest.approx(0.25, abs=1e-4)


def test_limiter_cuts_do_not_matter():
    x = np.random.default_rng(2).standard_normal((2, 6000)).astype(np.float32)
    limiter = Limiter(2)
    pieces = [limiter.step(np.ascontiguousarray(p)) for p in np.split(x, [1, 77, 480, 481, 3000], axis=1)]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), Limiter(2).step(x))


def test_programme_gain_reaches_the_target_even_when_limiting():
    rng = np.random.default_rng(3)
    x = 1e-3 * rng.standard_normal((1, 10 * SAMPLE_RATE_HZ)).astype(np.float32)
    x[0, ::12_000] = 0.9  # clicks far above the rest
    meter, peak = LoudnessMeter(np.ones(1, np.float32)), PeakMeter(1)
    meter.step(x)
    peak.step(x)
    gain_db = programme_gain_db(meter, peak.peak_dbtp, -1.0, np.ones(1, np.float32), lambda: [x])
    y = Limiter(1, -1.0).step(x, 10 ** (gain_db / 20))
    assert integrated(y, [1]) == pytest.approx(TARGET_LUFS, abs=0.3)


def test_live_level_moves_toward_the_target_without_a_jump():
    level = LiveLevel(np.ones(1, np.float32))
    quiet = sine(-45, 30.0)[None]
    gains = []
    for i in range(0, quiet.shape[1], 480):
        level.step(np.ascontiguousarray(quiet[:, i : i + 480]))
        gains.append(level.gain_db)
    steps = np.abs(np.diff(gains))
    assert steps.max() <= 0.031  # 3 dB/s
    assert -45 - 3.01 + 0.69 + gains[-1] == pytest.approx(TARGET_LUFS, abs=3)
