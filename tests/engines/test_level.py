import math

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from engines.spatial.level import LIVE_FALL_DB_S, LIVE_RISE_DB_S, LiveLevel, programme_gain_db
from engines.spatial.limiter import LIMITER_DELAY, Limiter
from engines.spatial.loudness import TARGET_LUFS, LoudnessMeter, PeakMeter
from engines.spatial.night import NightMode
from engines.specs import BLOCK, BLOCK_S, SAMPLE_RATE_HZ

FIVE_ONE = np.array([1, 1, 1, 0, 1.41, 1.41], np.float32)


def sine(level_dbfs, seconds=5.0, frequency_hz=997.0):
    t = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return (10 ** (level_dbfs / 20) * np.sin(2 * np.pi * frequency_hz * t)).astype(np.float32)


def integrated(x, weights):
    meter = LoudnessMeter(np.asarray(weights, np.float32))
    meter.step(x)
    return meter.integrated_lufs()


def ffmpeg_meter(x, layout):
    """What FFmpeg's ebur128 filter says, an implementation that is not ours: integrated LUFS, LRA in LU, peak in dBTP."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(format="fltp", sample_rate=SAMPLE_RATE_HZ, layout=layout)
    meter = graph.add("ebur128", "metadata=1:peak=true")
    sink = graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    # A little silence, so that the filter's own oversampling has given everything back.
    x = np.concatenate([x, np.zeros((len(x), 4800), np.float32)], axis=1)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(x), format="fltp", layout=layout)
    frame.sample_rate = SAMPLE_RATE_HZ
    graph.push(frame)
    graph.push(None)
    heard = {}
    while True:
        try:
            heard |= graph.pull().metadata
        except (av.error.EOFError, av.error.BlockingIOError):
            peaks = [float(value) for key, value in heard.items() if key.startswith("lavfi.r128.true_peaks_ch")]
            return float(heard["lavfi.r128.I"]), float(heard["lavfi.r128.LRA"]), 20 * math.log10(max(peaks))


def pink(seconds, n=1, seed=0):
    samples = round(seconds * SAMPLE_RATE_HZ)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal((n, samples)))
    spectrum[:, 1:] /= np.sqrt(np.arange(1, spectrum.shape[1]))
    spectrum[:, 0] = 0
    x = np.fft.irfft(spectrum, samples)
    return (0.1 * x / x.std()).astype(np.float32)


def bursts(seconds, n=1, seed=0):
    """Half a second of noise every two seconds, now loud, now quiet, and a murmur between."""
    x = pink(seconds, n, seed)
    t = np.arange(x.shape[1]) / SAMPLE_RATE_HZ
    return (x * np.where(t % 2 < 0.5, 1.0 + 0.8 * np.sin(t), 0.02)).astype(np.float32)


def chirp(seconds, level=0.3):
    t = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    x = np.sin(2 * np.pi * 40 * seconds / np.log(400) * (400 ** (t / seconds) - 1))
    return (level * x * np.minimum(1, 100 * (seconds - t))).astype(np.float32)[None]


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


PROGRAMMES = {
    "pink": ("mono", [1], lambda: pink(8)),
    "bursts": ("stereo", [1, 1], lambda: bursts(12, 2)),
    "chirp": ("mono", [1], lambda: chirp(8)),
    "fading surround with a loud LFE": (
        "5.1",
        FIVE_ONE,
        lambda: (
            pink(10, 6) * np.linspace(0.05, 1, 480_000, dtype=np.float32) * np.float32([[1], [1], [1], [5], [1], [1]])
        ),
    ),
    "surround behind": ("5.1", FIVE_ONE, lambda: bursts(12, 6, 3) * np.float32([[0.1], [0.1], [0.1], [0], [1], [2]])),
}


@pytest.mark.parametrize("name", PROGRAMMES)
def test_loudness_and_true_peak_agree_with_an_independent_meter(name):
    layout, weights, make = PROGRAMMES[name]
    x = np.ascontiguousarray(make(), np.float32)
    lufs, _, dbtp = ffmpeg_meter(x, layout)
    assert integrated(x, weights) == pytest.approx(lufs, abs=0.1)
    peak = PeakMeter(len(x))
    peak.step(x)
    assert peak.peak_dbtp == pytest.approx(dbtp, abs=0.2)


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


def _on_and_off(x, period=700):
    return x * ((np.arange(x.shape[-1]) // period) % 2)


N = np.arange(24_000)
NASTY = {
    "square": np.sign(np.sin(2 * np.pi * 997 * N / SAMPLE_RATE_HZ)),
    "quarter of the rate between samples": 2 * np.sin(np.pi / 2 * N + np.pi / 4),
    "alternating": 4 * (-1.0) ** N,
    "bursts of 12 kHz": 4 * _on_and_off(np.sin(2 * np.pi * 11_990 * N / SAMPLE_RATE_HZ + 0.3)),
    "single samples": 8.0 * (np.random.default_rng(0).random(24_000) < 0.001),
    "random signs": np.sign(np.random.default_rng(1).standard_normal(24_000)),
    "20 kHz": 3 * np.sin(2 * np.pi * 20_100 * N / SAMPLE_RATE_HZ),
    "bass in steps": 2
    * np.sign(np.sin(2 * np.pi * 31 * N / SAMPLE_RATE_HZ))
    * np.sin(2 * np.pi * 47 * N / SAMPLE_RATE_HZ),
}


@pytest.mark.parametrize("name", NASTY)
def test_nothing_gets_over_the_ceiling_and_all_channels_get_the_same_gain(name):
    loud = NASTY[name] * np.minimum(1, np.minimum(N, N[::-1]) / 1000)
    x = np.stack([loud, 0.1 * loud, -0.5 * loud]).astype(np.float32)
    cuts = [1, 77, 480, 481, 3000, 3007]
    whole, pieces = Limiter(3), Limiter(3)
    y = whole.step(x)
    cut = [pieces.step(np.ascontiguousarray(p)) for p in np.split(x, cuts, axis=1)]
    np.testing.assert_array_equal(np.concatenate(cut, axis=1), y)
    assert 20 * math.log10(np.abs(y).max()) <= -1.0
    continuous = resample_poly(y.astype(float), 16, 1, axis=1, window=("kaiser", 12.0))
    assert 20 * math.log10(np.abs(continuous).max()) <= -1.0
    audible = np.abs(y[0]) > 1e-3
    np.testing.assert_allclose(y[1][audible] / y[0][audible], 0.1, rtol=1e-5)
    np.testing.assert_allclose(y[2][audible] / y[0][audible], -0.5, rtol=1e-5)


def test_limiter_leaves_quiet_sound_alone_and_keeps_directions():
    rng = np.random.default_rng(1)
    x = 0.02 * rng.standard_normal((3, 5000)).astype(np.float32)
    y = Limiter(3).step(x)
    np.testing.assert_array_equal(y[:, LIMITER_DELAY:], x[:, :-LIMITER_DELAY])
    loud = np.stack([sine(0, 0.2), 0.25 * sine(0, 0.2)])
    limited = Limiter(2, -6.0).step(loud)[:, 2000:]
    assert np.abs(limited[1] / limited[0])[np.abs(limited[0]) > 0.1] == pytest.approx(0.25, abs=1e-4)


def test_limiter_ramps_a_changed_gain_and_comes_back_to_none():
    x = np.full((1, 480), 0.01, np.float32)
    limiter = Limiter(1)
    limiter.step(x, 1.0)
    y = np.concatenate([limiter.step(x, 2.0), limiter.step(x, 2.0)], axis=1)[0]
    assert np.abs(np.diff(y)).max() < 3e-5
    assert y[LIMITER_DELAY + 481 :] == pytest.approx(0.02)
    limiter.step(np.full((1, 480), 4.0, np.float32))
    assert limiter.gain_db < -10
    for _ in range(300):
        limiter.step(x)
    assert limiter.gain_db == 0.0


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


def test_live_level_falls_and_rises_at_its_rates():
    level = LiveLevel(np.ones(1, np.float32))
    loud, quiet = pink(10, seed=1), 0.01 * pink(10, seed=2)
    gains = [level.gain_db]
    for x in (loud, quiet):
        for i in range(0, x.shape[1], BLOCK):
            level.step(np.ascontiguousarray(x[:, i : i + BLOCK]))
            gains.append(level.gain_db)
    steps = np.diff(gains) / BLOCK_S
    assert steps.min() >= -LIVE_FALL_DB_S - 1e-9
    assert steps.max() == pytest.approx(LIVE_RISE_DB_S)


# -- night mode -------------------------------------------------------------------------------------------------------


def scenes(seconds=60):
    """Quiet, loud and middling passages of three seconds and more in stereo."""
    t = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    level_db = np.array([-36, -20, -30, -26, -38, -23])[(t // 5 % 6).astype(int)]
    return (pink(seconds, 2, 4) * 10 ** ((level_db + 20) / 20)).astype(np.float32)


def blocks_of(x):
    return (np.ascontiguousarray(x[:, i : i + BLOCK]) for i in range(0, x.shape[1], BLOCK))


def test_night_mode_narrows_the_loudness_range_and_keeps_the_loudness():
    x, weights = scenes(), np.ones(2, np.float32)
    ranges = {}
    for on in (False, True):
        night = NightMode(weights, on=on)
        night.reference_lufs = integrated(x, weights)
        programme = [night.step(b) for b in blocks_of(x)]
        meter, peak = LoudnessMeter(weights), PeakMeter(2)
        for block in programme:
            meter.step(block)
            peak.step(block)
        gain_db = programme_gain_db(meter, peak.peak_dbtp, -1.0, weights, lambda p=programme: p)
        limiter = Limiter(2)
        y = np.concatenate([limiter.step(b, 10 ** (gain_db / 20)) for b in programme], axis=1)
        lufs, ranges[on], dbtp = ffmpeg_meter(y, "stereo")
        assert lufs == pytest.approx(TARGET_LUFS, abs=0.3)
        assert dbtp <= -1.0
    assert ranges[True] <= 0.6 * ranges[False]


def test_night_mode_compresses_three_to_one_with_one_gain_for_all_channels():
    weights = np.ones(2, np.float32)
    levels = []
    for level_dbfs in (-35.0, -23.0, -11.0):
        x = np.stack([sine(level_dbfs, 3.0), 0.5 * sine(level_dbfs, 3.0)])
        y = NightMode(weights).step(x)
        assert np.abs(y[1][1000:] - 0.5 * y[0][1000:]).max() < 1e-6
        levels.append(integrated(y[:, SAMPLE_RATE_HZ:], weights))
    assert np.diff(levels) == pytest.approx([4.0, 4.0], abs=0.3)
    assert not NightMode(weights).step(np.zeros((2, 4800), np.float32)).any()


def test_night_mode_cuts_do_not_matter():
    x, weights = bursts(1, 2), np.ones(2, np.float32)
    night = NightMode(weights)
    pieces = [night.step(np.ascontiguousarray(p)) for p in np.split(x, [1, 77, 480, 481, 30_000], axis=1)]
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), NightMode(weights).step(x), atol=1e-6)


def test_switching_night_mode_while_playing_does_not_click_and_off_is_off():
    level, plain = LiveLevel(np.ones(1, np.float32)), LiveLevel(np.ones(1, np.float32))
    x = sine(-40, 4.0, 500)[None]
    switched, untouched = [], []
    for index, block in enumerate(blocks_of(x)):
        switched.append(level.step(block, night=100 <= index < 200))
        untouched.append(plain.step(block))
    y, y0 = np.concatenate(switched, axis=1)[0], np.concatenate(untouched, axis=1)[0]
    spectrum = np.abs(np.fft.rfft(y * np.hanning(len(y)))) ** 2
    frequency = np.fft.rfftfreq(len(y), 1 / SAMPLE_RATE_HZ)
    assert 10 * np.log10(spectrum[frequency > 4000].sum() / spectrum.sum()) < -70
    assert np.abs(y[150 * BLOCK : 200 * BLOCK]).max() > 1.5 * np.abs(y0[150 * BLOCK : 200 * BLOCK]).max()
    np.testing.assert_array_equal(y[300 * BLOCK :], y0[300 * BLOCK :])
