"""The other commands: what they print and how they end."""

import json

import pytest

from earshot import CASES
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


# Those that draw are run together below.
DRAWN = ["convolver", "artefacts"]


@pytest.mark.parametrize("cases", [[case] for case in CASES if case not in DRAWN] + [DRAWN], ids=" ".join)
def test_benchmarks_run_and_save_their_figures(cache, bank_dir, tmp_path, cases):
    path, plots = tmp_path / "figures.json", ["--plot", tmp_path / "plot.png"] if cases == DRAWN else []
    result = earshot("bench", *cases, "--quick", "--json", path, *plots, cache=cache)
    # 1 says that a budget was missed, which a busy machine may do; the figures are there all the same.
    assert result.returncode in (0, 1), result.stderr
    assert "Traceback" not in result.stderr
    saved = json.loads(path.read_text())
    assert saved["hardware"]["cores"] >= 1
    assert [report["case"] for report in saved["reports"]] == cases
    for report in saved["reports"]:
        assert report["rows"]
        assert all(isinstance(value, int | float | str | None) for row in report["rows"] for value in row.values())
    for case in cases if plots else ():
        assert (tmp_path / f"plot-{case}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [(("vision", "--plot", "a.png"), "--plot is for"), (("convolver", "--plot", "a.pdf"), ".png")],
)
def test_a_figure_that_cannot_be_drawn_is_refused(cache, arguments, reason):
    assert reason in refused(earshot("bench", *arguments, cache=cache), 2)


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
