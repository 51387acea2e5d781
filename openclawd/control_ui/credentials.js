// What this page may show at the door, and in which order.
//
// A secret that a person has just given (typed, or in the link) comes first; then the device token, which is this
// browser's own and lives in localStorage; then a secret from earlier in this tab. The shared token or the password
// stays in sessionStorage only until the gateway has issued a device token. A credential that was refused is dropped,
// once, and the next one is tried; with none left the page asks.

import { currentDeviceId } from "./identity.js";
import { localStore, sessionStore } from "./storage.js";

const DEVICE_TOKEN = "deviceToken";
const SECRET = "secret";

let secret = sessionStore.get(SECRET); // {kind: "token" | "password", value}
let secretIsFresh = false;

const deviceToken = () => {
  const record = localStore.get(DEVICE_TOKEN);
  return record?.deviceId === currentDeviceId() && typeof record.token === "string" ? record.token : null;
};

/** The name under which another tab sees the device token change. */
export const deviceTokenStorageKey = localStore.name(DEVICE_TOKEN);

export function giveSecret(kind, value) {
  secret = { kind, value };
  secretIsFresh = true;
  sessionStore.set(SECRET, secret);
}

/** The credential for the next handshake: {kind, auth, signed}, or null when there is none. */
export function pickCredential() {
  const token = deviceToken();
  if (secret && (secretIsFresh || !token)) {
    return secret.kind === "password"
      ? { kind: "secret", auth: { password: secret.value }, signed: "" }
      : { kind: "secret", auth: { token: secret.value }, signed: secret.value };
  }
  return token ? { kind: "device", auth: { deviceToken: token }, signed: token } : null;
}

/** Show the credential of this kind next, though the other one comes first; false when there is none. */
export function prefer(kind) {
  if (!(kind === "secret" ? secret : deviceToken())) return false;
  secretIsFresh = kind === "secret";
  return true;
}

/** The gateway would not have this one. Another tab may have a newer device token than `token`, which stays. */
export function dropCredential(kind, token) {
  if (kind === "device") {
    if (deviceToken() === token) localStore.remove(DEVICE_TOKEN);
  } else {
    secret = null;
    secretIsFresh = false;
    sessionStore.remove(SECRET);
  }
}

/** What hello-ok brought. The secret is kept in memory alone from here on, for this page's life. */
export function keepDeviceToken(auth) {
  if (!auth?.deviceToken) return;
  localStore.set(DEVICE_TOKEN, {
    deviceId: currentDeviceId(),
    token: auth.deviceToken,
    role: auth.role,
    scopes: auth.scopes,
    issuedAtMs: auth.issuedAtMs,
  });
  secretIsFresh = false;
  sessionStore.remove(SECRET);
}

/** `token` in a text that is a link, a fragment or the bare token. */
export function tokenIn(text) {
  const match = /[#?&]token=([^&#\s]+)/.exec(text);
  if (!match) return text.trim();
  try {
    return decodeURIComponent(match[1]);
  } catch {
    return match[1];
  }
}

/**
 * Take a token from the address and strip it there at once, so that it is in no history, bookmark or screenshot.
 * A password in the address is stripped and not used.
 */
export function takeFromAddress() {
  const query = new URLSearchParams(location.search);
  const fragment = new URLSearchParams(location.hash.slice(1));
  const token = fragment.get("token") ?? query.get("token");
  let found = false;
  for (const part of [query, fragment]) {
    for (const name of ["token", "password"]) {
      found ||= part.has(name);
      part.delete(name);
    }
  }
  if (!found) return false;
  const join = (mark, part) => (part.toString() ? mark + part : "");
  history.replaceState(history.state, "", location.pathname + join("?", query) + join("#", fragment));
  if (token) giveSecret("token", token);
  return Boolean(token);
}
