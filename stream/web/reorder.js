/** RTP packets back into their order: late and repeated ones go, missing ones are given up after a short wait. */

const SEQUENCE_SPAN = 1 << 16;
const TIMESTAMP_SPAN = 2 ** 32;
/** A jump this far is not a loss but another stream. */
const RESTART_PACKETS = 500;

/** The value nearest to `near` that equals `wrapped` modulo `span`. */
export function unwrap(wrapped, near, span) {
  const base = near - (((near % span) + span) % span) + wrapped;
  if (base - near > span / 2) return base - span;
  if (near - base > span / 2) return base + span;
  return base;
}

/**
 * @typedef {object} Ordered
 * @property {number} position time stamp without wrap, in samples
 * @property {ArrayBuffer} data the Opus packet
 * @property {number} lost packets missing right before this one
 */

export class Reorderer {
  /** @param {number} blockSamples samples in one packet */
  constructor(blockSamples) {
    this.blockSamples = blockSamples;
    /** How many packets may wait for a missing one. */
    this.depth = 2;
    this.packets = 0;
    this.lost = 0;
    this.late = 0;
    this.repeated = 0;
    this.sequenceGaps = 0;
    this.timestampGaps = 0;
    this.lastSequence = -1;
    this._next = null;
    this._lastPosition = null;
    this._waiting = new Map();
  }

  /**
   * Take one packet as it comes from the network.
   * @param {number} sequence 16 bits
   * @param {number} timestamp 32 bits
   * @param {ArrayBuffer} data
   * @returns {Ordered[]} what can be decoded now
   */
  push(sequence, timestamp, data) {
    this.packets++;
    let extended = this._next === null ? sequence : unwrap(sequence, this._next, SEQUENCE_SPAN);
    if (this._next !== null && Math.abs(extended - this._next) > RESTART_PACKETS) {
      this._waiting.clear();
      this._lastPosition = null;
      this.sequenceGaps++;
      this._next = extended = sequence;
    }
    this._next ??= extended;
    if (extended < this._next) {
      this.late++;
      return [];
    }
    if (this._waiting.has(extended)) {
      this.repeated++;
      return [];
    }
    this._waiting.set(extended, { timestamp, data });
    return this._release();
  }

  _release() {
    const ready = [];
    while (this._waiting.size) {
      let lost = 0;
      if (!this._waiting.has(this._next)) {
        if (this._waiting.size < this.depth) break;
        const oldest = Math.min(...this._waiting.keys());
        lost = oldest - this._next;
        this.lost += lost;
        this.sequenceGaps++;
        this._next = oldest;
      }
      const { timestamp, data } = this._waiting.get(this._next);
      this._waiting.delete(this._next);
      this.lastSequence = this._next % SEQUENCE_SPAN;
      this._next++;
      ready.push({ position: this._place(timestamp, lost), data, lost });
    }
    return ready;
  }

  _place(timestamp, lost) {
    if (this._lastPosition === null) {
      this._lastPosition = timestamp;
      return timestamp;
    }
    const position = unwrap(timestamp, this._lastPosition, TIMESTAMP_SPAN);
    if (position - this._lastPosition !== (lost + 1) * this.blockSamples) this.timestampGaps++;
    this._lastPosition = position;
    return position;
  }
}
