// This browser's identity: one Ed25519 key pair, made on the first visit and kept. Its id is the SHA-256 of the public
// key. `crypto.subtle` does not exist on plain http at a LAN address, so the signature is made by the vendored library;
// only `crypto.getRandomValues` is asked of the browser. A stored identity that is damaged is replaced by a new one.

import * as ed25519 from "./vendor/noble-ed25519/index.js";
import { sha256, sha512 } from "./vendor/noble-hashes/sha2.js";
import { fromBase64Url, toBase64Url, toHex } from "./bytes.js";
import { localStore } from "./storage.js";

ed25519.etc.sha512Sync = (...messages) => sha512(ed25519.etc.concatBytes(...messages));

const KEY = "device";

function make() {
  const privateKey = crypto.getRandomValues(new Uint8Array(32));
  const publicKey = ed25519.getPublicKey(privateKey);
  localStore.set(KEY, {
    version: 1,
    deviceId: toHex(sha256(publicKey)),
    publicKey: toBase64Url(publicKey),
    privateKey: toBase64Url(privateKey),
    createdAtMs: Date.now(),
  });
  return { privateKey, publicKey };
}

function read() {
  const stored = localStore.get(KEY);
  try {
    const privateKey = fromBase64Url(stored.privateKey);
    const publicKey = ed25519.getPublicKey(privateKey);
    return toBase64Url(publicKey) === stored.publicKey ? { privateKey, publicKey } : null;
  } catch {
    return null;
  }
}

let keys = read() ?? make();
let deviceId = toHex(sha256(keys.publicKey));

/** Throw the identity away; the gateway sees a device that it does not know yet. */
export function renewIdentity() {
  keys = make();
  deviceId = toHex(sha256(keys.publicKey));
}

export const currentDeviceId = () => deviceId;

/** The first eight digits, for a person to compare between two screens. */
export const fingerprint = (id) => `${id.slice(0, 4)} ${id.slice(4, 8)}`;

// The gateway lowers ASCII letters only, so that no locale has a say in a signature.
const plain = (text) => (text ?? "").trim().replace(/[A-Z]/g, (letter) => letter.toLowerCase());

/**
 * The `device` member of `connect`, signed over this one handshake (signature payload v3).
 * `signedAt` is the gateway's own clock where the challenge carries it, so a wrong clock here does no harm.
 */
export function signConnect({ client, role, scopes, token, nonce, signedAt }) {
  const payload = [
    "v3", deviceId, client.id, client.mode, role, scopes.join(","), String(signedAt), token, nonce,
    plain(client.platform), plain(client.deviceFamily),
  ].join("|");
  const signature = ed25519.sign(new TextEncoder().encode(payload), keys.privateKey);
  return {
    id: deviceId,
    publicKey: toBase64Url(keys.publicKey),
    signature: toBase64Url(signature),
    signedAt,
    nonce,
  };
}
