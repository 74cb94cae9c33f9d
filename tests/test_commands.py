"""The other commands: what they print and how they end."""

import json

import pytest

from engines.sound.registry import VOICES
from tests.program import earshot, refused


def done(result):
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_voices_lists_every_voice_with_what_it_is(cache):
    text = done(earshot("voices", cache=cache))
    for spec in VOICES.values():
        assert spec.name in text
        assert spec.description in text


def test_doctor_says_what_is_there_and_how_to_get_the_rest(cache):
    result = earshot("doctor", cache=cache)
    text = done(result)
    for what in ("Python", "numba", "libopus encoder", "5.1 Opus", "real-time priority", "cameras", "cache"):
        assert what in text
    assert "6 channels in one packet" in text


@pytest.mark.parametrize("case", ["motion-to-sound", "convolver", "render", "vision", "directions", "page"])
def test_benchmarks_run_and_save_their_figures(cache, bank_dir, tmp_path, case):
    path = tmp_path / "figures.json"
    result = earshot("bench", case, "--quick", "--json", path, cache=cache)
    # 1 says that a budget was missed, which a busy machine may do; the figures are there all the same.
    assert result.returncode in (0, 1), result.stderr
    assert "Traceback" not in result.stderr
    saved = json.loads(path.read_text())
    assert saved["hardware"]["cores"] >= 1
    (report,) = saved["reports"]
    assert report["case"] == case
    assert report["rows"]
    assert all(isinstance(value, int | float | str | None) for row in report["rows"] for value in row.values())


def test_an_unknown_benchmark_is_refused_with_a_guess(cache):
    assert "did you mean vision" in refused(earshot("bench", "vison", cache=cache), 2)


@pytest.mark.parametrize(
    "arguments", [("rendr",), ("render",), ("render", "a.mp4", "--seed", "x"), ("serve", "--port", "99999")]
)
def test_usage_errors_exit_with_two(cache, arguments):
    result = earshot(*arguments, cache=cache)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_help_names_every_command(cache):
    text = done(earshot("--help", cache=cache))
    for name in ("render", "serve", "rooms", "voices", "bench", "doctor"):
        assert name in text
