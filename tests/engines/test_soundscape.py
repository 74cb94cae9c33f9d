from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from engines.sound.registry import VOICES
from engines.soundscape import CHANNEL_TONES_HZ, CROWD_FALL_DB_S, CROWD_RISE_DB_S, Mix, Soundscape
from engines.spatial.hrtf import spherical_head
from engines.spatial.layouts import make_layout
from engines.spatial.level import LIVE_FALL_DB_S, LIVE_RISE_DB_S, LiveLevel, programme_gain_db
from engines.spatial.limiter import Limiter
from engines.spatial.loudness import TARGET_LUFS, LoudnessMeter, PeakMeter
from engines.specs import BLOCK_S, CHANNELS_5_1, SAMPLE_RATE_HZ, Motion, Scene, Source

FIVE_ONE = make_layout("5.1")


def source(source_id=1, slot=0, label="wind", azimuth=30.0, gain_db=0.0, phase="live"):
    x, y = 3 * np.cos(np.radians(azimuth)), 3 * np.sin(np.radians(azimuth))
    return Source(source_id, slot, label, (float(x), float(y), 0.0), 5.0, gain_db, Motion(1.0, 0.5), phase)


def play(soundscape, scene, blocks, layout="5.1"):
    return np.concatenate([soundscape.step(scene)[layout] for _ in range(blocks)], axis=1)


def level_db(y):
    return 10 * np.log10(float((y**2).mean()) + 1e-20)


