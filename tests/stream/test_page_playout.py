"""The page's own jitter buffer, with real figures in a real browser, faster than real time."""

import numpy as np
import pytest

from engines.specs import BLOCK, SAMPLE_RATE_HZ
from tests.stream.browser import PACK, Process, Tab, chromium, unpacked

QUANTUM = 128
TONES_HZ = (440.0, 1000.0)
LEVEL = 0.25
# The most by which two tones of this level may change from one sample to the next.
STEEPEST = LEVEL * 2 * np.pi * max(TONES_HZ) / SAMPLE_RATE_HZ

# Packets of two tones, each at its time, to a player whose clock runs at its own speed.
PLAY = """async ({ seconds, ppm, jitterMs, lost, silence, block, quantum, rate, tones, level, keep }) => {
    const pack = PACK;
    const { Playout } = await import("/static/playout.js");
    const playout = new Playout(tones.length);
    const lostOnes = new Set(lost);
    let seed = 1;
    const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
    const arrivals = [];
    for (let k = 0; k < ((seconds + 1) * rate) / block; k++) {
        let at = (k * block) / (rate * (1 + ppm * 1e-6)) + (random() * jitterMs) / 1000;
        if (at >= silence[0] && at < silence[1]) continue;
        // The order of a network that does not overtake.
        if (arrivals.length) at = Math.max(at, arrivals[arrivals.length - 1].at);
        if (!lostOnes.has(k)) arrivals.push({ at, k });
    }
    const planes = (k) => {
        const result = new Float32Array(tones.length * block);
        tones.forEach((hz, c) => {
            for (let i = 0; i < block; i++) {
                result[c * block + i] = level * Math.sin((2 * Math.PI * hz * (k * block + i)) / rate);
            }
        });
        return result;
    };
    const first = Math.ceil(((seconds - keep) * rate) / quantum) * quantum;
    const heard = tones.map(() => new Float32Array(Math.ceil((seconds * rate - first) / quantum) * quantum));
    const errors = [];
    const outputs = tones.map(() => new Float32Array(quantum));
    let next = 0;
    for (let n = 0; n < seconds * rate; n += quantum) {
        for (; next < arrivals.length && arrivals[next].at <= n / rate; next++) {
            playout.write(arrivals[next].k * block, planes(arrivals[next].k));
        }
        playout.read(outputs);
        if (n >= first) outputs.forEach((plane, c) => heard[c].set(plane, n - first));
        if (n > 10 * rate) errors.push(playout.averageSamples - playout.targetSamples);
    }
    const { underruns, concealed, skips, targetSamples, averageSamples } = playout;
    const worst = errors.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    return { heard: pack(heard), underruns, concealed, skips, targetSamples, averageSamples, worst };
}""".replace("PACK", PACK)

REORDER = """async ({ packets, depth }) => {
    const { Reorderer } = await import("/static/reorder.js");
    const reorderer = new Reorderer(480);
    reorderer.depth = depth;
    const out = packets.flatMap(([sequence, timestamp]) => reorderer.push(sequence, timestamp, sequence));
    const { lost, late, repeated, sequenceGaps, timestampGaps, lastSequence } = reorderer;
    const numbers = out.map(({ data }) => data);
    const positions = out.map(({ position }) => position);
    return { numbers, positions, lost, late, repeated, sequenceGaps, timestampGaps, lastSequence };
}"""


@pytest.fixture(scope="module")
def tab(cache, bank_dir):
    server = Process(cache, "synthetic:orbit")
    with chromium() as browser:
        yield Tab(browser.new_context(), server.url)
    server.stop()


@pytest.fixture
def play(tab):
    def run(seconds=6.0, *, ppm=0.0, jitter_ms=0.0, lost=(), silence=(0.0, 0.0), keep=None):
        options = {
            "seconds": seconds, "ppm": ppm, "jitterMs": jitter_ms, "lost": list(lost), "silence": list(silence),
            "block": BLOCK, "quantum": QUANTUM, "rate": SAMPLE_RATE_HZ, "tones": list(TONES_HZ), "level": LEVEL,
            "keep": seconds if keep is None else keep,
        }  # fmt: skip
        result = tab.page.evaluate(PLAY, options)
        return result | {"heard": unpacked(result["heard"])}

    return run


@pytest.fixture
def reorder(tab):
    def run(sequence_numbers, depth=2, first=0):
        packets = [[n % 65536, (first + 480 * n) % 2**32] for n in sequence_numbers]
        return tab.page.evaluate(REORDER, {"packets": packets, "depth": depth})

    return run


def steepest(heard):
    return float(np.abs(np.diff(heard, axis=1)).max())


