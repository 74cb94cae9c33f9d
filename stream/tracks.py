"""Opus packets as an aiortc track: its `recv` is what paces the sender."""

from __future__ import annotations

from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.packet import Packet

from stream.fanout import Fanout


class PacketTrack(MediaStreamTrack):
    """A subscription to one layout.

    Args:
        fanout: where the packets come from.
    """

    kind = "audio"

    def __init__(self, fanout: Fanout[Packet]) -> None:
        super().__init__()
        self._fanout = fanout
        self._subscription = fanout.subscribe()
        self._begun = False

    @property
    def dropped(self) -> int:
        """Packets that this viewer was too slow for."""
        return self._subscription.dropped

    async def recv(self) -> Packet:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The next packet, encoded already; aiortc sends it as it is."""
        if not self._begun:
            # What gathered while the peers were shaking hands is old by now; sent at once it would only be skipped.
            self._begun = True
            self._subscription.clear()
        packet = await self._subscription.get()
        if packet is None:
            raise MediaStreamError
        return packet

    def stop(self) -> None:
        """Leave."""
        self._fanout.unsubscribe(self._subscription)
        super().stop()
