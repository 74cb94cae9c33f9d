"""The page as its users have it: a real server process, a real Chromium, real WebRTC between them."""

import itertools
import time
import urllib.request

import numpy as np
import pytest

from engines.soundscape import CHANNEL_TONES_HZ
from engines.specs import CHANNELS_5_1, SAMPLE_RATE_HZ
from tests.stream.browser import Process, Tab, chromium, until

TWO_WALKERS, ONE_BALL = "synthetic:crossing?n=2", "synthetic:orbit"


@pytest.fixture(scope="module")
def server(cache, bank_dir, studio):
    process = Process(cache, TWO_WALKERS, ONE_BALL)
    yield process
    process.stop()


@pytest.fixture(scope="module")
def browser():
    with chromium() as it:
        yield it


@pytest.fixture
def open_tab(server, browser):
    """Opens the page in a context of its own; all must be free of complaints in the end."""
    tabs = []

    def open_one(query="", script=None, **options):
        context = browser.new_context(**({"viewport": {"width": 1440, "height": 900}} | options))
        if script:
            context.add_init_script(script)
        tabs.append(Tab(context, server.url + query))
        return tabs[-1]

    yield open_one
    server.command(input=0, test_tones=False, bed_db=0, night=False)
    for tab in tabs:
        tab.context.close()
    assert [tab.complaints for tab in tabs] == [[] for _ in tabs]


def tone_levels_db(samples):
    """Level of each channel's tone in each channel, (channel, tone)."""
    n = samples.shape[1]
    window = np.hanning(n) / np.hanning(n).sum()
    time_s = np.arange(n) / SAMPLE_RATE_HZ
    tones = [np.exp(-2j * np.pi * CHANNEL_TONES_HZ[name] * time_s) for name in CHANNELS_5_1]
    return 20 * np.log10(2 * np.abs(samples @ (window * np.stack(tones)).T) + 1e-9)


# -- sound ------------------------------------------------------------------------------------------------------------


def test_a_click_plays_and_another_stops(open_tab):
    tab = open_tab()
    assert tab.state()["state"] == "stopped"
    tab.page.get_by_role("button", name="Listen").click()
    state = tab.playing()
    # No sound card with six channels here: headphones are what it chooses by itself.
    assert (state["path"], state["layout"], state["channels"]) == ("transform", "binaural", 2)
    assert tab.page.locator("#state").inner_text() == "Playing for headphones"
    packets = tab.facts()["packets"]
    until(lambda: tab.facts()["packets"] > packets + 50, "packets")
    assert np.abs(tab.fresh_samples(0.5)).max() > 1e-3
    tab.page.keyboard.press("l")
    assert tab.state()["state"] == "stopped"
    tab.page.keyboard.press("l")
    tab.playing()


def test_six_discrete_channels_arrive_each_with_its_own_tone(open_tab):
    tab = open_tab()
    tab.page.get_by_role("radio", name="5.1").check(force=True)
    tones = tab.page.get_by_role("button", name="Test speakers")
    tones.click()
    tab.page.get_by_role("button", name="Listen").click()
    assert tab.playing()["channels"] == 6
    levels = tone_levels_db(tab.fresh_samples(1.0))
    own, others = np.diag(levels), np.where(np.eye(6, dtype=bool), -np.inf, levels)
    assert (own > -40).all(), levels
    assert (own - others.max(axis=1) >= 30).all(), levels
    assert tab.page.get_by_role("meter").count() == 6
    until(lambda: tab.page.get_by_role("meter").first.get_attribute("aria-valuenow") != "-60", "the meter moves")
    tones.click()
    until(lambda: tone_levels_db(tab.fresh_samples(0.5))[0, 0] < -35, "the tones end")


