/** This computer's camera as the server's input, by WHIP. */

import { connected, connectionEnd, hangUp, negotiate } from "./signalling.js";

const WHY = {
  NotAllowedError: "The browser or you did not allow the camera.",
  NotFoundError: "There is no camera.",
  NotReadableError: "The camera is in use by another program.",
  OverconstrainedError: "The camera cannot give such a picture.",
};

export class Camera {
  constructor() {
    this.button = document.querySelector("#camera");
    this.error = document.querySelector("#camera-error");
    this._run = 0;
    this._session = null;
    this.button.addEventListener("click", () => (this.on ? this.stop() : this.start()));
    addEventListener("pagehide", () => this.stop());
    this._show(false);
  }

  _show(on, word = on ? "Stop my camera" : "Use my camera") {
    this.on = on;
    this.button.setAttribute("aria-pressed", String(on));
    this.button.textContent = word;
  }

  /** Ask for the camera and publish it until `stop`. */
  async start() {
    const run = ++this._run;
    this.error.textContent = "";
    this._show(true, "Starting…");
    try {
      if (!navigator.mediaDevices) throw new Error("The browser gives cameras only to pages from https or localhost.");
      const video = { width: { ideal: 640 }, height: { ideal: 360 }, frameRate: { ideal: 30 } };
      const stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
      this.stream = stream;
      if (run !== this._run) return this._release();
      await this._publish(stream, run);
    } catch (error) {
      if (run !== this._run) return;
      this.error.textContent = WHY[error.name] ?? error.message;
      this.stop();
    }
  }

  async _publish(stream, run) {
    const peer = (this.peer = new RTCPeerConnection());
    const [track] = stream.getVideoTracks();
    peer.addTransceiver(track, { direction: "sendonly", streams: [stream] });
    const session = await negotiate(peer, "/whip");
    if (run !== this._run) return hangUp(session);
    this._session = session;
    await connected(peer);
    if (run !== this._run) return;
    this._show(true);
    const over = new Promise((resolve) => track.addEventListener("ended", () => resolve("The camera was unplugged.")));
    const reason = await Promise.race([connectionEnd(peer), over]);
    if (run !== this._run) return;
    this.stop();
    this.error.textContent = reason;
  }

  /** Back to the former input; may be called at any time. */
  stop() {
    this._run++;
    this._release();
    this._show(false);
  }

  _release() {
    hangUp(this._session, this.peer);
    this._session = null;
    this.peer = null;
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
  }
}
