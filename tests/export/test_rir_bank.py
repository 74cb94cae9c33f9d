import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from engines.errors import AssetError, ConfigError, OutputError
from engines.spatial.bank import ARRAYS, GRID_AZIMUTHS, MAIN_AZIMUTHS_DEG, is_complete, load_bank
from engines.spatial.panning import unit_vectors
from engines.spatial.rooms import NO_WALL, Room, find_room
from engines.specs import SAMPLE_RATE_HZ
from export.rir_bank import ensure_bank

SPEAKERS = unit_vectors(np.array(MAIN_AZIMUTHS_DEG), np.zeros(5))
SMALL = Room("small", (4.0, 3.4, 2.5), (2.0, 1.7, 1.2), rt60_s=0.25, early_s=0.02)


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    return tmp_path_factory.mktemp("rooms")


@pytest.fixture(scope="module")
def small(rooms):
    return load_bank(ensure_bank(SMALL, rooms))


def facts_of(directory):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(directory.iterdir())}


def one_wall(wall):
    """A field with a single wall, three metres away."""
    walls = dict.fromkeys(("front", "back", "left", "right", "floor", "ceiling"), NO_WALL) | {wall: "brickwork"}
    return Room(f"wall-{wall}", (6.0, 6.0, 6.0), (3.0, 3.0, 3.0), **walls, early_s=0.03)


@pytest.mark.parametrize(("wall", "azimuth"), [("front", 0), ("left", 90), ("back", 180), ("right", -90)])
def test_a_reflection_comes_from_its_wall(rooms, wall, azimuth):
    bank = load_bank(ensure_bank(one_wall(wall), rooms))
    # A source between the listener and the wall, one metre away: its image is five metres away.
    point = round(azimuth % 360 * GRID_AZIMUTHS / 360)
    response = np.asarray(bank.early[point])
    powers = (response**2).sum(axis=1)
    x, y, _ = powers @ SPEAKERS
    off = (np.degrees(np.arctan2(y, x)) - azimuth + 180) % 360 - 180
    assert abs(off) < 2
    onset = np.abs(response).max(axis=0).argmax() / SAMPLE_RATE_HZ
    assert onset == pytest.approx((5 - 1) / 343, abs=0.0003)


def test_a_source_on_the_left_is_louder_on_the_left(preset_banks, small):
    for bank in (small, preset_banks["living-room"], preset_banks["studio"], preset_banks["open"]):
        power = (np.asarray(bank.early, np.float64) ** 2).sum(axis=2)
        fl, fr, _, bl, br = power[:GRID_AZIMUTHS].T
        left = np.log((fl + bl) / (fr + br))
        front, at_left, back, at_right = left[:: GRID_AZIMUTHS // 4]
        assert at_left - at_right > 0.3
        # In front and behind no side wins.
        assert abs(front) < 0.3
        assert abs(back) < 0.3


def test_the_tail_comes_from_nowhere_and_takes_over_smoothly(small):
    late = np.asarray(small.late[0], np.float64)
    x, y, _ = (late**2).sum(axis=1) @ SPEAKERS / (late**2).sum()
    assert np.hypot(x, y) < 0.1
    assert not late[:, : round(0.75 * SMALL.early_s * SAMPLE_RATE_HZ)].any()
    # No two loudspeakers play the same.
    assert np.abs(np.corrcoef(late) - np.eye(5)).max() < 0.1


def test_out_of_doors_there_are_no_walls(preset_banks):
    field = preset_banks["open"]
    assert not np.asarray(field.late).any()
    assert field.rt60_s == ()
    # Only the ground: one reflection 3.4 m long for a source one metre away, both 1.6 m high.
    response = np.asarray(field.early[0], np.float64)
    onset = np.abs(response).max(axis=0).argmax() / SAMPLE_RATE_HZ
    assert onset == pytest.approx((np.hypot(1, 3.2) - 1) / 343, abs=0.0003)
    after = round((onset + 0.003) * SAMPLE_RATE_HZ)
    assert (response[:, after:] ** 2).sum() < 0.01 * (response**2).sum()
    # A street is open to the front, to the back and above; its houses answer from the sides.
    street = np.asarray(preset_banks["street"].early[0], np.float64)[:, round(0.02 * SAMPLE_RATE_HZ) :]
    fl, fr, fc, bl, br = (street**2).sum(axis=1)
    assert fl + fr + bl + br > 3 * fc


def test_what_is_built_is_not_built_again(rooms, small):
    directory = rooms / SMALL.key
    before = facts_of(directory)
    assert ensure_bank(SMALL, rooms) == directory
    assert facts_of(directory) == before
    assert list(rooms.glob(".*")) == []


def test_every_build_gives_the_same_bytes(tmp_path, rooms, small):
    again = ensure_bank(SMALL, tmp_path)
    assert {k: v[0] for k, v in facts_of(again).items()} == {k: v[0] for k, v in facts_of(rooms / SMALL.key).items()}


def test_another_room_is_another_bank():
    keys = {SMALL.key}
    for change in ({"rt60_s": 0.26}, {"floor": "carpet_thin"}, {"wet_db": -10.0}, {"size_m": (4.0, 3.4, 2.6)}):
        values = {f: getattr(SMALL, f) for f in ("name", "size_m", "listener_m", "rt60_s", "early_s")}
        keys.add(Room(**values | change).key)
    assert len(keys) == 5


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x40
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("name", "damage"),
    [(name, damage) for name in (*ARRAYS, "bank.json") for damage in ("missing", "empty", "half", "garbage")]
    + [(name, "one bit") for name in ARRAYS],
)
def test_a_damaged_bank_is_built_again(tmp_path, rooms, small, name, damage):
    directory = tmp_path / SMALL.key
    shutil.copytree(rooms / SMALL.key, directory)
    path = directory / name
    {
        "missing": lambda: path.unlink(),
        "empty": lambda: path.write_bytes(b""),
        "half": lambda: truncate(path),
        "garbage": lambda: path.write_bytes(b"\x93NUMPY" + bytes(range(256))),
        "one bit": lambda: flip(path),
    }[damage]()
    assert not is_complete(directory)
    ensure_bank(SMALL, tmp_path)
    assert is_complete(directory)
    assert path.read_bytes() == (rooms / SMALL.key / name).read_bytes()


