"""The bed: five decorrelated quiet channels that follow the ambience smoothly, whatever the cuts."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import sosfilt

from engines.sound.bed import CHANNELS, Bed, component_shares
from engines.specs import SAMPLE_RATE_HZ, Ambience, Float32

PLACES = {
    "room": Ambience(),
    "open": Ambience(outdoor=1.0),
    "garden": Ambience(outdoor=1.0, green=1.0),
    "street": Ambience(outdoor=1.0, urban=1.0),
    "lake": Ambience(outdoor=1.0, water=1.0),
    "park": Ambience(outdoor=0.8, green=0.6, water=0.3, urban=0.4),
}
# BS.1770 channel weights of FL FR FC BL BR.
WEIGHTS = np.array([1.0, 1.0, 1.0, 1.41, 1.41])


@cache
def render(place: str, seed: int = 0, seconds: float = 20.0) -> Float32:
    """A render that several tests look at."""
    signal = Bed(seed).render(int(seconds * SAMPLE_RATE_HZ), PLACES[place])
    signal.setflags(write=False)
    return signal


def loudness_lufs(signal: Float32) -> float:
    """Integrated loudness over five channels, ITU-R BS.1770-5."""
    k_weighting = np.array([
        [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585],
        [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621],
    ])  # fmt: skip
    weighted = np.asarray(sosfilt(k_weighting, signal.astype(np.float64), axis=-1))
    step = SAMPLE_RATE_HZ // 10
    power = (weighted[:, : weighted.shape[1] // step * step] ** 2).reshape(len(weighted), -1, step).mean(axis=-1)
    blocks = np.convolve(WEIGHTS @ power, np.full(4, 0.25), "valid")
    blocks = blocks[blocks > 0.1 * blocks.mean()]
    return float(-0.691 + 10.0 * np.log10(blocks.mean()))


@pytest.mark.parametrize("place", PLACES)
def test_level_is_twenty_below_a_source(place: str) -> None:
    assert loudness_lufs(render(place)) == pytest.approx(-43.0, abs=1.0)


@pytest.mark.parametrize("place", PLACES)
def test_channels_are_decorrelated_and_even(place: str) -> None:
    signal = render(place)
    assert signal.shape == (len(CHANNELS), 20 * SAMPLE_RATE_HZ)
    assert signal.dtype == np.float32
    correlation = np.corrcoef(signal) - np.eye(len(CHANNELS))
    assert np.abs(correlation).max() < 0.1
    levels_db = 10.0 * np.log10((signal.astype(np.float64) ** 2).mean(axis=1))
    assert levels_db.max() - levels_db.min() < 2.0


@pytest.mark.parametrize("place", PLACES)
def test_there_is_something_for_the_lfe(place: str) -> None:
    signal = render(place).astype(np.float64)
    power = np.abs(np.fft.rfft(signal, axis=1)) ** 2
    low = np.fft.rfftfreq(signal.shape[1], 1.0 / SAMPLE_RATE_HZ) < 100.0
    assert (power[:, low].sum(axis=1) / power.sum(axis=1)).min() > 0.03


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(1, 3000), min_size=1, max_size=10), green=st.floats(0.0, 1.0))
def test_any_cut_gives_the_same_samples(cuts: list[int], green: float) -> None:
    ambience = Ambience(outdoor=0.7, green=green, water=0.2)
    bed = Bed(3)
    pieces = np.concatenate([bed.render(n, ambience) for n in cuts], axis=1)
    np.testing.assert_allclose(pieces, Bed(3).render(sum(cuts), ambience), atol=1e-6)


def test_seeds_differ_and_repeat() -> None:
    one, other = render("park", 0), render("park", 1)
    assert abs(np.corrcoef(one[0], other[0])[0, 1]) < 0.1
    np.testing.assert_array_equal(Bed(0).render(4800, PLACES["park"]), one[:, :4800])


def test_a_new_place_fades_in_smoothly() -> None:
    """Street to garden: the highs come up over about a second, without a jump at the change."""
    bed = Bed(1)
    before = bed.render(SAMPLE_RATE_HZ, PLACES["street"])
    after = bed.render(5 * SAMPLE_RATE_HZ, PLACES["garden"])
    seam = np.abs(np.diff(np.concatenate((before[:, -480:], after[:, :480]), axis=1)))
    assert seam.max() < 2.0 * np.abs(np.diff(before)).max()
    highs = np.abs(np.diff(after, axis=1)).mean(axis=0)
    tenth = SAMPLE_RATE_HZ // 10
    start, later, end = (highs[a : a + tenth].mean() for a in (0, SAMPLE_RATE_HZ, 4 * SAMPLE_RATE_HZ))
    assert start < later < end


def test_it_sounds_at_once_and_keeps_sounding() -> None:
    signal = render("room")
    frames = (signal[0].astype(np.float64).reshape(-1, 4800) ** 2).mean(axis=1)
    assert 10.0 * np.log10(frames[0]) > -70.0
    assert 10.0 * np.log10(frames.max() / frames.min()) < 15.0


@given(st.builds(Ambience, *[st.floats(-1.0, 2.0)] * 4))
def test_shares_are_a_partition(ambience: Ambience) -> None:
    shares = component_shares(ambience)
    assert min(shares) >= 0.0
    assert sum(shares) == pytest.approx(1.0)


def test_indoors_outside_sounds_are_faint() -> None:
    inside = component_shares(Ambience(outdoor=0.0, urban=1.0))
    outside = component_shares(Ambience(outdoor=1.0, urban=1.0))
    assert inside[3] < 0.25 * outside[3]
