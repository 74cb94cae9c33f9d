"""The live server: page at /, WHEP at /whep, WHIP at /whip, JSON at /api, pictures and scenes at /live.

Shutdown order: HTTP stops accepting, sessions close, inputs and frame loop stop, the audio thread ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
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
from engines.soundscape import Mix, Soundscape
from engines.spatial.bank import load_bank
from engines.spatial.layouts import Layout
from stream.clock import Clock
from stream.live import Live, LiveOptions
from stream.playout import Playout
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
_NICENESS = -10
_GAIN_RANGE_DB = (-60.0, 20.0)


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
        live: how pictures are understood.
        rules: names for sources.
        prompt: names for the rest.
        ready: told the URL once connections are accepted.
    """

    uris: list[str]
    host: str
    port: int
    layouts: Mapping[str, Layout]
    rooms: tuple[str, ...]
    room: str
    bank: Callable[[str], Path]
    seed: int = 0
    live: LiveOptions = field(default_factory=LiveOptions)
    rules: tuple[LabelRule, ...] = ()
    prompt: str = ""
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
        self._soundscape = Soundscape(load_bank(options.bank(options.room)), (), options.seed)
        self._room = options.room
        self._switching = asyncio.Lock()
        self.live = Live(options.uris, options.live, clock, self._facts)
        self.live.labeller = Labeller(options.rules, options.prompt)
        self.playout = Playout(self._soundscape, options.layouts, self.live.scene, clock)
        self.sessions = Sessions(self.playout.fanouts, clock, self.live.watch_browser)
        self._sockets: set[web.WebSocketResponse] = set()
        self._rules, self._prompt = options.rules, options.prompt

    # -- state as the page sees it --------------------------------------------------------------------------------

    @property
    def mix(self) -> Mix:
        """Mutes, solos, gains."""
        return self._soundscape.mix

    @mix.setter
    def mix(self, mix: Mix) -> None:
        self._soundscape.mix = mix

    def _facts(self) -> Row:
        """What goes with every picture."""
        mix, stats = self.mix, self.playout.stats
        return {
            "voices": {str(k): v for k, v in self._soundscape.voices().items()},
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
            "playout": self.playout.stats.percentiles() | {"realtime": self.playout.stats.realtime},
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
        mix, rules, prompt, chosen = self.mix, self._rules, self._prompt, None
        for key, value in body.items():
            if key == "input":
                chosen = _whole(key, value, 0, len(self.live.uris) - 1)
            elif key in ("mute", "unmute", "solo", "unsolo"):
                mix = _toggled(mix, key, _whole(key, value, 1, 1 << 53))
            elif key == "gain_db":
                mix = _with_gain(mix, value)
            elif key == "bed_db":
                mix = replace(mix, bed_db=_number(key, value, *_GAIN_RANGE_DB))
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
        self.mix = mix
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
            renderer = self._soundscape.renderer
            prepared = await asyncio.to_thread(lambda: renderer.prepare_room(load_bank(self.options.bank(name))))
            self.playout.submit(lambda soundscape: soundscape.renderer.switch_room(prepared))
            self._room = name

    # -- life -----------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Serve; gives the URL.

        Raises:
            OutputError: the address cannot be listened on.
        """
        # Short turns for the interpreter lock: the audio thread needs it every 10 ms.
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
            await self.live.start()
            host = self.options.host
            yield f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        finally:
            for socket in list(self._sockets):
                await socket.close()
            await runner.cleanup()
            await self.sessions.close_all()
            await self.live.stop()
            await asyncio.to_thread(self.playout.stop)
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
    _ask_for_attention()
    # A full collection over everything that was imported stops all threads for 80 ms and more; that all stays anyway.
    gc.collect()
    gc.freeze()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        server = Server(options, clock)
        async with server.running() as url:
            options.ready(url)
            await stop.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _ask_for_attention() -> None:
    """Ahead of ordinary programs, where the system allows it; threads that are started later inherit it.

    The audio thread has real-time priority, but it needs the interpreter lock, and whoever holds that must not be kept
    waiting by a busy machine either.
    """
    try:
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
    except OSError:
        logger.info("no permission to raise the priority of the process")


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


def _whole(key: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"{key} must be a whole number from {low} to {high}")
    return value


def _number(key: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ConfigError(f"{key} must be a number from {low:g} to {high:g}")
    return float(value)


def _toggled(mix: Mix, key: str, source_id: int) -> Mix:
    changed = {"mute": mix.muted, "unmute": mix.muted, "solo": mix.solo, "unsolo": mix.solo}[key]
    ids = changed - {source_id} if key.startswith("un") else changed | {source_id}
    return replace(mix, muted=ids) if key.endswith("mute") else replace(mix, solo=ids)


def _with_gain(mix: Mix, value: Any) -> Mix:
    if not isinstance(value, dict) or set(value) != {"id", "db"}:
        raise ConfigError('gain_db must be {"id": ID, "db": DECIBELS}')
    source_id = _whole("gain_db.id", value["id"], 1, 1 << 53)
    level = _number("gain_db.db", value["db"], *_GAIN_RANGE_DB)
    return replace(mix, gain_db={**(mix.gain_db or {}), source_id: level})
