/** The table of sources. A row lives as long as its source, so nobody loses the control under their finger. */

import { command, newestOnly } from "./api.js";
import { colourOf, keepColours } from "./palette.js";
import { isSilent } from "./picture.js";
import { direction, distance, signedDb } from "./words.js";

const REFRESH_MS = 250;
/** After a change here, what the server says is older than the change for about this long. */
const OWN_MS = 800;

export class Sources {
  /** @param {(error: Error) => void} onError */
  constructor(onError) {
    this.onError = onError;
    this.body = document.querySelector("#source-rows");
    this.table = document.querySelector("#source-table");
    this.nothing = document.querySelector("#no-sources");
    this.count = document.querySelector("#source-count");
    /** @type {Map<number, Row>} */
    this.rows = new Map();
    this.gains = {};
    this._refreshedMs = 0;
    this._bindBed();
    this.table.hidden = true;
    // Rows of things that are gone wait for the focus to leave.
    this.body.addEventListener("focusout", () => setTimeout(() => this._sweep()));
  }

  /** @param {object} facts of the newest picture */
  update(facts) {
    const nowMs = performance.now();
    const due = nowMs - this._refreshedMs > REFRESH_MS;
    const sources = facts.sources ?? [];
    const known = sources.every((source) => this.rows.has(source.id)) && sources.length === this.present;
    if (!due && known) return;
    this._refreshedMs = nowMs;
    this.present = sources.length;
    if (facts.gain_db) this.gains = facts.gain_db;
    const ids = new Set(sources.map((source) => source.id));
    for (const source of sources) this._row(source.id).show(source, facts, this.gains[source.id] ?? 0);
    for (const row of this.rows.values()) if (!ids.has(row.id)) row.leave();
    this._sweep();
    if (facts.bed_db !== undefined) this._showBed(facts.bed_db);
    this.table.hidden = this.rows.size === 0;
    this.nothing.hidden = this.rows.size > 0;
    const text = String(sources.length);
    if (this.count.textContent !== text) this.count.textContent = text;
  }

  _row(id) {
    let row = this.rows.get(id);
    if (!row) {
      row = new Row(id, this.onError);
      this.rows.set(id, row);
      // In the order of their numbers, so that rows never change places.
      const after = [...this.rows.values()].filter((other) => other.id > id).sort((a, b) => a.id - b.id)[0];
      this.body.insertBefore(row.element, after?.element ?? null);
    }
    return row;
  }

  _sweep() {
    for (const row of this.rows.values()) {
      if (row.gone && !row.element.contains(document.activeElement)) {
        row.element.remove();
        this.rows.delete(row.id);
      }
    }
    keepColours(this.rows.keys());
  }

  _bindBed() {
    this.bed = document.querySelector("#bed");
    this.bedValue = document.querySelector("#bed-value");
    this._bedOwnMs = -OWN_MS;
    const send = newestOnly((db) => command({ bed_db: db }), this.onError);
    this.bed.addEventListener("input", () => {
      this._bedOwnMs = performance.now();
      this._bedText(Number(this.bed.value));
      send(Number(this.bed.value));
    });
    this._bedText(0);
  }

  _showBed(db) {
    if (performance.now() - this._bedOwnMs < OWN_MS || Number(this.bed.value) === db) return;
    this.bed.value = String(db);
    this._bedText(db);
  }

  _bedText(db) {
    this.bedValue.textContent = signedDb(db);
    this.bed.setAttribute("aria-valuetext", `${db} decibels`);
  }
}

/** One source and its controls. */
class Row {
  constructor(id, onError) {
    this.id = id;
    this.gone = false;
    this._own = { mute: -OWN_MS, solo: -OWN_MS, gain: -OWN_MS };
    this.element = document.createElement("tr");
    this.element.setAttribute("role", "row");
    this.element.dataset.id = String(id);
    const cells = Array.from({ length: 6 }, () => {
      const cell = document.createElement("td");
      cell.setAttribute("role", "cell");
      this.element.append(cell);
      return cell;
    });
    this.chip = add(cells[0], "span", "chip", String(id));
    this.chip.style.background = colourOf(id);
    this.name = add(cells[1], "span", "who");
    this.voice = add(cells[1], "span", "voice");
    this.where = add(cells[2], "span", "where");
    const loud = add(cells[3], "div", "loud");
    this.bar = add(add(loud, "span", "mini"), "i");
    this.level = add(loud, "span");
    const pair = add(cells[4], "div", "pair");
    this.mute = this._toggle(pair, "mute", "M", onError);
    this.solo = this._toggle(pair, "solo", "S", onError);
    this._bindGain(cells[5], onError);
  }

