"""The sound from scene to packet: the loop on a clock set by hand, then the process that runs it."""

import asyncio
import itertools
import logging
import os
import pickle
import signal
import threading
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

from engines.errors import OutputError
from engines.soundscape import Mix, Soundscape
from engines.spatial.hrtf import spherical_head
from engines.spatial.layouts import make_layout
from engines.specs import BLOCK, BLOCK_S, SAMPLE_RATE_HZ, Motion, Region, Scene, Source
from engines.warmup import warm_up_sound
from stream import playout as playout_module
from stream.audio_loop import STALE_S, AudioLoop, Gone
from stream.audio_words import BlockDone, Setup, Wanted
from stream.clock import ManualClock, MonotonicClock
from stream.opus import OpusEncoder
from stream.playout import Playout, PlayoutStats

LAYOUTS = {
    "5.1": make_layout("5.1"),
    "stereo": make_layout("stereo"),
    "binaural": make_layout("binaural", spherical_head()),
}
SCENE = Scene(0.0, (Source(1, 0, "rain", (2.0, 2.0, 0.0), 5.0, 0.0, Motion(1.0, 0.5), "live"),), 1)
ROOM = Path("a room")
QUIET = Mix(bed_db=float("-inf"))


def heard(blocks, layout="5.1"):
    """Samples of the packets, float32 (channels, n)."""
    decoder = av.CodecContext.create("libopus", "r")
    decoder.extradata = OpusEncoder(layout).head
    decoder.sample_rate = SAMPLE_RATE_HZ
    frames = [f for block in blocks for f in decoder.decode(av.Packet(block.packets[layout]))]
    resampler = av.AudioResampler(format="fltp", layout=frames[0].layout, rate=SAMPLE_RATE_HZ)
    return np.concatenate([r.to_ndarray() for f in frames for r in resampler.resample(f)], axis=1)


def level_db(samples):
    return 10 * np.log10(np.mean(np.square(samples)) + 1e-12)


# -- the loop ---------------------------------------------------------------------------------------------------------


class Desk:
    """Whoever says what is wanted, and gets the blocks."""

    def __init__(self, soundscape, clock=None, wanted=None, first_index=0):
        self.clock = clock or ManualClock()
        self.wanted = wanted or Wanted(SCENE, frozenset({"5.1"}), ROOM, Mix())
        self.done = []
        self.end = 0
        self.loop = AudioLoop(soundscape, ROOM, LAYOUTS, self.clock, self.ask, self.done.append, first_index)

    def ask(self):
        if self.end == 0:
            raise Gone
        self.end -= 1
        return self.wanted

    def play(self, n_blocks):
        self.end = n_blocks
        begun = len(self.done)
        self.loop.run(threading.Event())
        return self.done[begun:]


def test_a_block_every_10_ms_and_numbers_without_a_gap(bank):
    desk = Desk(Soundscape(bank, ()), first_index=700)
    blocks = desk.play(50)
    assert [block.index for block in blocks] == list(range(700, 750))
    assert np.diff([block.due_s for block in blocks]) == pytest.approx(BLOCK_S)
    assert all(block.voices == {1: "rain"} for block in blocks)
    assert level_db(heard(blocks)[:, BLOCK * 20 :]) > -60


def test_what_is_wanted_counts_from_the_next_block_on(bank):
    desk = Desk(Soundscape(bank, ()), wanted=Wanted(SCENE, frozenset({"stereo"}), ROOM, QUIET))
    loud = heard(desk.play(60), "stereo")[:, BLOCK * 40 :]
    desk.wanted = replace(desk.wanted, mix=replace(QUIET, muted=frozenset({1})))
    # The reflections die away.
    muted = heard(desk.play(150), "stereo")[:, BLOCK * 120 :]
    assert level_db(muted) < level_db(loud) - 40


def test_layouts_are_encoded_while_somebody_listens_and_5_1_while_nobody_does(bank):
    desk = Desk(Soundscape(bank, ()))
    sizes = {"5.1": 400, "stereo": 160, "binaural": 200}
    for names in ({"stereo"}, {"5.1", "binaural"}, {"stereo"}, set()):
        desk.wanted = replace(desk.wanted, layouts=frozenset(names))
        for block in desk.play(5):
            assert {name: len(data) for name, data in block.packets.items()} == {
                name: sizes[name] for name in names or {"5.1"}
            }


