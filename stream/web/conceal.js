/** How sound goes on when the next packet is not there: its last period again and again, quieter and quieter. */

const MATCH = 240;
const SHORTEST = 120;
const LONGEST = 960;
/** Full level this long, then down to nothing. */
const HOLD = 240;
const FADE = 1680;
/** The step at a seam dies away within about this many samples. */
const SEAM = 48;

function mixed(ring, mask, from, length) {
  const mono = new Float32Array(length);
  for (const plane of ring) {
    for (let i = 0; i < length; i++) mono[i] += plane[(from + i) & mask];
  }
  return mono;
}

/** The candidate with the highest score: every fourth first, then the neighbours of the best. */
function highest(score, low, high) {
  let best = low;
  let bestScore = -Infinity;
  const consider = (candidate) => {
    const value = score(candidate);
    if (value > bestScore) {
      bestScore = value;
      best = candidate;
    }
  };
  for (let candidate = low; candidate <= high; candidate += 4) consider(candidate);
  const coarse = best;
  for (let candidate = Math.max(low, coarse - 3); candidate <= Math.min(high, coarse + 3); candidate++) consider(candidate);
  return best;
}

/** Likeness of `a` from i and `b` from j over MATCH samples; the first may be scaled as it likes. */
function likeness(a, i, b, j) {
  let product = 0;
  let energy = 1e-9;
  for (let k = 0; k < MATCH; k++) {
    product += a[i + k] * b[j + k];
    energy += b[j + k] * b[j + k];
  }
  return product / Math.sqrt(energy);
}

/**
 * The shift after which the sound before `position` resembles itself most.
 * @param {Float32Array[]} ring
 * @param {number} mask ring length - 1
 * @param {number} position after the last sample to look at
 * @returns {number} in samples, SHORTEST..LONGEST
 */
export function matchingLag(ring, mask, position) {
  const mono = mixed(ring, mask, position - LONGEST - MATCH, LONGEST + MATCH);
  return highest((lag) => likeness(mono, LONGEST, mono, LONGEST - lag), SHORTEST, LONGEST);
}

/**
 * The offset at which the sound after `target` + offset resembles the sound after `reference` most.
 * @param {Float32Array[]} ring
 * @param {number} mask ring length - 1
 * @param {number} reference position
 * @param {number} target position
 * @param {number} reach offsets from 0 to this
 */
export function alignment(ring, mask, reference, target, reach) {
  const a = mixed(ring, mask, reference, MATCH);
  const b = mixed(ring, mask, target, reach + MATCH);
  return highest((offset) => likeness(a, 0, b, offset), 0, reach);
}

/**
 * Continue the sound after `position`.
 * @param {Float32Array[]} ring
 * @param {number} mask ring length - 1
 * @param {number} position of the first sample that is missing
 * @param {number} lag period to repeat
 * @param {number} length in samples
 * @returns {Float32Array[]} one plane per channel, without a step at its beginning, fading
 */
export function continuation(ring, mask, position, lag, length) {
  return ring.map((plane) => {
    const result = new Float32Array(length);
    const before = plane[(position - lag - 1) & mask];
    let last = plane[(position - 1) & mask];
    let step = 0;
    for (let i = 0; i < length; i++) {
      const phase = i % lag;
      if (phase === 0) step = last - before;
      last = plane[(position - lag + phase) & mask] + step * Math.exp(-phase / SEAM);
      const fade = Math.min(1, Math.max(0, (i - HOLD) / FADE));
      result[i] = last * Math.cos(0.5 * Math.PI * fade) ** 2;
    }
    return result;
  });
}
