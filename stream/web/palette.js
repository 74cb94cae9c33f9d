/** One colour per source, the same in picture, radar and table. */

/**
 * After Okabe and Ito, told apart with every kind of colour vision; all bright enough for black figures on them (4.5 : 1).
 * The number beside the colour says the same without it.
 */
const COLOURS = ["#e69f00", "#56b4e9", "#2fbf91", "#f0e442", "#e86f2c", "#d58bb5", "#9d9bf2", "#c6cbd1"];

const REMEMBERED = 256;

/** @type {Map<number, number>} colour by source, of those that are gone, too: one that comes back looks as before */
const given = new Map();
/** Those that are to be told apart now. */
let present = new Set();

/**
 * The colour of a source: the one that fewest others have, beginning with its number's turn.
 * @param {number} id of a source, from 1
 * @returns {string} CSS colour
 */
export function colourOf(id) {
  if (!given.has(id)) {
    const uses = COLOURS.map((_, i) => [...present].filter((other) => given.get(other) === i).length);
    const turns = COLOURS.map((_, i) => (id - 1 + i) % COLOURS.length);
    given.set(id, turns.reduce((best, turn) => (uses[turn] < uses[best] ? turn : best)));
    present.add(id);
  }
  return COLOURS[given.get(id)];
}

/** @param {Iterable<number>} ids whose colours are in use; those of all others may be given again */
export function keepColours(ids) {
  present = new Set(ids);
  for (const id of given.keys()) {
    if (given.size <= REMEMBERED) return;
    if (!present.has(id)) given.delete(id);
  }
}