def test_two_listen_one_vanishes_and_the_other_does_not_notice(open_tab, server):
    """Twenty seconds and more of sound without a gap, while a second listener goes without saying goodbye."""
    without_goodbye = "const f = fetch; fetch = (u, o) => (o?.method === 'DELETE' ? new Promise(() => {}) : f(u, o))"
    steady, leaver = open_tab(), open_tab(script=without_goodbye)
    for tab in (steady, leaver):
        tab.page.get_by_role("button", name="Listen").click()
    for tab in (steady, leaver):
        tab.playing()
    assert until(lambda: server.state()["stats"]["viewers"] == 2, "two viewers")
    before, blocks = steady.facts(), server.state()["stats"]
    leaver.context.close()
    slowest_s = 0.0

    def twenty_seconds_later():
        nonlocal slowest_s
        asked_s = time.monotonic()
        server.state()
        slowest_s = max(slowest_s, time.monotonic() - asked_s)
        return steady.facts()["packets"] >= before["packets"] + 2000

    until(twenty_seconds_later, "20 s of packets")
    after, blocks_after = steady.facts(), server.state()["stats"]
    assert after["sequenceGaps"] == before["sequenceGaps"] == 0
    # Packets wait for the network in a queue of 160 ms; only a machine that stood still for about so long loses some.
    assert after["timestampGaps"] == before["timestampGaps"] or slowest_s > 0.1
    assert (after["lost"], after["decodeErrors"]) == (0, 0)
    sent = blocks_after["blocks"] - blocks["blocks"]
    assert after["packets"] - before["packets"] == pytest.approx(sent, abs=60)
    assert blocks_after["skipped"] == blocks["skipped"]
    assert steady.state()["state"] == "playing"
    until(lambda: server.state()["stats"]["viewers"] == 1, "the server lets go of who vanished")


def test_without_webcodecs_the_audio_element_plays_headphones(open_tab):
    tab = open_tab(script="delete globalThis.AudioDecoder")
    tab.page.get_by_role("radio", name="5.1").check(force=True)
    tab.page.get_by_role("button", name="Listen").click()
    state = tab.playing()
    assert (state["path"], state["layout"]) == ("plain", "binaural")

    def heard():
        samples = tab.samples(0.5)
        return tuple(samples) if np.abs(samples).max() > 1e-3 else None

    left, right = until(heard, "sound")
    assert np.sqrt(np.mean((left - right) ** 2)) > 0.05 * np.sqrt(np.mean(left**2))


def test_a_browser_that_keeps_its_frames_to_itself_falls_back_too(open_tab):
    deaf = """const Transform = RTCRtpScriptTransform;
        RTCRtpScriptTransform = class extends Transform {
            constructor() { super(new Worker("/static/opus.js", { type: "module" })); }
        };"""
    tab = open_tab(script=deaf)
    tab.page.get_by_role("button", name="Listen").click()
    assert tab.playing()["path"] == "plain"


def test_the_plain_player_can_be_asked_for(open_tab):
    tab = open_tab("?player=plain")
    tab.page.get_by_role("button", name="Listen").click()
    assert tab.playing()["path"] == "plain"


def test_a_server_that_comes_back_is_found_again(browser, cache, bank_dir):
    first = Process(cache, ONE_BALL)
    tab = Tab(browser.new_context(), first.url)
    tab.page.get_by_role("button", name="Listen").click()
    tab.playing()
    first.stop()
    until(lambda: tab.state()["state"] == "reconnecting", "the page notices")
    until(lambda: "Reconnecting to the server" in tab.page.locator("#input-status").inner_text(), "and says so")
    second = Process(cache, ONE_BALL, port=int(first.url.rsplit(":", 1)[1].strip("/")))
    tab.playing()
    until(lambda: tab.page.locator("#input-status").inner_text() == "Watching", "pictures again")
    assert np.abs(tab.fresh_samples(0.5)).max() > 1e-4
    tab.context.close()
    second.stop()


# -- what is seen and done --------------------------------------------------------------------------------------------


def sources(tab):
    return tab.state()["server"]["sources"]


