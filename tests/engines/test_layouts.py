import numpy as np
import pytest
from scipy.special import sph_harm_y

from engines.errors import ConfigError
from engines.spatial.ambisonics import encoding_gains
from engines.spatial.bank import MAIN_AZIMUTHS_DEG
from engines.spatial.hrtf import spherical_head
from engines.spatial.layouts import LAYOUTS, make_layout


@pytest.fixture(scope="module")
def layouts():
    return {name: make_layout(name, spherical_head()) for name in LAYOUTS}


def test_channels_have_the_names_that_players_expect(layouts):
    assert {name: " ".join(layout.channels) for name, layout in layouts.items()} == {
        "5.1": "FL FR FC LFE BL BR",
        "7.1.4": "FL FR FC LFE BL BR SL SR TFL TFR TBL TBR",
        "stereo": "FL FR",
        "binaural": "FL FR",
        "ambix": "W Y Z X",
        "ambix2": "W Y Z X V T R S U",
        "ambix3": "W Y Z X V T R S U Q O M K L N P",
    }


def test_everything_in_a_layout_has_the_same_size(layouts):
    for layout in layouts.values():
        assert layout.mains_to_bus.shape == (layout.n_bus, len(MAIN_AZIMUTHS_DEG))
        assert layout.loudness_weights.shape == (layout.n_channels,)
        assert layout.table.high.shape[-1] == layout.n_bus
        if layout.bus_to_output is not None:
            assert layout.bus_to_output.shape == (layout.n_channels, layout.n_bus)
            assert layout.responses is None
        else:
            assert layout.responses.shape[:2] == (layout.n_bus, 2)


def test_only_loudspeakers_around_have_a_bass_channel_and_it_is_not_loudness(layouts):
    assert {name for name, layout in layouts.items() if layout.lfe_channel is not None} == {"5.1", "7.1.4"}
    # BS.1770-5, tables 3 and 4: louder from 60 to 120 degrees to a side.
    weights = {"5.1": [1, 1, 1, 0, 1.41, 1.41], "7.1.4": [1, 1, 1, 0, 1, 1, 1.41, 1.41, 1, 1, 1, 1]}
    for name, wanted in weights.items():
        layout = layouts[name]
        assert layout.channels[layout.lfe_channel] == "LFE"
        assert not layout.bus_to_output[layout.lfe_channel].any()
        np.testing.assert_allclose(layout.loudness_weights, wanted)


def test_left_and_right_are_mirrored(layouts):
    swap = [1, 0, 2, 4, 3]  # FL FR FC BL BR
    for name, outputs in (
        ("5.1", [1, 0, 2, 3, 5, 4]),
        ("7.1.4", [1, 0, 2, 3, 5, 4, 7, 6, 9, 8, 11, 10]),
        ("stereo", [1, 0]),
    ):
        layout = layouts[name]
        room = layout.bus_to_output @ layout.mains_to_bus
        np.testing.assert_allclose(room, room[outputs][:, swap], atol=1e-6)
        for table in (layout.table.low, layout.table.high):
            direct = table @ layout.bus_to_output.T
            np.testing.assert_allclose(direct, direct[:, ::-1][..., outputs], atol=1e-6)
    binaural = layouts["binaural"]
    for main, mirrored in enumerate(swap):
        here, there = (binaural.mains_to_bus[:, m].argmax() for m in (main, mirrored))
        np.testing.assert_allclose(binaural.responses[here], binaural.responses[there][::-1], atol=1e-5)


def test_a_loudspeaker_of_the_room_is_heard_from_its_place(layouts):
    np.testing.assert_array_equal(layouts["5.1"].mains_to_bus, np.eye(5))
    # BS.775-4, annex 4: Lo = L + 0.7071 C + 0.7071 Ls.
    half = np.sqrt(0.5)
    np.testing.assert_allclose(
        layouts["stereo"].mains_to_bus, [[1, 0, half, half, 0], [0, 1, half, 0, half]], atol=1e-6
    )
    for main, azimuth in enumerate(np.radians(MAIN_AZIMUTHS_DEG)):
        w, y, z, x = layouts["ambix"].mains_to_bus[:, main]
        assert (w, y, z, x) == pytest.approx((1, np.sin(azimuth), 0, np.cos(azimuth)), abs=1e-6)
        bus = layouts["binaural"].mains_to_bus[:, main]
        ears = (layouts["binaural"].responses[bus.argmax()] ** 2).sum(axis=1)
        assert np.sign(round(float(np.log(ears[0] / ears[1])), 3)) == np.sign(round(float(np.sin(azimuth)), 3))


@pytest.mark.parametrize("name", ["7.1", "", "Stereo", "binaural"])
def test_an_unknown_layout_is_refused_in_one_line(name):
    with pytest.raises(ConfigError, match=r"there are 5\.1, 7\.1\.4, stereo, binaural, ambix"):
        make_layout(name)


def test_ambisonic_gains_are_the_spherical_harmonics_of_acn_and_sn3d():
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((50, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    azimuth, zenith = np.arctan2(directions[:, 1], directions[:, 0]), np.arccos(directions[:, 2])
    gains = encoding_gains(directions, 3)
    for degree in range(4):
        for index in range(-degree, degree + 1):
            # scipy's are complex, fully normalised and carry the phase of Condon and Shortley.
            harmonic = (
                sph_harm_y(degree, abs(index), zenith, azimuth) * (-1) ** index * np.sqrt(4 * np.pi / (2 * degree + 1))
            )
            part = harmonic.real if index >= 0 else harmonic.imag
            wanted = part * (np.sqrt(2) if index else 1)
            np.testing.assert_allclose(gains[:, degree * (degree + 1) + index], wanted, atol=1e-12)
