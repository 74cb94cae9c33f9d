import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.camera import Camera
from engines.errors import ConfigError
from engines.scene import SceneBuilder, dominant_rate_hz
from engines.specs import MAX_SOURCES, Ambience, Region, Track, wrap_deg

CAMERA = Camera(640, 360)
FPS = 25


def region(u, v=200.0, w=60.0, h=120.0, label="mover"):
    return Region(
        (u - w / 2, v - h / 2, u + w / 2, v + h / 2),
        np.ones((4, 4), bool),
        label,
        0.8,
        5.0,
        np.ones(1, np.float32),
        0.4,
    )


def track(u, track_id=1, missed_s=0.0, velocity=0.0, age_s=2.0, **more):
    return Track(track_id, region(u, **more), (velocity, 0.0), age_s, missed_s)


def run(builder, positions, start=0, **more):
    scenes = []
    for index, tracks in enumerate(positions):
        scenes.append(builder.step(tracks, (start + index) / FPS, Ambience(), **more))
    return scenes


@given(st.floats(-80, 80), st.floats(-60, 60))
def test_pinhole_pixels_and_angles_are_inverse(azimuth, elevation):
    u, v = CAMERA.pixel(azimuth, elevation)
    assert CAMERA.angles_deg(u, v) == pytest.approx((azimuth, elevation), abs=1e-6)


def test_left_of_the_picture_is_left_and_edges_are_half_the_field_of_view():
    assert CAMERA.angles_deg(0, 180)[0] == pytest.approx(35)
    assert CAMERA.angles_deg(640, 180)[0] == pytest.approx(-35)
    assert CAMERA.angles_deg(320, 0)[1] > 0


def test_equirectangular_covers_the_sphere():
    camera = Camera(1000, 500, projection="equirectangular")
    assert camera.angles_deg(250, 250) == pytest.approx((90, 0))
    assert camera.angles_deg(500, 0) == pytest.approx((0, 90))
    assert wrap_deg(camera.angles_deg(1000, 250)[0]) == pytest.approx(180)


def test_stages_spread_the_picture():
    for stage, edge in (("natural", 35), ("wide", 75), ("surround", 150)):
        assert Camera(640, 360, stage=stage).staged_deg(35) == pytest.approx(edge)
    with pytest.raises(ConfigError, match="field of view"):
        Camera(640, 360, hfov_deg=200)


def test_a_new_source_fades_in_and_lives_where_it_is_seen():
    scenes = run(SceneBuilder(CAMERA), [[track(160)]] * 10)
    first, last = scenes[0].sources[0], scenes[-1].sources[0]
    assert first.phase == "in"
    assert -12 < first.gain_db < 0
    assert last.phase == "live"
    assert last.gain_db == 0
    assert last.azimuth_deg == pytest.approx(CAMERA.angles_deg(160, 200)[0], abs=0.5)
    assert last.distance_m == pytest.approx(5, abs=0.1)
    assert last.region is not None


def test_a_steady_motion_is_followed_without_lag():
    positions = [100 + 8 * i for i in range(50)]
    scenes = run(SceneBuilder(CAMERA), [[track(u, velocity=200)] for u in positions])
    errors = [
        abs(s.sources[0].azimuth_deg - CAMERA.angles_deg(u, 200)[0]) for s, u in zip(scenes, positions, strict=True)
    ]
    assert max(errors[10:]) < 1.0


def test_hidden_then_gone():
    builder = SceneBuilder(CAMERA)
    run(builder, [[track(300)]] * 10)
    hidden = run(builder, [[track(300, missed_s=k / FPS)] for k in range(1, 26)], start=10)
    assert {s.sources[0].phase for s in hidden} == {"hold"}
    assert hidden[5].sources[0].gain_db == 0
    assert hidden[-1].sources[0].gain_db < -5
    assert hidden[-1].sources[0].region is None
    gone = run(builder, [[]] * 30, start=35)
    assert gone[0].sources[0].phase == "out"
    assert gone[-1].sources == ()
    levels = [s.sources[0].gain_db for s in gone if s.sources]
    assert all(b <= a for a, b in itertools.pairwise(levels))


