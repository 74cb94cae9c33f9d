"""`earshot render` as its users see it: files, samples, exit codes."""

import json
import os
import resource
import signal
import subprocess
import time
from collections import Counter
from fractions import Fraction

import av
import cv2
import h5py
import numpy as np
import pytest

from bench.directions import direction_errors_deg, lfe_share, loudest_channels
from engines.spatial.layouts import make_layout
from engines.spatial.loudness import LoudnessMeter, PeakMeter
from engines.specs import BLOCK, SAMPLE_RATE_HZ
from tests.media import picture, read_sound, rotate_mp4, video_packets, write_clip, write_tone
from tests.program import COMMAND, earshot, environment, refused


@pytest.fixture(scope="module")
def render(cache, bank_dir):
    """`earshot render` with the default room ready."""

    def run(*arguments, **options):
        return earshot("render", *arguments, cache=cache, **options)

    return run


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip") / "square.mp4", 2.0)


def done(result):
    assert result.returncode == 0, result.stderr
    return result


def measured(samples):
    """(integrated LUFS, true peak in dBTP) of 5.1."""
    loudness, peak = LoudnessMeter(make_layout("5.1").loudness_weights), PeakMeter(6)
    for at in range(0, samples.shape[1] - BLOCK + 1, BLOCK):
        block = np.ascontiguousarray(samples[:, at : at + BLOCK], np.float32)
        loudness.step(block)
        peak.step(block)
    return loudness.integrated_lufs(), peak.peak_dbtp


# -- what comes out ---------------------------------------------------------------------------------------------------


def test_video_is_copied_packet_by_packet_and_the_sound_is_as_long(render, clip, tmp_path):
    out, trace = tmp_path / "a.mp4", tmp_path / "a.jsonl"
    done(render(clip, "--out", out, "--trace", trace, "--seed", 1))
    assert video_packets(out) == video_packets(clip)
    samples, rate, layout = read_sound(out)
    assert (rate, layout, len(samples)) == (48_000, "5.1", 6)
    assert abs(samples.shape[1] - 2 * SAMPLE_RATE_HZ) <= 1024
    rows = [json.loads(line) for line in trace.read_text().splitlines()]
    assert [row["frame"] for row in rows] == list(range(50))
    seen = [s for row in rows for s in row["sources"]]
    followed = Counter(s["id"] for s in seen if s["box_px"])
    assert followed.most_common(1)[0][1] >= 47
    square = [s for s in seen if s["id"] == followed.most_common(1)[0][0] and s["box_px"]]
    assert set(seen[0]) == {
        "id", "label", "score", "box_px", "azimuth_deg", "elevation_deg", "distance_m", "gain_db", "phase",
    }  # fmt: skip
    azimuths = [s["azimuth_deg"] for s in square]
    assert azimuths[0] > 15
    assert azimuths[-1] < -15


def test_what_is_heard_moves_with_the_square(render, clip, tmp_path):
    out = tmp_path / "a.wav"
    done(render(clip, "--out", out, "--label", "any=rain", "--stage", "wide"))
    samples, _, _ = read_sound(out)
    early, late = (samples[:, a:b] ** 2 for a, b in ((24_000, 38_400), (76_800, 96_000)))
    assert early[0].mean() > 4 * early[1].mean()
    assert late[1].mean() > 4 * late[0].mean()


