"""The live server: page at /, WHEP at /whep, WHIP at /whip, JSON at /api, pictures and scenes at /live.

Shutdown order: HTTP stops accepting, sessions close, inputs and frame loop stop, the audio process ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from engines.errors import ConfigError, EarshotError, OutputError
from engines.sound.labelling import Labeller
from engines.sound.naming import LabelRule, parse_label_rule
from engines.spatial.bank import load_bank
from engines.spatial.layouts import Layout
from engines.warmup import warm_up_vision
from stream.audio_words import Setup
from stream.clock import Clock
from stream.commands import GAIN_RANGE_DB, number, toggled, whole, with_gain
from stream.live import Live, LiveOptions
from stream.playout import Playout
from stream.priority import EVENT_LOOP, ahead_of_others, in_real_time
from stream.rows import Row
from stream.sdp import MAX_BYTES, OfferError
from stream.webrtc import Sessions

logger = logging.getLogger(__name__)

LAYOUTS = ("5.1", "binaural", "stereo")
_WEB = Path(__file__).parent / "web"
_SDP = "application/sdp"
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type, Authorization, If-Match",
    "Access-Control-Expose-Headers": "Location",
}
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; connect-src 'self'; worker-src 'self'",
    # After an update, old modules beside new ones would not fit together.
    "Cache-Control": "no-cache",
    # High-resolution timers for the latency display; the page embeds nothing.
    "Cross-Origin-Opener-Policy": "same-origin",
}
_DRAIN_S = 2.0


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What to serve.

    Attributes:
        uris: inputs that can be chosen; the first is on air at once.
        host: address to listen on.
        port: 0 takes any free one.
        layouts: by name, those of LAYOUTS.
        rooms: names that can be chosen.
        room: the first one.
        bank: builds a room's bank if need be and gives its directory; called on a worker thread.
        seed: of all voices.
        doppler: whether sound takes the time that its way takes.
        live: how pictures are understood.
        rules: names for sources.
        prompt: names for the rest.
        warming: told (kernels compiled, of how many) while the audio process starts.
        ready: told the URL once connections are accepted and sound begins.
    """

    uris: list[str]
    host: str
    port: int
    layouts: Mapping[str, Layout]
    rooms: tuple[str, ...]
    room: str
    bank: Callable[[str], Path]
    seed: int = 0
    doppler: bool = False
    live: LiveOptions = field(default_factory=LiveOptions)
    rules: tuple[LabelRule, ...] = ()
    prompt: str = ""
    warming: Callable[[int, int], None] = lambda done, total: None
    ready: Callable[[str], None] = lambda url: None


