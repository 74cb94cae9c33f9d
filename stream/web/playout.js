/**
 * Decoded blocks in, continuous sound out. Knows nothing of the browser: the worklet runs it, tests run it.
 *
 * The buffer holds `targetSamples` on average. It grows when it ran empty and shrinks slowly while there is room to spare.
 * The reading speed follows the drift between the server's clock and the sound card's, by at most half a percent.
 * Whatever is missing is replaced by a fading continuation of what was heard last, and joined by cross-fades.
 */

import { BLOCK, SAMPLE_RATE_HZ } from "./opus.js";
import { REACH, TAPS, weightsAt } from "./sinc.js";
import { alignment, continuation, matchingLag } from "./conceal.js";

const MS = SAMPLE_RATE_HZ / 1000;

const CAPACITY = 1 << 18;
const MASK = CAPACITY - 1;
const HISTORY = 4096;

const START_TARGET = 30 * MS;
const MIN_TARGET = 20 * MS;
const MAX_TARGET = 200 * MS;
const GROW = 10 * MS;
const SHRINK_PER_S = 1 * MS;
/** While the buffer never fell below this, it may shrink. */
const SPARE = 12 * MS;
const CALM_S = 20;
/** A target that once ran empty is not tried again for this long. */
const REMEMBER_S = 300;
const MAX_HOLE = 200 * MS;
/** More than this above the target, for a while, is skipped rather than played faster. */
const EXCESS = 60 * MS;
const EXCESS_S = 0.25;
const AVERAGE_S = 1;
const JOIN = 5 * MS;
const SKIP_JOIN = 10 * MS;

export class Playout {
  /** @param {number} channels */
  constructor(channels) {
    this.channels = channels;
    this.ring = Array.from({ length: channels }, () => new Float32Array(CAPACITY));
    this.targetSamples = START_TARGET;
    this.averageSamples = START_TARGET;
    this.playing = false;
    this.underruns = 0;
    this.concealed = 0;
    this.skips = 0;
    this.starvedSamples = 0;
    this.sumSquares = new Float64Array(channels);
    this.peaks = new Float32Array(channels);
    this.levelSamples = 0;

    this._shift = 0; // from the stream's positions to ours
    this._end = null; // after the newest sample
    this._at = 0; // next sample to play...
    this._fraction = 0; // ...and how far after it
    this._step = 1;
    this._correcting = false;
    this._tail = null; // planes of what fades out while the real sound is missing or joins
    this._tailAt = 0;
    this._joinLeft = 0;
    this._join = JOIN;
    this._clock = 0; // samples put out
    this._calmSince = 0;
    this._lowest = Infinity;
    this._nextReview = SAMPLE_RATE_HZ;
    this._floor = MIN_TARGET;
    this._floorUntil = 0;
    this._excessSince = null;
    this._weights = new Float32Array(TAPS);
  }

  /** Samples waiting to be played. */
  get fillSamples() {
    return this._end === null ? 0 : this._end - this._at;
  }

  // -- in ------------------------------------------------------------------------------------------------------------

  /**
   * Add a decoded block.
   * @param {number} position of its first sample in the stream
   * @param {Float32Array} planes channel after channel
   */
  write(position, planes) {
    const frames = planes.length / this.channels;
    if (this._end === null) {
      this._shift = HISTORY - position;
      this._end = this._at = HISTORY;
    }
    const hole = position + this._shift - this._end;
    const filled = hole > 0 && hole <= MAX_HOLE && this.playing;
    if (filled) this._fillHole(hole);
    // A hole that time has passed over already must not become silence later.
    else this._shift -= hole;
    for (let c = 0; c < this.channels; c++) {
      const plane = this.ring[c];
      const from = c * frames;
      for (let i = 0; i < frames; i++) {
        const index = (this._end + i) & MASK;
        const value = planes[from + i];
        // `_fillHole` left its continuation where this block begins.
        const w = filled && i < JOIN ? i / JOIN : 1;
        plane[index] = w === 1 ? value : w * value + (1 - w) * plane[index];
      }
    }
    this._end += frames;
    // Nobody reads (a suspended page): keep the newest.
    if (this.fillSamples > CAPACITY / 4) {
      this._at = this._end - this.targetSamples;
      this._fraction = 0;
      this._tail = null;
      this._joinLeft = this._join = JOIN;
    }
  }

