import numpy as np
import pytest

from engines.errors import ConfigError
from engines.spatial.bank import MAIN_AZIMUTHS_DEG
from engines.spatial.hrtf import spherical_head
from engines.spatial.layouts import LAYOUTS, make_layout


@pytest.fixture(scope="module")
def layouts():
    return {name: make_layout(name, spherical_head()) for name in LAYOUTS}


def test_channels_have_the_names_that_players_expect(layouts):
    assert {name: layout.channels for name, layout in layouts.items()} == {
        "5.1": ("FL", "FR", "FC", "LFE", "BL", "BR"),
        "stereo": ("FL", "FR"),
        "binaural": ("FL", "FR"),
        "ambix": ("W", "Y", "Z", "X"),
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


def test_only_surround_has_a_bass_channel_and_it_is_not_loudness(layouts):
    assert {name for name, layout in layouts.items() if layout.lfe_channel is not None} == {"5.1"}
    five = layouts["5.1"]
    assert five.channels[five.lfe_channel] == "LFE"
    assert not five.bus_to_output[five.lfe_channel].any()
    # BS.1770-5, table 3.
    np.testing.assert_allclose(five.loudness_weights, [1, 1, 1, 0, 1.41, 1.41])


def test_left_and_right_are_mirrored(layouts):
    swap = [1, 0, 2, 4, 3]  # FL FR FC BL BR
    five, stereo = layouts["5.1"], layouts["stereo"]
    outputs = [1, 0, 2, 3, 5, 4]
    np.testing.assert_array_equal(five.bus_to_output, five.bus_to_output[outputs][:, swap])
    np.testing.assert_array_equal(stereo.bus_to_output, stereo.bus_to_output[::-1][:, swap])
    binaural = layouts["binaural"]
    for main, mirrored in enumerate(swap):
        here, there = (binaural.mains_to_bus[:, m].argmax() for m in (main, mirrored))
        np.testing.assert_allclose(binaural.responses[here], binaural.responses[there][::-1], atol=1e-5)


def test_a_loudspeaker_of_the_room_is_heard_from_its_place(layouts):
    for main, azimuth in enumerate(np.radians(MAIN_AZIMUTHS_DEG)):
        w, y, z, x = layouts["ambix"].mains_to_bus[:, main]
        assert (w, y, z, x) == pytest.approx((1, np.sin(azimuth), 0, np.cos(azimuth)), abs=1e-6)
        bus = layouts["binaural"].mains_to_bus[:, main]
        ears = (layouts["binaural"].responses[bus.argmax()] ** 2).sum(axis=1)
        assert np.sign(round(float(np.log(ears[0] / ears[1])), 3)) == np.sign(round(float(np.sin(azimuth)), 3))


@pytest.mark.parametrize("name", ["7.1", "", "Stereo", "binaural"])
def test_an_unknown_layout_is_refused_in_one_line(name):
    with pytest.raises(ConfigError, match=r"there are 5\.1, stereo, binaural, ambix"):
        make_layout(name)