def test_night_mode_is_a_checkbox_that_all_pages_share(open_tab, server):
    one, other = (open_tab().page.get_by_role("checkbox", name="Night mode") for _ in range(2))
    one.focus()
    one.press("Space")
    until(lambda: server.state()["night"], "the server is told")
    until(other.is_checked, "the other page shows it")
    other.press("Space")
    until(lambda: not server.state()["night"], "the server is told again")
    until(lambda: not one.is_checked(), "the first page shows it")


def test_sources_can_be_muted_and_soloed_by_keyboard_alone(open_tab, server):
    tab = open_tab()
    server.command(bed_db=-60)
    tab.page.keyboard.press("l")
    tab.playing()
    until(lambda: len(sources(tab)) == 2, "two sources")
    ids = [source["id"] for source in sources(tab)]

    def press(label, key):
        focused = "document.activeElement.getAttribute('aria-label') ?? ''"
        for _ in range(80):
            if tab.page.evaluate(focused).startswith(label):
                break
            tab.page.keyboard.press("Tab")
        else:
            raise AssertionError(f"Tab never comes to {label!r}")
        tab.page.keyboard.press(key)

    until(lambda: tab.level_db() > -50, "two sources are heard")
    press(f"Solo source {ids[0]}", "Space")
    until(lambda: server.state()["solo"] == [ids[0]], "solo")
    until(lambda: tab.level_db() > -50, "the one is heard")
    press(f"Mute source {ids[0]}", "Enter")
    until(lambda: tab.level_db() < -80, "nothing is heard: the one is muted, the other silenced by solo")
    # The table is refreshed many times a second; the focus stays.
    assert tab.page.evaluate("document.activeElement.className") == "mute"
    assert tab.page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    tab.page.keyboard.press("Enter")
    until(lambda: tab.level_db() > -50, "it is heard again")
    press(f"Solo source {ids[0]}", "Enter")
    until(lambda: server.state()["solo"] == [], "no solo")
    press(f"Gain of source {ids[1]}", "Home")
    until(lambda: server.state()["gain_db"].get(str(ids[1])) == -30, "the gain goes to its least")


def test_room_and_input_are_changed_while_it_plays(open_tab, server):
    tab = open_tab()
    tab.page.get_by_role("button", name="Listen").click()
    tab.playing()
    for room in ("studio", "living-room"):
        tab.page.get_by_label("Room").select_option(room)
        until(lambda room=room: server.state()["room"] == room, "the other room")
        until(lambda: tab.page.locator("#room-status").inner_text().endswith("is playing"), "the page says so")
        assert np.abs(tab.fresh_samples(0.5)).max() > 1e-4
    tab.page.get_by_label("Input").select_option("1")
    until(lambda: server.state()["input"] == ONE_BALL, "the other input")
    until(lambda: len(sources(tab)) == 1, "its source")
    assert tab.state()["state"] == "playing"


def test_names_are_applied_and_refusals_stand_beside_their_field(open_tab, server):
    tab = open_tab()
    page = tab.page
    until(lambda: sources(tab), "a source")
    page.get_by_label("Rules, one a line").fill("tall=footsteps\nnowhere=dog")
    page.get_by_role("button", name="Apply").click()
    until(lambda: "nowhere" in page.locator("#labels-error").inner_text(), "the reason")
    assert page.get_by_label("Rules, one a line").get_attribute("aria-invalid") == "true"
    # What was typed stays, although the page asks the server for its state every two seconds.
    page.wait_for_timeout(2500)
    assert page.get_by_label("Rules, one a line").input_value() == "tall=footsteps\nnowhere=dog"
    tab.complaints.clear()  # the browser logs every refusal of a server
    page.get_by_label("Rules, one a line").fill("any=tractor")
    page.get_by_role("button", name="Apply").click()
    until(lambda: any(source["label"] == "tractor" for source in sources(tab)), "the new name")
    until(lambda: "tractor" in page.locator("#source-rows").inner_text(), "the new name in the table")
    assert server.state()["labels"] == ["any=tractor"]
    page.get_by_label("Rules, one a line").fill("")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Apply").click()
    until(lambda: server.state()["labels"] == [], "no rules")