  _fillHole(hole) {
    const lag = matchingLag(this.ring, MASK, this._end);
    const planes = continuation(this.ring, MASK, this._end, lag, hole + JOIN);
    for (let c = 0; c < this.channels; c++) {
      for (let i = 0; i < hole + JOIN; i++) this.ring[c][(this._end + i) & MASK] = planes[c][i];
    }
    this._end += hole;
    this.concealed += Math.ceil(hole / BLOCK);
  }

  // -- out -----------------------------------------------------------------------------------------------------------

  /**
   * Fill the next samples.
   * @param {Float32Array[]} outputs one per channel, all of one length
   */
  read(outputs) {
    const n = outputs[0].length;
    if (this._end !== null) {
      if (!this.playing && this.fillSamples >= this.targetSamples) this._begin();
      if (this.playing) this._follow(n);
    }
    const done = this.playing ? this._produce(outputs, n) : 0;
    if (this.playing && done < n) this._starve();
    for (let c = 0; c < this.channels; c++) {
      for (let i = done; i < n; i++) outputs[c][i] = this._tailSample(c, i - done);
    }
    if (done < n) {
      this._tailAt += n - done;
      if (this.underruns) this.starvedSamples += n - done;
    }
    this._clock += n;
    this._measure(outputs, n);
  }

  _begin() {
    this.playing = true;
    this._at = Math.max(this._at, this._end - this.targetSamples - BLOCK);
    this._fraction = 0;
    this._step = 1;
    this.averageSamples = this.fillSamples;
    this._joinLeft = this._join = JOIN;
    this._lowest = Infinity;
  }

  _starve() {
    this.playing = false;
    this.underruns++;
    const lag = matchingLag(this.ring, MASK, this._at);
    this._tail = continuation(this.ring, MASK, this._at, lag, 40 * MS);
    this._tailAt = 0;
    for (const plane of this._fraction ? this._tail : []) {
      // The sound stopped between two samples; so does its continuation.
      for (let i = 0; i + 1 < plane.length; i++) plane[i] += this._fraction * (plane[i + 1] - plane[i]);
    }
    this.targetSamples = Math.min(MAX_TARGET, this.targetSamples + GROW);
    this._floor = this.targetSamples;
    this._floorUntil = this._clock + REMEMBER_S * SAMPLE_RATE_HZ;
    this._calmSince = this._clock;
  }

  _tailSample(channel, offset) {
    const index = this._tailAt + offset;
    return this._tail !== null && index < this._tail[channel].length ? this._tail[channel][index] : 0;
  }

  /** Decide how fast to read, and whether the target can come down. */
  _follow(n) {
    const fill = this.fillSamples;
    this.averageSamples += (fill - this.averageSamples) * Math.min(1, n / (AVERAGE_S * SAMPLE_RATE_HZ));
    this._lowest = Math.min(this._lowest, fill - n);
    const excess = fill - this.targetSamples;
    if (excess <= EXCESS) this._excessSince = null;
    else {
      this._excessSince ??= this._clock;
      if (this._clock - this._excessSince > EXCESS_S * SAMPLE_RATE_HZ) this._skip();
    }
    const error = this.averageSamples - this.targetSamples;
    if (Math.abs(error) > 4 * MS) this._correcting = true;
    else if (Math.abs(error) < 0.5 * MS) this._correcting = false;
    const limit = Math.abs(error) > 20 * MS ? 0.005 : 0.0015;
    const wanted = this._correcting ? Math.max(-limit, Math.min(limit, (0.5 * error) / SAMPLE_RATE_HZ)) : 0;
    this._step += Math.max(-2e-5, Math.min(2e-5, 1 + wanted - this._step));
    if (this._clock >= this._nextReview) this._review();
  }

  /** Once a second: a calm buffer may shrink. */
  _review() {
    this._nextReview = this._clock + SAMPLE_RATE_HZ;
    const calm = this._clock - this._calmSince > CALM_S * SAMPLE_RATE_HZ;
    const floor = this._clock < this._floorUntil ? this._floor : MIN_TARGET;
    if (this._lowest < SPARE) this._calmSince = this._clock;
    else if (calm) this.targetSamples = Math.max(floor, MIN_TARGET, this.targetSamples - SHRINK_PER_S);
    this._lowest = Infinity;
  }

