"""What rooms sound like at the output of the renderer: how long, how far, how loud."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from engines.spatial.bank import load_bank
from engines.spatial.layouts import make_layout
from engines.spatial.renderer import AZIMUTH, DISTANCE, GAIN, N_PLACEMENT, Renderer
from engines.spatial.rooms import PRESETS, Room
from engines.specs import BLOCK, SAMPLE_RATE_HZ
from export.rir_bank import ensure_bank

MAINS = [0, 1, 2, 4, 5]
OCTAVES_HZ = (250, 500, 1000, 2000, 4000)
CELLAR = Room(
    "cellar",
    (7.0, 5.0, 3.0),
    (3.0, 2.4, 1.2),
    front=(0.1, 0.1, 0.1, 0.2, 0.3, 0.3, 0.3),
    floor="carpet_thin",
    rt60_s=(0.9, 0.8, 0.6, 0.45, 0.45, 0.35, 0.3),
)


@pytest.fixture(scope="module")
def banks(preset_banks, tmp_path_factory):
    return preset_banks | {"cellar": load_bank(ensure_bank(CELLAR, tmp_path_factory.mktemp("rooms")))}


def play(bank, dry, azimuth, distance):
    """The five main channels while a standing source plays `dry`: float64 (5, n)."""
    renderer = Renderer(bank, [make_layout("5.1")], 1)
    placement = np.zeros((1, N_PLACEMENT))
    placement[0, [AZIMUTH, DISTANCE, GAIN]] = azimuth, distance, 1.0
    sounding, bed = np.ones(1, np.bool_), np.zeros((5, BLOCK), np.float32)
    blocks = [
        renderer.step(np.ascontiguousarray(dry[None, k : k + BLOCK]), placement, sounding, bed)["5.1"]
        for k in range(0, len(dry), BLOCK)
    ]
    return np.concatenate(blocks, axis=1)[MAINS].astype(np.float64)


def direct_and_reverberant(bank, azimuth, distance, seconds):
    """Answers to an impulse, float64 (5, n) each: what a room without reflections gives, and the rest."""
    dry = np.zeros(BLOCK * (2 + round(seconds * 100)), np.float32)
    dry[BLOCK] = 1.0  # the first block is for gains to settle
    dead = replace(bank, early=np.zeros_like(bank.early), late=np.zeros_like(bank.late))
    direct = play(dead, dry, azimuth, distance)[:, BLOCK:]
    return direct, play(bank, dry, azimuth, distance)[:, BLOCK:] - direct


def octave(signal, centre_hz):
    edges = (centre_hz / 2**0.5, centre_hz * 2**0.5)
    return sosfilt(butter(4, edges, "bandpass", fs=SAMPLE_RATE_HZ, output="sos"), signal, axis=-1)


def t30_s(response):
    """RT60 by ISO 3382-1: backward integration, a line through the decay from -5 to -35 dB."""
    energy = (response**2).sum(axis=0)
    decay_db = 10 * np.log10(np.cumsum(energy[::-1])[::-1] / energy.sum() + 1e-15)
    fit = np.flatnonzero((decay_db <= -5) & (decay_db >= -35))
    return -60 / np.polyfit(fit / SAMPLE_RATE_HZ, decay_db[fit], 1)[0]


# Reflections are played below physics, so the direct sound is taken out: this is about the room's part.
@pytest.mark.parametrize(("azimuth", "distance"), [(35.0, 2.0), (-92.5, 5.0)])
@pytest.mark.parametrize("name", ["studio", "living-room", "hall", "street", "cellar"])
def test_what_is_heard_dies_away_as_fast_as_the_room_says(banks, name, azimuth, distance):
    bank = banks[name]
    seconds = bank.late.shape[2] / SAMPLE_RATE_HZ + 0.05
    _, reverberant = direct_and_reverberant(bank, azimuth, distance, seconds)
    for band, centre_hz in enumerate(OCTAVES_HZ, start=1):
        assert t30_s(octave(reverberant, centre_hz)) == pytest.approx(bank.rt60_s[band], rel=0.1), centre_hz


def test_what_the_room_says_is_what_was_asked_for(banks):
    assert banks["living-room"].rt60_s[:6] == pytest.approx([0.45] * 6, rel=0.01)
    assert banks["hall"].rt60_s[:6] == pytest.approx([1.8] * 6, rel=0.01)
    assert banks["cellar"].rt60_s[:7] == pytest.approx(CELLAR.rt60_s, rel=0.01)


@pytest.mark.parametrize("azimuth", [0.0, 42.5, -100.0])
@pytest.mark.parametrize("name", ["studio", "living-room", "hall", "cellar"])
def test_farther_sources_are_more_reverberant(banks, name, azimuth):
    ratios_db = []
    for distance in np.geomspace(0.7, 12.0, 7):
        direct, reverberant = direct_and_reverberant(banks[name], azimuth, distance, 0.1)
        ratios_db.append(10 * np.log10((direct**2).sum() / (reverberant**2).sum()))
    assert (np.diff(ratios_db) < 0).all(), ratios_db
    assert ratios_db[0] - ratios_db[-1] > 5


@pytest.mark.parametrize("azimuth", [0.0, 60.0])
def test_out_of_doors_every_doubling_of_the_distance_costs_six_decibels(banks, azimuth):
    white = np.random.default_rng(0).standard_normal(60 * BLOCK)
    # Each octave for itself, for air takes more of the highest; the bounce from the ground is in all of them.
    for centre_hz in OCTAVES_HZ:
        dry = octave(white, centre_hz).astype(np.float32)
        levels_db = [10 * np.log10((play(banks["open"], dry, azimuth, d) ** 2).sum()) for d in (1, 2, 4, 8, 16)]
        assert np.diff(levels_db) == pytest.approx([-6.02] * 4, abs=0.5), centre_hz


@pytest.mark.parametrize("name", ["studio", "living-room", "hall"])
def test_the_tail_takes_over_without_a_step_or_a_hole(banks, name):
    bank, room = banks[name], PRESETS[name]
    # Seen from all directions together, a fifth of the early part at a time.
    early = (np.asarray(bank.early, np.float64) ** 2).sum(axis=1).mean(axis=0)
    energy = (np.asarray(bank.late[0], np.float64) ** 2).sum(axis=0)
    energy[: len(early)] += early
    step = len(early) // 5
    piece_db = 10 * np.log10([energy[k : k + step].sum() for k in range(3 * step, 8 * step, step)])
    fall_db = 60 * step / SAMPLE_RATE_HZ / np.mean(bank.rt60_s[1:6])
    assert room.early_s == len(early) / SAMPLE_RATE_HZ
    assert np.abs(np.diff(piece_db) + fall_db).max() < 2.5
