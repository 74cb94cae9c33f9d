/** A canvas as large as its box, in device pixels, drawn in CSS pixels. */

export class Surface {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {() => void} onResize
   */
  constructor(canvas, onResize) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.width = 0;
    this.height = 0;
    new ResizeObserver(() => {
      this.width = canvas.clientWidth;
      this.height = canvas.clientHeight;
      // More than twice costs time and shows nothing.
      this.scale = Math.min(2, devicePixelRatio || 1);
      canvas.width = Math.round(this.width * this.scale);
      canvas.height = Math.round(this.height * this.scale);
      onResize();
    }).observe(canvas);
  }

  /** @returns {CanvasRenderingContext2D|null} cleared; null while there is no room to draw */
  begin() {
    if (!this.width || !this.height) return null;
    const { context } = this;
    context.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    return context;
  }
}

/** The page's colours by name, read again when the theme changes. */
export function themeColours(names) {
  const colours = {};
  const read = () => {
    const style = getComputedStyle(document.documentElement);
    for (const name of names) colours[name] = style.getPropertyValue(`--${name}`).trim();
  };
  document.addEventListener("themechange", read);
  read();
  return colours;
}

/**
 * A source's number on its colour.
 * @param {CanvasRenderingContext2D} context
 * @param {string} text
 * @param {number} x left edge, px
 * @param {number} y top edge, px
 * @param {string} colour
 */
export function drawChip(context, text, x, y, colour) {
  context.font = "600 12px system-ui, sans-serif";
  const width = Math.max(20, context.measureText(text).width + 10);
  context.fillStyle = colour;
  context.beginPath();
  context.roundRect(x, y, width, 18, 5);
  context.fill();
  context.fillStyle = "#000";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, x + width / 2, y + 9.5);
}

/** Whether two boxes [x, y, width, height] share a place. */
export function overlaps([ax, ay, aw, ah], [bx, by, bw, bh]) {
  return ax < bx + bw && bx < ax + aw && ay < by + bh && by < ay + ah;
}
