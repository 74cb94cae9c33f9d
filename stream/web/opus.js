/** What the page knows of the sound on the wire: 48 kHz, 10 ms a packet, one head per number of channels. */

export const SAMPLE_RATE_HZ = 48000;
export const BLOCK = 480;

/** In the order of the samples: FFmpeg's "5.1", which is also that of Web Audio. */
export const CHANNEL_NAMES = { 2: ["L", "R"], 6: ["FL", "FR", "FC", "LFE", "BL", "BR"] };

/** OpusHead (RFC 7845, section 5.1) after its magic; without pre-skip, so that every block is whole. */
const HEADS = {
  2: [1, 2, 0, 0, 0x80, 0xbb, 0, 0, 0, 0, 0],
  6: [1, 6, 0, 0, 0x80, 0xbb, 0, 0, 0, 0, 1, 4, 2, 0, 4, 1, 2, 3, 5],
};

/**
 * @param {number} channels 2 or 6
 * @returns {AudioDecoderConfig}
 */
export function decoderConfig(channels) {
  const description = Uint8Array.from([...Array.from("OpusHead", (c) => c.charCodeAt(0)), ...HEADS[channels]]);
  return { codec: "opus", sampleRate: SAMPLE_RATE_HZ, numberOfChannels: channels, description };
}

/** Channels of a layout of the server. */
export function channelsOf(layout) {
  return layout === "5.1" ? 6 : 2;
}
