// Every refusal in words: what happened, and the one thing that mends it. Never a code alone.

import { basePath } from "./place.js";

const TABLE = {
  AUTH_TOKEN_NOT_CONFIGURED: {
    title: "The gateway has no token yet",
    text: "It asks for a token but none is configured. Starting it once makes one and saves it:",
    command: "openclawd gateway",
  },
  AUTH_PASSWORD_NOT_CONFIGURED: {
    title: "The gateway has no password yet",
    text: "It asks for a password but none is configured. Set gateway.auth.password, and check the file with:",
    command: "openclawd config validate",
  },
  CONTROL_UI_ORIGIN_NOT_ALLOWED: {
    title: "The gateway does not know this address",
    text: `It takes no connections from pages opened at ${location.origin}. If that address is its own, say so once on ` +
      "its computer:",
    command: `openclawd config set openclawd.publicOrigin ${location.origin}`,
  },
  TRUSTED_PROXY: {
    title: "The proxy in front did not sign you in",
    text: "This gateway lets in whom its proxy names, and it named nobody who may come in. Open the page through the " +
      "proxy, signed in there. What was missing is in the gateway's log:",
    command: "openclawd logs",
  },
  DEVICE_AUTH_SIGNATURE_EXPIRED: {
    title: "The clocks disagree",
    text: "This computer's clock and the gateway's are more than two minutes apart. Set the wrong one right, then try again.",
  },
  DEVICE_AUTH_INVALID: {
    title: "This browser's identity does not hold",
    text: "What it keeps to prove itself is damaged. A new one takes its place; the gateway may ask to approve it.",
    action: "renew",
    label: "Make a new identity",
  },
  PROTOCOL_MISMATCH: {
    title: "The gateway has been updated",
    text: "This page is from another version. Reload it to continue.",
    action: "reload",
    label: "Reload the page",
  },
};

// Where a generation of the protocol has no code of its own for it.
const BY_REASON = { "device-signature-stale": "DEVICE_AUTH_SIGNATURE_EXPIRED" };

/** {title, text, command?} for a connection that is lost and may come back: state is "reconnecting". */
export function explainLoss(state) {
  if (state.blocked === "address") return explain({ message: "origin not allowed" });
  if (state.blocked) {
    return {
      title: "The page loads, but its connection does not get through",
      text: "Something in between, a proxy perhaps, does not pass WebSocket on. On the gateway's computer this tells where it ends:",
      command: `openclawd doctor --url ${location.origin}${basePath}`,
    };
  }
  if (state.full) {
    return {
      title: "The gateway has no room for now",
      text: "Too many want to connect at once. The page comes in by itself.",
    };
  }
  if (state.refusal) {
    const why = state.refusal.message.replace(/[.\s]*$/, "");
    return { title: "The gateway is not ready", text: `It says: ${why}. The page goes on by itself.` };
  }
  if (navigator.onLine === false) {
    return { title: "This computer is offline", text: "The page goes on by itself when the network is back." };
  }
  if (state.stopped) return { title: "The gateway was stopped", text: "The page goes on by itself when it runs again." };
  return { title: "The gateway does not answer", text: "The page keeps trying; nothing you typed is lost." };
}

/** {title, text, command?, action: "retry" | "renew" | "reload", label} for a refused handshake. */
export function explain(refusal) {
  const { details, message } = refusal;
  const code = BY_REASON[details?.reason] ?? (details?.authReason?.startsWith("trusted_proxy_") ? "TRUSTED_PROXY" : details?.code)
    ?? (message.startsWith("origin not allowed") ? "CONTROL_UI_ORIGIN_NOT_ALLOWED"
      : message.startsWith("protocol mismatch") || "expectedProtocol" in (details ?? {}) ? "PROTOCOL_MISMATCH" : "");
  const known = TABLE[code] ?? (code.startsWith("DEVICE_AUTH_") ? TABLE.DEVICE_AUTH_INVALID : null);
  return {
    action: "retry",
    label: "Try again",
    ...(known ?? {
      title: "The gateway refused this page",
      text: `It says: ${message.replace(/[.\s]*$/, "")}. What it knows about it is in its log:`,
      command: "openclawd logs",
    }),
    // The gateway knows best what is set already.
    ...(details?.command && { command: details.command }),
  };
}

const LOST = {
  token: (kind) => `This browser's access was taken back or replaced. Give the ${kind} again.`,
  device: (kind) => `This browser was taken off the gateway's list of devices. Give the ${kind} if it shall come back.`,
  secret: (kind) => `The gateway's ${kind} is another one now. Give the new one.`,
};

/** Why the gate is open, beside the plain asking; empty on a first visit. */
export function explainGate({ kind, refusal, lost, limit }) {
  if (limit) return "Too many wrong tries from here.";
  if (lost) return LOST[lost](kind);
  if (refusal?.details?.code?.endsWith("_MISMATCH")) return `That is not this gateway's ${kind}.`;
  return "";
}

/** What happens when the tries are back, at a moment. */
export function explainLimit({ until, again }, now) {
  const left = until - now;
  if (left <= 0) return again ? "Trying once more…" : "You can try again now.";
  const wait = left < 90_000 ? `${Math.ceil(left / 1_000)} s` : `${Math.ceil(left / 60_000)} min`;
  return again ? `This page tries once more by itself in ${wait}.` : `The gateway looks at the next one in ${wait}.`;
}

const PAIRING = {
  "not-paired": "This browser is new to the gateway.",
  "role-upgrade": "This browser asks for a role that it was not given.",
  "scope-upgrade": "This page asks for more rights than this browser was given.",
  "metadata-upgrade": "This browser looks different from when it was approved.",
};

export const explainPairing = (refusal) => PAIRING[refusal.details?.reason] ?? PAIRING["not-paired"];
