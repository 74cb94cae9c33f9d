"""What can be watched: files of all sorts, pictures, folders, streams, cameras; and what is said when it cannot."""

import http.server
import os
import socket
import subprocess
import sys
import threading

import cv2
import numpy as np
import pytest

from engines.errors import ConfigError, InputError
from stream.clock import ManualClock, MonotonicClock
from stream.inputs import camera as camera_module
from stream.inputs.opening import open_input
from tests.media import FPS, picture, rotate_mp4, write_clip, write_tone


def opened(uri, **options):
    return open_input(str(uri), ManualClock(), **options)


def read_all(uri, limit=1000):
    source = opened(uri)
    frames = []
    for frame in source.frames():
        frames.append(frame)
        if len(frames) == limit:
            break
    source.close()
    return source, frames


def square_centre(rgb):
    """Where the yellow square is, as a share of width and height."""
    yellow = (rgb[..., 0] > 180) & (rgb[..., 2] < 120)
    ys, xs = np.nonzero(yellow)
    return xs.mean() / rgb.shape[1], ys.mean() / rgb.shape[0]


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mkv", "ffv1", "yuv420p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.mov", "mjpeg", "yuvj420p"),
        ("a.ts", "libx264", "yuv420p"),
    ],
)
def test_containers(tmp_path, name, codec, pix_fmt):
    source, frames = read_all(write_clip(tmp_path / name, 1.0, codec=codec, pix_fmt=pix_fmt))
    assert len(frames) == FPS
    assert frames[0].rgb.shape == (180, 320, 3)
    assert frames[0].rgb.dtype == np.uint8
    assert frames[0].t_s == 0
    np.testing.assert_allclose([f.t_s for f in frames], np.arange(FPS) / FPS, atol=0.0011)
    assert source.end_s == pytest.approx(1.0, abs=0.002)
    x0, x1 = (square_centre(f.rgb)[0] for f in (frames[0], frames[-1]))
    assert x0 < 0.2
    assert 0.4 < x1 < 0.6


def test_variable_frame_rate_keeps_its_times(tmp_path):
    times = [0.0, 0.04, 0.08, 0.5, 0.51, 0.9, 1.7]
    _, frames = read_all(write_clip(tmp_path / "vfr.mkv", times_s=times))
    np.testing.assert_allclose([f.t_s for f in frames], times, atol=0.0011)
    for frame, t_s in zip(frames, times, strict=True):
        assert square_centre(frame.rgb)[0] == pytest.approx(square_centre(picture(t_s))[0], abs=0.02)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_telephone_gives_upright_pictures(tmp_path, turns):
    path = rotate_mp4(write_clip(tmp_path / "phone.mp4", 0.4), turns)
    source, frames = read_all(path)
    upright = np.rot90(picture(0.0), -turns)
    assert frames[0].rgb.shape == upright.shape
    assert (source.info.width_px, source.info.height_px) == (upright.shape[1], upright.shape[0])
    assert square_centre(frames[0].rgb) == pytest.approx(square_centre(upright), abs=0.02)


@pytest.mark.parametrize("size", [(321, 181), (17, 3), (2, 2), (1, 1)])
def test_odd_sizes(tmp_path, size):
    _, frames = read_all(write_clip(tmp_path / "odd.mkv", 0.2, size=size, codec="ffv1", pix_fmt="yuv444p"))
    assert [f.rgb.shape for f in frames] == [(size[1], size[0], 3)] * 5


def test_huge_frames_are_made_small(tmp_path):
    source, frames = read_all(
        write_clip(tmp_path / "8k.mkv", 0.08, size=(7680, 4320), codec="mjpeg", pix_fmt="yuvj420p")
    )
    assert len(frames) == 2
    assert (source.info.width_px, source.info.height_px) == (7680, 4320)
    assert max(frames[0].rgb.shape) <= 1280
    assert frames[0].rgb.shape[1] / frames[0].rgb.shape[0] == pytest.approx(16 / 9, rel=0.01)


