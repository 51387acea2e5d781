// The gateway's devices: who is paired, who waits at the door. Only who holds operator.pairing may see and decide.

import { Disconnected } from "./calls.js";
import { browserName } from "./format.js";
import { fingerprint } from "./identity.js";

const PAIRING = ["operator.pairing", "operator.admin"];

const SCOPE_WORDS = {
  "operator.read": "reading",
  "operator.write": "sending messages",
  "operator.approvals": "answering approvals",
  "operator.pairing": "letting devices in",
};

const CLIENT_WORDS = {
  "openclaw-control-ui": "Control UI",
  "webchat-ui": "Web chat",
  cli: "Command line",
  "gateway-client": "Program",
  "node-host": "Node",
  "openclaw-macos": "Mac app",
  "openclaw-ios": "iOS app",
  "openclaw-android": "Android app",
};

/** What a device or a request is called. */
export const nameOf = ({ displayName, platform }) => displayName || browserName(platform ?? "") || "A device";

export const clientOf = ({ clientId }) => CLIENT_WORDS[clientId] ?? clientId ?? "Unknown program";

/** "everything", or what there is in words. */
export function rightsOf({ scopes = [], roles = [], role }) {
  if (scopes.includes("operator.admin")) return "everything";
  if (!scopes.length && (role === "node" || roles.includes("node"))) return "a node of this gateway";
  return scopes.map((scope) => SCOPE_WORDS[scope] ?? scope).join(", ") || "nothing yet";
}

/** What is worth knowing before one lets somebody in. */
export function describeRequest(request) {
  const { browserOrigin } = request;
  const page = browserOrigin && browserOrigin !== location.origin ? `, a page at ${browserOrigin}` : "";
  const from = (request.remoteIp ? `From ${request.remoteIp}` : "From the gateway's computer") + page;
  const rights = request.role === "node" ? "as a node of this gateway" : `to be allowed ${rightsOf(request)}`;
  return `${from}, device ${fingerprint(request.deviceId)}, ${rights}.`;
}

/** When a device was here last, as far as the gateway knows; null: never since it was paired. */
export function lastUsed({ tokens = [] }) {
  const times = tokens.map((token) => token.lastUsedAtMs ?? 0);
  return Math.max(0, ...times) || null;
}

export class Devices {
  /** Requests and devices as `device.pair.list` has them, the newest first. */
  waiting = [];
  paired = [];

  #gateway;
  #changed;
  #here = new Set();
  #reading = null;
  #again = false;

  /** changed(): something of this is another. */
  constructor(gateway, changed) {
    this.#gateway = gateway;
    this.#changed = changed;
  }

  /** Whether this page may see and decide. */
  get isAllowed() {
    const scopes = this.#gateway.hello?.auth?.scopes ?? PAIRING;
    return this.#gateway.offers("device.pair.list") && PAIRING.some((scope) => scopes.includes(scope));
  }

  offers(what) {
    return this.#gateway.offers(`device.pair.${what}`);
  }

  isHere(deviceId) {
    return this.#here.has(deviceId);
  }

  /** Rows of the event `presence`, or of a hello. */
  heardPresence(rows = []) {
    this.#here = new Set(rows.filter((row) => row.reason !== "disconnect").map((row) => row.deviceId).filter(Boolean));
    this.#changed();
  }

  /** Read the list; what is asked for meanwhile is read once more after it. */
  refresh() {
    this.#again = this.#reading !== null;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = null;
      if (this.#again) this.refresh();
    });
    return this.#reading;
  }

  async #read() {
    if (!this.isAllowed) {
      this.waiting = this.paired = [];
      this.#changed();
      return;
    }
    try {
      const { pending = [], paired = [] } = await this.#gateway.request("device.pair.list");
      this.waiting = pending;
      this.paired = paired;
    } catch (error) {
      if (error instanceof Disconnected) return; // it is read again after the next hello
      this.waiting = this.paired = [];
    }
    this.#changed();
  }

  /** what: "approve" or "reject". "" or a sentence that says why not; so it is with the others. */
  decide(what, requestId) {
    return this.#ask(`device.pair.${what}`, { requestId });
  }

  rename(deviceId, label) {
    return this.#ask("device.pair.rename", { deviceId, label });
  }

  remove(deviceId) {
    return this.#ask("device.pair.remove", { deviceId });
  }

  async #ask(method, params) {
    try {
      await this.#gateway.request(method, params);
      return "";
    } catch (error) {
      return error instanceof Disconnected ? "The gateway did not answer; try again." : `That did not work: ${error.message}.`;
    } finally {
      this.refresh();
    }
  }
}