def test_two_runs_give_the_same_bytes_and_another_seed_does_not(render, clip, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        done(render(clip, "--out", tmp_path / f"{name}.wav", "--seed", seed))
    a, b, c = ((tmp_path / f"{name}.wav").read_bytes() for name in "abc")
    assert a == b
    assert a != c


@pytest.mark.parametrize(("suffix", "rate"), [(".wav", 48_000), (".flac", 48_000)])
def test_sound_files_hold_exactly_the_length_of_the_pictures(render, clip, tmp_path, suffix, rate):
    out = tmp_path / f"a{suffix}"
    done(render(clip, "--out", out, "--duration", "1.2345"))
    samples, rate_hz, _ = read_sound(out)
    assert rate_hz == rate
    assert samples.shape == (6, round(1.2345 * 48_000))


def test_programme_level(render, tmp_path):
    out = tmp_path / "a.wav"
    done(render("synthetic:crowd?n=4&seconds=8", "--out", out))
    lufs, peak = measured(read_sound(out)[0])
    assert lufs == pytest.approx(-23.0, abs=1.0)
    assert peak <= -1.0


def test_directions_all_around(render, tmp_path):
    out, truth = tmp_path / "a.wav", tmp_path / "truth.jsonl"
    done(render("synthetic:orbit", "--out", out, "--truth", truth))
    samples = read_sound(out)[0]
    errors = direction_errors_deg(samples, [json.loads(line) for line in truth.read_text().splitlines()])
    assert len(errors) > 100
    assert np.median(errors) <= 5.0
    assert np.percentile(errors, 95) <= 12.0
    assert loudest_channels(samples) == {"FL", "FR", "FC", "BL", "BR"}
    assert lfe_share(samples) >= 0.95


@pytest.mark.parametrize(
    ("layout", "name", "channels"),
    [
        ("stereo", "a.mp4", 2),
        ("binaural", "a.flac", 2),
        ("ambix", "a.wav", 4),
        ("ambix3", "a.mkv", 16),
        ("5.1", "a.mkv", 6),
    ],
)
def test_layouts_and_containers(render, clip, tmp_path, layout, name, channels):
    done(render(clip, "--out", tmp_path / name, "--layout", layout))
    samples, _, _ = read_sound(tmp_path / name)
    assert len(samples) == channels
    assert np.abs(samples).max() > 0.003


def test_what_is_high_up_comes_from_above_in_7_1_4(render, tmp_path):
    out = tmp_path / "a.wav"
    done(render("synthetic:orbit?elevation=40&seconds=3", "--out", out, "--layout", "7.1.4", "--label", "any=rain"))
    samples, _, layout = read_sound(out)
    assert layout == "7.1.4"
    power = (samples[:, SAMPLE_RATE_HZ:] ** 2).mean(axis=1)
    assert power[8:].sum() > 0.4 * np.delete(power, 3).sum()


def test_night_mode_narrows_the_range_at_the_same_loudness(render, tmp_path):
    spread = {}
    for options in ((), ("--night",)):
        out = tmp_path / f"a{len(options)}.wav"
        done(render("synthetic:passby?seconds=5", "--out", out, "--label", "any=car", *options))
        samples = read_sound(out)[0]
        assert measured(samples)[0] == pytest.approx(-23.0, abs=1.0)
        half_seconds = samples[:, : samples.shape[1] // 24_000 * 24_000].reshape(6, -1, 24_000)
        levels_db = 10 * np.log10((half_seconds**2).mean(axis=(0, 2)) + 1e-12)
        spread[options] = np.ptp(np.percentile(levels_db, (10, 95)))
    assert spread["--night",] < 0.7 * spread[()]


def test_a_head_of_ones_own(render, clip, tmp_path):
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "mine.sofa", "w") as file:
        file.attrs["SOFAConventions"] = "SimpleFreeFieldHRIR"
        azimuths = np.arange(0.0, 360.0, 15.0)
        file["SourcePosition"] = np.stack([azimuths, 0 * azimuths, 0 * azimuths + 1.2], axis=1)
        responses = 0.01 * rng.standard_normal((len(azimuths), 2, 200))
        responses[:, 1] *= 0.01  # deaf on the right
        file["Data.IR"], file["Data.SamplingRate"] = responses, [44_100.0]
    done(render(clip, "--out", tmp_path / "a.wav", "--layout", "binaural", "--sofa", tmp_path / "mine.sofa"))
    left, right = read_sound(tmp_path / "a.wav")[0].std(axis=1)
    assert left > 30 * right
    reason = refused(render(clip, "--out", tmp_path / "b.wav", "--layout", "binaural", "--sofa", clip), 1)
    assert "square.mp4" in reason


def test_opus_in_mp4(render, clip, tmp_path):
    done(render(clip, "--out", tmp_path / "a.mp4", "--codec", "opus"))
    with av.open(str(tmp_path / "a.mp4")) as file:
        assert file.streams.audio[0].codec_context.name in ("opus", "libopus")
        assert file.streams.audio[0].layout.name == "5.1"
    assert video_packets(tmp_path / "a.mp4") == video_packets(clip)


def test_the_file_says_that_its_sound_is_synthetic(render, clip, tmp_path):
    done(render(clip, "--out", tmp_path / "a.mkv"))
    with av.open(str(tmp_path / "a.mkv")) as file:
        assert "ynthetic" in json.dumps(dict(file.metadata))


def test_a_turned_clip_stays_turned(render, tmp_path):
    source = rotate_mp4(write_clip(tmp_path / "phone.mp4", 0.8), 1)
    done(render(source, "--out", tmp_path / "a.mp4"))
    assert video_packets(tmp_path / "a.mp4") == video_packets(source)
    rotations = []
    for path in (source, tmp_path / "a.mp4"):
        with av.open(str(path)) as file:
            rotations.append(next(file.decode(video=0)).rotation)
    assert rotations[0] == rotations[1] != 0


def test_variable_frame_rate_keeps_its_time_stamps(render, tmp_path):
    times = [0.0, 0.04, 0.08, 0.5, 0.51, 0.9, 1.7]
    source = write_clip(tmp_path / "vfr.mkv", times_s=times)
    done(render(source, "--out", tmp_path / "a.mkv"))
    assert video_packets(tmp_path / "a.mkv") == video_packets(source)
    assert read_sound(tmp_path / "a.mkv")[0].shape[1] >= 1.7 * 48_000


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("one.mkv", {"size": (1, 1), "codec": "ffv1", "pix_fmt": "yuv444p"}),
        ("odd.avi", {"size": (321, 181), "codec": "ffv1", "pix_fmt": "yuv444p"}),
        ("eight-k.mkv", {"size": (7680, 4320), "codec": "mjpeg", "pix_fmt": "yuvj420p"}),
        ("a.gif", {"codec": "gif", "pix_fmt": "rgb8", "rate": 10}),
    ],
)
def test_odd_videos_become_mp4(render, tmp_path, name, options):
    source = write_clip(tmp_path / name, 0.4, **options)
    done(render(source, "--out", tmp_path / "out.mp4"))
    assert read_sound(tmp_path / "out.mp4")[0].shape[1] == pytest.approx(0.4 * 48_000, abs=1024)
    assert len(video_packets(tmp_path / "out.mp4")) == (4 if name.endswith("gif") else 10)


