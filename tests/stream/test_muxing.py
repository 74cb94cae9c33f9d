"""Sound files of every layout, written and read back channel by channel."""

import struct

import av
import numpy as np
import pytest

from engines.errors import ConfigError
from engines.specs import SAMPLE_RATE_HZ
from stream.muxing import plan_output, write_file

N_CHANNELS = {"5.1": 6, "7.1.4": 12, "stereo": 2, "binaural": 2, "ambix": 4, "ambix2": 9, "ambix3": 16}
FIVE_ONE = "FL FR FC LFE BL BR"
SEVEN_ONE_FOUR = "FL FR FC LFE BL BR SL SR TFL TFR TBL TBR"
STEP_HZ = 50


def tones(n_channels):
    """A tone of its own in each channel."""
    t = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    return np.stack([0.1 * np.sin(2 * np.pi * (100 + STEP_HZ * c) * t) for c in range(n_channels)]).astype(np.float32)


def written(path, layout, codec=None):
    plan = plan_output(path, layout, codec)
    write_file(plan, iter(np.split(tones(N_CHANNELS[layout]), 10, axis=1)), None, None)
    plan.part.replace(path)
    return path


def read(path):
    """Samples (n_channels, n) and the names of the channels; None where the file does not name them."""
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        n = stream.layout.nb_channels
        names = " ".join(c.name for c in stream.layout.channels)
        parts = [np.asarray(f.to_ndarray(), float) for f in file.decode(stream)]
    parts = [p.reshape(-1, n).T if p.shape[0] == 1 and n > 1 else p for p in parts]
    return np.concatenate(parts, axis=1), (None if "NONE" in names or not names else names)


@pytest.mark.parametrize(
    ("layout", "name", "codec", "channels"),
    [
        ("5.1", "a.wav", None, FIVE_ONE),
        ("5.1", "a.flac", None, FIVE_ONE),
        ("5.1", "a.mkv", None, FIVE_ONE),
        ("5.1", "a.mp4", None, FIVE_ONE),
        ("7.1.4", "a.wav", None, SEVEN_ONE_FOUR),
        ("7.1.4", "a.mov", None, SEVEN_ONE_FOUR),
        ("7.1.4", "a.mp4", None, SEVEN_ONE_FOUR),
        ("ambix", "a.wav", None, None),
        ("ambix", "a.mkv", "pcm", None),
        ("ambix2", "a.wav", None, None),
        ("ambix2", "a.mov", None, None),
        ("ambix2", "a.mkv", None, None),
        ("ambix3", "a.wav", None, None),
        ("ambix3", "a.mkv", None, None),
    ],
)
def test_every_channel_is_where_its_name_says(tmp_path, layout, name, codec, channels):
    samples, names = read(written(tmp_path / name, layout, codec))
    assert names == channels
    assert len(samples) == N_CHANNELS[layout]
    middle = samples[:, 9_600:38_400]
    spectra = np.abs(np.fft.rfft(middle * np.hanning(middle.shape[1]), axis=1))
    wanted = (100 + STEP_HZ * np.arange(len(samples))) * middle.shape[1] / SAMPLE_RATE_HZ
    # The LFE of a lossy codec holds bass alone; its tone of 250 Hz is gone.
    kept = [c for c in range(len(samples)) if spectra[c].max() > 0.01 * spectra.max()]
    assert len(kept) >= len(samples) - (name == "a.mp4" and layout == "5.1")
    assert np.abs(spectra.argmax(axis=1) - wanted)[kept].max() <= 1


@pytest.mark.parametrize(("layout", "mask"), [("5.1", 0x3F), ("7.1.4", 0x2D63F), ("ambix", 0), ("ambix3", 0)])
def test_the_channel_mask_of_a_wave_file_names_loudspeakers_and_nothing_else(tmp_path, layout, mask):
    data = written(tmp_path / "a.wav", layout).read_bytes()
    at = data.index(b"fmt ") + 8
    tag, n_channels, rate = struct.unpack_from("<HHI", data, at)
    assert (tag, n_channels, rate) == (0xFFFE, N_CHANNELS[layout], SAMPLE_RATE_HZ)
    assert struct.unpack_from("<I", data, at + 20)[0] == mask


@pytest.mark.parametrize(
    ("layout", "name", "codec", "says"),
    [
        ("7.1.4", "a.flac", None, r"\.flac cannot hold 7\.1\.4; use \.wav, \.mp4, \.mov"),
        ("7.1.4", "a.mkv", None, r"use \.wav, \.mp4, \.mov"),
        ("7.1.4", "a.mp4", "aac", "as aac"),
        ("ambix", "a.mp4", "aac", "as aac"),
        ("ambix2", "a.flac", None, r"use \.wav, \.mov, \.mkv"),
        ("ambix3", "a.mkv", "opus", "as opus"),
        ("ambix3", "a.mp4", None, "cannot hold ambix3"),
    ],
)
def test_what_a_container_cannot_hold_is_refused_in_one_line(tmp_path, layout, name, codec, says):
    with pytest.raises(ConfigError, match=says) as caught:
        plan_output(tmp_path / name, layout, codec)
    assert "\n" not in str(caught.value)
