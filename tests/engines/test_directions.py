"""Where and how loud a source is, in every layout, in a room without walls."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from scipy.signal import fftconvolve, resample_poly

from engines.spatial.hrtf import SYSTEM_SOFA, load_sofa
from engines.spatial.layouts import AMBISONIC_ORDERS, LAYOUTS, make_layout
from engines.spatial.loudness import LoudnessMeter
from engines.spatial.panning import unit_vectors
from engines.spatial.renderer import AZIMUTH, DISTANCE, ELEVATION, EXTENT, GAIN, N_PLACEMENT, Renderer
from engines.specs import BLOCK, SAMPLE_RATE_HZ

NO_BED = np.zeros((5, BLOCK), np.float32)
# Angles of BS.775 and BS.2051 system J, as a listener with a protractor would find them; the LFE is left out.
SPEAKERS = {
    "5.1": {"FL": (30, 0), "FR": (-30, 0), "FC": (0, 0), "BL": (110, 0), "BR": (-110, 0)},
    "7.1.4": {
        "FL": (30, 0), "FR": (-30, 0), "FC": (0, 0), "SL": (90, 0), "SR": (-90, 0), "BL": (135, 0), "BR": (-135, 0),
        "TFL": (45, 45), "TFR": (-45, 45), "TBL": (135, 45), "TBR": (-135, 45),
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def layouts():
    return {name: make_layout(name, load_sofa(SYSTEM_SOFA)) for name in LAYOUTS}


@pytest.fixture(scope="module")
def nowhere(bank):
    """A room that reflects nothing."""
    return replace(bank, early=np.zeros_like(bank.early), late=np.zeros_like(bank.late))


def pink(seconds, seed=0):
    n = round(seconds * SAMPLE_RATE_HZ)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(n))
    frequency = np.fft.rfftfreq(n, 1 / SAMPLE_RATE_HZ)
    spectrum *= np.where(frequency > 20, 1 / np.sqrt(np.maximum(frequency, 20)), 0)
    x = np.fft.irfft(spectrum, n)
    return (0.1 * x / x.std()).astype(np.float32)


def tone(seconds, frequency_hz):
    return (
        0.1 * np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ)
    ).astype(np.float32)


def rendered(bank, layout, dry, azimuth, elevation=0.0, distance=1.0, extent=0.0, skip=4):
    """One source through `Renderer.step`: (n_channels, n)."""
    renderer = Renderer(bank, [layout], 1)
    placement = np.zeros((1, N_PLACEMENT))
    placement[0, [AZIMUTH, ELEVATION, DISTANCE, EXTENT, GAIN]] = azimuth, elevation, distance, extent, 1.0
    on = np.ones(1, np.bool_)
    blocks = [
        renderer.step(np.ascontiguousarray(part[None]), placement, on, NO_BED)
        for part in np.split(dry, len(dry) // BLOCK)
    ]
    return np.concatenate([b[layout.name] for b in blocks], axis=1)[:, skip * BLOCK :].astype(np.float64)


def tour(bank, layout, dry, directions):
    """The same from one direction after the other, with one renderer: list of (n_channels, n)."""
    renderer = Renderer(bank, [layout], 1)
    results = []
    for azimuth, elevation in directions:
        renderer.reset(0)
        placement = np.zeros((1, N_PLACEMENT))
        placement[0, [AZIMUTH, ELEVATION, DISTANCE, GAIN]] = azimuth, elevation, 1.0, 1.0
        # A slot that falls silent for a block starts at the next place, without gliding there.
        renderer.step(np.zeros((1, BLOCK), np.float32), placement, np.zeros(1, np.bool_), NO_BED)
        blocks = [
            renderer.step(np.ascontiguousarray(part[None]), placement, np.ones(1, np.bool_), NO_BED)[layout.name]
            for part in np.split(dry, len(dry) // BLOCK)
        ]
        results.append(np.concatenate(blocks[2:], axis=1).astype(np.float64))
    return results


def energy_vector(layout, y):
    energy = (y**2).sum(axis=1)
    angles = np.array([SPEAKERS[layout.name].get(name, (0, 0)) for name in layout.channels], float)
    if layout.lfe_channel is not None:
        energy[layout.lfe_channel] = 0
    vector = energy @ unit_vectors(angles[:, 0], angles[:, 1])
    azimuth = np.degrees(np.arctan2(vector[1], vector[0]))
    return azimuth, np.degrees(np.arctan2(vector[2], np.hypot(vector[0], vector[1])))


def off(a, b):
    return abs((a - b + 180) % 360 - 180)


SIGNALS = {"noise": pink(0.08), "bass": tone(0.08, 150), "voice": tone(0.08, 900), "treble": tone(0.08, 4000)}


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("name", ["5.1", "7.1.4"])
def test_energy_vector_all_around_at_three_heights(nowhere, layouts, name, signal):
    layout = layouts[name]
    rng = np.random.default_rng(5)
    for elevation in (-30.0, 0.0, 30.0):
        azimuths = np.concatenate([np.arange(-180.0, 180.0, 5.0), rng.uniform(-180, 180, 20)])
        heard = [
            energy_vector(layout, y) for y in tour(nowhere, layout, SIGNALS[signal], [(a, elevation) for a in azimuths])
        ]
        errors = [off(h[0], a) for h, a in zip(heard, azimuths, strict=True)]
        assert np.median(errors) <= 3.0
        assert np.percentile(errors, 95) <= 8.0
        if name == "7.1.4" and elevation >= 0:
            assert np.abs([h[1] - elevation for h in heard]).max() <= 4.0


def test_what_is_overhead_comes_from_the_four_above_alone(nowhere, layouts):
    layout = layouts["7.1.4"]
    (y,) = tour(nowhere, layout, SIGNALS["noise"], [(0.0, 90.0)])
    power = (y**2).sum(axis=1)
    top = [layout.channels.index(name) for name in ("TFL", "TFR", "TBL", "TBR")]
    assert power[top] == pytest.approx(power.sum() / 4, rel=0.02)


@pytest.mark.parametrize("name", AMBISONIC_ORDERS)
def test_intensity_vector_of_ambisonics_points_at_the_source(nowhere, layouts, name):
    rng = np.random.default_rng(6)
    directions = np.stack([rng.uniform(-180, 180, 60), np.degrees(np.arcsin(rng.uniform(-1, 1, 60)))], axis=1)
    for dry in (SIGNALS["noise"], SIGNALS["bass"]):
        for (azimuth, elevation), y in zip(directions, tour(nowhere, layouts[name], dry, directions), strict=True):
            w, y_, z, x = y[:4]
            intensity = np.array([(w * x).sum(), (w * y_).sum(), (w * z).sum()])
            cosine = intensity @ unit_vectors(azimuth, elevation) / np.linalg.norm(intensity)
            assert np.degrees(np.arccos(min(cosine, 1.0))) <= 2.0


# -- headphones -------------------------------------------------------------------------------------------------------

ANGLES = (0, 30, 60, 90, 110, 150, -30, -60, -90, -110, -150)
THIRD_OCTAVES_HZ = 250 * 2 ** (np.arange(18) / 3)


def measured_ears(dry):
    """What the measurement itself gives, read and resampled without our reader: azimuth -> (2, n)."""
    with h5py.File(SYSTEM_SOFA) as file:
        responses, positions, rate = file["Data.IR"][:], file["SourcePosition"][:], float(file["Data.SamplingRate"][0])
    assert rate == 44_100
    responses = resample_poly(responses, 160, 147, axis=2)
    ears = {}
    for azimuth in range(0, 360, 5):
        (row,) = np.flatnonzero((np.abs(positions[:, 0] - azimuth) < 0.1) & (np.abs(positions[:, 1]) < 0.1))
        ears[azimuth] = fftconvolve(dry[None], responses[row], axes=1)[:, : len(dry)]
    return ears


def itd_us(y):
    """Time by which the left ear is late, by cross-correlation below 1.5 kHz, all frequencies alike, in us."""
    n = 1 << 16
    cross = np.fft.rfft(y[0], n) * np.conj(np.fft.rfft(y[1], n))
    frequency = np.fft.rfftfreq(n, 1 / SAMPLE_RATE_HZ)
    inside = (frequency >= 150) & (frequency <= 1500)
    correlation = np.fft.irfft(np.where(inside, cross / np.maximum(np.abs(cross), 1e-20), 0), 8 * n)
    lags = np.arange(-480, 480)
    return lags[correlation[lags].argmax()] / 8 / SAMPLE_RATE_HZ * 1e6


def ild_db(y):
    """Level of the left ear against the right in each third of an octave."""
    power = np.abs(np.fft.rfft(y, axis=1)) ** 2
    frequency = np.fft.rfftfreq(y.shape[1], 1 / SAMPLE_RATE_HZ)
    edges = [(frequency >= f * 2 ** (-1 / 6)) & (frequency < f * 2 ** (1 / 6)) for f in THIRD_OCTAVES_HZ]
    return np.array([10 * np.log10(power[0, e].sum() / power[1, e].sum()) for e in edges])


def test_ears_hear_the_delays_and_levels_of_the_measured_head(nowhere, layouts):
    dry = np.random.default_rng(7).standard_normal(24_000).astype(np.float32) * 0.1
    ears = measured_ears(dry)
    for azimuth in ANGLES:
        here = rendered(nowhere, layouts["binaural"], dry, azimuth)
        there = ears[azimuth % 360][:, 4 * BLOCK :]
        assert itd_us(here) == pytest.approx(itd_us(there), rel=0.1, abs=10.0)
        assert ild_db(here).mean() == pytest.approx(ild_db(there).mean(), rel=0.1, abs=0.1)
        np.testing.assert_allclose(ild_db(here), ild_db(there), atol=1.5)


def test_between_two_measurements_delays_and_levels_are_between(nowhere, layouts):
    dry = np.random.default_rng(8).standard_normal(24_000).astype(np.float32) * 0.1
    ears = measured_ears(dry)
    for azimuth in (2.5, 32.5, 62.5, 92.5, 112.5, 147.5):
        here = rendered(nowhere, layouts["binaural"], dry, azimuth)
        pair = [ears[a][:, 4 * BLOCK :] for a in (int(azimuth - 2.5), int(azimuth + 2.5))]
        assert itd_us(here) == pytest.approx(np.mean([itd_us(p) for p in pair]), rel=0.1, abs=10.0)
        wanted = np.mean([ild_db(p).mean() for p in pair])
        assert ild_db(here).mean() == pytest.approx(wanted, rel=0.1, abs=0.5)


@pytest.mark.parametrize("frequency_hz", [300.0, 500.0, 700.0])
def test_a_tone_reaches_both_ears_as_in_the_measurement(nowhere, layouts, frequency_hz):
    dry = tone(0.4, frequency_hz)
    ears = measured_ears(dry)
    for azimuth in (30, 60, 90, 110, 150):
        phases = []
        for y in (rendered(nowhere, layouts["binaural"], dry, azimuth), ears[azimuth][:, 4 * BLOCK :]):
            t = np.arange(y.shape[1]) / SAMPLE_RATE_HZ
            left, right = y @ np.exp(-2j * np.pi * frequency_hz * t)
            phases.append(np.angle(left / right))
            if phases[-1] < 0:
                phases[-1] += 2 * np.pi
        assert phases[0] == pytest.approx(phases[1], rel=0.1)


# -- loudness ---------------------------------------------------------------------------------------------------------


def lufs(layout, y):
    meter = LoudnessMeter(layout.loudness_weights)
    meter.step(np.ascontiguousarray(y, np.float32))
    return meter.integrated_lufs()


def test_a_source_is_equally_loud_from_everywhere_in_every_layout(nowhere, layouts):
    dry = pink(0.6)
    heard = {}
    for azimuth, elevation, extent in (
        (0, 0, 0), (30, 0, 0), (47, 0, 0), (-110, 0, 0), (92.5, 0, 0), (180, 0, 0), (-70, 30, 0), (20, -30, 0), (135, 60, 0),
        (40, 0, 20),
    ):  # fmt: skip
        for name, layout in layouts.items():
            heard[name, azimuth, elevation, extent] = lufs(
                layout, rendered(nowhere, layout, dry, azimuth, elevation, extent=extent)
            )
    reference = heard["5.1", 0, 0, 0]
    apart = {key: value - reference for key, value in heard.items()}
    assert max(abs(v) for v in apart.values()) <= 1.0, apart


def test_outdoors_level_falls_by_6_db_per_doubling(nowhere, layouts):
    dry = pink(0.6)
    for name, layout in layouts.items():
        levels = [lufs(layout, rendered(nowhere, layout, dry, 20.0, distance=d)) for d in (1.0, 2.0, 4.0, 8.0, 16.0)]
        assert np.diff(levels) == pytest.approx([-6.02] * 4, abs=0.5), name
