// What plain HTTP tells about a gateway beside its socket: what it asks for, and whether it is there at all.

import { configUrl } from "./place.js";

const TIMEOUT_MS = 5_000;

// In these modes there is nothing that a person could type: who comes through the right door is in.
const WITHOUT_SECRET = new Set(["none", "trusted-proxy"]);

/** The status and the page's configuration; null when nobody answers. */
async function ask() {
  try {
    const answer = await fetch(configUrl, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    return { status: answer.status, config: answer.ok ? await answer.json() : {} };
  } catch {
    return null;
  }
}

/** What a page without a credential is asked for: "token", "password", "" for nothing, null when nobody answers. */
export async function askedFor() {
  const answer = await ask();
  if (!answer) return null;
  const { authMode } = answer.config;
  if (WITHOUT_SECRET.has(authMode)) return "";
  return authMode === "password" ? "password" : "token";
}

/** Why the socket does not open though the network is there: "socket", "address"; "" when nobody answers either. */
export async function whatIsBlocked() {
  const answer = await ask();
  if (!answer || answer.status >= 500) return "";
  return answer.status === 403 || answer.status === 421 ? "address" : "socket";
}
