"""What session descriptions say, and the one thing that aiortc cannot say itself: Opus with six channels.

Chromium knows `multiopus/48000/6`. aiortc does not, but never looks inside the payload either: under another name the
offer is accepted, and in the answer the true name is put back.
"""

from __future__ import annotations

import re

from aiortc.sdp import SessionDescription

from engines.errors import EarshotError

# WAV order FL FR FC LFE BL BR from libopus' streams; with Vorbis order Chromium would take the centre for the right.
_SIX_CHANNELS = "channel_mapping=0,1,4,5,2,3;coupled_streams=2;num_streams=4;minptime=10;useinbandfec=1"
_MULTIOPUS = re.compile(r"^a=rtpmap:(\d+) multiopus/48000/6\r?$", re.MULTILINE | re.IGNORECASE)
MAX_BYTES = 64 * 1024


class OfferError(EarshotError):
    """An offer that cannot be answered, in one line."""


def check_offer(text: str, kind: str) -> None:
    """See that an offer can be read and has a medium to answer.

    Args:
        text: the session description.
        kind: "audio" to send to the client, "video" to receive from it.

    Raises:
        OfferError: with the reason.
    """
    try:
        description = SessionDescription.parse(text)
    except Exception as error:  # aiortc's parser raises whatever its string handling does
        raise OfferError(f"not a session description ({type(error).__name__})") from error
    media = [m for m in description.media if m.kind == kind and m.port]
    if not media:
        raise OfferError(f"the offer has no {kind}")
    wanted = ("recvonly", "sendrecv") if kind == "audio" else ("sendonly", "sendrecv")
    if not any((m.direction or "sendrecv") in wanted for m in media):
        raise OfferError(f"the offer's {kind} must be {wanted[0]}")
    if not any(m.ice and m.ice.usernameFragment and m.dtls and m.dtls.fingerprints for m in media):
        raise OfferError("the offer has no ICE credentials or no DTLS fingerprint")


def offers_multiopus(text: str) -> bool:
    """Whether the client asks for six-channel Opus by name."""
    return _MULTIOPUS.search(text) is not None


def hide_multiopus(text: str) -> str:
    """The offer with multiopus under the name of plain Opus, and plain Opus out of the way."""
    match = _MULTIOPUS.search(text)
    if match is None:
        return text
    payload = match[1]
    lines = []
    for line in text.splitlines():
        if line.startswith(f"a=fmtp:{payload} "):
            continue
        if line.lower() == f"a=rtpmap:{payload} multiopus/48000/6":
            line = f"a=rtpmap:{payload} opus/48000/2"
        elif re.match(r"a=rtpmap:\d+ opus/48000/2$", line, re.IGNORECASE):
            line = re.sub(r" opus/", " x-opus/", line, flags=re.IGNORECASE)
        lines.append(line)
    return "\r\n".join(lines) + "\r\n"


def restore_multiopus(answer: str, offer: str) -> str:
    """The answer to `hide_multiopus(offer)` with the true name and its parameters."""
    match = _MULTIOPUS.search(offer)
    if match is None:
        return answer
    payload = match[1]
    plain = f"a=rtpmap:{payload} opus/48000/2"
    full = f"a=rtpmap:{payload} multiopus/48000/6\r\na=fmtp:{payload} {_SIX_CHANNELS}\r\na=ptime:10"
    return answer.replace(plain, full)