def test_a_bank_that_cannot_be_used_says_how_to_mend_it(tmp_path, small):
    with pytest.raises(AssetError, match=r"earshot rooms build small$"):
        load_bank(tmp_path / SMALL.key)


def test_arrays_are_mapped_not_copied_and_cannot_be_written(small):
    for array in (small.early, small.late):
        assert isinstance(array, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0, 0] = 1.0


def test_progress_reaches_its_end(tmp_path):
    steps = []
    ensure_bank(SMALL, tmp_path, lambda done, total: steps.append((done, total)))
    n_points = 2 * GRID_AZIMUTHS
    assert steps == [(k, n_points) for k in range(0, n_points + 1, 8)]


def test_a_cache_that_cannot_be_written_is_said_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="small") as caught:
        ensure_bank(SMALL, tmp_path / "file" / "rooms")
    assert "\n" not in str(caught.value)


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_room_from_a_file(tmp_path):
    path = tmp_path / "den.toml"
    room = find_room(
        write(path, "size_m = [4, 3, 2.5]\nlistener_m = [2, 1.5, 1.2]\nfloor = 'carpet_thin'\nwet_db = -9")
    )
    assert room == Room("den", (4.0, 3.0, 2.5), (2.0, 1.5, 1.2), floor="carpet_thin", wet_db=-9.0)


def test_the_room_in_the_readme_can_be_built(tmp_path):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (text,) = (block for block in re.findall(r"```toml\n(.*?)```", readme, re.DOTALL) if "listener_m" in block)
    room = find_room(write(tmp_path / "cellar.toml", text))
    assert room.ceiling == (0.1,) * 7
    assert room.left == (0.3, 0.2, 0.1, 0.1, 0.1, 0.2, 0.2)
    bank = load_bank(ensure_bank(room, tmp_path))
    assert bank.rt60_s[:7] == pytest.approx(room.rt60_s, rel=0.02)


def test_a_field_needs_no_more_than_a_floor(tmp_path):
    room = find_room(write(tmp_path / "meadow.toml", "outdoor = true\nfloor = 'grass'"))
    assert room.listener_m[2] == 1.6
    assert [wall for wall, material in room.materials.items() if material != NO_WALL] == ["floor"]


