/** Everything that sounds, seen from above: the listener in the middle, front is up, left is left. */

import { Surface, overlaps, themeColours } from "./canvas.js";
import { colourOf } from "./palette.js";
import { isSilent } from "./picture.js";
import { toDb } from "./words.js";

const RINGS_M = [1, 2, 5, 10, 20, 40];
const FARTHEST_M = 40;
const DEFAULT_VIEW_DEG = 70;
const TRAIL_MS = 2500;
const TRAIL_EVERY_MS = 120;
/** Name, azimuth, channel of six, channel of two. */
const LOUDSPEAKERS = [["L", 30, 0], ["C", 0, 2], ["R", -30, 1], ["Ls", 110, 4], ["Rs", -110, 5]];
const STEREO = [["L", 30, 0], ["R", -30, 1]];

/** Share of the radius at which a distance lies; logarithmic, so that near things have room. */
function share(metres) {
  return Math.log2(1 + Math.min(metres, FARTHEST_M)) / Math.log2(1 + FARTHEST_M);
}

export class Radar {
  constructor() {
    this.colours = themeColours(["text", "quiet", "panel", "accent", "radar-line", "radar-wedge", "track"]);
    this.surface = new Surface(document.querySelector("#radar"), () => this.draw());
    document.addEventListener("themechange", () => this.draw());
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.sources = [];
    this.muted = [];
    this.solo = [];
    this.viewDeg = DEFAULT_VIEW_DEG;
    this.layout = null;
    this.levels = [];
    this._trails = new Map();
    this._trailMs = 0;
  }

  /** @param {object} facts of the newest picture */
  update(facts) {
    this.sources = facts.sources ?? [];
    this.muted = facts.muted;
    this.solo = facts.solo;
    this.viewDeg = facts.view_deg ?? DEFAULT_VIEW_DEG;
    this._follow();
    this.draw();
  }

  _follow() {
    const nowMs = performance.now();
    if (nowMs - this._trailMs < TRAIL_EVERY_MS) return;
    this._trailMs = nowMs;
    const ids = new Set(this.sources.map((s) => s.id));
    for (const id of this._trails.keys()) if (!ids.has(id)) this._trails.delete(id);
    for (const { id, azimuth_deg: azimuth, distance_m: metres } of this.sources) {
      const trail = this._trails.get(id) ?? [];
      trail.push({ azimuth, metres, ms: nowMs });
      while (nowMs - trail[0].ms > TRAIL_MS) trail.shift();
      this._trails.set(id, trail);
    }
  }

  draw() {
    const context = this.surface.begin();
    if (!context) return;
    const { width, height } = this.surface;
    this.radius = Math.max(20, Math.min(width / 2 - 26, height / 2 - 20));
    this.centre = [width / 2, height / 2 + 2];
    this._wedge(context);
    this._rings(context);
    this._loudspeakers(context);
    this._listener(context);
    if (!this.calm.matches) for (const source of this.sources) this._trail(context, source);
    // Near things last: they lie on top.
    const order = [...this.sources].sort((a, b) => b.distance_m - a.distance_m);
    const taken = order.map((source) => {
      const [x, y] = this._at(source.azimuth_deg, share(source.distance_m));
      const size = dotRadius(source);
      return [x - size, y - size, 2 * size, 2 * size];
    });
    for (const source of order) this._dot(context, source, taken);
  }

  /** Position on the canvas, px. */
  _at(azimuthDeg, share_) {
    const angle = (azimuthDeg * Math.PI) / 180;
    return [
      this.centre[0] - Math.sin(angle) * share_ * this.radius,
      this.centre[1] - Math.cos(angle) * share_ * this.radius,
    ];
  }

  _wedge(context) {
    const half = (Math.min(this.viewDeg, 360) / 2) * (Math.PI / 180);
    context.beginPath();
    context.moveTo(...this.centre);
    context.arc(...this.centre, this.radius, -Math.PI / 2 - half, -Math.PI / 2 + half);
    context.closePath();
    context.fillStyle = this.colours["radar-wedge"];
    context.fill();
  }

