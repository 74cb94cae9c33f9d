/** What is new and what is gone, in words, for people who do not look: at most one sentence every few seconds. */

import { capital, spokenPlace } from "./words.js";

const EVERY_MS = 4000;
/** What comes and goes within this time is not worth a word. */
const SETTLE_MS = 700;
const MOST = 3;

export class Announcer {
  constructor() {
    this.line = document.querySelector("#live");
    this.button = document.querySelector("#announce");
    this.on = true;
    try {
      this.on = localStorage.getItem("earshot-announce") !== "off";
    } catch {
      // Storage is forbidden here.
    }
    this._known = new Map();
    this._firstSeen = new Map();
    this._saidMs = -EVERY_MS;
    this.button.addEventListener("click", () => this._toggle());
    this._show();
  }

  _toggle() {
    this.on = !this.on;
    try {
      localStorage.setItem("earshot-announce", this.on ? "on" : "off");
    } catch {
      // The choice lasts as long as the page.
    }
    if (!this.on) this.line.textContent = "";
    this._show();
  }

  _show() {
    this.button.setAttribute("aria-pressed", String(this.on));
  }

  /** @param {object} facts of the newest picture */
  update(facts) {
    const nowMs = performance.now();
    const sounding = new Map(facts.sources.filter((s) => s.phase !== "out").map((s) => [s.id, s]));
    for (const id of this._firstSeen.keys()) if (!sounding.has(id)) this._firstSeen.delete(id);
    for (const id of sounding.keys()) if (!this._firstSeen.has(id)) this._firstSeen.set(id, nowMs);
    if (nowMs - this._saidMs < EVERY_MS) return;
    const settled = [...sounding.values()].filter((s) => nowMs - this._firstSeen.get(s.id) > SETTLE_MS);
    const fresh = settled.filter((s) => this._known.get(s.id) !== s.label);
    const gone = [...this._known].filter(([id]) => !sounding.has(id)).map(([, label]) => label);
    if (!fresh.length && !gone.length) return;
    this._saidMs = nowMs;
    this._known = new Map(settled.map((s) => [s.id, s.label]));
    if (this.on) this.line.textContent = sentence(fresh, gone);
  }
}

function sentence(fresh, gone) {
  const parts = fresh.slice(0, MOST).map((s) => `${capital(s.label)}, ${spokenPlace(s.azimuth_deg, s.distance_m)}.`);
  if (fresh.length > MOST) parts.push(`And ${fresh.length - MOST} more.`);
  if (gone.length) parts.push(`Gone: ${gone.slice(0, MOST).join(", ")}.`);
  return parts.join(" ");
}