def test_gif(tmp_path):
    _, frames = read_all(write_clip(tmp_path / "a.gif", 1.0, codec="gif", pix_fmt="rgb8", rate=10))
    assert len(frames) == 10
    assert frames[-1].t_s == pytest.approx(0.9, abs=0.02)


def test_the_first_half_of_a_truncated_file_is_kept(tmp_path):
    whole = write_clip(tmp_path / "whole.ts", 2.0)
    half = tmp_path / "half.ts"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    _, frames = read_all(half)
    assert FPS / 2 < len(frames) < 2 * FPS


def test_frames_end_when_another_thread_closes_the_input(tmp_path):
    source = opened(write_clip(tmp_path / "a.mp4", 2.0))
    frames = source.frames()
    next(frames)
    closer = threading.Thread(target=source.close)
    closer.start()
    closer.join()
    assert list(frames) == []


def test_a_cover_picture_is_not_a_video(tmp_path):
    with pytest.raises(InputError, match="only sound"):
        opened(write_tone(tmp_path / "song.m4a"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no such file"),
        (b"", "empty"),
        (b"this is not a video, it is a text\n" * 50, "not a video"),
        (b"\0" * 4096, "not a video"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, content, reason):
    path = tmp_path / "bad.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=reason) as caught:
        opened(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_truncated_mp4_without_its_index_is_refused(tmp_path):
    whole = write_clip(tmp_path / "whole.mp4", 1.0)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(InputError) as caught:
        opened(cut)
    assert str(caught.value).startswith(str(cut))


def test_standard_input(tmp_path):
    clip = write_clip(tmp_path / "a.mkv", 0.4)
    code = (
        "from stream.inputs.opening import open_input; from stream.clock import ManualClock; "
        "s = open_input('-', ManualClock()); print(len(list(s.frames()))); s.close()"
    )
    with clip.open("rb") as pipe:
        done = subprocess.run([sys.executable, "-c", code], stdin=pipe, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "10"


# -- pictures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif"])
def test_a_picture_stands(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    assert cv2.imwrite(str(path), picture(1.0)[..., ::-1])
    source, frames = read_all(path, limit=30)
    assert source.info.still
    assert len(frames) == 30
    assert square_centre(frames[29].rgb) == pytest.approx(square_centre(picture(1.0)), abs=0.02)


def test_grey_and_transparent_pictures(tmp_path):
    grey, clear = tmp_path / "grey.png", tmp_path / "clear.png"
    cv2.imwrite(str(grey), picture(0)[..., 0])
    cv2.imwrite(str(clear), np.dstack([picture(0)[..., ::-1], np.full((180, 320), 90, np.uint8)]))
    for path in (grey, clear):
        assert read_all(path, limit=1)[1][0].rgb.shape == (180, 320, 3)


def test_a_damaged_picture(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), picture(0))
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError, match=r"not a|damaged"):
        opened(path)


def test_a_folder_of_pictures_in_natural_order(tmp_path):
    for number, t_s in ((1, 0.0), (2, 0.7), (10, 1.9)):
        cv2.imwrite(str(tmp_path / f"p{number}.png"), picture(t_s)[..., ::-1])
    (tmp_path / "readme.txt").write_text("not a picture")
    source, frames = read_all(f"{tmp_path}?hold=0.5")
    assert source.end_s == pytest.approx(1.5)
    xs = [square_centre(f.rgb)[0] for f in frames]
    assert len(xs) == 15
    assert xs == sorted(xs)
    assert len(set(np.round(xs, 3))) == 3


def test_a_folder_without_pictures(tmp_path):
    with pytest.raises(InputError, match="no pictures"):
        opened(tmp_path)
    with pytest.raises(ConfigError, match="hold"):
        opened(f"{tmp_path}?hold=never")


# -- synthetic scenes -------------------------------------------------------------------------------------------------


def test_a_synthetic_scene_ends_when_it_should_and_knows_the_truth():
    source = opened("synthetic:orbit?seconds=1&fps=20")
    n = 0
    for _ in source.frames():
        assert len(source.truth) == 1
        n += 1
    assert n == 20


@pytest.mark.parametrize("text", ["nothing", "orbit?spam=3", "crowd?n=many", "crossing?n=-1"])
def test_unknown_scenes_and_keys(text):
    with pytest.raises(ConfigError) as caught:
        opened(f"synthetic:{text}")
    assert "\n" not in str(caught.value)


# -- the network ------------------------------------------------------------------------------------------------------


def test_network_addresses_are_refused_offline():
    for uri in ("rtsp://127.0.0.1/x", "http://127.0.0.1/x.mp4"):
        with pytest.raises(ConfigError, match="--offline"):
            opened(uri, offline=True)


def test_unknown_schemes():
    with pytest.raises(InputError, match="gopher"):
        opened("gopher://example.org/a")


def test_an_unreachable_camera_on_the_network():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        uri = f"rtsp://127.0.0.1:{taken.getsockname()[1]}/x"
        with pytest.raises(InputError) as caught:
            opened(uri)
    assert str(caught.value).startswith(uri)
    assert "\n" not in str(caught.value)


class _Streamer(http.server.BaseHTTPRequestHandler):
    """Sends an MPEG transport stream without a length and then hangs up, as a live stream that breaks off."""

    body = b""
    requests = 0

    def do_GET(self):
        type(self).requests += 1
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        self.end_headers()
        try:
            self.wfile.write(self.body)
        except OSError:
            pass  # the client has seen enough

    def log_message(self, *args):
        pass


@pytest.fixture
def live_url(tmp_path):
    handler = type(
        "Streamer", (_Streamer,), {"body": write_clip(tmp_path / "live.ts", 1.0).read_bytes(), "requests": 0}
    )
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/live", handler
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_stream_that_breaks_off_is_connected_again_and_time_goes_on(live_url):
    url, handler = live_url
    source = open_input(url, MonotonicClock(), live=True)
    times = []
    for frame in source.frames():
        times.append(frame.t_s)
        if len(times) == 3 * FPS:
            break
    source.close()
    assert handler.requests >= 3
    assert times == sorted(times)


# -- cameras ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("uri", ["camera:97", "/dev/video97"])
def test_an_absent_camera(uri):
    with pytest.raises(InputError, match="no such camera"):
        opened(uri)


def test_a_camera_without_a_number():
    with pytest.raises(ConfigError, match="camera:0"):
        opened("camera:front")


class FakeCapture:
    """The device that is not here: 40 pictures, one hiccup, then unplugged."""

    def __init__(self, number, api):
        assert api == cv2.CAP_V4L2
        self.reads = 0
        self.released = False

    def isOpened(self):
        return True

    def set(self, key, value):
        return True

    def get(self, key):
        return 30.0

    def read(self):
        self.reads += 1
        if self.reads == 10 or self.reads > 41:
            return False, None
        return True, picture(self.reads / 30)[..., ::-1]

    def release(self):
        self.released = True


def test_a_camera_that_is_unplugged_ends(monkeypatch):
    monkeypatch.setattr(camera_module.cv2, "VideoCapture", FakeCapture)
    monkeypatch.setattr(camera_module.Path, "exists", lambda self: True)
    source = opened("camera:3")
    assert source.info.live
    frames = list(source.frames())
    assert len(frames) == 39
    assert square_centre(frames[0].rgb)[0] < 0.3
    assert source._capture.released


def test_a_file_name_with_odd_characters(tmp_path):
    path = tmp_path / "ünï cödé #1 100%.mp4"
    write_clip(tmp_path / "a.mp4", 0.2)
    os.rename(tmp_path / "a.mp4", path)
    assert len(read_all(path)[1]) == 5
