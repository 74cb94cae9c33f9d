/** The listener's side: chooses layout and path, connects, connects again, and knows how it is going. */

import { SAMPLE_RATE_HZ, channelsOf } from "./opus.js";
import { PlainSession } from "./plain-session.js";
import { NoFramesError, TransformSession, transformSupported } from "./transform-session.js";

const RETRY_FIRST_MS = 500;
const RETRY_MOST_MS = 10000;
const NOTHING = {
  bufferMs: 0, targetMs: 0, latencyMs: 0, underruns: 0, lost: 0, late: 0, concealed: 0, skips: 0, packets: 0,
  sequenceGaps: 0, timestampGaps: 0, lastSequence: -1, decodeErrors: 0,
};

/** @typedef {"stopped"|"connecting"|"playing"|"reconnecting"} PlayerState */

export class Player {
  /**
   * @param {object} options
   * @param {boolean} [options.plainOnly] use the <audio> element whatever the browser can do
   * @param {() => void} options.onChange told whenever `state`, `path` or `layout` change
   */
  constructor({ plainOnly = false, onChange }) {
    this.plainOnly = plainOnly;
    this.onChange = onChange;
    this.choice = "auto";
    /** @type {PlayerState} */
    this.state = "stopped";
    this.detail = "";
    this.levels = new Float32Array(0);
    this.peaks = new Float32Array(0);
    this.session = null;
    this.reconnects = 0;
    this._run = 0;
    this._wake = null;
  }

  get path() {
    return this.session?.path ?? null;
  }

  get layout() {
    return this.session?.layout ?? null;
  }

  get channels() {
    return this.session?.channels ?? 0;
  }

  /** Loudspeakers that this machine can feed; known once listening has begun. */
  get maxChannels() {
    return this.context?.destination.maxChannelCount ?? 2;
  }

  facts() {
    return this.session ? this.session.facts() : NOTHING;
  }

  async recentSamples(seconds) {
    return this.session ? this.session.recentSamples(seconds) : [];
  }

  /** Begin; call it from a click or a key. */
  start(choice = this.choice) {
    this.choice = choice;
    this.context ??= new AudioContext({ sampleRate: SAMPLE_RATE_HZ, latencyHint: "interactive" });
    const awake = this.context.resume();
    this._keepPlaying(++this._run, awake);
  }

  /** End, until `start`. */
  stop() {
    this._run++;
    this._drop();
    this._become("stopped", "");
    this.context?.suspend();
  }

  /** Change the layout, now if playing. */
  choose(choice) {
    this.choice = choice;
    if (this.state === "stopped") this.onChange();
    else this.start(choice);
  }

  /** The server is known to be there again: do not wait any longer. */
  hurry() {
    this._wake?.();
  }

  _drop() {
    this.session?.close();
    this.session = null;
    this.levels = new Float32Array(0);
    this.peaks = new Float32Array(0);
  }

  _become(state, detail) {
    this.state = state;
    this.detail = detail;
    this.onChange();
  }

  async _keepPlaying(run, awake) {
    this._drop();
    this._become("connecting", "");
    await awake;
    let failures = 0;
    while (this._run === run) {
      try {
        const session = await this._connect(run);
        if (this._run !== run) return;
        failures = 0;
        this._become("playing", "");
        this.detail = await session.ended;
      } catch (error) {
        if (this._run !== run) return;
        if (error instanceof NoFramesError && !this.plainOnly) {
          this.plainOnly = true;
          this._drop();
          continue;
        }
        failures++;
        this.detail = error.message;
      }
      if (this._run !== run) return;
      this._drop();
      this.reconnects++;
      this._become("reconnecting", this.detail);
      const waitMs = Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** Math.min(failures, 6));
      await new Promise((resolve) => {
        this._wake = resolve;
        setTimeout(resolve, waitMs * (0.75 + 0.5 * Math.random()));
      });
    }
  }

  async _connect(run) {
    const { layout, transform } = await this._decide();
    const Session = transform ? TransformSession : PlainSession;
    const session = new Session(this.context, layout, (rms, peaks) => {
      if (this.session !== session) return;
      this.levels = rms;
      this.peaks = peaks;
    });
    if (this._run !== run) return session;
    this.session = session;
    this._openDestination(session.channels);
    try {
      await session.open();
    } catch (error) {
      session.close();
      throw error;
    }
    return session;
  }

  /** The layout to ask for, and whether the channels can be decoded here. */
  async _decide() {
    const roomForSix = this.maxChannels >= 6;
    let layout = this.choice === "auto" ? (roomForSix ? "5.1" : "binaural") : this.choice;
    let transform = !this.plainOnly && (await transformSupported(channelsOf(layout)));
    if (!transform && layout === "5.1") {
      layout = "binaural";
      transform = !this.plainOnly && (await transformSupported(2));
    }
    return { layout, transform };
  }

  /** Six loudspeakers get six channels as they are; on two, Web Audio mixes down. */
  _openDestination(channels) {
    const { destination } = this.context;
    const count = channels === 6 && this.maxChannels >= 6 ? 6 : Math.max(1, Math.min(2, this.maxChannels));
    destination.channelCount = count;
    destination.channelInterpretation = count === 6 ? "discrete" : "speakers";
  }
}
