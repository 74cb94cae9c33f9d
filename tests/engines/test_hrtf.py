import h5py
import numpy as np
import pytest

from engines.errors import AssetError
from engines.spatial.hrtf import N_TAPS, find_hrtf, load_sofa, spherical_head
from engines.spatial.panning import unit_vectors
from engines.specs import SAMPLE_RATE_HZ

HEAD = spherical_head()


def heard(head, azimuth, elevation=0.0):
    """Responses (2, n) of the direction."""
    return head.towards(unit_vectors(np.array([float(azimuth)]), np.array([float(elevation)])))[0]


def lag_s(near, far):
    """By how much `far` is later, to a fraction of a sample."""
    spectrum = np.fft.rfft(far, 4096) * np.conj(np.fft.rfft(near, 4096))
    correlation = np.fft.irfft(spectrum, 16 * 4096)
    peak = int(np.argmax(correlation))
    return (peak - 16 * 4096 if peak > 8 * 4096 else peak) / 16 / SAMPLE_RATE_HZ


def write_sofa(path, responses, positions, rate_hz=48_000, leave_out=""):
    with h5py.File(path, "w") as file:
        for name, value in (("Data.IR", responses), ("SourcePosition", positions), ("Data.SamplingRate", [rate_hz])):
            if name != leave_out:
                file[name] = np.asarray(value, float)
    return path


def two_sided(n_taps=64, delay=5):
    """Left, front and right: the near ear first and louder."""
    positions = np.array([[90.0, 0, 1], [0, 0, 1], [270, 0, 1]])
    responses = np.zeros((3, 2, n_taps))
    for index, side in enumerate((1, 0, -1)):
        responses[index, 0, 20 - delay * side] = 1 + 0.5 * side
        responses[index, 1, 20 + delay * side] = 1 - 0.5 * side
    return responses, positions


def test_a_head_is_the_same_on_both_sides():
    for azimuth in range(0, 181, 15):
        for elevation in (-40, 0, 60):
            left, right = heard(HEAD, azimuth, elevation), heard(HEAD, -azimuth, elevation)
            np.testing.assert_allclose(left, right[::-1], atol=1e-5)


def test_the_ear_that_is_nearer_hears_first_and_louder():
    lags = []
    for azimuth in range(10, 81, 10):
        left, right = heard(HEAD, azimuth)
        lags.append(lag_s(left, right))
        assert (left**2).sum() > (right**2).sum()
    assert (np.diff(lags) > 0).all()
    # Woodworth: some 0.65 ms for a head of 8.75 cm; the ears sit a little behind the middle.
    assert 0.00055 < lags[-1] < 0.0008
    assert abs(lag_s(*heard(HEAD, 0))) < 2e-5


def test_on_average_all_directions_have_no_colour():
    spectrum = np.abs(np.fft.rfft(HEAD.responses, axis=2)) ** 2
    power = spectrum.mean(axis=(0, 1))
    frequency = np.fft.rfftfreq(N_TAPS, 1 / SAMPLE_RATE_HZ)
    level_db = 10 * np.log10(power[(frequency > 200) & (frequency < 16_000)])
    assert np.ptp(level_db) < 3
    assert abs(level_db.mean()) < 1.5


def test_the_nearest_direction_is_taken():
    for azimuth, elevation in ((2, 1), (-88, 3), (179, -2)):
        exact = heard(HEAD, 5 * round(azimuth / 5), 10 * round(elevation / 10))
        np.testing.assert_array_equal(heard(HEAD, azimuth, elevation), exact)


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 96_000])
def test_a_sofa_file_sounds_the_same_at_every_rate(tmp_path, rate_hz):
    responses, positions = two_sided()
    head = load_sofa(write_sofa(tmp_path / "head.sofa", responses, positions, rate_hz))
    assert head.responses.shape == (3, 2, N_TAPS)
    assert head.responses.dtype == np.float32
    assert np.isfinite(head.responses).all()
    left, right = heard(head, 90)
    assert lag_s(left, right) == pytest.approx(10 / rate_hz, abs=3e-5)
    assert 20 * np.log10(np.abs(left).max() / np.abs(right).max()) == pytest.approx(20 * np.log10(3), abs=1.5)


def test_a_common_delay_is_cut_off(tmp_path):
    responses, positions = two_sided(n_taps=2000)
    late = np.roll(responses, 1500, axis=2)
    near, far = (load_sofa(write_sofa(tmp_path / f"{k}.sofa", r, positions)) for k, r in enumerate((responses, late)))
    assert np.abs(heard(far, 90)).argmax() < 150
    np.testing.assert_allclose(np.abs(heard(far, 90)).max(), np.abs(heard(near, 90)).max(), rtol=0.05)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ({"leave_out": "Data.IR"}, "Data.IR"),
        ({"leave_out": "SourcePosition"}, "SourcePosition"),
        ({"responses": np.zeros((3, 1, 64))}, "two ears"),
        ({"positions": np.zeros((2, 3))}, "two ears"),
    ],
)
def test_a_sofa_file_of_another_kind_is_refused_in_one_line(tmp_path, damage, says):
    responses, positions = two_sided()
    arguments = {"responses": responses, "positions": positions} | damage
    with pytest.raises(AssetError, match=says) as caught:
        load_sofa(write_sofa(tmp_path / "odd.sofa", **arguments))
    assert "odd.sofa" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_file_there_is_still_a_head(tmp_path):
    assert find_hrtf(tmp_path / "none.sofa").name == "spherical head"
    there = write_sofa(tmp_path / "kemar.sofa", *two_sided())
    assert find_hrtf(tmp_path / "none.sofa", there).name == "kemar"


def test_delays_beside_the_responses_are_applied(tmp_path):
    responses, positions = two_sided()
    plain = write_sofa(tmp_path / "plain.sofa", responses, positions)
    moved = write_sofa(tmp_path / "moved.sofa", responses, positions)
    with h5py.File(moved, "a") as file:
        file["Data.Delay"] = np.array([[7.0, 2.5]])
    before, after = (lag_s(*heard(load_sofa(path), 0)) for path in (plain, moved))
    assert after - before == pytest.approx(-4.5 / SAMPLE_RATE_HZ, abs=2e-6)


def test_ears_may_come_in_either_order(tmp_path):
    responses, positions = two_sided()
    plain = write_sofa(tmp_path / "plain.sofa", responses, positions)
    swapped = write_sofa(tmp_path / "swapped.sofa", responses[:, ::-1], positions)
    with h5py.File(swapped, "a") as file:
        file["ReceiverPosition"] = np.array([[[0.0], [-0.09], [0.0]], [[0.0], [0.09], [0.0]]])
    np.testing.assert_allclose(heard(load_sofa(plain), 90), heard(load_sofa(swapped), 90), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda file: file.attrs.__setitem__("SOFAConventions", "GeneralFIR"), "holds GeneralFIR"),
        (lambda file: file["Data.IR"].__setitem__((0, 0, 0), np.nan), "no usable numbers"),
        (lambda file: file["Data.IR"].__setitem__(..., 0.0), "no usable numbers"),
        (lambda file: file["Data.SamplingRate"].__setitem__(..., 0.0), "no usable numbers"),
    ],
)
def test_a_sofa_file_with_other_contents_is_refused_in_one_line(tmp_path, change, says):
    path = write_sofa(tmp_path / "odd.sofa", *two_sided())
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(AssetError, match=says):
        load_sofa(path)