def test_a_picture_becomes_a_video_with_sound(render, tmp_path):
    path = tmp_path / "still.png"
    cv2.imwrite(str(path), picture(1.0, 640, 361)[..., ::-1])
    done(render(path, "--out", tmp_path / "a.mp4", "--duration", "3"))
    samples, _, _ = read_sound(tmp_path / "a.mp4")
    assert samples.shape[1] == pytest.approx(3 * 48_000, abs=1024)
    with av.open(str(tmp_path / "a.mp4")) as file:
        frame = next(file.decode(video=0))
        assert (frame.width, frame.height) == (640, 360)
        assert (
            np.abs(frame.to_ndarray(format="rgb24")[:, :, 2].astype(int) - picture(1.0, 640, 361)[:360, :, 2]).mean()
            < 12
        )


def test_progress_is_told_in_a_log(render, clip, tmp_path):
    result = done(render(clip, "--out", tmp_path / "a.wav"))
    assert "rendering" in result.stderr
    assert "\x1b" not in result.stderr
    assert "x real time" in result.stderr


# -- what goes wrong --------------------------------------------------------------------------------------------------


def bad_inputs(folder):
    whole = write_clip(folder / "whole.mp4", 1.0)
    files = {
        "empty.mp4": b"",
        "text.mp4": b"not a video\n" * 100,
        "cut.mp4": whole.read_bytes()[: whole.stat().st_size // 2],
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return ["missing.mp4", *files, write_tone(folder / "sound.m4a").name]


def test_bad_inputs_fail_with_one_line_and_leave_nothing(render, tmp_path):
    for name in bad_inputs(tmp_path):
        before = set(tmp_path.iterdir())
        result = render(tmp_path / name, "--out", tmp_path / "out.mp4", "--trace", tmp_path / "out.jsonl")
        assert name in refused(result, 1)
        assert set(tmp_path.iterdir()) == before, name


def test_the_first_half_of_a_truncated_video_is_kept(render, tmp_path):
    whole = write_clip(tmp_path / "whole.mkv", 4.0)
    half = tmp_path / "half.mkv"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    done(render(half, "--out", tmp_path / "out.mkv"))
    packets = video_packets(tmp_path / "out.mkv")
    assert 10 < len(packets) < 100
    assert packets == video_packets(whole)[: len(packets)]
    assert read_sound(tmp_path / "out.mkv")[0].shape[1] / 48_000 == pytest.approx(len(packets) / 25, abs=0.1)


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("--out", "a.xyz"), 2, "unknown output format"),
        (("--out", "a.wav", "--codec", "aac"), 2, "cannot hold 5.1 as aac"),
        (("--out", "a.wav", "--room", "cave"), 2, "cave"),
        (("--out", "a.wav", "--vision", "sam9"), 2, "sam9"),
        (("--out", "a.wav", "--sound", "orchestra"), 2, "orchestra"),
        (("--out", "a.wav", "--label", "nowhere=dog"), 2, "nowhere"),
        (("--out", "a.wav", "--truth", "t.jsonl"), 2, "--truth"),
        (("--out", "no/such/folder/a.wav"), 1, "does not exist"),
        (("--out", "a.wav", "--trace", "no/such/t.jsonl"), 1, "no/such"),
        (("--out", "a.mp4", "--layout", "ambix", "--codec", "aac"), 2, "cannot hold ambix as aac"),
        (("--out", "a.mp4", "--layout", "ambix2"), 2, "use .wav, .mov, .mkv"),
        (("--out", "a.flac", "--layout", "ambix3"), 2, "cannot hold ambix3"),
        (("--out", "a.flac", "--layout", "7.1.4"), 2, "use .wav, .mp4, .mov"),
        (("--out", "a.mkv", "--layout", "7.1.4"), 2, "use .wav, .mp4, .mov"),
        (("--out", "a.mp4", "--layout", "7.1.4", "--codec", "opus"), 2, "it can as pcm"),
        (("--out", "a.wav", "--sofa", "clip.mp4"), 2, "--sofa is for --layout binaural"),
    ],
)
def test_wrong_usage(render, clip, tmp_path, arguments, code, reason):
    assert reason in refused(render(clip, *arguments, cwd=tmp_path), code)
    assert list(tmp_path.iterdir()) == []


