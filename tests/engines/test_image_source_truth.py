"""A bank's reflections, as the renderer assembles them, against image sources computed for every sample in float64."""

from dataclasses import replace

import numpy as np
import pytest

from engines.spatial.bank import GRID_AZIMUTHS, load_bank
from engines.spatial.layouts import make_layout
from engines.spatial.renderer import AZIMUTH, DISTANCE, GAIN, N_PLACEMENT, Renderer
from engines.spatial.rooms import WALLS, Room
from engines.specs import BLOCK, SAMPLE_RATE_HZ
from export.rir_bank import ensure_bank
from tests.image_sources import reflections

# A material whose absorption hardly changes around 1 kHz, so that its filter does not turn the phase.
MATERIAL, ABSORPTION = "chairs_upholstered_leather", 0.61
ROOM = Room("truth", (4.6, 3.8, 2.7), (2.1, 1.7, 1.2), **dict.fromkeys(WALLS, MATERIAL), early_s=0.04)
TONE_HZ = 1000.0
MAINS = [0, 1, 2, 4, 5]
STEP_DEG = 360.0 / GRID_AZIMUTHS
# Once all reflections have arrived: one period, which is all that a standing source has to say.
SETTLED, PERIOD = 10, round(SAMPLE_RATE_HZ / TONE_HZ)


@pytest.fixture(scope="module")
def truth_bank(tmp_path_factory):
    bank = load_bank(ensure_bank(ROOM, tmp_path_factory.mktemp("truth")))
    return replace(bank, late=np.zeros_like(bank.late), wet_db=0.0)


def rendered(bank, azimuth_at, n_blocks):
    """Reflections alone of a sine one metre away: what the room adds to the same without it. (5, n)."""
    five = make_layout("5.1")
    renderers = [Renderer(b, [five], 1) for b in (bank, replace(bank, wet_db=-300.0))]
    placement, on, bed = np.zeros((1, N_PLACEMENT)), np.ones(1, np.bool_), np.zeros((5, BLOCK), np.float32)
    placement[0, DISTANCE] = placement[0, GAIN] = 1.0
    blocks = []
    for index in range(n_blocks):
        time_s = (index * BLOCK + np.arange(BLOCK)) / SAMPLE_RATE_HZ
        dry = np.sin(2 * np.pi * TONE_HZ * time_s).astype(np.float32)[None]
        placement[0, AZIMUTH] = azimuth_at(index * BLOCK / SAMPLE_RATE_HZ)
        wet, direct = (r.step(dry, placement, on, bed)["5.1"].astype(np.float64) for r in renderers)
        blocks.append((wet - direct)[MAINS])
    return np.concatenate(blocks, axis=1)


def truth(azimuth_at, samples):
    """What the mains should get at samples of these numbers."""

    def position_at(time_s):
        azimuth = np.radians(azimuth_at(time_s) + 0.0 * time_s)
        return np.stack([np.cos(azimuth), np.sin(azimuth), np.zeros_like(time_s)], axis=1)

    return reflections(ROOM, ABSORPTION, position_at, TONE_HZ, samples / SAMPLE_RATE_HZ).imag


def decibels(ratio):
    return 10 * np.log10(ratio)


def compare(bank, azimuth_deg):
    """(waveform error, level error), both dB, of a standing source."""
    y = rendered(bank, lambda t: azimuth_deg, SETTLED + 1)[:, SETTLED * BLOCK :][:, :PERIOD]
    wanted = truth(lambda t: azimuth_deg, SETTLED * BLOCK + np.arange(PERIOD))
    return decibels(((y - wanted) ** 2).sum() / (wanted**2).sum()), decibels((y**2).sum() / (wanted**2).sum())


def test_a_standing_source_in_a_direction_of_the_bank_has_the_reflections_of_the_room(truth_bank):
    errors, levels = np.transpose(
        [compare(truth_bank, k * STEP_DEG) for k in range(0, GRID_AZIMUTHS, GRID_AZIMUTHS // 8)]
    )
    # Measured: waveform -32 dB in the middle, -27 dB at worst; level within 0.3 dB.
    assert np.median(errors) < -29
    assert errors.max() < -23
    assert np.abs(levels).max() < 1


def test_between_two_directions_of_the_bank_they_are_nearly_those_of_the_room(truth_bank):
    errors, levels = np.transpose(
        [compare(truth_bank, (k + 0.5) * STEP_DEG) for k in range(0, GRID_AZIMUTHS, GRID_AZIMUTHS // 8)]
    )
    # Measured: waveform -14 dB in the middle, -12.6 dB at worst; level -2.1 dB at worst.
    assert np.median(errors) < -12
    assert errors.max() < -10
    assert np.abs(levels).max() < 3


def test_a_moving_source_has_the_reflections_of_the_room(truth_bank):
    """45 deg/s; what is heard follows the positions at some distance, which the listener cannot know."""
    speed_deg_s, lag_s, n_blocks = 45.0, 0.04, 50
    # Every twentieth sample: more than two for a period of the tone.
    samples = np.arange(SETTLED * BLOCK, (SETTLED + n_blocks) * BLOCK, 20)
    y = rendered(truth_bank, lambda t: speed_deg_s * t - 20.0, SETTLED + n_blocks)[:, samples]
    wanted = truth(lambda t: speed_deg_s * (t - lag_s) - 20.0, samples)
    # Measured: -18.5 dB; reflections of another source of the same level would be at +3 dB.
    assert decibels(((y - wanted) ** 2).sum() / (wanted**2).sum()) < -15


def test_the_truth_itself():
    """One wall, one image: where, when and how strong is known without any program."""
    far = Room("wall", (60.0, 60.0, 60.0), (57.0, 30.0, 30.0), early_s=0.02)
    # The wall in front is 3 m away, the source 1 m in front: its image is 5 m in front, 4 m later than the direct sound.
    time_s, delay_s = np.arange(480) / SAMPLE_RATE_HZ, 4.0 / 343.0
    y = reflections(far, 0.36, lambda t: np.tile([1.0, 0.0, 0.0], (len(t), 1)), TONE_HZ, time_s)
    amplitude = np.sqrt(1 - 0.36) / 5.0 * 10 ** (-4.7e-3 * 5 / 20)
    expected = amplitude * np.exp(2j * np.pi * TONE_HZ * (time_s - delay_s))
    high_pass = -25 / (-25 + 5j * np.sqrt(2) + 1)
    np.testing.assert_allclose(y[2], expected * high_pass, rtol=1e-9)
    assert np.abs(y[[0, 1, 3, 4]]).max() < 1e-9
