// When to try again, and when not to. Pure: what ended, which try it was and a random number go in, one verdict comes
// out. Waits spread over their whole length ("full jitter"), so that a thousand pages do not come back in one instant.

// The first wait is up to half a second: a restarted gateway is back by then.
const BACKOFF_BASE_MS = 500;
// A gateway that is away for hours is asked twice a minute.
const BACKOFF_CAP_MS = 30_000;
// A person is approving this browser on another screen: often enough to feel immediate, rare enough to be no load.
const APPROVAL_POLL_MS = 3_000;
// A gateway that slows guesses and does not say for how long; one that is full and does not say when to come back.
const LIMITED_MS = 30_000;
const FULL_MS = 2_000;
// The close of a live connection whose credential is void (v4; a gateway that speaks v3 sends 1008).
const INVALIDATED = 4001;
const POLICY = 1008;
const TRY_LATER = 1013;
/** A connection that has held this long was a good one: the next wait starts small again. */
export const STABLE_AFTER_MS = 5_000;
/** After so many ticks' worth of silence the other end is gone, whatever the socket says. */
export const SILENT_TICKS = 2.5;

export const backoffMs = (attempt, random) =>
  random * Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** Math.min(attempt, 10));

const isNumber = (value) => typeof value === "number" && Number.isFinite(value) && value >= 0;

/** A planned restart says when to come back, and within which spread each client draws its moment. */
export function afterShutdownMs(shutdown, random) {
  if (!isNumber(shutdown?.reconnectAfterMs)) return null;
  return shutdown.reconnectAfterMs + random * (isNumber(shutdown.reconnectSpreadMs) ? shutdown.reconnectSpreadMs : 0);
}

/** A close that asks for a pause carries it in its reason, as a number of milliseconds. */
function pauseIn(closeReason) {
  const found = /retryAfterMs\W{0,3}(\d{1,9})/.exec(closeReason);
  return found ? Number(found[1]) : FULL_MS;
}

/**
 * What the end of an admitted connection says about its credential: "secret" (the gateway's token or password is
 * another one), "token" (the device token is void), "device" (somebody sent this device away); null: nothing.
 */
function voided(closeCode, closeReason) {
  if (closeCode !== INVALIDATED && closeCode !== POLICY) return null;
  if (closeReason.includes("gateway auth changed")) return "secret";
  if (closeCode === POLICY && !closeReason.includes("device token mismatch")) return null;
  return /removed|revoked/.test(closeReason) ? "device" : "token";
}

const WRONG_SECRET = new Set(["AUTH_TOKEN_MISMATCH", "AUTH_PASSWORD_MISMATCH"]);
const NO_SECRET = new Set(["AUTH_TOKEN_MISSING", "AUTH_PASSWORD_MISSING", "AUTH_REQUIRED"]);

/**
 * What follows from an ended connection or a refused handshake.
 *
 * end: {admitted, error, closeCode, closeReason, sent, shutdown}: `admitted` whether hello-ok had come, `error` the
 * answer to `connect` if it was a refusal, `sent` the kind of credential it carried ("secret", "device", "none"; null
 * when no `connect` was sent).
 * Returns one of {act: "retry", delayMs, full?}, {act: "drop", kind}, {act: "void", what, delayMs}, {act: "ask"},
 * {act: "limited", retryAfterMs}, {act: "approval", delayMs}, {act: "stop"}.
 */
export function verdict(end, attempt, random) {
  const { admitted, error, closeCode, closeReason = "", sent, shutdown } = end;
  const what = admitted ? voided(closeCode, closeReason) : null;
  if (what) return { act: "void", what, delayMs: backoffMs(attempt, random) };
  const code = error?.details?.code;
  const stale = code === "AUTH_DEVICE_TOKEN_MISMATCH" || code === "AUTH_SCOPE_MISMATCH" || closeReason.includes("device token mismatch");
  if (sent === "device" && (stale || WRONG_SECRET.has(code) || NO_SECRET.has(code))) {
    return { act: "drop", kind: "device" };
  }
  if (!error) {
    if (closeCode === 1002) return { act: "stop" };
    if (closeCode === TRY_LATER) {
      const pauseMs = pauseIn(closeReason);
      return { act: "retry", full: true, delayMs: pauseMs * (1 + random) + backoffMs(attempt, random) };
    }
    return { act: "retry", delayMs: afterShutdownMs(shutdown, random) ?? backoffMs(attempt, random) };
  }
  if (code === "PAIRING_REQUIRED") {
    return { act: "approval", delayMs: error.retryAfterMs ?? APPROVAL_POLL_MS * (0.75 + random / 2) };
  }
  if (code === "AUTH_RATE_LIMITED") {
    return { act: "limited", retryAfterMs: isNumber(error.retryAfterMs) ? error.retryAfterMs : LIMITED_MS };
  }
  if (error.retryable === true) {
    return { act: "retry", delayMs: (error.retryAfterMs ?? 0) + backoffMs(attempt, random) };
  }
  if (stale || WRONG_SECRET.has(code)) return { act: "drop", kind: "secret" };
  if (NO_SECRET.has(code)) return { act: "ask" };
  return { act: "stop" };
}
