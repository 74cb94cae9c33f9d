/** Listening with what every browser has: a stereo track in an <audio> element. */

import { SignallingError, connected, connectionEnd, hangUp, negotiate } from "./signalling.js";

const LEVELS_EVERY_MS = 50;
const FIGURES_EVERY_MS = 500;
const ANALYSER_SIZE = 32768;
const METER_SAMPLES = 2048;
const SILENCE_MS = 4000;

/** Chromium decodes Opus to one channel unless the offer asks for two. */
function wantStereo(sdp) {
  const payload = /^a=rtpmap:(\d+) opus\/48000\/2/im.exec(sdp)?.[1];
  return payload ? sdp.replace(new RegExp(`^(a=fmtp:${payload} .*)$`, "m"), "$1;stereo=1;sprop-stereo=1") : sdp;
}

export class PlainSession {
  /**
   * @param {AudioContext} context for the meters
   * @param {string} layout "binaural" or "stereo"
   * @param {(rms: Float32Array, peaks: Float32Array) => void} onLevels
   */
  constructor(context, layout, onLevels) {
    this.path = "plain";
    this.layout = layout;
    this.channels = 2;
    this.context = context;
    this.onLevels = onLevels;
    this.closed = false;
    this._session = null;
    this._figures = { packets: 0, lost: 0, late: 0, concealed: 0, underruns: 0, skips: 0, bufferMs: 0, roundTripMs: 0 };
  }

  /** Connect; returns when the sound plays. */
  async open() {
    this.peer = new RTCPeerConnection();
    this.ended = Promise.race([connectionEnd(this.peer), new Promise((resolve) => (this._giveUp = resolve))]);
    const { receiver } = this.peer.addTransceiver("audio", { direction: "recvonly" });
    try {
      receiver.jitterBufferTarget = 30;
    } catch {
      // Not everywhere; the browser chooses then.
    }
    this.stream = new MediaStream([receiver.track]);
    this.element = document.querySelector("#plain-audio");
    this.element.srcObject = this.stream;
    this._session = await negotiate(this.peer, `/whep?layout=${this.layout}`, wantStereo);
    this._goOn();
    await connected(this.peer);
    this._goOn();
    await this.element.play();
    this._goOn();
    this._meter();
    this._timer = setInterval(() => this._measure(), FIGURES_EVERY_MS);
  }

  /** Somebody may have pressed Stop while `open` was waiting. */
  _goOn() {
    if (!this.closed) return;
    this._release();
    throw new SignallingError("stopped");
  }

  /** The element plays; the context only watches. */
  _meter() {
    const source = this.context.createMediaStreamSource(this.stream);
    const splitter = this.context.createChannelSplitter(2);
    source.connect(splitter);
    this._source = source;
    this._analysers = [0, 1].map((channel) => {
      const analyser = new AnalyserNode(this.context, { fftSize: ANALYSER_SIZE });
      splitter.connect(analyser, channel);
      return analyser;
    });
    const window = new Float32Array(METER_SAMPLES);
    this._levels = setInterval(() => {
      const rms = new Float32Array(2);
      const peaks = new Float32Array(2);
      this._analysers.forEach((analyser, channel) => {
        analyser.getFloatTimeDomainData(window);
        for (const value of window) {
          rms[channel] += (value * value) / METER_SAMPLES;
          peaks[channel] = Math.max(peaks[channel], Math.abs(value));
        }
        rms[channel] = Math.sqrt(rms[channel]);
      });
      this.onLevels(rms, peaks);
    }, LEVELS_EVERY_MS);
  }

  async _measure() {
    const figures = this._figures;
    const before = figures.packets;
    for (const report of (await this.peer.getStats().catch(() => new Map())).values()) {
      if (report.type === "inbound-rtp") {
        const emitted = report.jitterBufferEmittedCount - (this._emitted ?? 0);
        const delayS = report.jitterBufferDelay - (this._delayS ?? 0);
        if (emitted > 0) figures.bufferMs = (1000 * delayS) / emitted;
        [this._emitted, this._delayS] = [report.jitterBufferEmittedCount, report.jitterBufferDelay];
        figures.packets = report.packetsReceived;
        figures.lost = Math.max(0, report.packetsLost ?? 0);
        figures.late = report.packetsDiscarded ?? 0;
        figures.concealed = report.concealmentEvents ?? 0;
      } else if (report.type === "candidate-pair" && report.nominated) {
        figures.roundTripMs = 1000 * (report.currentRoundTripTime ?? 0);
      }
    }
    const nowMs = performance.now();
    if (figures.packets !== before || this._freshMs === undefined) this._freshMs = nowMs;
    else if (nowMs - this._freshMs > SILENCE_MS) this._giveUp("the server fell silent");
  }

  /** The newest samples that the element plays, one array per channel; at most ANALYSER_SIZE. */
  async recentSamples(seconds) {
    const n = Math.min(ANALYSER_SIZE, Math.floor(seconds * this.context.sampleRate));
    return (this._analysers ?? []).map((analyser) => {
      const samples = new Float32Array(ANALYSER_SIZE);
      analyser.getFloatTimeDomainData(samples);
      return samples.slice(ANALYSER_SIZE - n);
    });
  }

  /** Figures for the page; sequence numbers stay within the browser. */
  facts() {
    const deviceMs = 1000 * (this.context.outputLatency || 0);
    const { roundTripMs, ...figures } = this._figures;
    return {
      ...figures,
      latencyMs: 10 + roundTripMs / 2 + figures.bufferMs + deviceMs,
      sequenceGaps: null,
      timestampGaps: null,
      lastSequence: null,
    };
  }

  /** Stop at once; may be called twice. */
  close() {
    if (this.closed) return;
    this.closed = true;
    this._release();
  }

  _release() {
    clearInterval(this._levels);
    clearInterval(this._timer);
    hangUp(this._session, this.peer);
    this._session = null;
    this._source?.disconnect();
    if (this.element?.srcObject === this.stream) this.element.srcObject = null;
  }
}
