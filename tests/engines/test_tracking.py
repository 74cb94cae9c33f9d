from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.specs import Region
from engines.tracking import HIDDEN_S, LOST_S, Tracker
from engines.vision import Observation

WIDTH, HEIGHT, FPS = 640, 360, 25
RED, BLUE, GREEN = np.eye(3, dtype=np.float32)


def region(u, v=200.0, w=50.0, h=110.0, look=RED, score=0.75, **more):
    box = (u - w / 2, v - h / 2, u + w / 2, v + h / 2)
    return Region(box, np.ones((8, 8), bool), "mover", score, 5.0, look, 0.3, **more)


def clipped(u, **more):
    """A region of which the borders of the picture cut off what is outside."""
    whole = region(u, **more)
    x0, y0, x1, y1 = whole.box_px
    return replace(whole, box_px=(max(x0, 0.0), y0, min(x1, float(WIDTH)), y1))


def play(tracker, pictures, start_s=0.0, fps=FPS):
    """The tracks after each picture, a list of regions."""
    return [tracker.step(Observation(tuple(regions)), start_s + k / fps) for k, regions in enumerate(pictures)]


def ids(tracks):
    return {t.track_id for t in tracks}


@pytest.fixture
def tracker():
    return Tracker(WIDTH, HEIGHT)


def test_one_sighting_is_noise_two_are_a_thing(tracker):
    assert tracker.step(Observation((region(100),)), 0.0) == []
    (track,) = tracker.step(Observation((region(102),)), 0.04)
    assert track.missed_s == 0
    assert track.age_s == pytest.approx(0.04)


def test_an_unsure_thing_needs_longer(tracker):
    counts = [len(tracks) for tracks in play(tracker, [[region(100, score=0.3)]] * 6)]
    assert counts == [0, 0, 0, 1, 1, 1]


def test_flashes_in_different_places_are_never_things(tracker):
    assert not any(
        play(tracker, [[region(u, v=v)] for u, v in ((60, 90), (500, 270), (280, 90), (60, 270), (560, 80))])
    )


def test_a_moving_thing_keeps_its_id_and_its_speed(tracker):
    tracks = play(tracker, [[region(60 + 8 * k)] for k in range(60)])[1:]
    assert len(set.union(*map(ids, tracks))) == 1
    assert tracks[-1][0].velocity_px_s == pytest.approx((200, 0), abs=5)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0.008, 0.14), min_size=30, max_size=60), st.floats(-180, 180))
def test_uneven_frame_times_do_not_matter(steps_s, speed):
    tracker = Tracker(WIDTH, HEIGHT)
    t_s, seen = 0.0, set()
    for step_s in steps_s:
        t_s += step_s
        u = (70 if speed > 0 else 570) + speed * t_s
        if not 30 < u < 610:
            break
        seen |= ids(tracker.step(Observation((region(u),)), t_s))
    assert len(seen) == 1


@pytest.mark.parametrize("looks", [(RED, BLUE), (RED, RED)])
@pytest.mark.parametrize("speed", [2, 5, 9])
def test_things_that_cross_keep_their_ids(tracker, looks, speed):
    """The farther one is not seen while the nearer one covers it."""
    half = 260 // speed
    pictures = []
    for k in range(-half, half + 1):
        near, far = region(320 + speed * k, look=looks[0], w=56), region(320 - speed * k, look=looks[1])
        pictures.append([near] if abs(2 * speed * k) < 40 else [near, far])
    tracks = play(tracker, pictures)
    assert len(tracks[-1]) == 2
    assert set.union(*map(ids, tracks)) == ids(tracks[-1])
    start, end = (
        {t.track_id: np.sign(t.region.centre_px[0] - 320) for t in tracks[k] if t.missed_s == 0} for k in (10, -1)
    )
    assert {i: -side for i, side in start.items()} == end


@pytest.mark.parametrize("gap_s", [0.2, 0.5, 1.0])
def test_a_short_absence_keeps_the_id(tracker, gap_s):
    n = round(gap_s * FPS)
    path = [100 + 4 * k for k in range(40 + n)]
    pictures = [[region(u)] if k < 20 or k >= 20 + n else [] for k, u in enumerate(path)]
    tracks = play(tracker, pictures)
    assert len(set.union(*map(ids, tracks))) == 1
    hidden = tracks[20 + n - 1][0]
    assert hidden.missed_s == pytest.approx(n / FPS)
    assert hidden.region.centre_px[0] == pytest.approx(path[20 + n - 1], abs=25)


def test_a_long_absence_gives_a_new_id(tracker):
    before = play(tracker, [[region(300)]] * 20)[-1]
    n = round((max(LOST_S, HIDDEN_S) + 0.5) * FPS)
    assert play(tracker, [[]] * n, 0.8)[-1] == []
    after = play(tracker, [[region(300)]] * 5, 10.0)[-1]
    assert len(after) == 1
    assert not ids(before) & ids(after)


def test_behind_something_it_is_waited_for_longer(tracker):
    wall = region(320, w=160, h=180, look=BLUE)
    play(tracker, [[wall, region(200 + 2 * k)] for k in range(20)])
    tracks = play(tracker, [[wall]] * round(2.0 * FPS), 0.8)
    assert len(tracks[-1]) == 2


def test_something_else_in_the_same_place_is_something_new(tracker):
    before = play(tracker, [[region(300, look=RED)]] * 20)[-1]
    play(tracker, [[]] * 20, 0.8)
    after = [t for t in play(tracker, [[region(300, look=GREEN)]] * 6, 1.6)[-1] if t.missed_s == 0]
    assert len(after) == 1
    assert not ids(after) & ids(before)