def test_sources_fade_when_no_new_scene_comes_and_return_with_the_next(bank):
    desk = Desk(Soundscape(bank, ()))
    n_stale = round(STALE_S / BLOCK_S)
    assert desk.play(n_stale)[-1].voices == {1: "rain"}
    assert desk.play(5)[-1].voices == {}
    desk.wanted = replace(desk.wanted, scene=replace(SCENE, seq=2))
    assert desk.play(20)[-1].voices == {1: "rain"}


def test_another_room_is_heard_without_a_pause(bank, cache, studio):
    rooms = {p.name.rsplit("-", 1)[0]: p for p in (cache / "earshot" / "rooms").iterdir()}
    soundscape = Soundscape(bank, ())
    desk = Desk(soundscape)
    desk.play(5)
    desk.wanted = replace(desk.wanted, room=rooms["studio"])
    indices = []
    while soundscape.renderer.room != "studio":
        indices += [block.index for block in desk.play(1)]
    indices += [block.index for block in desk.play(30)]
    assert set(np.diff(indices)) == {1}
    desk.wanted = replace(desk.wanted, room=cache / "no such room")
    desk.play(1)
    assert len(desk.play(20)) == 20
    assert soundscape.renderer.room == "studio"


def test_sound_goes_on_when_a_block_fails(bank):
    class Flaky(Soundscape):
        calls = 0

        def step(self, scene):
            self.calls += 1
            if self.calls == 10:
                raise RuntimeError("a voice went wrong")
            return super().step(scene)

    blocks = Desk(Flaky(bank, ())).play(40)
    assert [block.index for block in blocks] == [*range(9), *range(10, 40)]


class Slow(ManualClock):
    """Stands still at one moment for some time."""

    def __init__(self, at_s, for_s):
        super().__init__()
        self.at_s, self.for_s = at_s, for_s

    def sleep_until(self, t_s, stop):
        super().sleep_until(t_s, stop)
        if t_s >= self.at_s and self.for_s:
            self._t_s += self.for_s
            self.for_s = 0.0
        return not stop.is_set()


def test_a_short_delay_is_made_up_for(bank):
    blocks = Desk(Soundscape(bank, ()), Slow(0.1, 0.095)).play(40)
    late_ms = [round(1000 * (block.begun_s - block.due_s)) for block in blocks]
    assert late_ms[8:22] == [0, 0, 95, 85, 75, 65, 55, 45, 35, 25, 15, 5, 0, 0]
    stats = PlayoutStats()
    for block in blocks:
        stats.count(block, block.done_s + 0.001)
    assert stats.underruns == 8
    assert [begin_s for begin_s, _ in stats.underrun_times] == pytest.approx([0.1 + 0.01 * k for k in range(8)])
    assert stats.late_arrivals == 8
    assert stats.percentiles()["late_max_ms"] == pytest.approx(95, abs=0.01)
    assert stats.percentiles()["arrival_max_ms"] == pytest.approx(96, abs=0.01)


def test_after_a_long_stall_it_skips_ahead_and_the_numbers_go_on(bank):
    blocks = Desk(Soundscape(bank, ()), Slow(0.1, 3.0)).play(40)
    assert [block.index for block in blocks] == list(range(40))
    assert blocks[-1].skipped == 300
    assert all(block.begun_s - block.due_s < BLOCK_S for block in blocks)


# -- the process ------------------------------------------------------------------------------------------------------


@pytest.fixture
def setup(bank_dir):
    # Fills numba's cache, so that no process compiles.
    warm_up_sound(tuple(LAYOUTS.values()))
    return Setup(LAYOUTS, bank_dir, 0, False, logging.WARNING)


@asynccontextmanager
async def playing(setup, tap=None):
    playout = Playout(setup, MonotonicClock(), tap=tap)
    playout.start()
    try:
        await playout.ready()
        yield playout
    finally:
        await playout.stop()


async def collect(playout, layout, n):
    subscription = playout.fanouts[layout].subscribe(length=1000)
    packets = [await subscription.get() for _ in range(n)]
    playout.fanouts[layout].unsubscribe(subscription)
    return packets


