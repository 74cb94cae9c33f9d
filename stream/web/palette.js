/** One colour per source, the same in picture, radar and table. */

/**
 * After Okabe and Ito, told apart with every kind of colour vision; all bright enough for black figures on them (4.5 : 1).
 * The number beside the colour says the same without it.
 */
const COLOURS = ["#e69f00", "#56b4e9", "#2fbf91", "#f0e442", "#e86f2c", "#d58bb5", "#9d9bf2", "#c6cbd1"];

/** @type {Map<number, number>} colour by source */
const given = new Map();

/**
 * The colour of a source for as long as it is known: the one that fewest others have, beginning with its number's turn.
 * @param {number} id of a source, from 1
 * @returns {string} CSS colour
 */
export function colourOf(id) {
  if (!given.has(id)) {
    const uses = COLOURS.map((_, i) => [...given.values()].filter((other) => other === i).length);
    const turns = COLOURS.map((_, i) => (id - 1 + i) % COLOURS.length);
    given.set(id, turns.reduce((best, turn) => (uses[turn] < uses[best] ? turn : best)));
  }
  return COLOURS[given.get(id)];
}

/** @param {Iterable<number>} ids whose colours are still in use; all others are free again */
export function keepColours(ids) {
  const used = new Set(ids);
  for (const id of given.keys()) if (!used.has(id)) given.delete(id);
}
