import numpy as np
import pytest

from engines.spatial.doppler import FARTHEST_M, Doppler
from engines.specs import BLOCK, SAMPLE_RATE_HZ, SPEED_OF_SOUND_M_S

ON = np.ones(1, np.bool_)


def delayed(x, distance_at):
    """(n,) through the line, with a distance per block."""
    doppler = Doppler(1)
    blocks = [
        doppler.step(x[None, i : i + BLOCK], np.array([distance_at(i / SAMPLE_RATE_HZ)]), ON)[0].copy()
        for i in range(0, len(x) - BLOCK + 1, BLOCK)
    ]
    return np.concatenate(blocks)


def tone(seconds, hz):
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ).astype(np.float32)


@pytest.mark.parametrize("distance_m", [0.0, 0.7, 3.137, 20.0, FARTHEST_M])
@pytest.mark.parametrize("hz", [100.0, 1000.0, 10_000.0])
def test_a_standing_source_is_late_by_its_way(distance_m, hz):
    y = delayed(tone(0.5, hz), lambda _: distance_m)[SAMPLE_RATE_HZ // 4 :]
    time_s = (SAMPLE_RATE_HZ // 4 + np.arange(len(y)) - 4) / SAMPLE_RATE_HZ - distance_m / SPEED_OF_SOUND_M_S
    expected = np.sin(2 * np.pi * hz * time_s)
    assert np.abs(y - expected).max() < (1e-3 if hz < 5000 else 2e-2)


def frequency_hz(y):
    spectrum = np.abs(np.fft.rfft(y * np.hanning(len(y)), 8 * len(y)))
    return np.argmax(spectrum) * SAMPLE_RATE_HZ / (8 * len(y))


@pytest.mark.parametrize("speed_m_s", [-20.0, 10.0, 20.0])
def test_what_comes_is_higher_and_what_goes_is_lower(speed_m_s):
    y = delayed(tone(1.5, 1000), lambda t: 31.0 + speed_m_s * t)[SAMPLE_RATE_HZ:]
    assert frequency_hz(y) == pytest.approx(1000 * (1 - speed_m_s / SPEED_OF_SOUND_M_S), abs=1.5)


def test_a_jump_slides_without_a_click():
    x = tone(2, 200)
    y = delayed(x, lambda t: 3.0 if t < 1 else 12.0)
    # The steepest that a 200 Hz tone of this level can be, with the largest shift allowed.
    assert np.abs(np.diff(y)).max() < 1.25 * np.abs(np.diff(x)).max()


def test_camera_steps_are_not_heard_as_a_warble():
    smooth = delayed(tone(2, 1000), lambda t: 30 - 10 * t)[SAMPLE_RATE_HZ:]
    stepped = delayed(tone(2, 1000), lambda t: 30 - 10 * np.floor(t * 25) / 25)[SAMPLE_RATE_HZ:]

    def spread(y):
        power = np.abs(np.fft.rfft(y * np.blackman(len(y)))) ** 2
        hz = np.fft.rfftfreq(len(y), 1 / SAMPLE_RATE_HZ)
        centre = hz[power.argmax()]
        return 10 * np.log10(power[np.abs(hz - centre) > 15].sum() / power.sum())

    assert spread(smooth) < -50
    assert spread(stepped) < -20


def test_a_new_source_in_a_slot_does_not_hear_the_old_one():
    doppler, distance = Doppler(1), np.array([10.0])
    for _ in range(10):
        doppler.step(np.ones((1, BLOCK), np.float32), distance, ON)
    doppler.step(np.zeros((1, BLOCK), np.float32), distance, ~ON)
    assert not doppler.step(np.zeros((1, BLOCK), np.float32), distance, ON).any()