class Server:
    """Everything that lives as long as the server does.

    Args:
        options: what to serve.
        clock: paces it all.
    """

    def __init__(self, options: ServerOptions, clock: Clock) -> None:
        self.options = options
        self._clock = clock
        self._room = options.room
        self._switching = asyncio.Lock()
        setup = Setup(
            dict(options.layouts), self._bank(options.room), options.seed, options.doppler, logger.getEffectiveLevel()
        )
        self.playout = Playout(setup, clock, options.warming)
        self.live = Live(options.uris, options.live, clock, self._facts, self.playout.show)
        self.live.labeller = Labeller(options.rules, options.prompt)
        self.sessions = Sessions(self.playout.fanouts, clock, self.live.watch_browser)
        self._sockets: set[web.WebSocketResponse] = set()
        self._rules, self._prompt = options.rules, options.prompt

    # -- state as the page sees it --------------------------------------------------------------------------------

    def _facts(self) -> Row:
        """What goes with every picture."""
        mix, stats = self.playout.mix, self.playout.stats
        return {
            "voices": {str(k): v for k, v in self.playout.voices.items()},
            "muted": sorted(mix.muted),
            "solo": sorted(mix.solo),
            "gain_db": {str(k): v for k, v in (mix.gain_db or {}).items()},
            "bed_db": mix.bed_db,
            "view_deg": self.live.view_deg,
            "status": self.live.status,
            "input": self.live.on_air,
            "room": self._room,
            "test_tones": mix.test_tones,
            "night": mix.night,
            "stats": {
                "blocks": stats.blocks,
                "underruns": stats.underruns,
                "skipped": stats.skipped,
                "frames": self.live.frames,
                "dropped": self.live.dropped,
                "vision_ms": round(self.live.vision_ms[-1], 2) if self.live.vision_ms else None,
                "viewers": self.sessions.viewers(),
            },
        }

    def state(self) -> Row:
        """The whole state, for a page that has just been opened and for scripts."""
        return self._facts() | {
            "version": version("earshot"),
            "inputs": self.live.uris,
            "rooms": list(self.options.rooms),
            "layouts": list(self.options.layouts),
            "labels": [f"{','.join(rule.where)}={rule.name}" for rule in self._rules],
            "prompt": self._prompt,
            "playout": self._playout_facts(),
        }

    def _playout_facts(self) -> Row:
        """More about the audio process, for scripts that watch over it."""
        stats = self.playout.stats
        return stats.percentiles() | {
            "realtime": stats.realtime,
            "late_arrivals": stats.late_arrivals,
            "missing": stats.missing,
            "restarts": stats.restarts,
            "underrun_times": [[round(t_s, 4) for t_s in times] for times in stats.underrun_times],
            "pid": self.playout.pid,
        }

    # -- commands -------------------------------------------------------------------------------------------------

    def command(self, body: Any) -> None:
        """Carry out one command of the page: a JSON object with one or more of the keys below.

        `input` number; `mute`, `unmute`, `solo`, `unsolo` source id; `gain_db` {"id", "db"}; `bed_db`; `test_tones`
        and `night` true or false; `labels` list of rules; `prompt` text.

        Raises:
            ConfigError: a key or a value that is wrong; nothing is changed then.
        """
        if not isinstance(body, dict) or not body:
            raise ConfigError("a command is a JSON object with at least one key")
        mix, rules, prompt, chosen = self.playout.mix, self._rules, self._prompt, None
        for key, value in body.items():
            if key == "input":
                chosen = whole(key, value, 0, len(self.live.uris) - 1)
            elif key in ("mute", "unmute", "solo", "unsolo"):
                mix = toggled(mix, key, whole(key, value, 1, 1 << 53))
            elif key == "gain_db":
                mix = with_gain(mix, value)
            elif key == "bed_db":
                mix = replace(mix, bed_db=number(key, value, *GAIN_RANGE_DB))
            elif key in ("test_tones", "night"):
                if not isinstance(value, bool):
                    raise ConfigError(f"{key} must be true or false")
                mix = replace(mix, **{key: value})
            elif key == "labels":
                if not isinstance(value, list) or not all(isinstance(v, str) for v in value) or len(value) > 100:
                    raise ConfigError("labels must be a list of at most 100 texts")
                rules = tuple(parse_label_rule(v) for v in value)
            elif key == "prompt":
                if not isinstance(value, str) or len(value) > 1000:
                    raise ConfigError("prompt must be a text of at most 1000 characters")
                prompt = value
            else:
                raise ConfigError(f"unknown command {key!r}")
        if mix != self.playout.mix:
            self.playout.mix = mix
        if (rules, prompt) != (self._rules, self._prompt):
            self._rules, self._prompt = rules, prompt
            self.live.labeller = Labeller(rules, prompt)
        if chosen is not None:
            self.live.choose(chosen)

    async def switch_room(self, name: str) -> None:
        """Cross-fade to another room; its bank is built first if need be, while the old one plays on.

        Raises:
            ConfigError: no such room.
        """
        if name not in self.options.rooms:
            raise ConfigError(f"no room called {name!r} (there are {', '.join(self.options.rooms)})")
        async with self._switching:
            if name == self._room:
                return
            self.playout.enter(await asyncio.to_thread(self._bank, name))
            self._room = name

    def _bank(self, name: str) -> Path:
        """Directory of a room's bank, built if need be and looked at: what is damaged is to be known here and now."""
        directory = self.options.bank(name).absolute()
        load_bank(directory)
        return directory

    # -- life -----------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Serve; gives the URL.

        Raises:
            OutputError: the address cannot be listened on.
        """
        # Short turns for the interpreter lock: the event loop needs it every 10 ms to pass packets on.
        interval_s = sys.getswitchinterval()
        sys.setswitchinterval(0.001)
        runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=_DRAIN_S)
        try:
            await runner.setup()
            site = web.TCPSite(runner, self.options.host, self.options.port)
            try:
                await site.start()
            except OSError as error:
                reason = error.strerror or str(error)
                raise OutputError(f"cannot listen on {self.options.host}:{self.options.port}: {reason}") from error
            port = runner.addresses[0][1]
            self.playout.start()
            await asyncio.to_thread(warm_up_vision)
            await self.live.start()
            host = self.options.host
            yield f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        finally:
            for socket in list(self._sockets):
                await socket.close()
            await runner.cleanup()
            await self.sessions.close_all()
            await self.live.stop()
            await self.playout.stop()
            sys.setswitchinterval(interval_s)

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[_errors], client_max_size=MAX_BYTES)
        app.router.add_get("/", self._page)
        app.router.add_get("/api/state", self._get_state)
        app.router.add_post("/api/command", self._post_command)
        app.router.add_post("/api/room", self._post_room)
        app.router.add_get("/live", self._get_live)
        for endpoint, opener in (("/whep", self._post_whep), ("/whip", self._post_whip)):
            app.router.add_post(endpoint, opener)
            app.router.add_options(endpoint, _options)
            app.router.add_delete(endpoint + "/{session}", self._delete_session)
            app.router.add_options(endpoint + "/{session}", _options)
        app.router.add_static("/static", _WEB)
        app.on_response_prepare.append(_guard_static)
        return app

    # -- handlers -------------------------------------------------------------------------------------------------

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(_WEB / "index.html", headers=_HEADERS)

    async def _get_state(self, request: web.Request) -> web.Response:
        return web.json_response(self.state())

    async def _post_command(self, request: web.Request) -> web.Response:
        self.command(await _json(request))
        return web.json_response(self.state())

    async def _post_room(self, request: web.Request) -> web.Response:
        body = await _json(request)
        if not isinstance(body, dict) or not isinstance(body.get("name"), str):
            raise ConfigError('a room is chosen by {"name": NAME}')
        await self.switch_room(body["name"])
        return web.json_response(self.state())

    async def _get_live(self, request: web.Request) -> web.WebSocketResponse:
        """Pictures with their scenes; the newest one wins, a slow viewer just sees fewer."""
        # JPEG does not get smaller; deflating it only takes time from the sound.
        socket = web.WebSocketResponse(heartbeat=20.0, max_msg_size=1024, compress=False)
        await socket.prepare(request)
        self._sockets.add(socket)
        subscription = self.live.pictures.subscribe(length=1)
        sender = asyncio.create_task(_send_pictures(socket, subscription.get), name="pictures")
        try:
            async for message in socket:
                if message.type in (WSMsgType.ERROR, WSMsgType.CLOSE):
                    break
        finally:
            self.live.pictures.unsubscribe(subscription)
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
            self._sockets.discard(socket)
        return socket

    async def _post_whep(self, request: web.Request) -> web.Response:
        layout = request.query.get("layout")
        if layout is not None and layout not in self.options.layouts:
            raise ConfigError(f"no layout called {layout!r} (there are {', '.join(self.options.layouts)})")
        session, answer = await self.sessions.open_viewer(await _sdp(request), layout)
        return _created("/whep", session.session_id, answer)

    async def _post_whip(self, request: web.Request) -> web.Response:
        session, answer = await self.sessions.open_publisher(await _sdp(request))
        return _created("/whip", session.session_id, answer)

    async def _delete_session(self, request: web.Request) -> web.Response:
        if not await self.sessions.close(request.match_info["session"]):
            raise web.HTTPNotFound(text="no such session", headers=_CORS)
        return web.Response(headers=_CORS)


async def serve(options: ServerOptions, clock: Clock) -> None:
    """Serve until SIGINT (Ctrl-C) or SIGTERM, then shut down in order.

    Raises:
        EarshotError: anything the user can act on.
    """
    ahead_of_others()
    in_real_time(EVENT_LOOP)
    # A full collection over everything that was imported stops all threads for 80 ms and more; that all stays anyway.
    gc.collect()
    gc.freeze()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, stop.set)
    try:
        server = Server(options, clock)
        async with server.running() as url:
            stopped = asyncio.create_task(stop.wait())
            playing = asyncio.create_task(server.playout.ready())
            await asyncio.wait((stopped, playing), return_when=asyncio.FIRST_COMPLETED)
            if stopped.done():
                playing.cancel()
            else:
                playing.result()
                options.ready(url)
                await stopped
    finally:
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(signal_number)


async def _send_pictures(socket: web.WebSocketResponse, get: Callable[[], Any]) -> None:
    while (message := await get()) is not None:
        await socket.send_bytes(message)


@web.middleware
async def _errors(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
    """Every refusal is one line of text with the right status."""
    try:
        return await handler(request)
    except OfferError as error:
        status = 503 if str(error) == "too many sessions" else 400
        return web.Response(status=status, text=f"{error}\n", headers=_CORS)
    except ConfigError as error:
        return web.Response(status=400, text=f"{error}\n", headers=_CORS)
    except EarshotError as error:
        return web.Response(status=500, text=f"{error}\n", headers=_CORS)


async def _guard_static(request: web.Request, response: web.StreamResponse) -> None:
    """The files of the page carry the same headers as the page."""
    if request.path.startswith("/static/"):
        response.headers.update(_HEADERS)


async def _options(request: web.Request) -> web.Response:
    return web.Response(headers={**_CORS, "Accept-Post": _SDP})


async def _json(request: web.Request) -> Any:
    # A page of another origin cannot send this type without asking first, and is not allowed to ask.
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="send application/json\n")
    try:
        return await request.json()
    except (ValueError, UnicodeDecodeError) as error:
        raise ConfigError(f"not JSON: {error}") from error


async def _sdp(request: web.Request) -> str:
    if request.content_type != _SDP:
        raise web.HTTPUnsupportedMediaType(text=f"send {_SDP}\n", headers=_CORS)
    try:
        return await request.text()
    except UnicodeDecodeError as error:
        raise OfferError("not a session description (not UTF-8)") from error


def _created(endpoint: str, session_id: str, answer: str) -> web.Response:
    headers = {**_CORS, "Location": f"{endpoint}/{session_id}"}
    return web.Response(status=201, text=answer, content_type=_SDP, headers=headers)
