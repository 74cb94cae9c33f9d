import numpy as np
import pytest

from engines.errors import ConfigError
from engines.specs import wrap_deg
from engines.synthetic.scenes import make_scene, scene_names
from engines.synthetic.stage import Painter, Stage


def paint(text, *times_s):
    scene = make_scene(text)
    painter = Painter(scene.stage)
    return scene, [painter.paint(t_s, round(t_s * scene.fps)) for t_s in times_s]


def without_actors(text, t_s):
    stage = make_scene(text).stage
    empty = Stage(stage.camera, (), stage.background, stage.pose_deg, stage.noise, stage.seed)
    return Painter(empty).paint(t_s, round(t_s * make_scene(text).fps))[0]


def actor_of(truths, actor_id):
    return next(t for t in truths if t.actor_id == actor_id)


@pytest.mark.parametrize("name", scene_names())
def test_every_scene_is_the_same_each_time_in_any_order(name):
    scene, first = paint(name, 2.0, 4.0)
    _, again = paint(name, 4.0, 2.0)
    camera = scene.stage.camera
    for (picture, truth), (other, other_truth) in zip(first, reversed(again), strict=True):
        assert picture.shape == (camera.height_px, camera.width_px, 3)
        assert picture.dtype == np.uint8
        np.testing.assert_array_equal(picture, other)
        assert truth == other_truth
    assert (first[0][0] != first[1][0]).any()


@pytest.mark.parametrize("name", scene_names())
def test_a_seed_changes_the_picture(name):
    assert (paint(name, 3.0)[1][0][0] != paint(f"{name}?seed=1", 3.0)[1][0][0]).mean() > 0.3


@pytest.mark.parametrize("name", ["passby", "crossing", "appear", "crowd", "shaky", "street", "orbit?period=8"])
def test_the_truth_is_where_the_picture_differs_from_the_empty_stage(name):
    text = name + ("&" if "?" in name else "?") + "noise=0"
    scene, ((picture, truths),) = paint(text, 3.0)
    camera = scene.stage.camera
    changed = (np.abs(picture.astype(int) - without_actors(text, 3.0)) > 12).any(axis=2)
    assert truths
    inside = np.zeros_like(changed)
    for truth in truths:
        x0, y0, x1, y1 = (round(v) for v in truth.box_px)
        columns = np.arange(x0, x1) % camera.width_px
        inside[y0 - 1 : y1 + 2, np.arange(x0 - 2, x1 + 2) % camera.width_px] = True
        assert changed[y0:y1, columns].mean() > 0.2 * truth.visible
        if truth.visible == 1:
            u, v = 0.5 * (truth.box_px[0] + truth.box_px[2]), 0.5 * (truth.box_px[1] + truth.box_px[3])
            azimuth, elevation = camera.angles_deg(u, v)
            assert abs(wrap_deg(azimuth - truth.azimuth_deg)) < 0.5
            assert elevation == pytest.approx(truth.elevation_deg, abs=0.5)
    assert not (changed & ~inside).any()


def test_orbit_goes_once_around_to_the_left():
    _, pictures = paint("orbit?period=8&elevation=20&distance=3", 0, 1, 2, 4, 6)
    truths = [truth[0] for _, truth in pictures]
    for truth, azimuth in zip(truths, (0, 45, 90, 180, -90), strict=True):
        assert abs(wrap_deg(truth.azimuth_deg - azimuth)) < 0.01
    assert {round(t.elevation_deg, 3) for t in truths} == {20}
    assert {round(t.distance_m, 6) for t in truths} == {3}


def test_what_crosses_the_seam_is_drawn_on_both_sides():
    text = "orbit?period=8&noise=0"
    _, ((picture, _),) = paint(text, 4.0)
    changed = np.abs(picture.astype(int) - without_actors(text, 4.0)).max(axis=(0, 2)) > 30
    assert changed[:10].all()
    assert changed[-10:].all()
    assert not changed[100:-100].any()


