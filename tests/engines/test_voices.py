"""Every voice keeps the Voice contract: cuts, seeds, level, peaks, an early start, no gaps, no loops, motion."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import fftconvolve, resample_poly, sosfilt

from engines.errors import ConfigError
from engines.sound.registry import VOICES, make_voice
from engines.specs import BLOCK, SAMPLE_RATE_HZ, STILL, Float32, Motion

WALKING = Motion(speed_m_s=1.4, energy=0.5)
NAMES = tuple(VOICES)
# One voice per way of making sound; the rest share their kernels.
# Their events come seconds apart.
SLOW = ("thunder", "sea", "bell", "bicycle", "owl")
# They keep time by nature; what must not come back there is the waveform.
CLOCKWORK = ("clock",)
# Things that go about; who follows them by ear must not lose them between two steps or calls.
MOVERS = (
    "footsteps", "dog", "cat", "cow", "sheep", "beast", "horse", "bird", "crow", "duck", "owl", "ball", "bicycle", "skateboard",
    "car", "motorcycle", "truck", "boat", "airplane", "helicopter", "train",
)  # fmt: skip
KINDS = ("footsteps", "applause", "dog", "car", "siren", "guitar", "stream", "train", "crowd")


@cache
def render(name: str, seed: int = 0, motion: Motion = WALKING, seconds: float = 10.0) -> Float32:
    """A render that several tests look at."""
    signal = make_voice(name, seed).render(int(seconds * SAMPLE_RATE_HZ), motion)
    signal.setflags(write=False)
    return signal


def loudness_lufs(signal: Float32) -> float:
    """Integrated loudness of a mono programme, ITU-R BS.1770-5 (48 kHz filter coefficients from its annex 1)."""
    k_weighting = np.array([
        [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585],
        [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621],
    ])  # fmt: skip
    weighted = np.asarray(sosfilt(k_weighting, signal.astype(np.float64)))
    step = SAMPLE_RATE_HZ // 10
    hundredths = (weighted[: len(weighted) // step * step] ** 2).reshape(-1, step).mean(axis=1)
    blocks = np.convolve(hundredths, np.full(4, 0.25), "valid")
    blocks = blocks[blocks > 10.0 ** ((-70.0 + 0.691) / 10.0)]
    blocks = blocks[blocks > 0.1 * blocks.mean()]
    return float(-0.691 + 10.0 * np.log10(blocks.mean()))


def true_peak_db(signal: Float32) -> float:
    """Peak of the four-fold oversampled signal round its loudest places, dBTP."""
    hot = np.flatnonzero(np.abs(signal) > 0.6 * np.abs(signal).max())
    tops = [0.0]
    for centre in np.unique(hot // 256) * 256:
        tops.append(
            float(np.abs(resample_poly(signal[max(0, centre - 128) : centre + 512].astype(np.float64), 4, 1)).max())
        )
    return 20.0 * float(np.log10(max(tops)))


def level_db(signal: Float32) -> float:
    """RMS in dB relative to full scale."""
    return 10.0 * float(np.log10(np.mean(signal.astype(np.float64) ** 2) + 1e-20))


def envelope(signal: Float32, frame: int = BLOCK) -> np.ndarray:
    """RMS per frame, float64."""
    return np.sqrt((signal[: len(signal) // frame * frame].astype(np.float64).reshape(-1, frame) ** 2).mean(axis=1))


def in_cuts(name: str, seed: int, cuts: list[int], motion: Motion) -> Float32:
    """The same voice rendered in pieces."""
    voice = make_voice(name, seed)
    return np.concatenate([voice.render(n, motion) for n in cuts])


def test_the_meter_reads_the_reference_tone() -> None:
    t = np.arange(5 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    tone = np.sin(2.0 * np.pi * 997.0 * t).astype(np.float32)
    assert loudness_lufs(tone) == pytest.approx(-3.01, abs=0.05)


# ------------------------------------------------------------------------------------------------------------- contract


@pytest.mark.parametrize("name", NAMES)
def test_any_cut_gives_the_same_samples(name: str) -> None:
    cuts = [1, 479, 481, 7, 960, 3000, 33, 480, 4800, 2, 9757]
    assert np.abs(in_cuts(name, 3, cuts, WALKING) - render(name, 3, WALKING, 20.0)[: sum(cuts)]).max() < 1e-6


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(KINDS),
    cuts=st.lists(st.integers(1, 2000), min_size=1, max_size=12),
    energy=st.floats(0.0, 1.0),
    speed_m_s=st.floats(0.0, 20.0),
    gait_hz=st.sampled_from((0.0, 0.9, 1.9)),
)
def test_random_cuts_of_random_motion(
    name: str, cuts: list[int], energy: float, speed_m_s: float, gait_hz: float
) -> None:
    motion = Motion(speed_m_s=speed_m_s, energy=energy, gait_hz=gait_hz)
    whole = make_voice(name, 5).render(sum(cuts), motion)
    assert np.abs(in_cuts(name, 5, cuts, motion) - whole).max() < 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_output_is_float32_mono_and_repeatable(name: str) -> None:
    signal = render(name)
    assert signal.dtype == np.float32
    assert signal.shape == (10 * SAMPLE_RATE_HZ,)
    assert np.isfinite(signal).all()
    assert np.abs(signal).max() < 1.0
    np.testing.assert_array_equal(make_voice(name, 0).render(9600, WALKING), signal[:9600])


@pytest.mark.parametrize("name", NAMES)
def test_two_seeds_are_two_individuals(name: str) -> None:
    one, other = render(name, 0), render(name, 1)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.3


@pytest.mark.parametrize("name", NAMES)
def test_extreme_motion_stays_sane(name: str) -> None:
    voice = make_voice(name, 2)
    motions = (
        Motion(0.0, 0.0, 0.0, 0.01), Motion(1e4, 50.0, 900.0, 1e4), Motion(0.0, 1.0, 3.0, 0.3), Motion(30.0, 1.0, 0.5, 4.0), STILL,
    )  # fmt: skip
    signal = np.concatenate([voice.render(12_000, motion) for motion in motions])
    assert np.isfinite(signal).all()
    assert np.abs(signal).max() < 0.8


@pytest.mark.parametrize("name", NAMES)
def test_a_sudden_change_of_motion_does_not_click(name: str) -> None:
    voice = make_voice(name, 4)
    before, after = voice.render(24_000, STILL), voice.render(4_800, Motion(8.0, 1.0, 2.0))
    usual = max(np.abs(np.diff(after[960:])).max(), np.abs(np.diff(before)).max())
    assert np.abs(np.diff(np.concatenate((before[-480:], after[:480])))).max() <= 1.5 * usual + 1e-3


# ---------------------------------------------------------------------------------------------------------- calibration


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_calibrated_loudness_and_true_peak(name: str, seed: int) -> None:
    """A meter needs a few events before it says anything about a voice whose events come every few seconds."""
    signal = render(name, seed, WALKING, 30.0 if name in SLOW else 10.0)
    assert loudness_lufs(signal) == pytest.approx(-23.0, abs=1.5)
    assert true_peak_db(signal) < -1.0


@pytest.mark.parametrize("motion", [WALKING, STILL, Motion(8.0, 1.0, 2.0)])
@pytest.mark.parametrize("name", NAMES)
def test_it_sounds_at_once(name: str, motion: Motion) -> None:
    start = make_voice(name, 6).render(4_800, motion)
    assert level_db(start) > (-45.0 if motion is not STILL else -62.0)


@pytest.mark.parametrize("name", NAMES)
def test_never_silent_for_long(name: str) -> None:
    for motion in (WALKING, STILL):
        heard = envelope(render(name, 1, motion)) > 10.0 ** (-66.0 / 20.0)
        gaps = np.diff(np.flatnonzero(np.concatenate(([True], heard, [True]))))
        assert gaps.max() * BLOCK / SAMPLE_RATE_HZ <= 2.5


@pytest.mark.parametrize("name", NAMES)
def test_no_dc(name: str) -> None:
    assert abs(float(render(name).mean())) < 1e-3


@pytest.mark.parametrize("motion", [WALKING, Motion(8.0, 1.0, 2.0)])
@pytest.mark.parametrize("name", MOVERS)
def test_what_moves_never_pauses(name: str, motion: Motion) -> None:
    """Every 100 ms hold some sound, less than 40 dB under the loudest hundredth of a second."""
    signal = render(name, 0, motion)
    loudest = np.percentile(envelope(signal), 99.5)
    assert 20.0 * np.log10(envelope(signal, 10 * BLOCK).min() / loudest) > -40.0


def periodicity(rise: np.ndarray) -> float:
    """Highest autocorrelation of an envelope (10 ms steps) at a lag of 2.5 to 10 s."""
    rise = rise - rise.mean()
    spectrum = np.fft.rfft(rise, 2 * len(rise))
    lags = np.fft.irfft(np.abs(spectrum) ** 2)[: len(rise)]
    overlap = 1.0 - np.arange(len(rise)) / len(rise)
    return float((lags / lags[0] / overlap)[250:1000].max())


@pytest.mark.parametrize("name", [name for name in NAMES if name not in CLOCKWORK])
def test_never_repeats(name: str) -> None:
    """Beyond the natural period (a step, a call, a bar) the envelope is not periodic."""
    if periodicity(envelope(render(name, 3, WALKING, 20.0))) >= 0.5:
        # Six calls agree by chance now and then; in two minutes only a loop does.
        assert periodicity(envelope(render(name, 3, WALKING, 120.0))) < 0.5


@pytest.mark.parametrize("name", CLOCKWORK)
def test_no_waveform_returns(name: str) -> None:
    """A quarter second is nowhere found again, neither soon nor later."""
    signal = render(name, 3, WALKING, 20.0).astype(np.float64)
    piece = signal[SAMPLE_RATE_HZ : SAMPLE_RATE_HZ * 5 // 4]
    rest = signal[SAMPLE_RATE_HZ * 5 // 4 :]
    energy = np.cumsum(np.concatenate(([0.0], rest**2)))
    energy = energy[len(piece) :] - energy[: -len(piece)]
    match = fftconvolve(rest, piece[::-1], "valid") / np.sqrt(energy * (piece**2).sum() + 1e-12)
    assert np.abs(match).max() < 0.9


# --------------------------------------------------------------------------------------------------------------- motion


def onsets(signal: Float32, apart_s: float = 0.0) -> int:
    """Number of separate attacks, rises of the envelope well above its recent past, at least `apart_s` apart."""
    rise = envelope(signal)
    floor = 0.25 * rise.max()
    quiet, count, last = True, 0, -len(rise)
    for at, value in enumerate(rise):
        if quiet and value > floor and (at - last) * BLOCK > apart_s * SAMPLE_RATE_HZ:
            count, quiet, last = count + 1, False, at
        elif value < 0.5 * floor:
            quiet = True
    return count


def centroid_hz(signal: Float32) -> float:
    """Centre of gravity of the power spectrum."""
    power = np.abs(np.fft.rfft(signal)) ** 2
    return float((np.fft.rfftfreq(len(signal), 1.0 / SAMPLE_RATE_HZ) * power).sum() / power.sum())


def firing_hz(signal: Float32) -> float:
    """Strongest line between 8 and 400 Hz of the envelope-free signal (an engine's firing rate or a multiple)."""
    power = np.abs(np.fft.rfft(signal * np.hanning(len(signal)))) ** 2
    hz = np.fft.rfftfreq(len(signal), 1.0 / SAMPLE_RATE_HZ)
    band = (hz > 8.0) & (hz < 400.0)
    return float(hz[band][np.argmax(power[band])])


def test_faster_means_more_steps() -> None:
    slow = onsets(render("footsteps", 0, Motion(0.6, 0.4)))
    fast = onsets(render("footsteps", 0, Motion(3.5, 0.8)))
    assert fast > 1.5 * slow


def test_steps_follow_the_seen_gait() -> None:
    # Heel and toe of one step come about 0.1 s apart.
    steps = onsets(render("footsteps", 0, Motion(1.2, 0.5, gait_hz=2.6)), apart_s=0.2)
    assert steps == pytest.approx(26, abs=3)


def test_standing_is_quieter_than_walking() -> None:
    assert level_db(render("footsteps", 0, STILL)) < level_db(render("footsteps", 0)) - 8.0


def test_hooves_change_gait() -> None:
    assert onsets(render("horse", 0, Motion(7.0, 0.8))) > 1.15 * onsets(render("horse", 0, Motion(0.8, 0.1)))


@pytest.mark.parametrize("name", ["car", "motorcycle", "truck"])
def test_engines_rev_up(name: str) -> None:
    idle = make_voice(name, 1).render(2 * SAMPLE_RATE_HZ, Motion(0.0, 0.1))
    drive = make_voice(name, 1).render(2 * SAMPLE_RATE_HZ, Motion(4.5, 0.9))
    assert firing_hz(drive) > 1.2 * firing_hz(idle)
    assert centroid_hz(drive) > centroid_hz(idle)


@pytest.mark.parametrize(
    "name", ["bird", "dog", "crow", "keyboard", "dishes", "applause", "rain", "wind", "fire", "leaves"]
)
def test_energy_raises_the_level(name: str) -> None:
    calm, wild = render(name, 0, Motion(0.0, 0.1)), render(name, 0, Motion(0.0, 1.0))
    assert level_db(wild) > level_db(calm) + 2.0


def test_birds_call_more_often_when_excited() -> None:
    calm, wild = (envelope(render("bird", 1, Motion(0.0, energy))) for energy in (0.0, 1.0))
    assert (wild > 0.1 * wild.max()).mean() > 1.2 * (calm > 0.1 * calm.max()).mean()


@pytest.mark.parametrize("name", ["dog", "cow", "horse", "car", "bell", "wind", "clock"])
def test_big_things_sound_lower(name: str) -> None:
    small = centroid_hz(render(name, 0, Motion(1.4, 0.5, size_m=0.3)))
    big = centroid_hz(render(name, 0, Motion(1.4, 0.5, size_m=4.0)))
    assert big < small


# ------------------------------------------------------------------------------------------------------------- registry


def test_registry_is_well_formed() -> None:
    assert len(VOICES) >= 16
    for name, spec in VOICES.items():
        assert spec.name == name == name.lower().replace(" ", "-")
        assert spec.description
        assert "\n" not in spec.description
        assert spec.family
        assert -12.0 <= spec.natural_db <= 12.0


def test_unknown_voice_names_its_neighbours() -> None:
    with pytest.raises(ConfigError, match="footsteps"):
        make_voice("footstep", 0)
    with pytest.raises(ConfigError, match="known voices"):
        make_voice("qqqq", 0)


def test_one_sample_at_a_time() -> None:
    voice: Callable[[int, Motion], Float32] = make_voice("dog", 9).render
    single = np.concatenate([voice(1, WALKING) for _ in range(600)])
    np.testing.assert_allclose(single, make_voice("dog", 9).render(600, WALKING), atol=1e-6)
