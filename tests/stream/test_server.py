"""The live server from outside: HTTP, WHEP, WHIP, the picture socket, commands; and as a process with signals."""

import asyncio
import contextlib
import json
import re
import socket
from dataclasses import replace

import aiohttp
import av
import cv2
import numpy as np
import pytest
from aioice import ice
from aiortc import RTCPeerConnection, RTCSessionDescription, VideoStreamTrack

from engines.errors import OutputError
from engines.spatial.hrtf import spherical_head
from engines.spatial.layouts import make_layout
from engines.spatial.rooms import PRESETS
from engines.warmup import warm_up
from export.rir_bank import ensure_bank
from stream.clock import MonotonicClock
from stream.server import Server, ServerOptions
from tests.media import picture, write_clip

LAYOUTS = {
    "5.1": make_layout("5.1"),
    "stereo": make_layout("stereo"),
    "binaural": make_layout("binaural", spherical_head()),
}


@pytest.fixture(scope="module", autouse=True)
def warm():
    warm_up(tuple(LAYOUTS.values()))


@pytest.fixture
def options(cache, bank_dir, studio):
    """A server on a free port with two inputs and two rooms that are built already."""
    rooms = ("living-room", "studio")
    return ServerOptions(
        uris=["synthetic:passby", "synthetic:orbit"],
        host="127.0.0.1",
        port=0,
        layouts=LAYOUTS,
        rooms=rooms,
        room="living-room",
        bank=lambda name: ensure_bank(PRESETS[name], cache / "earshot" / "rooms"),
    )


@contextlib.asynccontextmanager
async def serving(options):
    """(server, client session on its address)."""
    server = Server(options, MonotonicClock())
    async with server.running() as url, aiohttp.ClientSession(url) as web:
        yield server, web


async def until(condition, what):
    """Poll; the generous end is there so that a broken build fails instead of hanging."""
    for _ in range(1500):
        if (value := condition()) is not None and value is not False:
            return value
        await asyncio.sleep(0.02)
    raise AssertionError(f"never: {what}")


class Viewer:
    """A WHEP client that is not a browser: aiortc, stereo."""

    def __init__(self, web, query=""):
        self.web, self.query = web, query
        self.peer = RTCPeerConnection()
        self.frames = []
        self.location = None
        self.listening = None

        @self.peer.on("track")
        def _(track):
            self.listening = asyncio.create_task(self._listen(track))

    async def _listen(self, track):
        with contextlib.suppress(Exception):
            while True:
                self.frames.append(await track.recv())

    async def open(self):
        self.peer.addTransceiver("audio", direction="recvonly")
        await self.peer.setLocalDescription(await self.peer.createOffer())
        headers = {"Content-Type": "application/sdp"}
        async with self.web.post(f"/whep{self.query}", data=self.peer.localDescription.sdp, headers=headers) as answer:
            assert answer.status == 201
            assert answer.content_type == "application/sdp"
            self.location = answer.headers["Location"]
            await self.peer.setRemoteDescription(RTCSessionDescription(await answer.text(), "answer"))
        return self

    async def hear(self, n):
        await until(lambda: len(self.frames) >= n, f"{n} frames of sound")
        return self.frames

    async def close(self):
        await self.peer.close()
        if self.listening is not None:
            self.listening.cancel()
            await asyncio.gather(self.listening, return_exceptions=True)


# -- pages and state --------------------------------------------------------------------------------------------------


async def test_the_page_its_files_and_its_guards(options):
    async with serving(options) as (_, web):
        async with web.get("/") as page:
            text = await page.text()
            assert page.status == 200
            assert "default-src 'self'" in page.headers["Content-Security-Policy"]
        for path in re.findall(r'(?:src|href)="(/static/[^"]+)"', text):
            async with web.get(path) as file:
                assert file.status == 200, path
        for path in ("/static/../server.py", "/static/%2e%2e/server.py", "/nothing"):
            async with web.get(path) as missing:
                assert missing.status in (403, 404)


