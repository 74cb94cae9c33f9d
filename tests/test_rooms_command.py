"""`earshot rooms`: what it prints, what it leaves behind, and how it ends."""

import os
import shutil
import signal
import subprocess
import time

import pytest

from engines.spatial.bank import is_complete
from engines.spatial.rooms import PRESETS, find_room
from export.bank_cache import list_banks
from export.rir_bank import ensure_bank
from tests.program import COMMAND, earshot, environment, refused

ROOM = """
name = "den"
size_m = [5.0, 4.0, 2.6]
listener_m = [2.4, 1.9, 1.2]
rt60_s = 0.3
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A cache with the den in it, and the den's file."""
    cache = tmp_path_factory.mktemp("own-cache")
    path = cache / "den.toml"
    path.write_text(ROOM)
    ensure_bank(find_room(str(path)), cache / "earshot" / "rooms")
    return cache, path


@pytest.fixture
def own(built, tmp_path):
    """A copy of it to change: cache, file of the room, directory of its bank."""
    cache, path = shutil.copytree(built[0], tmp_path / "cache"), built[1]
    return cache, path, cache / "earshot" / "rooms" / find_room(str(path)).key


def done(result):
    assert result.returncode == 0, result.stderr
    return result.stdout


def listed(cache):
    """Cells of `rooms list` by name of the room."""
    rows = {}
    for line in done(earshot("rooms", "list", cache=cache)).splitlines():
        if line.count("│") == 9:
            name, *cells = (cell.strip() for cell in line.split("│")[1:-1])
            rows.setdefault(name, []).append(cells)
    return rows


def hidden(cache):
    return [path.name for path in (cache / "earshot" / "rooms").glob(".*")]


def bytes_of(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_list_tells_what_is_there(own):
    cache, _, directory = own
    rows = listed(cache)
    assert set(rows) == {"studio", "living-room", "hall", "street", "open", "den"}
    assert rows["studio"][0][:3] == ["5.2 x 4.2 x 2.8", "", "not built"]
    ((size, rt60, state, _, on_disk, length, name),) = rows["den"]
    assert (size, rt60, state, name) == ("5 x 4 x 2.6", "0.30", "current", directory.name)
    assert float(on_disk.split()[0]) == pytest.approx(sum(map(len, bytes_of(directory).values())) / 1e6, abs=0.1)
    assert 0.2 < float(length) < 0.5


def test_a_build_says_what_it_will_take_and_is_done_once(own):
    cache, path, directory = own
    before = bytes_of(directory)
    shutil.rmtree(directory)
    result = earshot("rooms", "build", path, "--jobs", 1, cache=cache)
    done(result)
    first, *_, last = result.stderr.splitlines()
    assert first.startswith("den: 144 of 144 points to compute, about ")
    size = float(first.split()[-2])
    assert size == pytest.approx(sum(map(len, before.values())) / 1e6, abs=0.1)
    assert last == f"den: {directory}"
    # One thread gives what one thread per core gave.
    assert bytes_of(directory) == before
    again = earshot("rooms", "build", path, cache=cache)
    done(again)
    assert again.stderr.splitlines() == [f"den: {directory}"]


def begin(cache, path, directory):
    """A running build, once its first points are on disk."""
    program = subprocess.Popen(
        [*COMMAND, "rooms", "build", str(path), "--jobs", "1"],
        env=environment(cache), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not list(directory.with_name(f".{directory.name}.part").glob("points-*.npy")):
        assert program.poll() is None, program.communicate()
        time.sleep(0.005)
    return program


def test_a_killed_build_is_continued_and_ends_the_same(own):
    cache, path, directory = own
    before = bytes_of(directory)
    shutil.rmtree(directory)
    program = begin(cache, path, directory)
    program.kill()
    program.communicate()
    assert not directory.exists()
    assert [bank.state for bank in list_banks(directory.parent) if bank.room == "den"] == ["unfinished"]
    # What was being written when it was killed does not count.
    part = directory.with_name(f".{directory.name}.part")
    newest = max(part.glob("points-*.npy"), key=lambda path: path.stat().st_mtime_ns)
    (part / "points-17.npy").write_bytes(newest.read_bytes()[:1000])
    steps = []
    ensure_bank(find_room(str(path)), cache / "earshot" / "rooms", lambda done, total: steps.append(done))
    assert 0 < steps[0] < steps[-1] == 144
    assert bytes_of(directory) == before
    assert hidden(cache) == []


def test_an_interrupted_build_ends_in_one_line(own):
    cache, path, directory = own
    shutil.rmtree(directory)
    program = begin(cache, path, directory)
    program.send_signal(signal.SIGINT)
    _, errors = program.communicate()
    assert program.returncode == 130, errors
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].startswith("earshot: interrupted; what is computed is kept")
    assert not directory.exists()


def test_two_builds_at_once_are_one(own):
    cache, path, directory = own
    before = bytes_of(directory)
    shutil.rmtree(directory)
    first = begin(cache, path, directory)
    second = earshot("rooms", "build", path, cache=cache)
    first.communicate()
    assert (first.returncode, second.returncode) == (0, 0)
    assert bytes_of(directory) == before
    assert hidden(cache) == []


def test_a_bank_of_another_version_is_stale_and_can_be_removed(own):
    cache, _, directory = own
    old = directory.with_name("den-0123456789abcdef")
    shutil.copytree(directory, old)
    shutil.copytree(directory, directory.with_name("studio-0123456789abcdef"))
    notes = directory.with_name("my-notes")
    notes.mkdir()
    assert sorted(row[2] for row in listed(cache)["den"]) == ["current", "stale"]
    assert "2 removed" in earshot("rooms", "remove", "--stale", cache=cache).stderr
    assert is_complete(directory)
    assert not old.exists()
    assert "1 removed" in earshot("rooms", "remove", "den", cache=cache).stderr
    assert list(directory.parent.iterdir()) == [notes]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [((), "say which rooms"), (("all", "deen"), "called 'deen'; did you mean den?")],
)
def test_what_cannot_be_removed_is_said(own, arguments, reason):
    cache, _, directory = own
    assert reason in refused(earshot("rooms", "remove", *arguments, cache=cache), 2)
    assert directory.exists()