def test_the_same_seed_and_scenes_give_the_same_samples(bank):
    scene = Scene(0.0, (source(), source(2, 1, "dog", -60)))
    first, second, other = (play(Soundscape(bank, [FIVE_ONE], seed), scene, 100) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 1e-3


def test_a_new_source_is_heard_within_its_first_blocks(bank):
    for label in ("wind", "dog", "car", "footsteps", "clock"):
        soundscape = Soundscape(bank, [FIVE_ONE])
        soundscape.mix = Mix(bed_db=-60)
        empty = play(soundscape, Scene(0.0), 20)
        y = play(soundscape, Scene(0.0, (source(label=label),)), 12)
        assert level_db(y) > level_db(empty) + 15, label


def test_mute_and_solo(bank):
    soundscape = Soundscape(bank, [FIVE_ONE])
    soundscape.mix = Mix(bed_db=-60)
    both = Scene(0.0, (source(1, 0, "wind", 90), source(2, 1, "stream", -90)))
    play(soundscape, both, 50)
    normal = play(soundscape, both, 50)
    soundscape.mix = Mix(muted=frozenset({1}), bed_db=-60)
    play(soundscape, both, 80)
    muted = play(soundscape, both, 50)
    assert level_db(muted[4]) < level_db(normal[4]) - 12  # BL, where the wind was
    assert level_db(muted[5]) > level_db(normal[5]) - 3
    soundscape.mix = Mix(solo=frozenset({1}), bed_db=-60)
    play(soundscape, both, 80)
    solo = play(soundscape, both, 50)
    assert level_db(solo[5]) < level_db(normal[5]) - 6
    soundscape.mix = Mix(gain_db={1: -40.0, 2: -40.0}, bed_db=-60)
    play(soundscape, both, 80)
    assert level_db(play(soundscape, both, 50)) < level_db(normal) - 25


def test_a_seat_is_given_away_without_a_click(bank):
    soundscape = Soundscape(bank, [FIVE_ONE])
    soundscape.mix = Mix(bed_db=-60)
    play(soundscape, Scene(0.0, (source(1, 0, "fan", 60),)), 100)
    # The scene changed hands between two blocks: another source sits in the same slot at once.
    y = play(soundscape, Scene(0.1, (source(2, 0, "stream", -60),)), 60)
    assert set(soundscape.voices()) == {2}
    steps = np.abs(np.diff(y, axis=1)).max(axis=0)
    settled = steps[-10_000:].max()
    assert steps[:10_000].max() < 2.5 * settled
    # What is heard at last is what a fresh start would give, from the right side.
    assert level_db(y[5, -10_000:]) > level_db(y[4, -10_000:]) + 6


def test_a_new_name_changes_the_voice_smoothly(bank):
    soundscape = Soundscape(bank, [FIVE_ONE])
    play(soundscape, Scene(0.0, (source(label="fan"),)), 50)
    assert soundscape.voices() == {1: "fan"}
    play(soundscape, Scene(0.0, (source(label="stream"),)), 10)
    assert soundscape.voices() == {1: "stream"}


def test_unknown_labels_get_a_voice(bank):
    soundscape = Soundscape(bank, [FIVE_ONE])
    play(soundscape, Scene(0.0, (source(label="xqzzy 17 frobnicator"),)), 3)
    assert soundscape.voices()[1] in VOICES


def test_out_faded_sources_cost_nothing_and_leave(bank):
    soundscape = Soundscape(bank, [FIVE_ONE])
    scene = Scene(0.0, (source(),))
    play(soundscape, scene, 20)
    play(soundscape, replace(scene, sources=(source(gain_db=-60, phase="out"),)), 20)
    assert soundscape.voices() == {}


def test_the_bed_follows_its_level_and_can_be_switched_off(bank):
    soundscape = Soundscape(bank, [FIVE_ONE])
    normal = play(soundscape, Scene(0.0), 200)
    assert -80 < level_db(normal) < -40
    soundscape.mix = Mix(bed_db=float("-inf"))
    play(soundscape, Scene(0.0), 50)
    assert np.abs(play(soundscape, Scene(0.0), 20)[[0, 1, 2, 4, 5]]).max() == 0


@pytest.mark.parametrize("layout", ["5.1", "stereo"])
def test_speaker_test_puts_each_tone_into_its_channel(bank, layout):
    soundscape = Soundscape(bank, [make_layout(layout, spherical_head())])
    soundscape.mix = Mix(test_tones=True)
    y = play(soundscape, Scene(0.0, (source(),)), 50, layout)
    frequency = np.fft.rfftfreq(y.shape[1], 1 / SAMPLE_RATE_HZ)
    names = CHANNELS_5_1 if layout == "5.1" else ("FL", "FR")
    for channel, name in zip(y, names, strict=True):
        spectrum = np.abs(np.fft.rfft(channel * np.hanning(len(channel))))
        assert frequency[spectrum.argmax()] == pytest.approx(CHANNEL_TONES_HZ[name], abs=3)
        assert np.abs(channel).max() == pytest.approx(0.1, abs=0.005)


# -- gain staging -----------------------------------------------------------------------------------------------------


def crowd(number):
    """So many sources all around, equally far, each with a voice of its own."""
    names = list(VOICES)
    return Scene(
        0.0, tuple(source(i + 1, i, names[(7 * i + 3) % len(names)], 20 + 360 * i / number) for i in range(number))
    )


class Listening:
    """A soundscape behind its live level control."""

    def __init__(self, bank):
        self.soundscape = Soundscape(bank, [FIVE_ONE], 1)
        self.level = LiveLevel(FIVE_ONE.loudness_weights)
        self.gains_db, self.limiting_db, self.raw = [], [], []

    def hear(self, scene, seconds):
        """Integrated loudness of that long."""
        meter = LoudnessMeter(FIVE_ONE.loudness_weights)
        for _ in range(round(100 * seconds)):
            self.raw.append(self.soundscape.step(scene)["5.1"])
            meter.step(self.level.step(self.raw[-1]))
            self.gains_db.append(self.level.gain_db)
            self.limiting_db.append(self.level.limiting_db)
        return meter.integrated_lufs()

    def as_a_file(self):
        """Integrated loudness of all that as a file, and the limiter's gain in each block."""
        weights = FIVE_ONE.loudness_weights
        raw, peak, mastered = LoudnessMeter(weights), PeakMeter(6), LoudnessMeter(weights)
        for block in self.raw:
            raw.step(block)
            peak.step(block)
        gain_db = programme_gain_db(raw, peak.peak_dbtp, -1.0, weights, lambda: self.raw)
        limiter, limiting_db = Limiter(6), []
        for block in self.raw:
            mastered.step(limiter.step(block, 10 ** (gain_db / 20)))
            limiting_db.append(limiter.gain_db)
        return mastered.integrated_lufs(), limiting_db

    def pumping_db(self):
        """Peak to peak of the gain, limiter included, between 0.3 and 4 Hz."""
        sections = butter(2, (0.3, 4.0), btype="band", fs=100, output="sos")
        return np.ptp(sosfiltfilt(sections, np.add(self.gains_db, self.limiting_db))[50:-50])


@pytest.mark.parametrize(("number", "settle_s"), [(1, 8.0), (4, 6.0), (16, 6.0)])
def test_few_and_many_sources_end_up_at_the_target_without_pumping(bank, number, settle_s):
    listening, scene = Listening(bank), crowd(number)
    listening.hear(scene, settle_s)
    listening.gains_db.clear()
    listening.limiting_db.clear()
    assert listening.hear(scene, 4.0) == pytest.approx(TARGET_LUFS, abs=2.0)
    assert np.percentile(listening.limiting_db, 1) > -3.0
    assert listening.pumping_db() < 1.0
    loudness, limiting_db = listening.as_a_file()
    assert loudness == pytest.approx(TARGET_LUFS, abs=0.5)
    assert np.percentile(limiting_db, 1) > -3.0


def test_sixty_four_sources_and_what_happens_when_one_comes_and_all_but_one_go(bank):
    listening, everybody = Listening(bank), crowd(64)
    most = replace(everybody, sources=everybody.sources[:-1])
    listening.hear(most, 5.0)
    assert np.percentile(listening.limiting_db, 1) > -3.0
    settled = len(listening.gains_db)
    assert listening.hear(everybody, 3.0) == pytest.approx(TARGET_LUFS, abs=2.0)
    assert np.ptp(listening.gains_db[settled : settled + 100]) < 0.5
    loudness, limiting_db = listening.as_a_file()
    assert loudness == pytest.approx(TARGET_LUFS, abs=0.5)
    assert np.percentile(limiting_db, 1) > -3.0
    listening.hear(replace(everybody, sources=everybody.sources[:1]), 4.0)
    steps = np.diff(listening.gains_db) / BLOCK_S
    assert steps.max() <= LIVE_RISE_DB_S + 1e-9
    assert steps.min() >= -LIVE_FALL_DB_S - 1e-9


def test_sources_make_room_for_each_other_slowly(bank):
    def shared_db(blocks, scene):
        levels = []
        for _ in range(blocks):
            soundscape.step(scene)
            levels.append(soundscape.crowd_db)
        return levels

    soundscape = Soundscape(bank, [FIVE_ONE])
    assert shared_db(1, crowd(4)) == pytest.approx([-10 * np.log10(4) / 2])
    soundscape = Soundscape(bank, [FIVE_ONE])
    alone = shared_db(1, Scene(0.0, crowd(4).sources[:1]))
    together = shared_db(150, crowd(4))
    again = shared_db(50, Scene(0.0, crowd(4).sources[:1]))
    assert alone == [0.0]
    assert np.diff(together).min() >= -CROWD_FALL_DB_S * BLOCK_S - 1e-9
    assert together[-1] == pytest.approx(-10 * np.log10(4) / 2)
    assert np.diff(again).max() == pytest.approx(CROWD_RISE_DB_S * BLOCK_S)