async def test_the_state_tells_what_can_be_chosen(options):
    async with serving(options) as (_, web), web.get("/api/state") as answer:
        state = await answer.json()
    assert state["inputs"] == ["synthetic:passby", "synthetic:orbit"]
    assert state["rooms"] == ["living-room", "studio"]
    assert state["layouts"] == ["5.1", "stereo", "binaural"]
    assert state["input"] == "synthetic:passby"
    assert set(state["stats"]) >= {"blocks", "underruns", "frames", "dropped", "viewers"}


async def next_picture(socket_):
    message = await socket_.receive_bytes()
    length = int.from_bytes(message[:4], "little")
    jpeg = cv2.imdecode(np.frombuffer(message[4 + length :], np.uint8), cv2.IMREAD_COLOR)
    return json.loads(message[4 : 4 + length]), jpeg


async def test_pictures_come_with_the_sources_in_them(options):
    async with serving(options) as (_, web), web.ws_connect("/live") as socket_:
        for _ in range(200):
            facts, jpeg = await next_picture(socket_)
            seen = [s for s in facts["sources"] if s["box_px"]]
            if seen and facts["voices"]:
                break
    assert jpeg.shape[1] <= 640
    (source,) = seen
    x0, y0, x1, y1 = source["box"]
    assert 0 <= x0 < x1 <= 1
    assert 0 <= y0 < y1 <= 1
    assert all(x0 - 0.02 <= x <= x1 + 0.02 and y0 - 0.02 <= y <= y1 + 0.02 for x, y in source["outline"])
    assert str(source["id"]) in facts["voices"]
    assert facts["room"] == "living-room"


# -- commands ---------------------------------------------------------------------------------------------------------


async def command(web, **body):
    async with web.post("/api/command", json=body) as answer:
        return answer.status, await answer.text()


async def test_mute_solo_gain_labels_and_prompt(options):
    async with serving(options) as (server, web):
        sources = await until(lambda: server.live.scene().sources or None, "a source")
        number = sources[0].source_id
        for body in ({"mute": number}, {"solo": number}, {"gain_db": {"id": number, "db": -6}}, {"bed_db": -10}):
            status, text = await command(web, **body)
            assert status == 200, text
        assert server.playout.mix.muted == server.playout.mix.solo == {number}
        assert server.playout.mix.gain(number) == 0.0
        await command(web, unmute=number, unsolo=number)
        assert server.playout.mix.gain(number) == pytest.approx(10 ** (-6 / 20))
        assert server.playout.mix.bed_db == -10
        for night in (True, False):
            status, text = await command(web, night=night)
            assert (status, json.loads(text)["night"], server.playout.mix.night) == (200, night, night)
        status, _ = await command(web, labels=["any=tractor"])
        assert status == 200
        await until(lambda: any(s.label == "tractor" for s in server.live.scene().sources), "the new name")
        await command(web, labels=[], prompt="a barking dog")
        await until(lambda: any("dog" in s.label for s in server.live.scene().sources), "the name from the prompt")


async def test_wrong_commands_change_nothing_and_say_why(options):
    async with serving(options) as (server, web):
        before = server.playout.mix
        for body, reason in (
            ({}, "at least one"),
            ({"jump": 1}, "jump"),
            ({"mute": "all"}, "whole number"),
            ({"mute": True}, "whole number"),
            ({"input": 7}, "0 to 1"),
            ({"gain_db": {"id": 1, "db": 1e9}}, "gain_db"),
            ({"gain_db": 3}, "gain_db"),
            ({"test_tones": 1}, "true or false"),
            ({"night": "yes"}, "true or false"),
            ({"labels": ["nowhere=dog"]}, "nowhere"),
            ({"prompt": "x" * 1001}, "1000"),
            ({"mute": 1, "jump": 1}, "jump"),
        ):
            status, text = await command(web, **body)
            assert (status, text.count("\n")) == (400, 1), body
            assert reason in text
        assert server.playout.mix is before
        async with web.post("/api/command", data="{", headers={"Content-Type": "application/json"}) as answer:
            assert answer.status == 400
        async with web.post("/api/command", data="{}") as answer:
            assert answer.status == 415


