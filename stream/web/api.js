/** The server's JSON: its state, and commands that change it. */

/** A refusal of the server, in one line. */
export class Refused extends Error {}

async function answer(request) {
  let response;
  try {
    response = await request;
  } catch {
    throw new Refused("the server does not answer");
  }
  if (!response.ok) throw new Refused((await response.text()).trim().split("\n")[0] || `refused (${response.status})`);
  return response.json();
}

function post(path, body) {
  return answer(fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }));
}

/** @returns {Promise<object>} the whole state */
export function getState() {
  return answer(fetch("/api/state", { cache: "no-store" }));
}

/**
 * @param {object} body see `Server.command`
 * @returns {Promise<object>} the state after it
 */
export function command(body) {
  return post("/api/command", body);
}

/**
 * @param {string} name of a room; a room that is used for the first time takes a while
 * @returns {Promise<object>} the state after it
 */
export function switchRoom(name) {
  return post("/api/room", { name });
}

/**
 * Sends the newest of many values, one request at a time, so that a slider does not flood the server.
 * @param {(value: any) => Promise<object>} send
 * @param {(error: Error) => void} onError
 * @returns {(value: any) => void}
 */
export function newestOnly(send, onError) {
  let waiting = null;
  let busy = false;
  return async (value) => {
    waiting = { value };
    if (busy) return;
    busy = true;
    while (waiting !== null) {
      const next = waiting.value;
      waiting = null;
      await send(next).catch(onError);
    }
    busy = false;
  };
}
