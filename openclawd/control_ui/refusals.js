// Every refusal in words: what happened, and the one thing that mends it. Never a code alone.

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
  AUTH_RATE_LIMITED: {
    title: "Too many wrong tries",
    text: "The gateway takes no secrets from here for a moment. Try again when it has passed.",
  },
  CONTROL_UI_ORIGIN_NOT_ALLOWED: {
    title: "This address is not known to the gateway",
    text: `It does not answer pages opened at ${location.origin}. Add that address to gateway.controlUi.allowedOrigins ` +
      "in its config, or open the link that this prints:",
    command: "openclawd dashboard",
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

/** {title, text, command?, action: "retry" | "renew" | "reload", label} for a refused handshake. */
export function explain(refusal) {
  const { details, message } = refusal;
  const code = BY_REASON[details?.reason] ?? details?.code
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
  };
}

/** Why the gate is open, beside the plain asking; empty on a first visit. */
export function explainGate({ kind, refusal, wasDevice }) {
  if (wasDevice) return `This browser's access was taken back or replaced. Give the ${kind} again.`;
  if (refusal?.details?.code?.endsWith("_MISMATCH")) return `That is not this gateway's ${kind}.`;
  return "";
}

const PAIRING = {
  "not-paired": "This browser is new to the gateway.",
  "role-upgrade": "This browser asks for a role that it was not given.",
  "scope-upgrade": "This page asks for more rights than this browser was given.",
  "metadata-upgrade": "This browser looks different from when it was approved.",
};

export const explainPairing = (refusal) => PAIRING[refusal.details?.reason] ?? PAIRING["not-paired"];
