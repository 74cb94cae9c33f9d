/** Input, room and names: what everybody who listens shares. */

import { command, switchRoom } from "./api.js";
import { inputName } from "./words.js";

export class Controls {
  /**
   * @param {(state: object) => void} onState told the whole state after each change
   * @param {(error: Error) => void} onError
   */
  constructor(onState, onError) {
    this.onState = onState;
    this.onError = onError;
    this.input = document.querySelector("#input");
    this.room = document.querySelector("#room");
    this.roomStatus = document.querySelector("#room-status");
    this.labels = document.querySelector("#labels");
    this.prompt = document.querySelector("#prompt");
    this.night = document.querySelector("#night");
    this._nightMs = -Infinity;
    this.labelsError = document.querySelector("#labels-error");
    this.promptError = document.querySelector("#prompt-error");
    this.namesDone = document.querySelector("#names-done");
    /** The choice that is being carried out. */
    this._switching = null;
    this._shown = {};
    this.input.addEventListener("change", () => this._choose());
    this.room.addEventListener("change", () => this._switch());
    this.night.addEventListener("change", () => this._toggleNight());
    document.querySelector("#names").addEventListener("submit", (event) => {
      event.preventDefault();
      this._apply();
    });
    for (const [field, error] of [[this.labels, this.labelsError], [this.prompt, this.promptError]]) {
      field.addEventListener("input", () => {
        error.textContent = this.namesDone.textContent = "";
        field.removeAttribute("aria-invalid");
      });
    }
  }

  /** @param {object} state the whole state, or the facts of a picture */
  update(state) {
    if (state.inputs) this._fillInputs(state.inputs);
    if (state.rooms) fill(this.room, state.rooms.map((name) => [name, roomName(name)]));
    if (state.input !== undefined) this._showInput(state.input);
    if (state.room !== undefined && !this._switching) this._showRoom(state.room);
    // A picture that was on its way already does not know of the last click.
    if (state.night !== undefined && performance.now() - this._nightMs > 800) this.night.checked = state.night;
    if (state.labels) this._showField(this.labels, "labels", state.labels.join("\n"));
    if (state.prompt !== undefined) this._showField(this.prompt, "prompt", state.prompt);
  }

  _fillInputs(uris) {
    const names = uris.map(inputName);
    fill(this.input, [
      ...uris.map((uri, i) => [String(i), names.indexOf(names[i]) === names.lastIndexOf(names[i]) ? names[i] : uri]),
      ["browser", inputName("browser")],
    ]);
    this.uris = uris;
    // The camera of a browser is put on air with its own button.
    this.input.lastElementChild.disabled = true;
  }

  _showInput(uri) {
    // The first picture may be faster than the list of inputs.
    if (!this.uris) return;
    const value = uri === "browser" ? "browser" : String(this.uris.indexOf(uri));
    if (this.input.value !== value && document.activeElement !== this.input) this.input.value = value;
    this.input.lastElementChild.hidden = uri !== "browser";
  }

  _showRoom(name) {
    if (this.room.value !== name && document.activeElement !== this.room) this.room.value = name;
  }

  /** A field follows the server unless somebody has changed it here. */
  _showField(field, name, text) {
    const untouched = this._shown[name] === undefined || field.value === this._shown[name];
    if (untouched && field.value !== text && document.activeElement !== field) field.value = text;
    if (untouched) this._shown[name] = field.value;
  }

  async _toggleNight() {
    this._nightMs = performance.now();
    try {
      this.onState(await command({ night: this.night.checked }));
    } catch (error) {
      this.onError(error);
    }
  }

  async _choose() {
    try {
      this.onState(await command({ input: Number(this.input.value) }));
    } catch (error) {
      this.onError(error);
    }
  }

  async _switch() {
    const wanted = this.room.value;
    const turn = (this._switching = Symbol(wanted));
    this.room.setAttribute("aria-busy", "true");
    this.roomStatus.textContent = `Preparing ${roomName(wanted)}…`;
    try {
      const state = await switchRoom(wanted);
      // Another room may have been chosen meanwhile; the server takes them one after the other.
      if (this._switching !== turn) return;
      this._switching = null;
      this.roomStatus.textContent = `${roomName(state.room)} is playing`;
      this.onState(state);
    } catch (error) {
      if (this._switching !== turn) return;
      this._switching = null;
      this.roomStatus.textContent = "";
      this.onError(error);
    }
    this.room.removeAttribute("aria-busy");
  }

  /** Rules and prompt go separately, so that each refusal stands beside its field. */
  async _apply() {
    const labels = this.labels.value.split("\n").map((line) => line.trim()).filter(Boolean);
    const good = [
      await this._send("labels", labels, this.labels, this.labelsError),
      await this._send("prompt", this.prompt.value.trim(), this.prompt, this.promptError),
    ];
    this.namesDone.textContent = good.every(Boolean) ? "Applied" : "";
  }

  async _send(name, value, field, message) {
    const text = field.value;
    try {
      const state = await command({ [name]: value });
      // From here on the field follows the server again, unless somebody has gone on typing.
      this._shown[name] = text;
      this.onState(state);
      message.textContent = "";
      field.removeAttribute("aria-invalid");
      return true;
    } catch (error) {
      message.textContent = error.message;
      field.setAttribute("aria-invalid", "true");
      return false;
    }
  }
}

function roomName(name) {
  return name.replaceAll("-", " ").replace(/^./, (first) => first.toUpperCase());
}

/** Options of a select, only when they change. */
function fill(select, entries) {
  const key = JSON.stringify(entries);
  if (select.dataset.entries === key) return;
  const chosen = select.value;
  select.dataset.entries = key;
  select.replaceChildren(...entries.map(([value, text]) => new Option(text, value)));
  select.value = chosen;
}
