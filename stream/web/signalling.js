/** WHIP and WHEP (RFC 9725 and its sibling): one POST opens a session, one DELETE ends it. */

const GATHER_MS = 1500;
const ANSWER_MS = 15000;
const GOODBYE_MS = 3000;

/** A refusal that a person can read. */
export class SignallingError extends Error {}

/** Wait until all ways to reach this page are known, or long enough. */
async function gathered(peer) {
  if (peer.iceGatheringState === "complete") return;
  await new Promise((resolve) => {
    const timer = setTimeout(resolve, GATHER_MS);
    peer.addEventListener("icegatheringstatechange", () => {
      if (peer.iceGatheringState !== "complete") return;
      clearTimeout(timer);
      resolve();
    });
  });
}

/**
 * The offer without candidates that hide behind names (mDNS): resolving them costs the server a second wherever multicast
 * does not reach, and it learns the true address from the first packet anyway. So there is no end of candidates either.
 */
function withoutNames(sdp) {
  return sdp.replace(/^a=(candidate:.* \S+\.local .*|end-of-candidates)\r\n/gm, "");
}

/**
 * Offer, send, take the answer.
 * @param {RTCPeerConnection} peer with its transceivers in place
 * @param {string} url to post to
 * @param {(sdp: string) => string} [adapt] changes the offer before it is used
 * @returns {Promise<string>} address of the session, for `hangUp`
 */
export async function negotiate(peer, url, adapt = (sdp) => sdp) {
  const offer = await peer.createOffer();
  try {
    await peer.setLocalDescription({ type: "offer", sdp: adapt(offer.sdp) });
  } catch {
    await peer.setLocalDescription(offer);
  }
  await gathered(peer);
  let response;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/sdp" },
      body: withoutNames(peer.localDescription.sdp),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
  } catch {
    throw new SignallingError("the server does not answer");
  }
  if (response.status !== 201) {
    throw new SignallingError((await response.text()).trim() || `the server refused (${response.status})`);
  }
  const session = new URL(response.headers.get("Location"), response.url).href;
  try {
    await peer.setRemoteDescription({ type: "answer", sdp: await response.text() });
  } catch (error) {
    hangUp(session);
    throw error;
  }
  return session;
}

/**
 * End a session; works while the page is being closed, too.
 * @param {string|null} session its address; null when there is none yet
 * @param {RTCPeerConnection} [peer] closed after the goodbye: before it, the server would know already and answer 404
 */
export function hangUp(session, peer) {
  const close = () => peer?.close();
  const signal = AbortSignal.timeout(GOODBYE_MS);
  if (session) fetch(session, { method: "DELETE", keepalive: true, signal }).then(close, close);
  else close();
}

/** Resolves with a reason when a connection is over; a short silence of the network is forgiven. */
export function connectionEnd(peer, patienceMs = 4000) {
  return new Promise((resolve) => {
    let timer = null;
    peer.addEventListener("connectionstatechange", () => {
      clearTimeout(timer);
      if (peer.connectionState === "failed" || peer.connectionState === "closed") resolve("the connection ended");
      if (peer.connectionState === "disconnected") timer = setTimeout(() => resolve("the connection was lost"), patienceMs);
    });
  });
}

/** Resolves when connected; rejects when that fails. */
export function connected(peer, timeoutMs = 15000) {
  return new Promise((resolve, reject) => {
    const check = () => {
      if (peer.connectionState === "connected") resolve();
      if (peer.connectionState === "failed" || peer.connectionState === "closed") {
        reject(new SignallingError("no way through the network to the server"));
      }
    };
    peer.addEventListener("connectionstatechange", check);
    setTimeout(() => reject(new SignallingError("the server could not be reached over the network")), timeoutMs);
    check();
  });
}
