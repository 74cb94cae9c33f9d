/**
 * Encoded frames of an RTCRtpReceiver in, decoded blocks out to the worklet.
 *
 * The browser's own jitter buffer would mix six channels down to two; here they stay six, and 40 ms are saved.
 */

import { BLOCK, SAMPLE_RATE_HZ, decoderConfig } from "./opus.js";
import { Reorderer } from "./reorder.js";

const REPORT_EVERY_MS = 250;

class Receiver {
  /**
   * @param {number} channels
   * @param {MessagePort} blocks to the worklet
   */
  constructor(channels, blocks) {
    this.channels = channels;
    this.blocks = blocks;
    this.reorderer = new Reorderer(BLOCK);
    this.positions = [];
    this.decodeErrors = 0;
    this.decoded = 0;
    this.decoder = null;
    this.sequence = null;
    this.lastTimestamp = null;
  }

  /** @param {RTCEncodedAudioFrame} frame */
  take(frame) {
    const { sequenceNumber, rtpTimestamp } = frame.getMetadata();
    const timestamp = rtpTimestamp ?? frame.timestamp;
    for (const ordered of this.reorderer.push(sequenceNumber ?? this.counted(timestamp), timestamp, frame.data)) {
      this.decode(ordered);
    }
  }

  /** A sequence number for browsers that do not tell it. */
  counted(timestamp) {
    const steps = this.lastTimestamp === null ? 0 : Math.round(((timestamp - this.lastTimestamp) | 0) / BLOCK);
    this.lastTimestamp = timestamp;
    this.sequence = ((this.sequence ?? 0) + steps + 65536) % 65536;
    return this.sequence;
  }

  decode({ position, data }) {
    if (this.decoder === null || this.decoder.state !== "configured") this.restart();
    this.positions.push(position);
    try {
      const timestamp = Math.round((position * 1e6) / SAMPLE_RATE_HZ);
      this.decoder.decode(new EncodedAudioChunk({ type: "key", timestamp, data }));
    } catch (error) {
      this.fail(error);
    }
  }

  restart() {
    this.positions.length = 0;
    const decoder = new AudioDecoder({
      output: (audio) => (this.decoder === decoder ? this.deliver(audio) : audio.close()),
      error: (error) => this.decoder === decoder && this.fail(error),
    });
    this.decoder = decoder;
    decoder.configure(decoderConfig(this.channels));
  }

  /** The next packet begins with a new decoder; what is missing meanwhile is concealed like a lost packet. */
  fail(error) {
    this.decodeErrors++;
    this.decoder = null;
    this.positions.length = 0;
    self.postMessage({ decodeError: String(error?.message ?? error) });
  }

  /** @param {AudioData} audio */
  deliver(audio) {
    const position = this.positions.shift();
    const frames = audio.numberOfFrames;
    const planes = new Float32Array(this.channels * frames);
    for (let planeIndex = 0; planeIndex < this.channels; planeIndex++) {
      audio.copyTo(planes.subarray(planeIndex * frames, (planeIndex + 1) * frames), { planeIndex, format: "f32-planar" });
    }
    audio.close();
    if (position === undefined) return;
    this.blocks.postMessage({ position: position + BLOCK - frames, planes }, [planes.buffer]);
    if (this.decoded++ === 0) self.postMessage({ first: true });
  }

  report() {
    const { packets, lost, late, repeated, sequenceGaps, timestampGaps, lastSequence } = this.reorderer;
    const { decodeErrors } = this;
    self.postMessage({
      network: { packets, lost, late, repeated, sequenceGaps, timestampGaps, lastSequence, decodeErrors },
    });
  }
}

let receiver = null;

self.onmessage = ({ data }) => {
  // The receive buffer decides how long a missing packet is waited for.
  if (data.depth && receiver) receiver.reorderer.depth = data.depth;
};

self.onrtctransform = async ({ transformer }) => {
  const { channels, blocks } = transformer.options;
  receiver = new Receiver(channels, blocks);
  setInterval(() => receiver.report(), REPORT_EVERY_MS);
  const reader = transformer.readable.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    receiver.take(value);
  }
};
