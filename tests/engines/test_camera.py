import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engines.camera import PROJECTIONS, STAGES, Camera
from engines.errors import ConfigError
from engines.specs import direction_from_angles, wrap_deg

SIZES = st.integers(16, 4096)
FIELDS = st.floats(10, 160)
SHARES = st.floats(0, 1)


@given(SIZES, SIZES, FIELDS, SHARES, SHARES)
def test_a_pinhole_pixel_lies_on_the_ray_through_the_lens(width, height, hfov, across, down):
    camera = Camera(width, height, hfov)
    focal = 0.5 * width / math.tan(math.radians(0.5 * hfov))
    right, below = (across - 0.5) * width, (down - 0.5) * height
    azimuth, elevation = camera.angles_deg(across * width, down * height)
    assert azimuth == pytest.approx(-math.degrees(math.atan(right / focal)), abs=1e-6)
    x, y, z = direction_from_angles(azimuth, elevation)
    assert (-y / x * focal, -z / x * focal) == pytest.approx((right, below), abs=1e-5 * max(width, height))


@given(SIZES, SIZES, FIELDS, SHARES, SHARES, st.sampled_from(PROJECTIONS))
def test_pixel_and_angles_undo_each_other(width, height, hfov, across, down, projection):
    camera = Camera(width, height, hfov, projection)
    u, v = across * width, down * height
    assert camera.pixel(*camera.angles_deg(u, v)) == pytest.approx((u, v), abs=1e-6 * (width + height))


@given(FIELDS, SHARES, SHARES, st.sampled_from(PROJECTIONS), st.sampled_from(STAGES))
def test_further_left_in_the_picture_is_further_left_for_the_ear(hfov, one, other, projection, stage):
    assume(abs(one - other) > 1e-3)
    camera = Camera(640, 360, hfov, projection, stage)
    left, right = sorted((one, other))
    azimuths = [camera.staged_deg(camera.angles_deg(share * 640, 180)[0]) for share in (left, right)]
    assert azimuths[0] > azimuths[1]


@given(st.sampled_from(PROJECTIONS), st.sampled_from(STAGES), FIELDS, SHARES)
def test_the_picture_is_spread_evenly_to_both_sides(projection, stage, hfov, share):
    camera = Camera(640, 360, hfov, projection, stage)
    left, right = (camera.staged_deg(camera.angles_deg(u, 100)[0]) for u in (640 * share, 640 * (1 - share)))
    assert left == pytest.approx(-right, abs=1e-9)
    assert camera.staged_deg(camera.angles_deg(320, 100)[0]) == pytest.approx(0)


@given(st.sampled_from(PROJECTIONS), SHARES)
def test_up_in_the_picture_is_up(projection, share):
    camera = Camera(640, 360, 90, projection)
    assert camera.angles_deg(640 * share, 20)[1] > 10 > -10 > camera.angles_deg(640 * share, 340)[1]
    assert camera.angles_deg(640 * share, 180)[1] == pytest.approx(0)


def test_an_equirectangular_picture_is_the_whole_sphere():
    camera = Camera(720, 360, projection="equirectangular")
    seen = {(u, v): camera.angles_deg(u, v) for u in (0, 180, 360, 540, 720) for v in (0, 180, 360)}
    for (u, v), (azimuth, elevation) in seen.items():
        assert azimuth == pytest.approx(180 - u / 2)
        assert elevation == pytest.approx(90 - v / 2)
    assert wrap_deg(seen[0, 180][0]) == pytest.approx(wrap_deg(seen[720, 180][0]))
    assert camera.wraps
    assert not Camera(720, 360).wraps


@given(FIELDS)
def test_the_edges_of_the_picture_lie_where_the_stage_says(hfov):
    for stage, edge in (("natural", hfov / 2), ("wide", 75), ("surround", 150)):
        camera = Camera(640, 360, hfov, stage=stage)
        assert camera.staged_deg(camera.angles_deg(0, 180)[0]) == pytest.approx(edge)
        assert camera.staged_deg(camera.angles_deg(640, 180)[0]) == pytest.approx(-edge)


@given(st.sampled_from(STAGES), st.floats(-180, 180))
def test_a_full_sphere_is_never_spread(stage, azimuth):
    assert Camera(720, 360, projection="equirectangular", stage=stage).staged_deg(azimuth) == azimuth


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"hfov_deg": 0.5}, "0.5"),
        ({"hfov_deg": 180}, "180"),
        ({"hfov_deg": math.nan}, "nan"),
        ({"projection": "fisheye"}, "'fisheye'.*pinhole"),
        ({"stage": "huge"}, "'huge'.*surround"),
    ],
)
def test_impossible_optics_are_refused_in_one_line(wrong, says):
    with pytest.raises(ConfigError, match=says) as caught:
        Camera(640, 360, **wrong)
    assert "\n" not in str(caught.value)
