/** The live picture with what was found in it. */

import { Surface, drawChip, overlaps } from "./canvas.js";
import { colourOf } from "./palette.js";
import { capital, distance, direction, inputStatus } from "./words.js";

const DESCRIBE_EVERY_MS = 4000;

export class PictureView {
  constructor() {
    this.surface = new Surface(document.querySelector("#picture"), () => this.draw());
    this.screen = document.querySelector(".screen");
    this.empty = document.querySelector("#empty");
    this.emptyTitle = document.querySelector("#empty-title");
    this.emptyDetail = document.querySelector("#empty-detail");
    this.lamp = document.querySelector("#input-status");
    this.facts = null;
    this.bitmap = null;
    this.frames = 0;
    this._decoding = false;
    this._described = 0;
  }

  /**
   * Decode and show; while one picture is being decoded, others are left out.
   * @param {object} facts
   * @param {Blob} jpeg
   */
  async show(facts, jpeg) {
    if (this._decoding || document.hidden) return;
    this._decoding = true;
    try {
      const bitmap = await createImageBitmap(jpeg);
      this.bitmap?.close();
      this.bitmap = bitmap;
      this.facts = facts;
      this.frames++;
      this._fit();
      this.draw();
    } catch {
      // A picture that cannot be decoded is left out like one that was dropped.
    } finally {
      this._decoding = false;
    }
  }

  /** Forget the picture: what it shows is no longer so. */
  clear() {
    this.bitmap?.close();
    this.bitmap = null;
    this.facts = null;
    this.draw();
  }

  /**
   * @param {string} status of the server's input
   * @param {boolean} connected to the server
   * @param {boolean} fresh whether pictures keep coming
   */
  tell(status, connected, fresh) {
    let words = inputStatus(status);
    if (!connected) words = { lamp: "bad", title: "Reconnecting to the server", detail: "The server does not answer." };
    else if (status === "playing" && !fresh) words = { lamp: "wait", title: "Waiting for a picture", detail: "" };
    this.lamp.dataset.lamp = words.lamp;
    const line = words.lamp === "bad" && words.detail ? `${words.title}: ${words.detail}` : words.title;
    if (this.lamp.textContent !== line) this.lamp.textContent = line;
    if (!fresh && this.bitmap) this.clear();
    this.empty.hidden = this.bitmap !== null;
    if (this.emptyTitle.textContent !== words.title) this.emptyTitle.textContent = words.title;
    if (this.emptyDetail.textContent !== words.detail) this.emptyDetail.textContent = words.detail;
  }

  /** Portrait pictures get a taller frame, up to a square. */
  _fit() {
    const ratio = Math.min(2.4, Math.max(1, this.bitmap.width / this.bitmap.height)).toFixed(3);
    if (this.screen.style.aspectRatio !== ratio) this.screen.style.aspectRatio = ratio;
  }

  draw() {
    const context = this.surface.begin();
    if (!context || !this.bitmap) return;
    const { width, height } = this.surface;
    const scale = Math.min(width / this.bitmap.width, height / this.bitmap.height);
    const w = this.bitmap.width * scale;
    const h = this.bitmap.height * scale;
    const place = { x: (width - w) / 2, y: (height - h) / 2, w, h };
    context.drawImage(this.bitmap, place.x, place.y, w, h);
    const { sources, muted, solo } = this.facts;
    const seen = sources.filter((source) => source.box);
    for (const source of seen) this._outline(context, source, place, isSilent(source.id, muted, solo));
    const taken = [];
    for (const source of seen) this._name(context, source, place, taken);
    this._describe(sources);
  }

  _outline(context, source, { x, y, w, h }, silent) {
    const points = source.outline?.length > 2 ? source.outline : corners(source.box);
    context.beginPath();
    for (const [u, v] of points) context.lineTo(x + u * w, y + v * h);
    context.closePath();
    context.lineJoin = "round";
    context.globalAlpha = silent || source.phase !== "live" ? 0.55 : 1;
    context.setLineDash([]);
    context.strokeStyle = "rgb(0 0 0 / 65%)";
    context.lineWidth = 4;
    context.stroke();
    context.strokeStyle = colourOf(source.id);
    context.lineWidth = 2;
    context.setLineDash(silent ? [5, 5] : []);
    context.stroke();
    context.globalAlpha = 1;
    context.setLineDash([]);
  }

  /** Number and name above the box, or below it, or wherever they hide no other name; always within the picture. */
  _name(context, source, { x, y, w, h }, taken) {
    const [u0, v0, , v1] = source.box;
    context.font = "600 12px system-ui, sans-serif";
    const chipWidth = Math.max(20, context.measureText(String(source.id)).width + 10);
    const nameWidth = context.measureText(source.label).width + 12;
    const wide = chipWidth + 2 + nameWidth;
    const left = Math.max(x + 2, Math.min(x + w - wide - 2, x + u0 * w));
    const tops = [v0 * h - 22, v0 * h - 42, v1 * h + 4, v0 * h + 2].map((v) => Math.max(y + 2, Math.min(y + h - 20, y + v)));
    const top = tops.find((t) => !taken.some((other) => overlaps(other, [left, t, wide, 18]))) ?? tops[0];
    taken.push([left, top, wide, 18]);
    drawChip(context, String(source.id), left, top, colourOf(source.id));
    context.font = "600 12px system-ui, sans-serif";
    context.fillStyle = "rgb(0 0 0 / 72%)";
    context.beginPath();
    context.roundRect(left + chipWidth + 2, top, nameWidth, 18, 5);
    context.fill();
    context.fillStyle = "#fff";
    context.textAlign = "left";
    context.fillText(source.label, left + chipWidth + 8, top + 9.5);
  }

  /** For those who cannot see it, now and then. */
  _describe(sources) {
    const nowMs = performance.now();
    if (this._described && nowMs - this._described < DESCRIBE_EVERY_MS) return;
    this._described = nowMs;
    const things = sources.map((s) => `${s.label} ${direction(s.azimuth_deg)}, ${distance(s.distance_m)}`).join("; ");
    this.surface.canvas.setAttribute("aria-label", things ? `Live picture: ${capital(things)}` : "Live picture: nothing found");
  }
}

/** Whether the mix keeps a source silent. */
export function isSilent(id, muted, solo) {
  return muted.includes(id) || (solo.length > 0 && !solo.includes(id));
}

function corners([x0, y0, x1, y1]) {
  return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
}
