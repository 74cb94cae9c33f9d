/** Figures about the way from the picture to the ear, each with what it means. */

const REFRESH_MS = 500;

/** Name, meaning, value of (page's facts, server's stats, page's own counts). */
const FIGURES = [
  ["Latency", "From the server's sample to your ear: packet, network, buffer and sound card.", (p) => ms(p.latencyMs)],
  ["Buffer", "Sound that waits in this page so that a late packet does not interrupt it.", (p) => ms(p.bufferMs)],
  ["Vision", "Time to understand the newest picture.", (_, s) => ms(s.vision_ms, 1)],
  ["Pictures", "Pictures understood in a second.", (_, s, own) => `${own.fps.toFixed(0)} /s`],
  ["Dropped", "Pictures left out since you opened the page, because a newer one was already there.", (_, s, own) => s.dropped - own.first.dropped],
  ["Listeners", "Pages and players that receive sound now.", (_, s) => s.viewers],
  ["Late blocks", "Blocks of sound that the server finished late since you opened the page.", (_, s, own) => s.underruns - own.first.underruns],
  ["Ran dry", "How often this page's buffer was empty.", (p) => p.underruns],
  ["Lost", "Packets of sound that never came.", (p) => p.lost],
  ["Late", "Packets that came too late to be played.", (p) => p.late],
  ["Concealed", "Gaps filled with a continuation of the sound before them.", (p) => p.concealed],
  ["Skips", "Jumps to the newest sound after the buffer had grown too long.", (p) => p.skips],
];

function ms(value, digits = 0) {
  return value === null || value === undefined || value === 0 ? "–" : `${value.toFixed(digits)} ms`;
}

export class Stats {
  constructor() {
    this._values = FIGURES.map(([name, meaning]) => {
      const pair = document.createElement("div");
      const [term, value] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = name;
      pair.title = meaning;
      value.textContent = "–";
      pair.append(term, value);
      document.querySelector("#stats").append(pair);
      const [word, sense] = [document.createElement("dt"), document.createElement("dd")];
      word.textContent = name;
      sense.textContent = meaning;
      document.querySelector("#meanings").append(word, sense);
      return value;
    });
    this._shownMs = 0;
    this._frames = [];
  }

  /**
   * @param {object} page facts of the player
   * @param {object} server its `stats`
   * @param {boolean} playing
   */
  update(page, server, playing) {
    const nowMs = performance.now();
    if (!server || nowMs - this._shownMs < REFRESH_MS) return;
    this._shownMs = nowMs;
    // A server that counts from the beginning again has been restarted.
    if (!this._first || server.frames < this._first.frames) this._first = server;
    this._frames = this._frames.filter(([, frames]) => frames <= server.frames);
    this._frames.push([nowMs, server.frames]);
    while (nowMs - this._frames[0][0] > 3000) this._frames.shift();
    const [firstMs, first] = this._frames[0];
    const fps = nowMs > firstMs ? (1000 * (server.frames - first)) / (nowMs - firstMs) : 0;
    FIGURES.forEach(([, , value], i) => {
      const ofPage = value.length === 1;
      const text = ofPage && !playing ? "–" : String(value(page, server, { fps, first: this._first }) ?? "–");
      if (this._values[i].textContent !== text) this._values[i].textContent = text;
    });
  }
}
