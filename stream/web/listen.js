/** The Listen button, how to listen, and how that is going. */

import { command } from "./api.js";

const PLAYING = { "5.1": "Playing 5.1 surround", binaural: "Playing for headphones", stereo: "Playing stereo" };
const DETAIL_EVERY_MS = 1000;

export class Listen {
  /**
   * @param {import("./player.js").Player} player
   * @param {(error: Error) => void} onError
   */
  constructor(player, onError) {
    this.player = player;
    this.button = document.querySelector("#listen");
    this.word = document.querySelector("#listen-word");
    this.box = document.querySelector("#state-box");
    this.state = document.querySelector("#state");
    this.detail = document.querySelector("#state-detail");
    this.tones = document.querySelector("#tones");
    this.radios = [...document.querySelectorAll("#layouts input")];
    this._detailMs = 0;
    this._tonesMs = 0;
    this._restore();
    this.button.addEventListener("click", () => this.toggle());
    for (const radio of this.radios) radio.addEventListener("change", () => this._choose(radio.value));
    this.tones.addEventListener("click", () => this._toggleTones(onError));
    document.addEventListener("keydown", (event) => this._key(event));
    addEventListener("pagehide", () => player.stop());
    this.show();
  }

  _restore() {
    let choice = null;
    try {
      choice = localStorage.getItem("earshot-layout");
    } catch {
      // Storage is forbidden here.
    }
    const radio = this.radios.find(({ value }) => value === choice);
    if (!radio) return;
    radio.checked = true;
    this.player.choice = choice;
  }

  _choose(choice) {
    this.player.choose(choice);
    try {
      localStorage.setItem("earshot-layout", choice);
    } catch {
      // The choice lasts as long as the page.
    }
  }

  toggle() {
    if (this.player.state === "stopped") this.player.start();
    else this.player.stop();
  }

  _key(event) {
    if (event.key.toLowerCase() !== "l" || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target.matches("input[type=text], textarea, select")) return;
    event.preventDefault();
    this.toggle();
  }

  _toggleTones(onError) {
    const on = this.tones.getAttribute("aria-pressed") !== "true";
    this.tones.setAttribute("aria-pressed", String(on));
    this._tonesMs = performance.now();
    command({ test_tones: on }).catch(onError);
  }

  /** @param {object} facts of the server */
  update(facts) {
    const text = String(facts.test_tones);
    if (performance.now() - this._tonesMs > 800 && this.tones.getAttribute("aria-pressed") !== text) {
      this.tones.setAttribute("aria-pressed", text);
    }
  }

  /** After every change of the player. */
  show() {
    const { player } = this;
    const on = player.state !== "stopped";
    this.button.classList.toggle("on", on);
    this.word.textContent = on ? "Stop" : "Listen";
    this.box.dataset.state = player.state;
    const words = {
      stopped: "Stopped",
      connecting: "Connecting…",
      playing: PLAYING[player.layout] ?? "Playing",
      reconnecting: "Reconnecting…",
    };
    const text = words[player.state];
    if (this.state.textContent !== text) this.state.textContent = text;
    this._detailMs = 0;
    this.tick();
  }

  /** Now and then while playing. */
  tick() {
    const nowMs = performance.now();
    if (this._detailMs && nowMs - this._detailMs < DETAIL_EVERY_MS) return;
    this._detailMs = nowMs;
    const text = this._detailText();
    if (this.detail.textContent !== text) this.detail.textContent = text;
  }

  _detailText() {
    const { player } = this;
    if (player.state === "stopped") return "Press Listen to hear the picture";
    if (player.state === "reconnecting") return player.detail;
    if (player.state === "connecting") return "";
    const { latencyMs } = player.facts();
    const mixed = player.channels > player.maxChannels ? `, mixed down to ${player.maxChannels}` : "";
    const parts = [`${latencyMs.toFixed(0)} ms`, `${player.channels} channels${mixed}`];
    if (player.path === "plain") parts.push("simple player");
    return parts.join(" · ");
  }
}