@settings(deadline=None, max_examples=25)
@given(st.randoms(use_true_random=False))
def test_the_order_of_regions_does_not_matter(random):
    def pictures(k):
        return [region(80 + 100 * i + (3 - i) * k, look=(RED, BLUE, GREEN)[i % 3]) for i in range(6)]

    plain, shuffled = Tracker(WIDTH, HEIGHT), Tracker(WIDTH, HEIGHT)
    play(plain, [pictures(0)])
    play(shuffled, [pictures(0)])
    for k in range(1, 25):
        regions = pictures(k)
        other = random.sample(regions, len(regions))
        one = plain.step(Observation(tuple(regions)), k / FPS)
        two = shuffled.step(Observation(tuple(other)), k / FPS)
        assert [(t.track_id, t.region.box_px) for t in one] == [(t.track_id, t.region.box_px) for t in two]


def test_a_cut_ends_everything_and_ids_go_on(tracker):
    before = play(tracker, [[region(200), region(450, look=BLUE)]] * 10)[-1]
    tracker.step(Observation((region(200), region(450, look=BLUE)), cut=True), 0.4)
    after = tracker.step(Observation((region(200), region(450, look=BLUE))), 0.44)
    assert len(after) == 2
    assert min(ids(after)) > max(ids(before))
    tracker.reset()
    again = play(tracker, [[region(200)]] * 3)[-1]
    assert min(ids(again)) > max(ids(after))
    assert tracker.next_id > max(ids(again))


def test_ids_start_where_they_are_told():
    assert ids(play(Tracker(WIDTH, HEIGHT, first_id=41), [[region(200)]] * 3)[-1]) == {41}


def test_around_the_seam_it_is_still_the_same():
    tracker = Tracker(WIDTH, HEIGHT, wraps=True)
    # The left side of a box lies in the picture, the right one may lie beyond its end.
    tracks = play(tracker, [[region((475 + 8 * k) % WIDTH + 25)] for k in range(80)])
    assert len(set.union(*map(ids, tracks))) == 1
    assert all(t[0].missed_s == 0 for t in tracks[1:])
    assert tracks[-1][0].velocity_px_s[0] == pytest.approx(200, abs=10)


def test_when_the_camera_turns_a_standing_thing_stays_one_thing(tracker):
    turn = np.array([[1.0, 0.0, 60.0], [0.0, 1.0, -25.0]])
    play(tracker, [[region(100, v=300)]] * 5)
    for k in range(8):
        moved = region(160 + 60 * k, v=275 - 25 * k)
        (track,) = tracker.step(Observation((moved,), camera=turn), 0.2 + 0.04 * k)
        assert track.track_id == 1
    assert abs(track.velocity_px_s[0]) < 20


def test_what_drives_in_is_as_fast_as_its_free_side(tracker):
    """Only half of the car shows: the centre of the visible part moves half as fast as the car."""
    speed, width = 300.0, 200.0
    pictures = [[clipped(-60 + speed * k / FPS, w=width, h=70)] for k in range(10)]
    track = play(tracker, pictures)[-1][0]
    assert track.region.box_px[0] == 0
    assert track.velocity_px_s[0] == pytest.approx(speed, rel=0.1)
    (coming,) = tracker.expected(10 / FPS)
    front = -60 + speed * 10 / FPS + width / 2
    assert coming.region.box_px[0] == pytest.approx(0, abs=4)
    assert coming.region.box_px[2] == pytest.approx(front, abs=8)


def test_what_drives_out_is_gone_at_once(tracker):
    path = [450 + 12 * k for k in range(19)]
    assert len(play(tracker, [[clipped(u)] for u in path])[-2]) == 1
    assert play(tracker, [[]] * 3, len(path) / FPS)[-1] == []


def test_a_part_cut_out_of_a_crowd_does_not_change_the_size_of_what_is_known(tracker):
    """A car stops behind a person, and for a moment all of it is taken for the person."""
    play(tracker, [[region(100, w=40)]] * 25)
    for k in range(10):
        tracker.step(Observation((region(100 + 4 * k, w=40 + 8 * k, patch=3),)), 1.0 + k / FPS)
    (expected,) = tracker.expected(1.4)
    assert expected.region.box_px[2] - expected.region.box_px[0] < 60


def test_a_second_piece_of_a_thing_is_not_a_second_thing(tracker):
    play(tracker, [[region(300, w=100)]] * 10)
    tracks = play(tracker, [[region(300, w=100), region(310, v=230, w=30, h=30)]] * 20, 0.4)
    assert len(set.union(*map(ids, tracks))) == 1


def test_neighbours_who_came_together_stay_two(tracker):
    """Side by side, and for a while in step."""
    pictures = [[region(200 + k, w=30), region(234 + k + 2 * max(0, k - 15), w=30, look=BLUE)] for k in range(40)]
    tracks = play(tracker, pictures)
    assert all(len(t) == 2 for t in tracks[1:])
    assert len(set.union(*map(ids, tracks))) == 2


def test_a_body_first_seen_in_two_halves_becomes_one(tracker):
    halves = [[region(200 + 4 * k, v=150, h=60), region(200 + 4 * k, v=212, h=60)] for k in range(30)]
    tracks = play(tracker, halves)
    assert len(tracks[-1]) == 1


def test_a_thousand_empty_frames_and_repeated_times_are_harmless(tracker):
    play(tracker, [[region(200)]] * 5)
    for _ in range(3):
        tracks = tracker.step(Observation((region(200),)), 0.16)
    assert len(tracks) == 1
    assert play(tracker, [[]] * 1000, 0.2)[-1] == []