  /** Jump to the newest sound, to a place that continues what is playing. */
  _skip() {
    const around = this._end - this.targetSamples - BLOCK;
    this._tail = this.ring.map((plane) =>
      Float32Array.from({ length: SKIP_JOIN }, (_, i) => plane[(this._at + i) & MASK]),
    );
    this._tailAt = 0;
    this._at = around + alignment(this.ring, MASK, this._at, around, BLOCK);
    this._fraction = 0;
    this._joinLeft = this._join = SKIP_JOIN;
    this.averageSamples = this.fillSamples;
    this._excessSince = null;
    this.skips++;
  }

  /** Play what is there; gives the number of samples written. */
  _produce(outputs, n) {
    const exact = this._fraction === 0 && this._step === 1 && !this._correcting;
    const done = exact ? this._copy(outputs, n) : this._resample(outputs, n);
    if (this._joinLeft > 0) this._blend(outputs, done);
    return done;
  }

  _copy(outputs, n) {
    const count = Math.min(n, this.fillSamples);
    for (let c = 0; c < this.channels; c++) {
      for (let i = 0; i < count; i++) outputs[c][i] = this.ring[c][(this._at + i) & MASK];
    }
    this._at += count;
    return count;
  }

  _resample(outputs, n) {
    const weights = this._weights;
    for (let i = 0; i < n; i++) {
      if (this._at + REACH >= this._end) return i;
      weightsAt(this._fraction, weights);
      const first = this._at - (REACH - 1);
      for (let c = 0; c < this.channels; c++) {
        const plane = this.ring[c];
        let sum = 0;
        for (let tap = 0; tap < TAPS; tap++) sum += weights[tap] * plane[(first + tap) & MASK];
        outputs[c][i] = sum;
      }
      this._fraction += this._step;
      while (this._fraction >= 1) {
        this._fraction -= 1;
        this._at++;
      }
      this._settle();
    }
    return n;
  }

  /** Once the correction is over, glide onto the nearest whole sample, where nothing has to be computed. */
  _settle() {
    if (this._correcting || this._step !== 1) return;
    const distance = this._fraction < 0.5 ? -this._fraction : 1 - this._fraction;
    const move = Math.max(-1e-4, Math.min(1e-4, distance));
    this._fraction += move;
    if (Math.abs(distance) > 2e-4) return;
    if (distance > 0) this._at++;
    this._fraction = 0;
  }

  _blend(outputs, done) {
    const count = Math.min(done, this._joinLeft);
    for (let c = 0; c < this.channels; c++) {
      for (let i = 0; i < count; i++) {
        const w = 1 - (this._joinLeft - i) / this._join;
        const smooth = w * w * (3 - 2 * w);
        outputs[c][i] = smooth * outputs[c][i] + (1 - smooth) * this._tailSample(c, i);
      }
    }
    this._tailAt += count;
    this._joinLeft -= count;
  }

  // -- what tests and meters see -------------------------------------------------------------------------------------

  _measure(outputs, n) {
    for (let c = 0; c < this.channels; c++) {
      let sum = 0;
      let peak = this.peaks[c];
      for (let i = 0; i < n; i++) {
        const value = outputs[c][i];
        sum += value * value;
        if (value > peak) peak = value;
        else if (-value > peak) peak = -value;
      }
      this.sumSquares[c] += sum;
      this.peaks[c] = peak;
    }
    this.levelSamples += n;
  }

  /** RMS and peak of each channel since the last call. */
  takeLevels() {
    const rms = Float32Array.from(this.sumSquares, (sum) => Math.sqrt(sum / Math.max(1, this.levelSamples)));
    const peaks = Float32Array.from(this.peaks);
    this.sumSquares.fill(0);
    this.peaks.fill(0);
    this.levelSamples = 0;
    return { rms, peaks };
  }

  /** The newest decoded samples of each channel, oldest first. */
  recent(seconds) {
    const end = this._end ?? 0;
    const n = Math.min(Math.floor(seconds * SAMPLE_RATE_HZ), CAPACITY - HISTORY, Math.max(0, end - HISTORY));
    return this.ring.map((plane) => Float32Array.from({ length: n }, (_, i) => plane[(end - n + i) & MASK]));
  }
}
