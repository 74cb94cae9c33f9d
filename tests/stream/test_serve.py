"""`earshot serve` as a process: options, configuration, signals."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import time

import aiohttp
import psutil
import pytest

from tests.program import COMMAND, earshot, environment, refused


def test_a_port_in_use_ends_the_program_with_one_line(cache, bank_dir):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = earshot("serve", "--port", taken.getsockname()[1], cache=cache)
    assert "in use" in refused(result, 1)


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("--source", "missing.mp4"), 1, "no such file"),
        (("--source", "camera:97"), 1, "no such camera"),
        (("--source", "synthetic:nothing"), 2, "nothing"),
        (("--room", "cave"), 2, "cave"),
        (("--config", "missing.toml"), 2, "missing.toml"),
        (("--label", "=dog"), 2, "=dog"),
    ],
)
def test_wrong_usage(cache, bank_dir, tmp_path, arguments, code, reason):
    assert reason in refused(earshot("serve", *arguments, cache=cache, cwd=tmp_path), code)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("porrt = 8080\n", "did you mean port"),
        ('port = "8080"\n', "whole number"),
        ("source = [1]\n", "list of texts"),
        ('stage = "everywhere"\n', "natural"),
        ("port 8080\n", "line 1"),
    ],
)
def test_a_wrong_configuration_names_what_is_wrong(cache, tmp_path, content, reason):
    path = tmp_path / "earshot.toml"
    path.write_text(content)
    assert reason in refused(earshot("serve", "--config", path, cache=cache), 2)


def running(pid):
    """Whether a process is there; an orphan that nobody has buried is not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_program_serves_a_configuration_and_ends_with_all_that_is_its_own(cache, bank_dir, tmp_path, number):
    config = tmp_path / "earshot.toml"
    config.write_text('source = ["synthetic:orbit"]\nport = 0\nlabel = ["any=rain"]\nhfov_deg = 80\n')
    process = subprocess.Popen(
        [*COMMAND, "serve", "--config", str(config)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(cache),
        process_group=0,
    )  # fmt: skip
    line = process.stdout.readline()
    url = re.search(r"http://127\.0\.0\.1:\d+/", line)
    assert url, line

    async def look():
        async with aiohttp.ClientSession(url[0]) as web:
            while True:
                async with web.get("/api/state") as answer:
                    state = await answer.json()
                if state["voices"] and state["stats"]["blocks"] > 50:
                    return state
                await asyncio.sleep(0.1)

    state = asyncio.run(look())
    audio = state["playout"]["pid"]
    assert running(audio)
    # As a terminal does it: to the whole group.
    os.killpg(process.pid, number)
    out, err = process.communicate()
    while running(audio):
        time.sleep(0.02)
    assert "Traceback" not in err + out
    assert "audio process" not in err
    if number != signal.SIGKILL:
        assert process.returncode == 0
        assert "earshot: stopped" in err
    assert state["input"] == "synthetic:orbit"
    assert state["labels"] == ["any=rain"]
    assert set(state["voices"].values()) == {"rain"}