async def until(condition, what):
    """Poll; the generous end is there so that a broken build fails instead of hanging."""
    for _ in range(1500):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"never: {what}")


async def test_viewers_share_bytes_and_another_process_goes_on_where_one_died(setup, caplog):
    played = []
    mask = np.zeros((40, 40), np.bool_)
    region = Region((0, 0, 40, 40), mask, "thing", 1.0, 3.0, np.zeros(64, np.float32))
    seen = replace(SCENE, t_s=7.0, sources=(replace(SCENE.sources[0], region=region),))
    async with playing(setup, played.append) as playout:
        playout.show(seen)
        playout.mix = Mix(bed_db=-10.0)
        first, second = await asyncio.gather(collect(playout, "5.1", 50), collect(playout, "5.1", 50))
        assert [bytes(p) for p in first] == [bytes(p) for p in second]
        assert {b.pts - a.pts for a, b in itertools.pairwise(first)} == {BLOCK}
        await until(lambda: playout.voices == {1: "rain"}, "the voice of the source")
        assert played[-1].scene_s == 7.0
        # Vision stays out of it.
        process = psutil.Process(playout.pid)
        assert not any("cv2" in Path(m.path).name for m in process.memory_maps())
        subscription = playout.fanouts["stereo"].subscribe(length=1000)
        before = [await subscription.get() for _ in range(10)]
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            assert playout.stats.restarts == 0
            os.kill(process.pid, number)
            before += [await subscription.get() for _ in range(10 if number != signal.SIGKILL else 0)]
        after = [await subscription.get() for _ in range(100)]
        await until(lambda: playout.voices == {1: "rain"}, "the scene is known to the new process")
        assert playout.stats.restarts == 1
        assert not process.is_running()
    stamps = [p.pts for p in (*before, *after)]
    assert {b - a for a, b in itertools.pairwise(stamps)} == {BLOCK}
    figures = playout.stats.percentiles()
    for name in ("late", "render", "arrival"):
        values = [figures[f"{name}_{q}_ms"] for q in ("p50", "p95", "p99", "max")]
        assert values == sorted(values)
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert "audio process ended" in line


async def test_a_process_that_cannot_start_says_why_once(setup, caplog, tmp_path):
    playout = Playout(replace(setup, room=tmp_path / "gone"), MonotonicClock())
    playout.start()
    with pytest.raises(OutputError, match="no sound"):
        await playout.ready()
    await playout.stop()
    (line,) = [record.getMessage() for record in caplog.records]
    assert "gone" in line
    assert "Traceback" not in line


async def test_stopping_while_it_starts_leaves_nothing(setup):
    playout = Playout(setup, MonotonicClock())
    playout.start()
    await until(lambda: playout.pid, "a process")
    pid = playout.pid
    await playout.stop()
    assert not psutil.pid_exists(pid)


async def test_a_scene_that_does_not_get_through_goes_with_the_next_block(setup, monkeypatch):
    """The link is full for a moment; nothing waits for it, and nothing is lost for good."""
    async with playing(setup) as playout:
        await collect(playout, "5.1", 5)
        link = playout._link

        class Full:
            def __getattr__(self, name):
                return getattr(link, name)

            def send(self, data):
                raise BlockingIOError

        monkeypatch.setattr(playout, "_link", Full())
        playout.show(SCENE)
        monkeypatch.undo()
        await until(lambda: playout.voices == {1: "rain"}, "the scene arrives all the same")


def test_the_largest_state_fits_into_one_message():
    sources = tuple(replace(SCENE.sources[0], source_id=10**9 + n, slot=n, label="x" * 100) for n in range(64))
    many = frozenset(range(1 << 52, (1 << 52) + 1000))
    mix = Mix(many, many, dict.fromkeys(many, -12.5))
    wanted = Wanted(Scene(1.0, sources, 1), frozenset(LAYOUTS), Path("/" + 250 * "r"), mix)
    assert len(pickle.dumps(wanted)) < playout_module.MESSAGE_BYTES / 2
    voices = {10**9 + n: "v" * 40 for n in range(64)}
    block = BlockDone(1, 0.0, 0.0, 0.0, {name: bytes(1200) for name in LAYOUTS}, 0.0, voices, 0)
    assert len(pickle.dumps(block)) < 16_000