  _toggle(parent, kind, letter, onError) {
    const button = add(parent, "button", kind, letter);
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(on));
      this._own[kind] = performance.now();
      command({ [on ? kind : `un${kind}`]: this.id }).catch((error) => {
        this._own[kind] = -OWN_MS;
        onError(error);
      });
    });
    return button;
  }

  _bindGain(cell, onError) {
    const box = add(cell, "div", "gain");
    this.gain = add(box, "input");
    Object.assign(this.gain, { type: "range", min: "-30", max: "12", step: "1", value: "0", title: "Double-click for 0 dB" });
    this.gainText = add(box, "output");
    const send = newestOnly((db) => command({ gain_db: { id: this.id, db } }), onError);
    const changed = () => {
      this._own.gain = performance.now();
      this._showGain(Number(this.gain.value));
      send(Number(this.gain.value));
    };
    this.gain.addEventListener("input", changed);
    this.gain.addEventListener("dblclick", () => {
      this.gain.value = "0";
      changed();
    });
    this._showGain(0);
  }

  /**
   * @param {object} source as of the newest picture
   * @param {object} facts beside it
   * @param {number} gainDb of its slider
   */
  show(source, facts, gainDb) {
    this.gone = false;
    const nowMs = performance.now();
    const voice = facts.voices[this.id];
    const silent = isSilent(this.id, facts.muted, facts.solo);
    const levelDb = source.gain_db + gainDb - 20 * Math.log10(Math.max(source.distance_m, 0.1));
    this._name(source.label);
    put(this.voice, voice && voice !== source.label ? voice : phaseWord(source));
    put(this.where, `${direction(source.azimuth_deg)}, ${distance(source.distance_m)}`);
    put(this.level, silent ? "off" : signedDb(Math.round(levelDb)));
    this.bar.style.transform = `scaleX(${silent ? 0 : Math.min(1, Math.max(0.02, 1 + (levelDb - 6) / 42)).toFixed(3)})`;
    this.element.classList.toggle("silent", silent);
    this.element.classList.remove("gone");
    this._press(this.mute, "mute", facts.muted.includes(this.id), nowMs);
    this._press(this.solo, "solo", facts.solo.includes(this.id), nowMs);
    if (nowMs - this._own.gain > OWN_MS && Number(this.gain.value) !== gainDb) {
      this.gain.value = String(gainDb);
      this._showGain(Number(this.gain.value));
    }
  }

  /** Its source is gone; it stays only while somebody is using it. */
  leave() {
    this.gone = true;
    this.element.classList.add("gone");
    put(this.voice, "gone");
  }

  _name(label) {
    if (this.name.textContent === label) return;
    this.name.textContent = label;
    const who = `${this.id}, ${label}`;
    this.mute.setAttribute("aria-label", `Mute source ${who}`);
    this.solo.setAttribute("aria-label", `Solo source ${who}`);
    this.gain.setAttribute("aria-label", `Gain of source ${who}`);
    this.mute.title = "Mute";
    this.solo.title = "Solo: silence all others";
  }

  _press(button, kind, on, nowMs) {
    const text = String(on);
    if (nowMs - this._own[kind] > OWN_MS && button.getAttribute("aria-pressed") !== text) button.setAttribute("aria-pressed", text);
  }

  _showGain(db) {
    this.gainText.textContent = signedDb(db);
    this.gain.setAttribute("aria-valuetext", `${db} decibels`);
  }
}

/** What its phase means, where that is worth saying. */
function phaseWord(source) {
  if (source.phase === "hold") return source.box ? "hidden" : "out of sight";
  return source.phase === "out" ? "fading away" : "";
}

function add(parent, tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  parent.append(element);
  return element;
}

/** Writing the same text again would cost a layout and disturb a selection. */
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