def residual_db(heard):
    """What is left of each channel when its tone, whatever its exact pitch, is taken out; against the tone."""
    result = []
    for plane in heard.astype(np.float64):
        # A steady tone obeys x[n - 1] + x[n + 1] = c x[n].
        middle, sides = plane[1:-1], plane[:-2] + plane[2:]
        c = (middle @ sides) / (middle @ middle)
        noise = np.mean((sides - c * middle) ** 2) / (2 + c * c)
        result.append(10 * np.log10(noise / np.mean(plane**2)))
    return np.array(result)


# -- order ------------------------------------------------------------------------------------------------------------


def test_packets_that_overtook_each_other_come_out_in_order(reorder):
    result = reorder([0, 2, 1, 3, 5, 4, 6], depth=3)
    assert result["numbers"] == [0, 1, 2, 3, 4, 5, 6]
    assert (result["lost"], result["late"], result["sequenceGaps"], result["timestampGaps"]) == (0, 0, 0, 0)


def test_a_missing_packet_is_given_up_when_enough_others_wait(reorder):
    result = reorder([0, 1, 3, 4, 5, 2, 6], depth=2)
    assert result["numbers"] == [0, 1, 3, 4, 5, 6]
    assert (result["lost"], result["late"], result["sequenceGaps"]) == (1, 1, 1)
    # The time stamps say the same as the numbers: nothing is out of step.
    assert result["timestampGaps"] == 0
    assert np.diff(result["positions"]).tolist() == [480, 960, 480, 480, 480]


def test_numbers_and_time_stamps_wrap(reorder):
    result = reorder(range(65530, 65546), first=2**32 - 480 * 65538)
    assert result["numbers"] == [n % 65536 for n in range(65530, 65546)]
    assert np.diff(result["positions"]).tolist() == [480] * 15
    assert (result["lost"], result["sequenceGaps"], result["timestampGaps"]) == (0, 0, 0)
    assert result["lastSequence"] == 9


def test_repeated_packets_are_left_out(reorder):
    result = reorder([0, 1, 3, 3, 2, 2, 4], depth=3)
    assert result["numbers"] == [0, 1, 2, 3, 4]
    assert (result["repeated"], result["late"], result["lost"]) == (1, 1, 0)


def test_another_stream_begins_anew(reorder):
    result = reorder([10, 11, 12, 30000, 30001, 30002])
    assert result["numbers"] == [10, 11, 12, 30000, 30001, 30002]
    assert result["lost"] == 0


# -- sound ------------------------------------------------------------------------------------------------------------


def test_what_comes_in_time_goes_out_untouched(play):
    result = play(3.0)
    assert (result["underruns"], result["concealed"], result["skips"]) == (0, 0, 0)
    heard = result["heard"][:, SAMPLE_RATE_HZ:]
    assert residual_db(heard).max() < -120
    assert np.abs(heard).max(axis=1) == pytest.approx([LEVEL] * 2, rel=1e-3)


@pytest.mark.parametrize("lost", [(200,), (200, 201), (200, 202, 204, 250)])
def test_lost_packets_are_concealed_without_a_jump(play, lost):
    result = play(5.0, lost=lost)
    assert result["concealed"] == len(lost)
    assert (result["underruns"], result["skips"]) == (0, 0)
    assert steepest(result["heard"]) <= 1.1 * STEEPEST
    around = result["heard"][:, BLOCK * 190 : BLOCK * 270].reshape(2, -1, BLOCK)
    # A period goes on repeating, a little quieter at most.
    assert np.sqrt(np.mean(around**2, axis=2)).min() > 0.5 * LEVEL / np.sqrt(2)


def test_an_empty_buffer_recovers_without_a_jump(play):
    result = play(8.0, silence=(3.0, 3.4))
    assert result["underruns"] == 1
    assert steepest(result["heard"]) <= 1.1 * STEEPEST
    # It gives itself more room than before, and then plays on as if nothing had been.
    assert result["targetSamples"] > 30 * 48
    assert residual_db(result["heard"][:, -SAMPLE_RATE_HZ:]).max() < -80


@pytest.mark.parametrize("ppm", [-200, 200])
def test_clocks_that_differ_keep_the_buffer_at_its_target(play, ppm):
    result = play(120.0, ppm=ppm, jitter_ms=5.0, keep=2.0)
    assert (result["underruns"], result["skips"], result["concealed"]) == (0, 0, 0)
    assert result["worst"] < 8 * 48
    # Reading between samples is not heard.
    assert residual_db(result["heard"]).max() < -70
    assert steepest(result["heard"]) <= 1.02 * STEEPEST


def test_a_jittery_network_is_given_more_room(play):
    result = play(30.0, jitter_ms=200.0)
    assert 1 <= result["underruns"] <= 5
    assert result["skips"] == 0
    assert 40 * 48 <= result["targetSamples"] <= 110 * 48
    assert steepest(result["heard"]) <= 1.1 * STEEPEST