def test_the_camera_of_this_page_goes_on_air_and_leaves_again(open_tab, server):
    tab = open_tab()
    tab.page.get_by_role("button", name="Use my camera").click()
    until(lambda: server.state()["input"] == "browser", "the camera is on air")
    until(lambda: sources(tab) and tab.state()["server"]["input"] == "browser", "sources in it")
    assert all(source["id"] > 0 for source in sources(tab))
    tab.page.get_by_role("button", name="Stop my camera").click()
    until(lambda: server.state()["input"] == TWO_WALKERS, "the former input")
    tab.page.get_by_role("button", name="Use my camera").click()
    until(lambda: server.state()["input"] == "browser", "the camera again")
    tab.page.goto("about:blank")
    until(lambda: server.state()["input"] == TWO_WALKERS, "leaving the page ends it")


def test_what_comes_and_goes_is_announced_in_words(open_tab, server):
    tab = open_tab()
    live = tab.page.locator("#live")
    until(lambda: ", " in live.inner_text() and "metre" in live.inner_text(), "what is there")
    tab.page.get_by_role("button", name="Announce changes").click()
    assert live.inner_text() == ""
    server.command(input=1)
    until(lambda: len(sources(tab)) == 1, "another scene")
    assert live.inner_text() == ""
    tab.page.get_by_role("button", name="Announce changes").click()


# -- shape ------------------------------------------------------------------------------------------------------------

# What a person with a screen reader would miss: a control without a name, from the browser's own accessibility tree.
NAMELESS = """() => [...document.querySelectorAll("button, select, input, textarea, meter, canvas, [role=meter]")]
    .filter((e) => e.checkVisibility())
    .filter((e) => !(e.getAttribute("aria-label") || e.labels?.length || e.textContent.trim()))
    .map((e) => e.outerHTML)"""

# Contrast of every visible text with the nearest opaque background behind it (WCAG 2, relative luminance).
DULL = """() => {
    const channel = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const light = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const behind = (e) => {
        for (; e; e = e.parentElement) {
            const [r, g, b, a = 1] = parse(getComputedStyle(e).backgroundColor);
            if (a === 1) return [r, g, b];
        }
        return [255, 255, 255];
    };
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node; (node = walker.nextNode()); ) {
        const e = node.parentElement;
        if (!node.textContent.trim() || !e.checkVisibility() || e.closest(".unseen, .skip, :disabled, noscript, option")) continue;
        const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) found.push(`${node.textContent.trim()}: ${contrast.toFixed(2)}`);
    }
    return found;
}"""


@pytest.mark.parametrize(("width", "theme"), [*itertools.product((360, 1440), ("dark", "light")), (800, "dark")])
def test_it_fits_is_named_and_can_be_read(open_tab, width, theme):
    tab = open_tab(viewport={"width": width, "height": 780}, color_scheme=theme)
    until(lambda: tab.page.locator("#source-rows tr").count() > 0, "a row")
    assert tab.page.evaluate("document.documentElement.dataset.theme") == theme
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.page.evaluate(NAMELESS) == []
    assert tab.page.evaluate(DULL) == []
    for role in ("banner", "main"):
        assert tab.page.get_by_role(role).count() == 1
    assert tab.page.get_by_role("heading").count() >= 6


def test_the_theme_is_remembered(open_tab):
    tab = open_tab(color_scheme="dark")
    tab.page.get_by_role("button", name="Light theme").click()
    tab.page.reload()
    assert tab.page.evaluate("document.documentElement.dataset.theme") == "light"
    assert tab.page.get_by_role("button", name="Light theme").get_attribute("aria-pressed") == "true"


def test_every_file_of_the_page_comes_from_this_server(server):
    for path in ("", "static/app.js", "static/transform-worker.js"):
        with urllib.request.urlopen(server.url + path) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert answer.headers["Cache-Control"] == "no-cache"
        assert "unsafe" not in policy
        assert "http" not in policy