FIT = "size_m = [4.0, 3.0, 2.5]\nlistener_m = [2.0, 1.5, 1.2]\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("size_m = [4.0, 3.0", r"den\.toml"),
        ("size_m = [4.0, 3.0, 2.5]", "listener_m is missing"),
        ("size_m = [4.0, 3.0]\nlistener_m = [1.0, 1.0, 1.0]", "size_m must be three numbers"),
        ("size_m = [4.0, 'x', 3.0]\nlistener_m = [1.0, 1.0, 1.0]", "size_m must be three numbers"),
        ("size_m = [4.0, 3.0, 2.5]\nlistener_m = [9.0, 1.0, 1.0]", "listener_m"),
        ("size_m = [4000.0, 3.0, 2.5]\nlistener_m = [2.0, 1.5, 1.2]", "size_m"),
        (FIT + "rt60 = 0.3", "'rt60'.*did you mean rt60_s"),
        (FIT + "rt60_s = 'long'", "rt60_s must be a number or 7 numbers, got 'long'"),
        (FIT + "rt60_s = true", "rt60_s must be a number"),
        (FIT + "rt60_s = [0.5, 0.5]", "rt60_s must be a number or 7 numbers"),
        (FIT + "rt60_s = [0.5, 0.5, 0.5, 0.0, 0.5, 0.5, 0.5]", "rt60_s must be between 0.05 and 10"),
        (FIT + "rt60_s = [0.5, 0.5, 0.5, 0.2, 0.5, 0.5, 0.5]", "neighbouring bands may differ by a factor of 2"),
        (FIT + "rt60_s = 0.01", "rt60_s must be between 0.05 and 10"),
        (FIT + "rt60_s = nan", "rt60_s must be between"),
        (FIT + "rt60_s = 99", "rt60_s must be between"),
        (FIT + "early_s = 9", "early_s must be between"),
        (FIT + "early_s = 0.081", "early_s must be between"),
        (FIT + "echoes_s = 0.01", "echoes_s must be 0 or between 0.05 and 1"),
        (FIT + "echoes_s = nan", "echoes_s"),
        (FIT + "wet_db = nan", "wet_db"),
        (FIT + "floor = 3", r"floor must be .* the absorption \(0\.\.1\) in each of the 7 octave bands"),
        (FIT + "floor = -0.1", "floor must be"),
        (FIT + "floor = true", "floor must be the name of a material, a number or 7 numbers"),
        (FIT + "floor = [0.1, 0.1, 0.1]", "floor must be the name of a material, a number or 7 numbers"),
        (FIT + "floor = [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 1.1]", r"floor must be .*got \[0\.1.*1\.1\]"),
        (FIT + "listener_m = [2.0, 1.5]", "den.toml"),
        (FIT + "outdoor = 1", "outdoor must be true or false"),
        ("outdoor = true\nrt60_s = 1.0", "leave out rt60_s"),
        ("outdoor = true\nleft = 'brickwork'", "outdoors there is only a floor; leave out left"),
        (FIT + "name = '../etc'", "name"),
    ],
)
def test_a_wrong_room_file_is_refused_in_one_line(tmp_path, text, says):
    with pytest.raises(ConfigError, match=says) as caught:
        find_room(write(tmp_path / "den.toml", text))
    assert "\n" not in str(caught.value)


def test_a_room_that_does_not_exist_is_refused_in_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r"no room called 'stret'.*did you mean street\?"):
        find_room("stret")
    with pytest.raises(ConfigError, match=r"none\.toml: No such file"):
        find_room(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"floor": "cheese"}, "'cheese'"),
        ({"rt60_s": 0.3, "floor": "cheese"}, "'cheese'"),
        ({"rt60_s": 9.0, "ceiling": NO_WALL}, "9 s"),
        ({"rt60_s": 0.05}, r"0\.05 s at 125 Hz"),
    ],
)
def test_walls_that_cannot_be_are_refused_when_built(tmp_path, change, says):
    room = Room("odd", (40.0, 30.0, 12.0), (20.0, 15.0, 1.6), early_s=0.01, **change)
    with pytest.raises(ConfigError, match=says) as caught:
        ensure_bank(room, tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("listener", [(0.75, 0.75, 0.75), (0.3, 0.3, 0.3), (1.2, 0.4, 1.0)])
def test_even_a_cupboard_has_a_sound(tmp_path, listener):
    bank = load_bank(ensure_bank(Room("cupboard", (1.5, 1.5, 1.5), listener, early_s=0.005), tmp_path))
    assert np.isfinite(bank.early).all()
    assert np.abs(bank.early).max() > 0
    assert bank.far_m > bank.near_m
