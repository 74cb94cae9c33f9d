/** Reading between samples: a windowed-sinc kernel, close to transparent for the tiny corrections of a clock. */

export const TAPS = 16;
export const REACH = TAPS / 2;
const PHASES = 256;
const KAISER_BETA = 8;

function besselI0(x) {
  let sum = 1;
  let term = 1;
  for (let k = 1; k < 40; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

/** Kernels by phase; row p holds the weights of samples -7..8 around a point p / PHASES after sample 0. */
function makeKernels() {
  const rows = new Float32Array((PHASES + 1) * TAPS);
  for (let phase = 0; phase <= PHASES; phase++) {
    let sum = 0;
    for (let tap = 0; tap < TAPS; tap++) {
      const x = tap - (REACH - 1) - phase / PHASES;
      const sinc = x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
      const edge = Math.min(1, Math.abs(x) / REACH);
      const value = (sinc * besselI0(KAISER_BETA * Math.sqrt(1 - edge * edge))) / besselI0(KAISER_BETA);
      rows[phase * TAPS + tap] = value;
      sum += value;
    }
    for (let tap = 0; tap < TAPS; tap++) rows[phase * TAPS + tap] /= sum;
  }
  return rows;
}

const KERNELS = makeKernels();

/**
 * Weights for a point between two samples.
 * @param {number} fraction 0..1 after the sample
 * @param {Float32Array} weights TAPS values, written
 */
export function weightsAt(fraction, weights) {
  const at = fraction * PHASES;
  const phase = Math.min(PHASES - 1, Math.floor(at));
  const share = at - phase;
  const row = phase * TAPS;
  for (let tap = 0; tap < TAPS; tap++) {
    weights[tap] = (1 - share) * KERNELS[row + tap] + share * KERNELS[row + TAPS + tap];
  }
}
