"""What goes between threads and onto the wire: mailboxes, fan-out, packets, session descriptions."""

import asyncio
import threading

import av
import numpy as np
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription

from engines.soundscape import CHANNEL_TONES_HZ
from engines.specs import BLOCK, CHANNELS_5_1, SAMPLE_RATE_HZ
from stream.fanout import Fanout
from stream.latest import Closed, Latest
from stream.opus import OpusEncoder, packet
from stream.sdp import OfferError, check_offer, hide_multiopus, offers_multiopus, restore_multiopus
from stream.tracks import PacketTrack

# -- mailbox ----------------------------------------------------------------------------------------------------------


async def test_the_mailbox_keeps_the_newest_and_counts_the_rest():
    box = Latest()
    for value in range(1, 6):
        box.put(value)
    assert await box.get() == 5
    assert (box.received, box.dropped) == (5, 4)


async def test_the_mailbox_wakes_its_reader_from_another_thread():
    box = Latest()
    waiting = asyncio.create_task(box.get())
    await asyncio.sleep(0)
    thread = threading.Thread(target=box.put, args=("frame",))
    thread.start()
    assert await waiting == "frame"
    thread.join()


async def test_a_closed_mailbox_gives_its_last_value_and_ends():
    box = Latest()
    box.put("last")
    box.close()
    box.put("too late")
    assert await box.get() == "last"
    with pytest.raises(Closed):
        await box.get()


# -- fan-out ----------------------------------------------------------------------------------------------------------


async def test_every_viewer_gets_the_same_object_and_a_slow_one_only_harms_itself():
    fanout = Fanout()
    quick, slow = fanout.subscribe(), fanout.subscribe(length=2)
    items = [object() for _ in range(5)]
    taken = []
    for item in items:
        fanout.publish(item)
        taken.append(await quick.get())
    assert all(a is b for a, b in zip(taken, items, strict=True))
    assert slow.dropped == 3
    assert [await slow.get(), await slow.get()] == items[3:]


async def test_leaving_ends_the_wait():
    fanout = Fanout()
    subscription = fanout.subscribe()
    waiting = asyncio.create_task(subscription.get())
    await asyncio.sleep(0)
    fanout.unsubscribe(subscription)
    fanout.unsubscribe(subscription)
    assert await waiting is None
    assert len(fanout) == 0


# -- packets ----------------------------------------------------------------------------------------------------------


def tones(n_blocks):
    time_s = np.arange(n_blocks * BLOCK) / SAMPLE_RATE_HZ
    return 0.2 * np.stack([np.sin(2 * np.pi * CHANNEL_TONES_HZ[c] * time_s) for c in CHANNELS_5_1]).astype(np.float32)


def encoded(signal, layout):
    encoder = OpusEncoder(layout)
    blocks = np.split(signal, signal.shape[1] // BLOCK, axis=1)
    return encoder, [packet(encoder.encode(block), 7 + i) for i, block in enumerate(blocks)]


def decoded(encoder, packets):
    decoder = av.CodecContext.create("libopus", "r")
    decoder.extradata = encoder.head
    decoder.sample_rate = SAMPLE_RATE_HZ
    frames = [f for packet in packets for f in decoder.decode(av.Packet(bytes(packet)))]
    resampler = av.AudioResampler(format="fltp", layout=frames[0].layout, rate=SAMPLE_RATE_HZ)
    return np.concatenate([r.to_ndarray() for f in frames for r in resampler.resample(f)], axis=1)


def test_six_channels_stay_six_through_one_packet():
    encoder, packets = encoded(tones(60), "5.1")
    heard = decoded(encoder, packets)[:, 10 * BLOCK : 50 * BLOCK]
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(heard.shape[1]), axis=1))
    bins = [round(CHANNEL_TONES_HZ[c] * heard.shape[1] / SAMPLE_RATE_HZ) for c in CHANNELS_5_1]
    for channel in range(6):
        levels_db = 20 * np.log10([spectrum[channel, b - 2 : b + 3].max() for b in bins])
        others = np.delete(levels_db, channel)
        assert levels_db[channel] - others.max() >= 30.0, CHANNELS_5_1[channel]


@pytest.mark.parametrize(("layout", "channels"), [("5.1", 6), ("stereo", 2), ("binaural", 2)])
def test_packets_have_one_size_below_a_datagram_and_time_stamps_without_gaps(layout, channels):
    signal = np.random.default_rng(1).normal(0, 0.3, (channels, 50 * BLOCK)).astype(np.float32)
    _, packets = encoded(signal, layout)
    assert len({packet.size for packet in packets}) == 1
    assert packets[0].size <= 1200
    assert [p.pts for p in packets] == [(7 + i) * BLOCK for i in range(50)]


# -- session descriptions ---------------------------------------------------------------------------------------------


async def offer(kind, direction):
    peer = RTCPeerConnection()
    peer.addTransceiver(kind, direction=direction)
    await peer.setLocalDescription(await peer.createOffer())
    text = peer.localDescription.sdp
    await peer.close()
    return text


async def test_offers_are_looked_at_before_they_are_answered():
    audio, video = await offer("audio", "recvonly"), await offer("video", "sendonly")
    check_offer(audio, "audio")
    check_offer(video, "video")
    for text, kind, reason in (
        ("", "audio", "no audio"),
        ("v=0\r\n", "audio", "no audio"),
        ("hello", "audio", "not a session|no audio"),
        (video, "audio", "no audio"),
        (audio, "video", "no video"),
        (audio.replace("recvonly", "sendonly"), "audio", "recvonly"),
        ("\r\n".join(line for line in audio.splitlines() if "ice-ufrag" not in line) + "\r\n", "audio", "ICE"),
    ):
        with pytest.raises(OfferError, match=reason):
            check_offer(text, kind)


async def test_multiopus_is_answered_by_its_true_name_with_an_order_that_players_understand():
    plain = await offer("audio", "recvonly")
    assert not offers_multiopus(plain)
    text = plain.replace("a=rtpmap:96 opus/48000/2", "a=rtpmap:127 multiopus/48000/6\r\na=rtpmap:96 opus/48000/2")
    text = text.replace("UDP/TLS/RTP/SAVPF 96", "UDP/TLS/RTP/SAVPF 127 96")
    assert offers_multiopus(text)
    peer = RTCPeerConnection()
    track = PacketTrack(Fanout())
    peer.addTrack(track)
    await peer.setRemoteDescription(RTCSessionDescription(hide_multiopus(text), "offer"))
    await peer.setLocalDescription(await peer.createAnswer())
    answer = restore_multiopus(peer.localDescription.sdp, text)
    track.stop()
    await peer.close()
    assert "a=rtpmap:127 multiopus/48000/6" in answer
    assert "a=fmtp:127 channel_mapping=0,1,4,5,2,3;coupled_streams=2;num_streams=4" in answer
    assert "opus/48000/2" not in answer
