/** The audio thread of the page: `Playout` behind a port; decoded blocks come straight from the worker. */

import { Playout } from "./playout.js";

const REPORT_EVERY_SAMPLES = 1536; // 32 ms

class PlayoutProcessor extends AudioWorkletProcessor {
  constructor(options) {
    super();
    this.playout = new Playout(options.processorOptions.channels);
    this.sinceReport = 0;
    this.ended = false;
    this.port.onmessage = ({ data }) => this.receive(data);
  }

  receive(message) {
    if (message.blocks) {
      // The worker's end of the wire.
      message.blocks.onmessage = ({ data }) => this.playout.write(data.position, data.planes);
    } else if (message.recent !== undefined) {
      const channels = this.playout.recent(message.seconds);
      this.port.postMessage({ recent: message.recent, channels }, channels.map((c) => c.buffer));
    } else if (message.end) {
      this.ended = true;
    }
  }

  process(inputs, [output]) {
    this.playout.read(output);
    this.sinceReport += output[0].length;
    if (this.sinceReport >= REPORT_EVERY_SAMPLES) {
      this.sinceReport = 0;
      this.report();
    }
    return !this.ended;
  }

  report() {
    const { rms, peaks } = this.playout.takeLevels();
    const { playing, underruns, concealed, skips, starvedSamples, averageSamples, targetSamples } = this.playout;
    const buffer = { playing, underruns, concealed, skips, starvedSamples, averageSamples, targetSamples };
    this.port.postMessage({ rms, peaks, buffer });
  }
}

registerProcessor("earshot-playout", PlayoutProcessor);