def test_the_cache_stays_within_its_bound_and_loses_what_was_used_longest_ago(own, monkeypatch):
    cache, _, directory = own
    rooms = cache / "earshot" / "rooms"
    size = sum(map(len, bytes_of(directory).values()))
    others = [rooms / f"old{k}-0123456789abcdef" for k in range(3)]
    for age, other in enumerate(others):
        shutil.copytree(directory, other)
        os.utime(other, (1e9 - age, 1e9 - age))
    # A field is smaller than a den: it finds room for itself and two more.
    monkeypatch.setenv("EARSHOT_ROOMS_MB", str(3 * size / 2**20))
    field = ensure_bank(PRESETS["open"], rooms)
    assert [path.exists() for path in (field, directory, *others)] == [True, True, True, False, False]
    # What was just built stays, however small the bound.
    shutil.rmtree(field)
    monkeypatch.setenv("EARSHOT_ROOMS_MB", "0")
    ensure_bank(PRESETS["open"], rooms)
    assert list(rooms.iterdir()) == [field]
    monkeypatch.setenv("EARSHOT_ROOMS_MB", "plenty")
    assert "EARSHOT_ROOMS_MB" in refused(earshot("rooms", "build", "open", cache=cache), 2)


def test_a_room_from_a_file_is_rendered(own, tmp_path):
    cache, path, _ = own
    out = tmp_path / "a.wav"
    done(earshot("render", "synthetic:passby?seconds=1", "--room", path, "--out", out, cache=cache))
    assert out.stat().st_size > 48000 * 6 * 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (ROOM.replace("rt60_s", "rt61_s"), "rt60_s"),
        (ROOM.replace("5.0", "0.2"), "size_m"),
        (ROOM + 'floor = "jelly"\n', "jelly"),
        (ROOM.replace("rt60_s = 0.3", "rt60_s = 0.001"), "rt60_s"),
        ("name = ", "Invalid value"),
    ],
)
def test_a_room_that_cannot_be(cache, tmp_path, content, reason):
    path = tmp_path / "bad.toml"
    path.write_text(content)
    assert reason in refused(earshot("rooms", "build", path, cache=cache), 2)
