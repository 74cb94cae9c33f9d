import numpy as np
import pytest

from engines.spatial.bank import MAIN_AZIMUTHS_DEG
from engines.spatial.panning import (
    balanced_weights,
    grid_directions,
    pan_sources,
    ring_shares,
    sphere_shares,
    table_from_shares,
    unit_vectors,
)

WEIGHTS = np.array([1, 1, 1, 1.41, 1.41], np.float32)
SPEAKERS = unit_vectors(np.array(MAIN_AZIMUTHS_DEG), np.zeros(5))


@pytest.fixture(scope="module")
def table():
    return table_from_shares(ring_shares(grid_directions(), MAIN_AZIMUTHS_DEG), WEIGHTS)


def gains(table, azimuth_deg, elevation_deg=0.0, extent_deg=0.0):
    angles = np.array([[azimuth_deg, elevation_deg, extent_deg]], float)
    low, high = (np.zeros((1, table.low.shape[2]), np.float32) for _ in range(2))
    pan_sources(table.low, table.high, table.adds_powers, table.arc_gain, angles, np.array([True]), low, high)
    return low[0], high[0]


def direction_of(powers):
    x, y, _ = powers @ SPEAKERS
    return np.degrees(np.arctan2(y, x))


def off(a, b):
    return abs((a - b + 180) % 360 - 180)


def test_high_band_energy_vector_points_at_the_source(table):
    errors = [off(direction_of(gains(table, azimuth)[1] ** 2), azimuth) for azimuth in np.arange(-180, 180, 3.7)]
    assert max(errors) < 1.0


def test_low_band_splits_its_error_between_both_vectors(table):
    energy = [off(direction_of(gains(table, a)[0] ** 2), a) for a in range(360)]
    velocity = [off(direction_of(gains(table, a)[0]), a) for a in range(360)]
    assert np.median(energy) <= 3
    assert max(energy) < 6
    assert np.median(velocity) < 8
    assert max(velocity) < 15


def test_loudness_is_the_same_everywhere(table):
    for azimuth in range(0, 360, 7):
        for elevation in (-80, -30, 0, 45, 90):
            for extent in (0, 20, 90):
                for band in gains(table, azimuth, elevation, extent):
                    assert float(WEIGHTS @ band**2) == pytest.approx(1.0, abs=0.02)


def test_a_loudspeaker_direction_uses_that_loudspeaker_alone(table):
    for index, azimuth in enumerate(MAIN_AZIMUTHS_DEG):
        low, high = gains(table, azimuth)
        for band in (low, high):
            assert WEIGHTS[index] * band[index] ** 2 > 0.98
            assert np.delete(band, index).max() < 0.05


def test_every_loudspeaker_is_the_loudest_somewhere(table):
    assert {int(gains(table, a)[1].argmax()) for a in range(360)} == set(range(5))


def test_width_and_height_do_not_turn_a_source(table):
    for azimuth in (0, 50, 95, 150, -140):
        assert off(direction_of(gains(table, azimuth, 0, 40)[1] ** 2), azimuth) < 6
        assert off(direction_of(gains(table, azimuth, 45)[1] ** 2), azimuth) < 2


def test_balanced_weights_come_from_nowhere():
    weights = balanced_weights(MAIN_AZIMUTHS_DEG)
    assert weights.min() > 0
    assert weights.sum() == pytest.approx(1)
    assert np.abs(weights @ SPEAKERS).max() < 1e-9


def test_sphere_panning_points_where_it_should():
    rng = np.random.default_rng(0)
    speakers = np.concatenate([unit_vectors(np.arange(0, 360, 30.0), np.full(12, e)) for e in (-45.0, 0.0, 45.0)])
    speakers = np.concatenate([speakers, [[0, 0, 1], [0, 0, -1]]])
    wanted = rng.standard_normal((300, 3))
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    shares = sphere_shares(wanted, speakers)
    assert shares.min() >= 0
    assert (shares > 1e-9).sum(axis=1).max() <= 3
    pointed = shares @ speakers
    pointed /= np.linalg.norm(pointed, axis=1, keepdims=True)
    assert np.degrees(np.arccos(np.clip((pointed * wanted).sum(axis=1), -1, 1))).max() < 0.1
