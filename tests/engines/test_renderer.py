from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from engines.spatial.hrtf import Hrtf, load_sofa, spherical_head
from engines.spatial.layouts import LAYOUTS, make_layout
from engines.spatial.panning import unit_vectors
from engines.spatial.renderer import AZIMUTH, DISTANCE, ELEVATION, EXTENT, GAIN, LFE, N_PLACEMENT, Renderer
from engines.specs import BLOCK, SAMPLE_RATE_HZ

MAINS = [0, 1, 2, 4, 5]
SPEAKERS = unit_vectors(np.array([30.0, -30, 0, 110, -110]), np.zeros(5))
NO_BED = np.zeros((5, BLOCK), np.float32)


def place(n_slots=1, **columns):
    placement = np.zeros((n_slots, N_PLACEMENT))
    placement[:, DISTANCE] = 3.0
    placement[:, GAIN] = placement[:, LFE] = 1.0
    for name, value in columns.items():
        placement[
            :, {"azimuth": AZIMUTH, "elevation": ELEVATION, "distance": DISTANCE, "extent": EXTENT, "gain": GAIN}[name]
        ] = value
    return placement


def play(renderer, dry, placement_at, layout="5.1", bed=NO_BED):
    """Render (n_slots, n) with a placement per block."""
    n_slots = dry.shape[0]
    sounding = np.ones(n_slots, np.bool_)
    blocks = []
    for index in range(dry.shape[1] // BLOCK):
        block = np.ascontiguousarray(dry[:, index * BLOCK : (index + 1) * BLOCK])
        blocks.append(renderer.step(block, placement_at(index), sounding, bed)[layout])
    return np.concatenate(blocks, axis=1)


def noise(seconds, n=1, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal((n, round(seconds * SAMPLE_RATE_HZ))).astype(np.float32)


def tone(seconds, frequency_hz):
    t = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return 0.1 * np.sin(2 * np.pi * frequency_hz * t).astype(np.float32)[None]


def energy_azimuth(y):
    x, y_, _ = (y[MAINS] ** 2).sum(axis=1) @ SPEAKERS
    return np.degrees(np.arctan2(y_, x))


def off(a, b):
    return abs((a - b + 180) % 360 - 180)


@pytest.mark.parametrize("low_only", [False, True])
def test_a_source_is_heard_from_where_it_is_all_around(bank, low_only):
    errors, loudest = [], set()
    dry = noise(0.3)
    if low_only:  # the worst case for 5.1: nothing but bass
        dry = np.cumsum(dry, axis=1).astype(np.float32) * 0.02
    for azimuth in range(-180, 180, 10):
        renderer = Renderer(bank, [make_layout("5.1")], 1)
        y = play(renderer, dry, lambda _, a=azimuth: place(azimuth=a))[:, 4800:]
        errors.append(off(energy_azimuth(y), azimuth))
        loudest.add(int((y[MAINS] ** 2).sum(axis=1).argmax()))
    assert np.median(errors) <= 5
    assert np.percentile(errors, 95) <= 12
    assert loudest == set(range(5))


def test_a_moving_source_is_followed(bank):
    renderer = Renderer(bank, [make_layout("5.1")], 1)
    y = play(renderer, noise(4), lambda i: place(azimuth=-180 + 360 * i / 400))
    for window in range(2, 38):
        piece = y[:, window * 4800 : (window + 1) * 4800]
        assert off(energy_azimuth(piece), -180 + 360 * (window + 0.5) / 40) < 15


def test_bass_goes_to_the_lfe_and_nothing_else(bank):
    y = play(Renderer(bank, [make_layout("5.1")], 1), noise(2), lambda _: place())
    spectrum = np.abs(np.fft.rfft(y[3])) ** 2
    frequency = np.fft.rfftfreq(y.shape[1], 1 / SAMPLE_RATE_HZ)
    assert spectrum[frequency < 150].sum() >= 0.95 * spectrum.sum()


def test_level_falls_with_distance_and_reverberation_falls_slower(bank):
    levels, ratios = [], []
    for distance in (1.0, 2.0, 4.0, 8.0):
        burst = np.zeros((1, SAMPLE_RATE_HZ), np.float32)
        burst[0, :BLOCK] = noise(0.01)[0]
        wet, dry = (
            play(Renderer(room, [make_layout("5.1")], 1), burst, lambda _, d=distance: place(distance=d))[MAINS]
            for room in (bank, replace(bank, wet_db=-200.0))
        )
        levels.append(10 * np.log10((dry**2).sum()))
        ratios.append(10 * np.log10((dry**2).sum() / ((wet - dry) ** 2).sum()))
    assert np.diff(levels) == pytest.approx([-6, -6, -6], abs=0.6)
    assert (np.diff(ratios) < 0).all()


def clicks_db(y):
    """Energy above 8 kHz of what should be a 500 Hz tone, in dB against the tone."""
    spectrum = np.abs(np.fft.rfft(y * np.hanning(y.shape[-1]), axis=-1)) ** 2
    frequency = np.fft.rfftfreq(y.shape[-1], 1 / SAMPLE_RATE_HZ)
    return 10 * np.log10(spectrum[..., frequency > 8000].sum() / spectrum.sum())


@pytest.mark.parametrize("layout", ["5.1", "binaural", "ambix"])
def test_moving_and_jumping_do_not_click(bank, layout):
    made = make_layout(layout, spherical_head())
    sweep = play(
        Renderer(bank, [made], 1), tone(2, 500), lambda i: place(azimuth=90 * i / 100, distance=2 + i / 50), layout
    )
    assert clicks_db(sweep) < -70
    jump = play(Renderer(bank, [made], 1), tone(2, 500), lambda i: place(azimuth=-60 if i < 100 else 100), layout)
    assert clicks_db(jump) < -60


def test_appearing_and_leaving_do_not_click(bank):
    def gain(index):
        return place(gain=0.0 if index < 30 or index > 150 else 1.0)

    assert clicks_db(play(Renderer(bank, [make_layout("5.1")], 1), tone(2, 500), gain)) < -60


def test_room_switch_is_heard_but_does_not_click(bank, studio):
    renderer = Renderer(bank, [make_layout("5.1")], 1)
    dry = tone(2, 500)
    prepared = renderer.prepare_room(studio)
    blocks = []
    for index in range(200):
        if index == 100:
            renderer.switch_room(prepared)
        block = np.ascontiguousarray(dry[:, index * BLOCK : (index + 1) * BLOCK])
        blocks.append(renderer.step(block, place(), np.ones(1, np.bool_), NO_BED)["5.1"])
    y = np.concatenate(blocks, axis=1)
    assert renderer.room == "studio"
    assert clicks_db(y) < -65
    before = play(Renderer(bank, [make_layout("5.1")], 1), dry, lambda _: place())
    assert np.abs(y[:, 80_000:] - before[:, 80_000:]).max() > 1e-4
    np.testing.assert_array_equal(y[:, : 100 * BLOCK], before[:, : 100 * BLOCK])


def test_slots_are_independent_and_add_up(bank):
    dry = noise(0.3, n=2)
    both = play(Renderer(bank, [make_layout("5.1")], 2), dry, lambda _: place(2, azimuth=np.array([40, -100])))
    alone = []
    for slot, azimuth in enumerate((40, -100)):
        alone.append(
            play(Renderer(bank, [make_layout("5.1")], 1), dry[slot : slot + 1], lambda _, a=azimuth: place(azimuth=a))
        )
    assert np.abs(both - sum(alone)).max() < 1e-5


def test_renderers_in_threads_equal_one_alone(bank):
    def moved(seed):
        dry = noise(0.5, n=3, seed=seed)
        return play(Renderer(bank, [make_layout("5.1")], 3), dry, lambda i: place(3, azimuth=np.arange(3) * 90 + 2 * i))

    alone = [moved(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for together, expected in zip(pool.map(moved, range(4)), alone, strict=True):
            np.testing.assert_array_equal(together, expected)


def test_with_doppler_sound_takes_its_time_and_shifts(bank):
    def played(dry, distance_at):
        renderer = Renderer(replace(bank, wet_db=-200.0), [make_layout("5.1")], 1, doppler=True)
        return play(renderer, dry, lambda i: place(azimuth=0, distance=distance_at(i / 100)))[2]

    click = np.zeros((1, 9600), np.float32)
    click[0, 4800] = 1
    near, far = (int(np.abs(played(click, lambda _, d=d: d)).argmax()) for d in (2.0, 12.0))
    assert far - near == pytest.approx(10 / 343 * SAMPLE_RATE_HZ, abs=2)
    going = played(tone(1.5, 1000), lambda t: 5 + 15 * t)[SAMPLE_RATE_HZ:]
    spectrum = np.abs(np.fft.rfft(going * np.hanning(len(going))))
    assert spectrum.argmax() * SAMPLE_RATE_HZ / len(going) == pytest.approx(1000 * (1 - 15 / 343), abs=3)


def test_reset_lets_the_next_source_start_where_it_is(bank):
    used = Renderer(bank, [make_layout("5.1")], 1)
    play(used, noise(0.2), lambda _: place(azimuth=100))
    silence = np.zeros((1, SAMPLE_RATE_HZ), np.float32)
    used.reset(0)
    for _ in range(100):  # let the room ring out
        used.step(np.zeros((1, BLOCK), np.float32), place(gain=0), np.zeros(1, np.bool_), NO_BED)
    used.reset(0)
    again = play(used, noise(0.2), lambda _: place(azimuth=-40))
    fresh = play(Renderer(bank, [make_layout("5.1")], 1), noise(0.2), lambda _: place(azimuth=-40))
    assert np.abs(again - fresh).max() < 1e-5
    assert silence.any() == np.False_


def test_layouts_can_change_while_playing(bank):
    layouts = {name: make_layout(name, spherical_head()) for name in LAYOUTS}
    renderer = Renderer(bank, [layouts["5.1"]], 1)
    block, on = noise(0.01), np.ones(1, np.bool_)
    assert set(renderer.step(block, place(), on, NO_BED)) == {"5.1"}
    renderer.set_layouts(layouts.values())
    out = renderer.step(block, place(), on, NO_BED)
    assert {name: y.shape for name, y in out.items()} == {
        "5.1": (6, BLOCK), "7.1.4": (12, BLOCK), "stereo": (2, BLOCK), "binaural": (2, BLOCK),
        "ambix": (4, BLOCK), "ambix2": (9, BLOCK), "ambix3": (16, BLOCK),
    }  # fmt: skip


def test_what_comes_from_the_room_is_down_mixed_to_stereo_by_bs775(bank):
    names = ("5.1", "stereo")
    renderer = Renderer(bank, [make_layout(n) for n in names], 1)
    silence, beds = np.zeros((1, BLOCK), np.float32), noise(0.1, n=5)
    out = [
        renderer.step(silence, place(), np.zeros(1, np.bool_), np.ascontiguousarray(b))
        for b in np.split(beds, 10, axis=1)
    ]
    five, stereo = (np.concatenate([o[n] for o in out], axis=1) for n in names)
    half = np.sqrt(0.5)
    assert np.abs(stereo).max() > 0.1
    np.testing.assert_allclose(stereo[0], five[0] + half * five[2] + half * five[4], atol=1e-5)
    np.testing.assert_allclose(stereo[1], five[1] + half * five[2] + half * five[5], atol=1e-5)


def test_binaural_left_is_earlier_and_louder_on_the_left(bank):
    layout = make_layout("binaural", spherical_head())
    for azimuth, side in ((60, 0), (-60, 1)):
        y = play(Renderer(bank, [layout], 1), noise(0.3), lambda _, a=azimuth: place(azimuth=a), "binaural")
        near, far = y[side], y[1 - side]
        assert 10 * np.log10((near**2).sum() / (far**2).sum()) > 4
        lag = np.argmax(np.correlate(far[4800:9600], near[4800:9600], "full")) - 4799
        assert 10 < lag < 40  # 0.2 to 0.8 ms


def write_sofa(path, rate_hz=44_100, kind="spherical"):
    import h5py

    positions = np.array([[a, e, 1.4] for e in (-30.0, 0.0, 30.0) for a in range(0, 360, 30)])
    responses = np.zeros((len(positions), 2, 128))
    side = np.sin(np.radians(positions[:, 0]))
    for i, s in enumerate(side):
        responses[i, 0, 20 - round(10 * s)] = 1 + 0.5 * s
        responses[i, 1, 20 + round(10 * s)] = 1 - 0.5 * s
    with h5py.File(path, "w") as file:
        file["Data.IR"] = responses
        file["Data.SamplingRate"] = np.array([float(rate_hz)])
        file["SourcePosition"] = positions if kind == "spherical" else unit_vectors(positions[:, 0], positions[:, 1])
        file["SourcePosition"].attrs["Type"] = kind


@pytest.mark.parametrize("kind", ["spherical", "cartesian"])
def test_sofa_files_are_read_and_resampled(tmp_path, kind):
    write_sofa(tmp_path / "head.sofa", kind=kind)
    head = load_sofa(tmp_path / "head.sofa")
    assert isinstance(head, Hrtf)
    left = head.towards(unit_vectors(np.array([90.0]), np.array([0.0])))[0]
    lag = np.argmax(np.abs(left[1])) - np.argmax(np.abs(left[0]))
    assert lag == pytest.approx(20 * 48 / 44.1, abs=1.5)
    assert (left[0] ** 2).sum() > 3 * (left[1] ** 2).sum()


def test_a_file_that_is_not_sofa_is_refused_in_one_line(tmp_path):
    from engines.errors import AssetError

    (tmp_path / "x.sofa").write_bytes(b"not hdf5")
    with pytest.raises(AssetError, match=r"x\.sofa"):
        load_sofa(tmp_path / "x.sofa")
