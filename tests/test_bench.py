"""The meters that benchmarks judge with, against sounds of which the answer is known."""

import numpy as np
import pytest

from bench.convolver import budget
from bench.meters import beside_db, beside_own_db, click_db, high_passed, loudest_rms_dbfs, step_dbfs
from engines.specs import SAMPLE_RATE_HZ

N = 4 * SAMPLE_RATE_HZ
TIME_S = np.arange(N) / SAMPLE_RATE_HZ


def sine(hz, level=0.1):
    return level * np.sin(2 * np.pi * hz * TIME_S)[None]


@pytest.mark.parametrize("hz", [1000.0, 1003.7, 3000.0])
def test_a_steady_tone_has_nothing_beside_it(hz):
    y = sine(hz)
    assert beside_db(y, hz).max() < -115
    assert click_db(y).max() < -130


def test_slow_changes_of_level_pass():
    y = sine(1000) * (1 + 0.8 * np.sin(2 * np.pi * 7 * TIME_S))
    assert beside_db(y, 1000).max() < -115
    assert click_db(y).max() < -120


def test_what_lies_beside_is_told_in_decibels_against_all_channels():
    loud, faint = sine(1000), sine(1000, 0.001) + sine(2000, 0.0001)
    beside = beside_db(np.concatenate([loud, faint]), 1000)
    assert beside[0] < -120
    assert beside[1] == pytest.approx(-60, abs=0.1)
    own = beside_own_db(np.concatenate([loud, sine(1000, 0.01) + sine(2000, 0.0001)]), 1000)
    assert own[1] == pytest.approx(-40, abs=0.1)


def test_an_inaudible_channel_has_no_figure_of_its_own():
    own = beside_own_db(np.concatenate([sine(1000), sine(2000, 1e-6)]), 1000)
    assert np.isnan(own[1])


def test_a_hard_switch_is_caught_and_a_ramp_of_one_block_is_not():
    gain = np.where(TIME_S < 2.00025, 1.0, 0.5)  # in the middle of a half wave
    ramp = np.interp(TIME_S, (2.0, 2.01), (1.0, 0.5))
    assert beside_db(sine(1000) * gain, 1000).max() > -70
    assert click_db(sine(1000) * gain).max() > -20
    assert click_db(sine(1000) * ramp).max() < -65


@pytest.mark.parametrize("height", [0.1, 0.001])
@pytest.mark.parametrize("at_s", [1.0, 2.34567])
def test_a_step_is_measured_by_its_height(height, at_s):
    y = sine(200) + height * (at_s < TIME_S)
    assert step_dbfs(y) == pytest.approx(20 * np.log10(height), abs=1.0)


def test_a_low_tone_is_no_step_and_neither_is_its_slow_fade():
    assert step_dbfs(sine(200)) < -130
    assert step_dbfs(sine(200) * np.clip(TIME_S - 1, 0, 1)) < -100


def test_one_missing_sample_is_a_step_of_about_its_size():
    y = sine(200)
    y[0, 96_060] = 0.0  # a crest
    assert step_dbfs(y) > -20


def test_the_high_pass_keeps_what_is_high_and_loses_what_is_low():
    assert np.abs(high_passed(sine(7001), 5000)).max() == pytest.approx(0.1, rel=1e-2)
    assert np.abs(high_passed(sine(4000), 5000)).max() < 1e-7


def test_loudness_is_that_of_the_loudest_moment_of_the_loudest_channel():
    y = np.concatenate([sine(1000, 0.01), sine(1000, 0.1) * (TIME_S > 2)])
    assert loudest_rms_dbfs(y) == pytest.approx(-23, abs=0.1)


def test_budgets_of_the_convolver():
    assert (budget(64, 1.0), budget(64, 0.5), budget(16, 1.0), budget(64, 0.3), budget(1, 1.0)) == (0.6, 0.6, 0.9, 1, 1)