def test_what_leaves_the_picture_moves_on_and_fades():
    builder = SceneBuilder(CAMERA)
    run(builder, [[track(500 + 12 * i, velocity=300)] for i in range(10)])
    gone = run(builder, [[]] * 70, start=10)
    out = [s.sources[0] for s in gone if s.sources]
    assert {s.phase for s in out} == {"out"}
    assert out[0].azimuth_deg < -30
    assert out[-1].azimuth_deg < -70  # went on to the right, behind the edge of the picture
    assert out[len(out) // 3].gain_db > -20  # still to be heard
    assert len(out) > 40
    assert gone[-1].sources == ()


def test_a_cut_ends_everything_quickly():
    builder = SceneBuilder(CAMERA)
    run(builder, [[track(600, velocity=300)]] * 10)
    gone = run(builder, [[]] * 10, start=10, cut=True)
    assert gone[-1].sources == ()


def test_slots_are_not_shared_and_are_reused_only_after_the_fade():
    builder = SceneBuilder(CAMERA)
    (first,) = run(builder, [[track(100), track(300, 2), track(500, 3)]])
    assert len({s.slot for s in first.sources}) == 3
    (second,) = run(builder, [[track(100), track(500, 3), track(200, 4)]], start=1)
    by_id = {s.source_id: s.slot for s in second.sources}
    assert len(set(by_id.values())) == 4  # number 2 still fades


def test_never_more_than_wanted():
    builder = SceneBuilder(CAMERA, max_sources=5)
    crowd = [track(10 + 9 * i, i + 1) for i in range(60)]
    scenes = run(builder, [crowd] * 3)
    assert len(scenes[-1].sources) == 5
    assert max(s.slot for s in scenes[-1].sources) < MAX_SOURCES


def test_a_young_track_inside_another_is_a_part_of_it():
    builder = SceneBuilder(CAMERA)
    inner = track(300, 2, age_s=0.1, w=20, h=30)
    (scene,) = run(builder, [[track(300), inner]])
    assert [s.source_id for s in scene.sources] == [1]


@pytest.mark.parametrize(
    ("more", "label"),
    [
        ({"w": 40, "h": 130}, "tall mover"),
        ({"w": 200, "h": 90}, "wide mover"),
        ({"w": 20, "h": 20}, "small mover"),
        ({"v": 60, "w": 30, "h": 20}, "high mover"),
        ({"label": "still"}, "still thing"),
        ({"label": "dog"}, "dog"),
    ],
)
def test_names_come_from_shape_place_and_motion(more, label):
    assert run(SceneBuilder(CAMERA), [[track(300, **more)]] * 3)[-1].sources[0].label == label


def test_what_was_still_may_wake():
    builder = SceneBuilder(CAMERA)
    run(builder, [[track(300, label="still", w=40, h=130)]] * 60)
    awake = run(builder, [[track(300 + i, w=40, h=130)] for i in range(40)], start=60)
    assert awake[-1].sources[0].label == "tall mover"


@settings(max_examples=20, deadline=None)
@given(st.floats(0.9, 4.0), st.sampled_from([15, 25, 30, 60]))
def test_gait_is_found(rate_hz, fps):
    if rate_hz > fps / 5:
        rate_hz = fps / 5
    history = [(i / fps, 0.5 + 0.3 * math.sin(2 * math.pi * rate_hz * i / fps)) for i in range(2 * fps)]
    assert dominant_rate_hz(history, history[-1][0]) == pytest.approx(rate_hz, rel=0.15)


def test_noise_has_no_gait():
    rng = np.random.default_rng(0)
    history = [(i / 25, float(v)) for i, v in enumerate(rng.uniform(0, 1, 50))]
    assert dominant_rate_hz(history, history[-1][0]) == 0
    assert dominant_rate_hz([], 0.0) == 0
