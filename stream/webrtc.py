"""WebRTC sessions: WHEP viewers that receive sound, WHIP publishers that send pictures (RFC 9725 and its sibling)."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av.packet import Packet
from av.video.frame import VideoFrame

from stream.clock import Clock
from stream.fanout import Fanout
from stream.sdp import OfferError, check_offer, hide_multiopus, offers_multiopus, restore_multiopus
from stream.tracks import PacketTrack

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 20.0
MAX_SESSIONS = 64


@dataclass(slots=True)
class Session:
    """One peer.

    Attributes:
        session_id: unguessable; whoever knows it may end the session.
        kind: "whep" or "whip".
        layout: of the sound sent; "" for a publisher.
        opened_s: when it was made.
    """

    session_id: str
    kind: str
    layout: str
    opened_s: float
    peer: RTCPeerConnection
    track: PacketTrack | None = None
    watching: asyncio.Task[None] | None = None
    watchdog: asyncio.TimerHandle | None = None


class Sessions:
    """All peers; closes those that vanish.

    Args:
        fanouts: packets by layout.
        clock: for the age of sessions.
        watch: puts a publisher's video on air; given an awaitable that yields frames.
    """

    def __init__(
        self,
        fanouts: Mapping[str, Fanout[Packet]],
        clock: Clock,
        watch: Callable[[Callable[[], Awaitable[VideoFrame]]], asyncio.Task[None]],
    ) -> None:
        self._fanouts, self._clock, self._watch = fanouts, clock, watch
        self._sessions: dict[str, Session] = {}
        self._closing: set[asyncio.Future[bool]] = set()

    def __len__(self) -> int:
        return len(self._sessions)

    def viewers(self) -> int:
        """Number of WHEP sessions."""
        return sum(s.kind == "whep" for s in self._sessions.values())

    async def open_viewer(self, offer: str, layout: str | None) -> tuple[Session, str]:
        """Answer a WHEP offer.

        Args:
            offer: session description of the client.
            layout: what it wants to hear; None lets the offer decide: six channels for multiopus, else stereo.

        Raises:
            OfferError: the offer cannot be answered.
        """
        check_offer(offer, "audio")
        named = layout is None and offers_multiopus(offer)
        chosen = layout or ("5.1" if named else "stereo")
        session = self._new("whep", chosen)
        session.track = PacketTrack(self._fanouts[chosen])
        session.peer.addTrack(session.track)
        answer = await self._answer(session, hide_multiopus(offer) if named else offer)
        return session, restore_multiopus(answer, offer) if named else answer

    async def open_publisher(self, offer: str) -> tuple[Session, str]:
        """Answer a WHIP offer.

        Raises:
            OfferError: the offer cannot be answered.
        """
        check_offer(offer, "video")
        session = self._new("whip", "")

        @session.peer.on("track")
        def _(track: MediaStreamTrack) -> None:
            if track.kind == "video":
                session.watching = self._watch(track.recv)  # pyright: ignore[reportArgumentType]
                session.watching.add_done_callback(lambda done: self._publisher_ended(session, done))

        return session, await self._answer(session, offer)

    def _publisher_ended(self, session: Session, done: asyncio.Task[None]) -> None:
        if not done.cancelled() and (error := done.exception()) and not isinstance(error, MediaStreamError):
            logger.warning("browser video ended: %r", error)
        self._close_soon(session.session_id)

    def _new(self, kind: str, layout: str) -> Session:
        if len(self._sessions) >= MAX_SESSIONS:
            raise OfferError("too many sessions")
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        session = Session(secrets.token_urlsafe(16), kind, layout, self._clock.now_s(), peer)
        self._sessions[session.session_id] = session
        loop = asyncio.get_running_loop()
        # A peer that never connects, or that vanishes without DELETE, must not stay.
        session.watchdog = loop.call_later(CONNECT_TIMEOUT_S, self._expire, session)

        @peer.on("connectionstatechange")
        def _() -> None:
            logger.info("%s %s: %s", kind, session.session_id[:6], peer.connectionState)
            if peer.connectionState == "connected" and session.watchdog is not None:
                session.watchdog.cancel()
            if peer.connectionState in ("failed", "closed", "disconnected"):
                self._close_soon(session.session_id)

        return session

    def _expire(self, session: Session) -> None:
        if session.peer.connectionState != "connected":
            self._close_soon(session.session_id)

    async def _answer(self, session: Session, offer: str) -> str:
        try:
            await session.peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            answer = await session.peer.createAnswer()
            if answer is None:
                raise OfferError("the offer cannot be answered")
            await session.peer.setLocalDescription(answer)
        except OfferError:
            await self.close(session.session_id)
            raise
        except Exception as error:  # aiortc raises what its parsers and transports do
            logger.info("offer refused", exc_info=True)
            await self.close(session.session_id)
            raise OfferError(f"the offer cannot be answered ({type(error).__name__}: {error})") from error
        return session.peer.localDescription.sdp

    def _close_soon(self, session_id: str) -> None:
        if session_id in self._sessions:
            task = asyncio.ensure_future(self.close(session_id))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self, session_id: str) -> bool:
        """End a session; False when there is none of that id."""
        session = self._sessions.pop(session_id, None)
        if session is None:
            return False
        if session.watchdog is not None:
            session.watchdog.cancel()
        if session.track is not None:
            session.track.stop()
        # A track whose first packet never came does not end by itself.
        if session.watching is not None:
            session.watching.cancel()
        await session.peer.close()
        return True

    async def close_all(self) -> None:
        """End every session."""
        await asyncio.gather(*(self.close(session_id) for session_id in list(self._sessions)))
        await asyncio.gather(*self._closing, return_exceptions=True)