def test_the_nearer_one_hides_the_farther():
    scene = make_scene("crossing")
    painter = Painter(scene.stage)
    seen = [painter.paint(t_s, 0)[1] for t_s in np.linspace(1.7, 2.3, 13)]
    nearest = [actor_of(truths, 0).visible for truths in seen]
    # A far one that is hidden altogether is not among the truths.
    far = [next((t.visible for t in truths if t.actor_id == 1), 0.0) for truths in seen]
    assert min(nearest) > 0.9
    assert min(far) < 0.1
    assert max(far) > 0.9


def test_cars_come_from_alternating_sides():
    # Half a way after each start, at 6 m and 70 degrees: 2 * (6 tan 35 + 2) m at 4 m/s.
    way_s = 2 * (6 * np.tan(np.radians(35)) + 2) / 4
    _, pictures = paint("passby?speed=4", *((k + share) * way_s for k in (0, 1, 2) for share in (0.4, 0.6)))
    azimuths = np.array([truth[0].azimuth_deg for _, truth in pictures]).reshape(3, 2)
    assert np.sign(azimuths[:, 0]).tolist() == [1, -1, 1]
    np.testing.assert_allclose(azimuths[:, 0], -azimuths[:, 1], atol=1e-6)
    assert {truth[0].actor_id for _, truth in pictures} == {0, 1, 2}


def test_things_appear_and_vanish_at_once():
    _, pictures = paint("appear", 0.96, 1.0, 4.48, 4.52)
    present = [{t.actor_id for t in truth} for _, truth in pictures]
    assert present == [set(), {0}, {0, 1, 2}, {1, 2}]


def test_a_shaking_camera_moves_the_standing_world():
    _, ((first, _), (second, _)) = paint("shaky?noise=0", 0.0, 0.4)
    _, ((still, _), (still_too, _)) = paint("shaky?noise=0&shake=0", 0.0, 0.4)
    assert np.abs(first[:60].astype(int) - second[:60]).mean() > 1
    np.testing.assert_array_equal(still[:60], still_too[:60])


def test_the_street_goes_on_for_ever():
    _, ((_, early), (_, late)) = paint("street", 33.0, 33.0 + 120 * 30)
    cars = [[t for t in truth if t.label == "car"] for truth in (early, late)]
    assert [c.actor_id for c in cars[0]] == [c.actor_id for c in cars[1]] != []
    np.testing.assert_allclose([c.box_px for c in cars[0]], [c.box_px for c in cars[1]], atol=1e-3)


def test_keys_are_obeyed():
    scene, ((picture, truths),) = paint("crowd?n=5&width=320&height=200&fps=10&seconds=3&noise=8&hfov=50", 1.0)
    assert picture.shape == (200, 320, 3)
    assert len(truths) == 5
    assert (scene.fps, scene.seconds, scene.stage.camera.hfov_deg) == (10, 3, 50)
    quiet = paint("crowd?n=5&width=320&height=200&fps=10&seconds=3&noise=0&hfov=50", 1.0)[1][0][0]
    assert np.std(picture.astype(int) - quiet) == pytest.approx(8, abs=1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("stret", "'stret'.*did you mean street"),
        ("", "no synthetic scene"),
        ("orbit?perod=3", "'perod'.*did you mean period"),
        ("orbit?zzz=3", "'zzz'.*period"),
        ("crowd?n=many", "n must be a number, got 'many'"),
        ("crowd?n=2.5", "n must be a number"),
        ("crowd?n=17", "n must be between 1 and 16"),
        ("orbit?fps=nan", "fps must be between"),
        ("orbit?seconds=inf", "seconds must be between"),
        ("orbit?period=", "period must be a number"),
    ],
)
def test_a_wrong_scene_is_refused_in_one_line(text, says):
    with pytest.raises(ConfigError, match=says) as caught:
        make_scene(text)
    assert "\n" not in str(caught.value)