  _rings(context) {
    context.lineWidth = 1;
    context.strokeStyle = this.colours["radar-line"];
    for (const metres of RINGS_M) {
      context.beginPath();
      context.arc(...this.centre, share(metres) * this.radius, 0, 2 * Math.PI);
      context.stroke();
    }
    for (let azimuth = 0; azimuth < 360; azimuth += 30) {
      context.beginPath();
      context.moveTo(...this._at(azimuth, azimuth % 90 ? share(5) : share(1)));
      context.lineTo(...this._at(azimuth, 1));
      context.globalAlpha = 0.55;
      context.stroke();
      context.globalAlpha = 1;
    }
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const metres of RINGS_M) {
      // Behind and to the right, where there is seldom anything else.
      const [x, y] = this._at(-160, share(metres));
      const text = metres === FARTHEST_M ? `${metres} m` : String(metres);
      context.fillStyle = this.colours.panel;
      const w = context.measureText(text).width + 6;
      context.fillRect(x - w / 2, y - 7, w, 14);
      context.fillStyle = this.colours.quiet;
      context.fillText(text, x, y + 0.5);
    }
  }

  _loudspeakers(context) {
    const places = this.layout === "stereo" ? STEREO : LOUDSPEAKERS;
    context.font = "600 11px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const [name, azimuth, channel] of places) {
      const used = this.layout === "5.1" || this.layout === "stereo";
      const level = used ? Math.max(0, 1 + toDb(this.levels[channel] ?? 0) / 60) : 0;
      const [x, y] = this._at(azimuth, 1);
      context.save();
      context.translate(x, y);
      context.rotate((-azimuth * Math.PI) / 180);
      context.beginPath();
      context.roundRect(-9, -5, 18, 10, 3);
      context.fillStyle = this.colours.panel;
      context.fill();
      context.globalAlpha = level;
      context.fillStyle = this.colours.accent;
      context.fill();
      context.globalAlpha = 1;
      context.strokeStyle = used ? this.colours.accent : this.colours.quiet;
      context.lineWidth = 1.5;
      context.setLineDash(used ? [] : [2, 2]);
      context.stroke();
      context.restore();
      const [tx, ty] = this._at(azimuth, 1 + 15 / this.radius);
      context.fillStyle = this.colours.quiet;
      context.fillText(name, tx, ty);
    }
  }

  _listener(context) {
    const [x, y] = this.centre;
    context.fillStyle = this.colours.text;
    context.beginPath();
    context.arc(x, y, 5, 0, 2 * Math.PI);
    context.moveTo(x - 3.2, y - 4);
    context.lineTo(x, y - 10);
    context.lineTo(x + 3.2, y - 4);
    context.fill();
  }

  _trail(context, source) {
    const trail = this._trails.get(source.id);
    if (!trail || trail.length < 2) return;
    context.strokeStyle = colourOf(source.id);
    context.lineWidth = 2;
    for (let i = 1; i < trail.length; i++) {
      context.globalAlpha = (0.45 * i) / trail.length;
      context.beginPath();
      context.moveTo(...this._at(trail[i - 1].azimuth, share(trail[i - 1].metres)));
      context.lineTo(...this._at(trail[i].azimuth, share(trail[i].metres)));
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  _dot(context, source, taken) {
    const [x, y] = this._at(source.azimuth_deg, share(source.distance_m));
    const silent = isSilent(source.id, this.muted, this.solo);
    const seen = source.phase === "live" && source.box;
    const size = dotRadius(source);
    context.globalAlpha = seen ? 1 : 0.5;
    context.beginPath();
    context.arc(x, y, size, 0, 2 * Math.PI);
    context.fillStyle = silent ? this.colours.panel : colourOf(source.id);
    context.fill();
    context.lineWidth = 2;
    context.setLineDash(seen ? [] : [3, 3]);
    context.strokeStyle = silent ? colourOf(source.id) : this.colours.panel;
    context.stroke();
    context.setLineDash([]);
    const number = String(source.id);
    context.font = `700 ${number.length > 2 ? 9.5 : 11.5}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillStyle = silent ? this.colours.text : "#000";
    context.fillText(number, x, y + 0.5);
    this._label(context, source.label, x, y, size, taken);
    context.globalAlpha = 1;
  }

  /** The name beside the dot, on the first side that is still free. */
  _label(context, text, x, y, size, taken) {
    context.font = "12px system-ui, sans-serif";
    const w = context.measureText(text).width + 4;
    const near = 0.7 * size + 1;
    const spots = [
      [x + size + 3, y - 8], [x - size - 3 - w, y - 8], [x + near, y + near], [x + near, y - near - 16],
      [x - near - w, y + near], [x - near - w, y - near - 16], [x - w / 2, y + size + 2], [x - w / 2, y - size - 18],
    ];
    const free = ([sx, sy]) => sx > 0 && sx + w < this.surface.width && !taken.some((t) => overlaps(t, [sx, sy, w, 16]));
    const [lx, ly] = spots.find(free) ?? spots[0];
    taken.push([lx, ly, w, 16]);
    context.textAlign = "left";
    context.lineWidth = 3;
    context.strokeStyle = this.colours.panel;
    context.strokeText(text, lx + 2, ly + 8.5);
    context.fillStyle = this.colours.text;
    context.fillText(text, lx + 2, ly + 8.5);
  }
}

/** Its area follows the level at the listener; never too small for the number, px. */
function dotRadius(source) {
  const levelDb = source.gain_db - 20 * Math.log10(Math.max(source.distance_m, 0.5));
  return Math.max(9, Math.min(17, 15 * 10 ** ((levelDb + 8) / 60)));
}
