/** The page: brings feed, player and views together. */

import { getState } from "./api.js";
import { Announcer } from "./announcer.js";
import { Camera } from "./camera.js";
import { Controls } from "./controls.js";
import { Feed } from "./feed.js";
import { Listen } from "./listen.js";
import { Meters } from "./meters.js";
import { PictureView } from "./picture.js";
import { Player } from "./player.js";
import { Radar } from "./radar.js";
import { Sources } from "./sources.js";
import { Stats } from "./stats.js";

const STALE_MS = 2500;
const POLL_MS = 2000;
const DRAW_EVERY_MS = 30;
const TROUBLE_MS = 6000;

const trouble = document.querySelector("#trouble");
let troubleTimer = null;

/** One line at the top, for a while. */
function complain(error) {
  trouble.textContent = error.message.charAt(0).toUpperCase() + error.message.slice(1);
  trouble.hidden = false;
  clearTimeout(troubleTimer);
  troubleTimer = setTimeout(() => (trouble.hidden = true), TROUBLE_MS);
}

const player = new Player({
  plainOnly: new URLSearchParams(location.search).get("player") === "plain",
  onChange: () => listen?.show(),
});
let listen = null;
listen = new Listen(player, complain);
const picture = new PictureView();
const radar = new Radar();
const meters = new Meters();
const sources = new Sources(complain);
const controls = new Controls(take, complain);
const stats = new Stats();
const announcer = new Announcer();
const camera = new Camera();

/** Newest of everything that the server said. */
let facts = { sources: [], muted: [], solo: [], voices: {}, status: "starting" };
let online = true;
let pictureMs = -Infinity;

/** @param {object} news the whole state, or what came with a picture */
function take(news) {
  facts = { ...facts, ...news };
  listen.update(facts);
  controls.update(news);
  if (news.version) document.querySelector("#version").textContent = news.version;
}

const feed = new Feed(
  (news, jpeg) => {
    pictureMs = performance.now();
    take(news);
    picture.show(facts, jpeg);
    radar.update(facts);
    sources.update(facts);
    announcer.update(facts);
  },
  (connected) => {
    online = connected;
    if (connected) {
      poll();
      player.hurry();
    }
    review();
  },
);

/** Input and connection in words; sources of pictures that no longer come are forgotten. */
function review() {
  const fresh = performance.now() - pictureMs < STALE_MS;
  if (!fresh && facts.sources.length) {
    facts = { ...facts, sources: [] };
    radar.update(facts);
    sources.update(facts);
    announcer.update(facts);
  }
  picture.tell(facts.status, online, fresh);
}

async function poll() {
  try {
    const state = await getState();
    take(state);
    sources.update(facts);
  } catch {
    // The feed notices as well, and says so.
  }
  review();
}

let drawnMs = 0;
function draw(nowMs) {
  requestAnimationFrame(draw);
  if (nowMs - drawnMs < DRAW_EVERY_MS) return;
  drawnMs = nowMs;
  const playing = player.state === "playing";
  meters.update(player.channels, player.levels, player.peaks);
  radar.layout = playing ? player.layout : null;
  radar.levels = player.levels;
  stats.update(player.facts(), facts.stats, playing);
  if (playing) listen.tick();
}

poll();
setInterval(poll, POLL_MS);
setInterval(review, 500);
requestAnimationFrame(draw);

/**
 * For tests and for the curious at a console.
 * - `player`: the Player itself: `start()`, `stop()`, `choose(layout)`, `state`, `path`, `layout`, `levels`, `peaks`.
 * - `state()`: { state, path, layout, channels, online, pictures, server } where `server` is what the server said last.
 * - `recentSamples(seconds)`: promise of one Float32Array per channel, 48 kHz, the newest decoded samples.
 * - `facts()`: figures of the sound: packets, sequenceGaps, bufferMs, latencyMs, ...
 * - `camera`: `start()`, `stop()`.
 */
window.earshot = {
  player,
  camera,
  state: () => ({
    state: player.state,
    path: player.path,
    layout: player.layout,
    channels: player.channels,
    online,
    pictures: picture.frames,
    messages: feed.messages,
    server: facts,
  }),
  recentSamples: (seconds) => player.recentSamples(seconds),
  facts: () => player.facts(),
};
