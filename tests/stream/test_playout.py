"""The audio thread, with a real clock: a packet every 10 ms, whatever vision does."""

import asyncio
import itertools

import numpy as np

from engines.soundscape import Mix, Soundscape
from engines.spatial.hrtf import spherical_head
from engines.spatial.layouts import make_layout
from engines.specs import BLOCK, Motion, Scene, Source
from stream.clock import MonotonicClock
from stream.playout import Playout

LAYOUTS = {
    "5.1": make_layout("5.1"),
    "stereo": make_layout("stereo"),
    "binaural": make_layout("binaural", spherical_head()),
}
SCENE = Scene(0.0, (Source(1, 0, "rain", (2.0, 2.0, 0.0), 5.0, 0.0, Motion(1.0, 0.5), "live"),), 1)


async def collect(playout, layout, n):
    subscription = playout.fanouts[layout].subscribe(length=1000)
    packets = [await subscription.get() for _ in range(n)]
    playout.fanouts[layout].unsubscribe(subscription)
    return packets


async def playing(bank, scene, use):
    playout = Playout(Soundscape(bank, ()), LAYOUTS, scene, MonotonicClock())
    playout.start()
    try:
        return await use(playout)
    finally:
        await asyncio.to_thread(playout.stop)


async def test_time_stamps_go_on_without_a_gap_and_two_viewers_share_bytes(bank):
    async def use(playout):
        return await asyncio.gather(collect(playout, "5.1", 100), collect(playout, "5.1", 100))

    first, second = await playing(bank, lambda: SCENE, use)
    assert {b.pts - a.pts for a, b in itertools.pairwise(first)} == {BLOCK}
    by_time = {p.pts: bytes(p) for p in first}
    shared = [p for p in second if p.pts in by_time]
    assert len(shared) >= 90
    assert all(by_time[p.pts] == bytes(p) for p in shared)


async def test_layouts_are_encoded_while_somebody_listens(bank):
    async def use(playout):
        return [await collect(playout, layout, 20) for layout in ("stereo", "5.1", "binaural", "stereo")]

    runs = await playing(bank, lambda: SCENE, use)
    assert [run[0].size for run in runs] == [160, 400, 200, 160]
    for run in runs:
        assert {b.pts - a.pts for a, b in itertools.pairwise(run)} == {BLOCK}


async def test_sound_goes_on_when_a_block_fails(bank):
    class Flaky(Soundscape):
        calls = 0

        def step(self, scene):
            self.calls += 1
            if self.calls == 10:
                raise RuntimeError("a voice went wrong")
            return super().step(scene)

    playout = Playout(Flaky(bank, ()), LAYOUTS, lambda: SCENE, MonotonicClock())
    playout.start()
    try:
        packets = await collect(playout, "5.1", 40)
    finally:
        await asyncio.to_thread(playout.stop)
    gaps = [b.pts - a.pts for a, b in itertools.pairwise(packets)]
    assert set(gaps) <= {BLOCK, 2 * BLOCK}


async def test_the_mix_and_work_reach_the_audio_thread(bank):
    soundscape = Soundscape(bank, ())
    seen = []
    playout = Playout(soundscape, LAYOUTS, lambda: SCENE, MonotonicClock(), lambda index, scene: seen.append(scene))
    playout.start()
    try:
        await collect(playout, "5.1", 5)
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        soundscape.mix = Mix(muted=frozenset({1}))
        playout.submit(lambda owner: loop.call_soon_threadsafe(done.set))
        await done.wait()
    finally:
        await asyncio.to_thread(playout.stop)
    assert seen[0] is SCENE
    assert playout.stats.blocks == len(seen)
    figures = playout.stats.percentiles()
    assert figures["late_p50_ms"] <= figures["late_p95_ms"] <= figures["late_p99_ms"] <= figures["late_max_ms"]
    assert np.isfinite(list(figures.values())).all()
