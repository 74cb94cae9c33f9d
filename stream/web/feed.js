/** Pictures with their scenes, as they come from the server's socket; connects again when it breaks. */

const RETRY_MS = [300, 1000, 2000];

export class Feed {
  /**
   * @param {(facts: object, jpeg: Blob) => void} onMessage
   * @param {(connected: boolean) => void} onConnection
   */
  constructor(onMessage, onConnection) {
    this.onMessage = onMessage;
    this.onConnection = onConnection;
    this.messages = 0;
    this._failures = 0;
    this._text = new TextDecoder();
    this._open();
  }

  _open() {
    const socket = new WebSocket(new URL("/live", location.href.replace(/^http/, "ws")));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this._failures = 0;
      this.onConnection(true);
    };
    socket.onmessage = ({ data }) => this._take(data);
    socket.onclose = () => {
      this.onConnection(false);
      setTimeout(() => this._open(), RETRY_MS[Math.min(this._failures++, RETRY_MS.length - 1)]);
    };
  }

  /** Length of the JSON (4 bytes, little endian), JSON, JPEG. */
  _take(data) {
    const length = new DataView(data).getUint32(0, true);
    const facts = JSON.parse(this._text.decode(new Uint8Array(data, 4, length)));
    this.messages++;
    this.onMessage(facts, new Blob([new Uint8Array(data, 4 + length)], { type: "image/jpeg" }));
  }
}