async def test_the_input_can_be_changed_while_it_plays(options):
    async with serving(options) as (server, web):
        await until(lambda: server.live.scene().sources, "a source")
        status, text = await command(web, input=1)
        assert status == 200, text
        assert json.loads(text)["input"] == "synthetic:orbit"
        frames = server.live.frames
        await until(
            lambda: server.live.frames > frames + 20 and server.live.scene().sources, "sources of the other input"
        )
        assert server.live.status == "playing"


async def test_the_room_can_be_changed_while_it_plays(options):
    async with serving(options) as (server, web):
        viewer = await Viewer(web, "?layout=stereo").open()
        await viewer.hear(10)
        async with web.post("/api/room", json={"name": "studio"}) as answer:
            assert (answer.status, (await answer.json())["room"]) == (200, "studio")
        await viewer.hear(len(viewer.frames) + 30)
        for body in ({"name": "cave"}, {"name": 3}, []):
            async with web.post("/api/room", json=body) as answer:
                assert answer.status == 400
        await viewer.close()
        assert server.playout.stats.blocks > 40
        assert server.playout.stats.missing == 0


# -- WHEP -------------------------------------------------------------------------------------------------------------


async def test_a_viewer_hears_sound_until_it_says_goodbye(options):
    async with serving(options) as (server, web):
        viewer = await Viewer(web).open()
        frames = await viewer.hear(60)
        assert frames[0].sample_rate == 48_000
        heard = np.concatenate([f.to_ndarray().reshape(-1, 2) for f in frames[20:]]).T.astype(float)
        assert np.abs(heard).max() > 30  # of 32768: not silence
        assert server.sessions.viewers() == 1
        for expected in (200, 404):
            async with web.delete(viewer.location) as answer:
                assert answer.status == expected
        assert server.sessions.viewers() == 0
        await viewer.close()


async def test_two_viewers_hear_the_same_and_one_leaving_does_not_disturb_the_other(options):
    async with serving(options) as (server, web):
        first, second = await Viewer(web, "?layout=binaural").open(), await Viewer(web).open()
        await first.hear(30)
        await second.hear(30)
        assert server.sessions.viewers() == 2
        await first.close()
        await second.hear(len(second.frames) + 100)
        await until(lambda: server.sessions.viewers() == 1, "the first viewer is gone")
        await second.close()


async def test_a_viewer_that_vanishes_without_a_word_is_let_go(options, monkeypatch):
    # Consent checks (RFC 7675) run for half a minute before a peer is given up; here for two seconds.
    monkeypatch.setattr(ice, "CONSENT_INTERVAL", 0.4)
    monkeypatch.setattr(ice, "CONSENT_FAILURES", 3)
    async with serving(options) as (server, web):
        viewer = await Viewer(web).open()
        await viewer.hear(10)
        (transceiver,) = viewer.peer.getTransceivers()
        connection = transceiver.receiver.transport.transport._connection
        for protocol in connection._protocols:
            protocol.transport.close()
        await until(lambda: server.sessions.viewers() == 0, "the viewer is gone")
        await viewer.close()


