/** Figures in words, for people who look and for people who listen. */

/** @param {number} metres @returns {string} "0.8 m", "3.5 m", "27 m" */
export function distance(metres) {
  return metres < 10 ? `${metres.toFixed(1).replace(/\.0$/, "")} m` : `${Math.round(metres)} m`;
}

/**
 * @param {number} azimuthDeg left positive, -180..180
 * @returns {string} "ahead", "left 40°", "behind right 120°"
 */
export function direction(azimuthDeg) {
  const degrees = Math.round(Math.abs(azimuthDeg));
  if (degrees < 4) return "ahead";
  if (degrees > 175) return "behind";
  return `${degrees > 100 ? "behind " : ""}${azimuthDeg > 0 ? "left" : "right"} ${degrees}°`;
}

/**
 * @param {number} azimuthDeg left positive, -180..180
 * @param {number} metres
 * @returns {string} without figures that nobody needs to hear: "slightly left, 5 metres"
 */
export function spokenPlace(azimuthDeg, metres) {
  const degrees = Math.abs(azimuthDeg);
  const side = azimuthDeg > 0 ? "left" : "right";
  let where = `far ${side}`;
  if (degrees < 6) where = "ahead";
  else if (degrees < 15) where = `slightly ${side}`;
  else if (degrees < 50) where = side;
  else if (degrees > 165) where = "behind";
  else if (degrees > 100) where = `behind ${side}`;
  const whole = Math.max(1, Math.round(metres));
  return `${where}, ${whole} ${whole === 1 ? "metre" : "metres"}`;
}

/** @param {string} text @returns {string} with a capital at its beginning */
export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** @param {number} db @returns {string} "+3 dB", "0 dB", "−12 dB" */
export function signedDb(db) {
  return `${db > 0 ? "+" : db < 0 ? "−" : ""}${Math.abs(db)} dB`;
}

/** @param {number} linear 1 is full scale @returns {number} dBFS, at least -120 */
export function toDb(linear) {
  return 20 * Math.log10(Math.max(linear, 1e-6));
}

/** @param {string} uri of an input @returns {string} the part that people know it by */
export function inputName(uri) {
  if (uri === "browser") return "A browser's camera";
  if (uri.startsWith("synthetic:")) return `Synthetic ${uri.slice(10).split("?")[0]}`;
  if (uri.startsWith("camera:")) return `Camera ${uri.slice(7)}`;
  if (/^\w+:\/\//.test(uri)) return uri.replace(/\/\/[^/@]*@/, "//");
  return uri.split("/").pop() || uri;
}

/**
 * What the server says of its input, in plain words.
 * @param {string} status of the server
 * @returns {{lamp: "good"|"wait"|"bad", title: string, detail: string}}
 */
export function inputStatus(status) {
  switch (status) {
    case "playing":
      return { lamp: "good", title: "Watching", detail: "" };
    case "starting":
    case "opening":
      return { lamp: "wait", title: "Opening the input", detail: "This takes a few seconds for cameras and streams." };
    case "waiting for a camera":
      return { lamp: "wait", title: "No input", detail: "Choose “Use my camera”, or start the server with --source." };
    default:
      return { lamp: "bad", title: "Reconnecting to the input", detail: status };
  }
}