def test_input_and_output_must_differ(render, tmp_path):
    path = write_clip(tmp_path / "a.mp4", 0.4)
    before = path.read_bytes()
    assert "same file" in refused(render(path, "--out", path), 2)
    assert path.read_bytes() == before


def test_offline_refuses_the_network(render, tmp_path):
    line = refused(render("http://127.0.0.1:9/a.mp4", "--out", tmp_path / "a.wav", "--offline"), 2)
    assert "--offline" in line


def test_a_failed_render_leaves_the_old_file_alone(render, tmp_path):
    out = tmp_path / "a.wav"
    out.write_bytes(b"precious")
    refused(render(tmp_path / "missing.mp4", "--out", out), 1)
    assert out.read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["a.wav", "a.mp4"])
def test_a_disk_that_fills_up(cache, bank_dir, tmp_path, name):
    """A real full disk where mounting is allowed; else a limit on the size of files, which fails the same way."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False)

    def limited():
        if mount.returncode:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    try:
        result = earshot("render", "synthetic:passby?seconds=4", "--out", disk / name, cache=cache, preexec_fn=limited)
        line = refused(result, 1)
        assert str(disk / name) in line
        assert "No space" in line or "too large" in line
        assert list(disk.iterdir()) == []
    finally:
        if not mount.returncode:
            subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("suffix", [".wav", ".mp4"])
def test_ctrl_c_leaves_a_part_that_plays(cache, bank_dir, tmp_path, suffix):
    out = tmp_path / f"a{suffix}"
    command = [
        *COMMAND,
        "render",
        "synthetic:passby?seconds=300",
        "--out",
        str(out),
        "--trace",
        str(tmp_path / "t.jsonl"),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment(cache))
    spool = tmp_path / f".a{suffix}.spool"
    two_seconds = 2 * SAMPLE_RATE_HZ * 6 * 4
    while process.poll() is None and not (spool.exists() and spool.stat().st_size > two_seconds):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, text = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in text
    part = tmp_path / f"a{suffix}.part"
    assert sorted(p.name for p in tmp_path.iterdir()) == [part.name, "t.jsonl.part"]
    os.rename(part, out)
    samples, _, _ = read_sound(out)
    assert samples.shape[1] > 48_000
    assert np.abs(samples).max() > 0.003
    if suffix == ".mp4":
        with av.open(str(out)) as file:
            seconds = sum(1 for _ in file.decode(video=0)) * Fraction(1, 25)
        assert float(seconds) == pytest.approx(samples.shape[1] / 48_000, abs=0.2)