@pytest.mark.parametrize("endpoint", ["/whep", "/whip"])
async def test_bad_offers_are_refused_and_leave_no_session(options, endpoint):
    async with serving(options) as (server, web):
        for body in ("", "hello", "v=0\r\n", "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"):
            async with web.post(endpoint, data=body, headers={"Content-Type": "application/sdp"}) as answer:
                assert answer.status == 400
                assert (await answer.text()).count("\n") == 1
        async with web.post(endpoint, data=b"\xff\xfe", headers={"Content-Type": "application/sdp"}) as answer:
            assert answer.status == 400
        async with web.post(endpoint, json={}) as answer:
            assert answer.status == 415
        async with web.post(endpoint, data="x" * 100_000, headers={"Content-Type": "application/sdp"}) as answer:
            assert answer.status == 413
        async with web.options(endpoint) as answer:
            assert "POST" in answer.headers["Access-Control-Allow-Methods"]
            assert answer.headers["Access-Control-Expose-Headers"] == "Location"
        async with web.get(endpoint) as answer:
            assert answer.status == 405
        assert len(server.sessions) == 0


async def test_an_unknown_layout_is_refused(options):
    headers = {"Content-Type": "application/sdp"}
    async with serving(options) as (_, web), web.post("/whep?layout=9.1", data="v=0", headers=headers) as answer:
        assert answer.status == 400
        assert "9.1" in await answer.text()


# -- WHIP -------------------------------------------------------------------------------------------------------------


class SquareTrack(VideoStreamTrack):
    """The moving square at camera rate."""

    async def recv(self):
        pts, time_base = await self.next_timestamp()
        frame = av.VideoFrame.from_ndarray(picture(float(pts * time_base) % 2.0), format="rgb24")
        frame.pts, frame.time_base = pts, time_base
        return frame


async def offered(peer):
    await peer.setLocalDescription(await peer.createOffer())
    return {"data": peer.localDescription.sdp, "headers": {"Content-Type": "application/sdp"}}


async def test_a_camera_that_never_sends_leaves_the_input_on_air(options):
    async with serving(options) as (server, web):
        peer = RTCPeerConnection()
        peer.addTrack(SquareTrack())
        async with web.post("/whip", **await offered(peer)) as answer:
            assert answer.status == 201
            location = answer.headers["Location"]
        async with web.delete(location) as answer:
            assert answer.status == 200
        await peer.close()
        frames = server.live.frames
        await until(lambda: server.live.frames > frames + 5, "frames of the input")
        assert server.live.on_air == "synthetic:passby"


async def test_a_published_camera_is_watched_and_afterwards_the_former_input_is_back(options):
    async with serving(options) as (server, web):
        await until(lambda: server.live.scene().sources, "a source")
        before = {s.source_id for s in server.live.scene().sources}
        peer = RTCPeerConnection()
        peer.addTrack(SquareTrack())
        async with web.post("/whip", **await offered(peer)) as answer:
            assert answer.status == 201
            location = answer.headers["Location"]
            await peer.setRemoteDescription(RTCSessionDescription(await answer.text(), "answer"))
        await until(lambda: server.live.on_air == "browser", "the camera is on air")
        await until(lambda: {s.source_id for s in server.live.scene().sources} - before, "new sources")
        async with web.delete(location) as answer:
            assert answer.status == 200
        await until(lambda: server.live.on_air == "synthetic:passby", "the former input is back")
        frames = server.live.frames
        await until(lambda: server.live.frames > frames + 5, "its frames")
        await peer.close()


# -- inputs that fail -------------------------------------------------------------------------------------------------


async def test_sound_goes_on_while_an_input_is_gone(options, tmp_path):
    clip = write_clip(tmp_path / "a.mkv", 0.5)
    options = replace(options, uris=[str(clip)])
    async with serving(options) as (server, _):
        await until(lambda: server.live.frames > 5, "frames")
        clip.unlink()
        await until(lambda: "no such file" in server.live.status, "the reason in the status")
        blocks = server.playout.stats.blocks
        await until(lambda: server.playout.stats.blocks > blocks + 20, "sound goes on")
        write_clip(tmp_path / "a.mkv", 0.5)
        await until(lambda: server.live.status == "playing", "the input is back")


async def test_a_port_in_use(options):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OutputError, match=f"127.0.0.1:{port}"):
            async with Server(replace(options, port=port), MonotonicClock()).running():
                pass
