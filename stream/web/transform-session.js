/** Listening with all channels: encoded frames -> worker (WebCodecs) -> worklet (buffer, clock drift) -> loudspeakers. */

import { BLOCK, SAMPLE_RATE_HZ, channelsOf, decoderConfig } from "./opus.js";
import { SignallingError, connected, connectionEnd, hangUp, negotiate } from "./signalling.js";

/** So many packets (a second and a half) without a sound: the browser keeps them to itself. */
const ENOUGH_PACKETS = 150;
const FIRST_PACKET_MS = 8000;
const SILENCE_MS = 2500;
const WATCH_EVERY_MS = 250;
const MODULE = new URL("./playout-worklet.js", import.meta.url);
const WORKER = new URL("./transform-worker.js", import.meta.url);

/** The browser connects, but hands out no frames: there is another way. */
export class NoFramesError extends Error {}

/** Whether this browser can do it for a number of channels. */
export async function transformSupported(channels) {
  if (!globalThis.RTCRtpScriptTransform || !globalThis.AudioDecoder || !globalThis.AudioWorkletNode) return false;
  try {
    return (await AudioDecoder.isConfigSupported(decoderConfig(channels))).supported === true;
  } catch {
    return false;
  }
}

const ready = new WeakMap();

/** The worklet's code, loaded once per context. */
function loadModule(context) {
  if (!ready.has(context)) ready.set(context, context.audioWorklet.addModule(MODULE));
  return ready.get(context);
}

export class TransformSession {
  /**
   * @param {AudioContext} context
   * @param {string} layout of the server
   * @param {(rms: Float32Array, peaks: Float32Array) => void} onLevels
   */
  constructor(context, layout, onLevels) {
    this.path = "transform";
    this.layout = layout;
    this.channels = channelsOf(layout);
    this.context = context;
    this.onLevels = onLevels;
    this.buffer = { averageSamples: 0, targetSamples: 0, underruns: 0, concealed: 0, skips: 0, starvedSamples: 0 };
    this.network = { packets: 0, lost: 0, late: 0, sequenceGaps: 0, timestampGaps: 0, lastSequence: -1, decodeErrors: 0 };
    this._session = null;
    this.roundTripMs = 0;
    this.received = 0;
    this.closed = false;
    this._asked = new Map();
    this._askedCount = 0;
  }

  /** Connect; returns when the first sound has been decoded. */
  async open() {
    await loadModule(this.context);
    this._goOn();
    const wire = new MessageChannel();
    this.node = new AudioWorkletNode(this.context, "earshot-playout", {
      numberOfInputs: 0,
      outputChannelCount: [this.channels],
      processorOptions: { channels: this.channels },
    });
    this.node.port.onmessage = ({ data }) => this._fromWorklet(data);
    this.node.port.postMessage({ blocks: wire.port1 }, [wire.port1]);
    this.worker = new Worker(WORKER, { type: "module" });
    const firstSound = new Promise((resolve) => {
      this.worker.onmessage = ({ data }) => this._fromWorker(data, resolve);
    }).then(() => clearInterval(this._first));
    this.peer = new RTCPeerConnection();
    this.ended = Promise.race([connectionEnd(this.peer), this._silence()]);
    const { receiver } = this.peer.addTransceiver("audio", { direction: "recvonly" });
    // Before the offer: set any later, no frame ever arrives in Chromium.
    receiver.transform = new RTCRtpScriptTransform(this.worker, { channels: this.channels, blocks: wire.port2 }, [wire.port2]);
    this._session = await negotiate(this.peer, `/whep?layout=${this.layout}`);
    this._goOn();
    await connected(this.peer);
    this._goOn();
    await Promise.race([firstSound, this._noSound()]);
    this._goOn();
    this.node.connect(this.context.destination);
  }

  /** Somebody may have pressed Stop while `open` was waiting. */
  _goOn() {
    if (!this.closed) return;
    this._release();
    throw new SignallingError("stopped");
  }

  /** Rejects when sound does not come: packets without frames call for another way, no packets for another try. */
  _noSound() {
    const begunMs = performance.now();
    return new Promise((_, reject) => {
      this._first = setInterval(() => {
        if (this.received >= ENOUGH_PACKETS) reject(new NoFramesError("the browser handed out no sound"));
        else if (performance.now() - begunMs > FIRST_PACKET_MS) reject(new SignallingError("the server sends no sound"));
      }, WATCH_EVERY_MS);
    });
  }

  /** Resolves when packets stop coming although the connection seems to stand. */
  _silence() {
    return new Promise((resolve) => {
      let packets = -1;
      let sinceMs = performance.now();
      this._watch = setInterval(() => {
        const nowMs = performance.now();
        if (this.network.packets !== packets || this.network.packets === 0) {
          packets = this.network.packets;
          sinceMs = nowMs;
        } else if (nowMs - sinceMs > SILENCE_MS) {
          resolve("the server fell silent");
        }
        this._ask();
      }, WATCH_EVERY_MS);
    });
  }

  /** What only the connection itself knows: packets that arrived at all, and the round trip. */
  async _ask() {
    for (const report of (await this.peer.getStats().catch(() => new Map())).values()) {
      if (report.type === "inbound-rtp") this.received = report.packetsReceived ?? 0;
      else if (report.type === "candidate-pair" && report.nominated && report.currentRoundTripTime !== undefined) {
        this.roundTripMs = 1000 * report.currentRoundTripTime;
      }
    }
  }

  _fromWorker(message, onFirst) {
    if (message.first) onFirst();
    if (message.network) this.network = message.network;
    if (message.decodeError) console.warn("earshot: decoder restarted:", message.decodeError);
  }

  _fromWorklet(message) {
    if (message.rms) {
      this.onLevels(message.rms, message.peaks);
      const depth = Math.max(1, Math.min(12, Math.floor(message.buffer.targetSamples / BLOCK) - 1));
      if (depth !== this._depth) this.worker.postMessage({ depth });
      this._depth = depth;
      this.buffer = message.buffer;
    } else if (message.recent !== undefined) {
      this._asked.get(message.recent)?.(message.channels);
      this._asked.delete(message.recent);
    }
  }

  /** The newest decoded samples, one array per channel. */
  recentSamples(seconds) {
    return new Promise((resolve) => {
      const recent = this._askedCount++;
      this._asked.set(recent, resolve);
      this.node.port.postMessage({ recent, seconds });
    });
  }

  /** Figures for the page. */
  facts() {
    const bufferMs = (1000 * this.buffer.averageSamples) / SAMPLE_RATE_HZ;
    const deviceMs = 1000 * ((this.context.baseLatency || 0) + (this.context.outputLatency || 0));
    return {
      ...this.network,
      bufferMs,
      targetMs: (1000 * this.buffer.targetSamples) / SAMPLE_RATE_HZ,
      // The packet itself, half the round trip, what waits here, the sound card.
      latencyMs: 10 + this.roundTripMs / 2 + bufferMs + deviceMs,
      underruns: this.buffer.underruns,
      concealed: this.buffer.concealed,
      skips: this.buffer.skips,
    };
  }

  /** Stop at once; may be called twice. */
  close() {
    if (this.closed) return;
    this.closed = true;
    this._release();
  }

  /** Again and again while `open` goes on: whatever there is by now. */
  _release() {
    clearInterval(this._watch);
    clearInterval(this._first);
    hangUp(this._session, this.peer);
    this._session = null;
    this.worker?.terminate();
    this.node?.disconnect();
    this.node?.port.postMessage({ end: true });
  }
}
