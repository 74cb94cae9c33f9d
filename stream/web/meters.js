/** One level meter per channel: RMS, peak with hold, dBFS. */

import { CHANNEL_NAMES } from "./opus.js";
import { toDb } from "./words.js";

const FLOOR_DB = -60;
const MARKS_DB = [0, -6, -12, -18, -24, -36, -48, -60];
const FALL_DB_S = 26;
const HOLD_MS = 1500;
const SPOKEN = {
  FL: "Front left", FR: "Front right", FC: "Centre", LFE: "Low frequency effects", BL: "Surround left", BR: "Surround right",
  L: "Left", R: "Right",
};

/** 0 at the floor, 1 at full scale. */
function share(db) {
  return Math.min(1, Math.max(0, 1 - db / FLOOR_DB));
}

export class Meters {
  constructor() {
    this.box = document.querySelector("#meters");
    this._rows = [];
    this._said = 0;
    this._lastMs = performance.now();
    this._build(6);
  }

  _build(channels) {
    const scale = document.createElement("div");
    scale.className = "scale";
    scale.setAttribute("aria-hidden", "true");
    const marks = document.createElement("div");
    marks.className = "marks";
    for (const db of MARKS_DB) {
      const mark = document.createElement("span");
      mark.textContent = db === 0 ? "0" : `−${-db}`;
      mark.style.bottom = `${100 * share(db)}%`;
      marks.append(mark);
    }
    scale.append(marks);
    this._rows = CHANNEL_NAMES[channels].map((name) => makeMeter(name));
    this.box.replaceChildren(scale, ...this._rows.map((row) => row.element));
    this.channels = channels;
  }

  /**
   * Called for every picture that the browser draws.
   * @param {number} channels 2 or 6; 0 keeps the meters as they are, at rest
   * @param {Float32Array} rms linear, since the last call or so
   * @param {Float32Array} peaks linear
   */
  update(channels, rms, peaks) {
    if (channels && channels !== this.channels) this._build(channels);
    const nowMs = performance.now();
    const fall = (FALL_DB_S * Math.min(200, nowMs - this._lastMs)) / 1000;
    this._lastMs = nowMs;
    const speak = nowMs - this._said > 1000;
    if (speak) this._said = nowMs;
    this._rows.forEach((row, i) => {
      const rmsDb = channels ? toDb(rms[i] ?? 0) : -120;
      const peakDb = channels ? toDb(peaks[i] ?? 0) : -120;
      row.rmsDb = Math.max(rmsDb, row.rmsDb - fall);
      row.peakDb = Math.max(peakDb, row.peakDb - fall);
      if (peakDb >= row.holdDb || nowMs - row.heldMs > HOLD_MS) {
        row.holdDb = peakDb >= row.holdDb ? peakDb : Math.max(row.peakDb, row.holdDb - fall);
        if (peakDb >= row.holdDb) row.heldMs = nowMs;
      }
      paint(row);
      if (speak) say(row);
    });
  }
}

function makeMeter(name) {
  const element = document.createElement("div");
  element.className = "meter";
  const [hold, tube, label] = ["span", "div", "span"].map((tag) => document.createElement(tag));
  hold.className = "hold";
  hold.setAttribute("aria-hidden", "true");
  tube.className = "tube";
  const attributes = {
    role: "meter", "aria-label": `${SPOKEN[name]} level`, "aria-valuemin": FLOOR_DB, "aria-valuemax": 0,
    "aria-valuenow": FLOOR_DB, "aria-valuetext": "silent",
  };
  for (const [key, value] of Object.entries(attributes)) tube.setAttribute(key, value);
  const [peak, rms, line] = ["i", "i", "b"].map((tag) => document.createElement(tag));
  peak.className = "peak";
  tube.append(peak, rms, line);
  label.className = "name";
  label.textContent = name;
  label.title = SPOKEN[name];
  element.append(hold, tube, label);
  return { element, hold, tube, peak, rms, line, rmsDb: -120, peakDb: -120, holdDb: -120, heldMs: 0, shown: "" };
}

function paint(row) {
  row.rms.style.clipPath = `inset(${(100 * (1 - share(row.rmsDb))).toFixed(1)}% 0 0 0)`;
  row.peak.style.clipPath = `inset(${(100 * (1 - share(row.peakDb))).toFixed(1)}% 0 0 0)`;
  row.line.style.bottom = row.holdDb > FLOOR_DB ? `${(100 * share(row.holdDb)).toFixed(1)}%` : "-3px";
  const text = row.holdDb > FLOOR_DB ? `−${Math.abs(row.holdDb).toFixed(0)}` : "–";
  if (text !== row.shown) row.hold.textContent = row.shown = text;
}

/** For those who cannot see it; more often than once a second would be a nuisance. */
function say(row) {
  const db = Math.round(Math.max(FLOOR_DB, Math.min(0, row.rmsDb)));
  row.tube.setAttribute("aria-valuenow", String(db));
  row.tube.setAttribute("aria-valuetext", db <= FLOOR_DB ? "silent" : `${db} decibels`);
}
