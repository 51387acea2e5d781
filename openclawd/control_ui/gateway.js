// The connection to the gateway: one socket at a time, every handshake with the credential, every wait bounded.
//
// `state.name` is one of
//   connecting    the first try is under way
//   online        admitted
//   restarting    the gateway said that it restarts; it is expected back in a moment
//   reconnecting  the connection was lost: {nextTryAt: ms or null while a try is under way, tries}
//   gate          a person has to give a secret: {kind: "token" | "password", refusal?, wasDevice?}
//   approval      a person has to approve this browser elsewhere: {refusal, turnedDown?}
//   refused       nothing here will change by trying again: {refusal}
// What to do after an end is decided in reconnect.js; this file moves frames and time.

import { Calls, Disconnected, GatewayError } from "./calls.js";
import { dropCredential, keepDeviceToken, pickCredential } from "./credentials.js";
import { signConnect } from "./identity.js";
import { configUrl, pageVersion, socketUrl } from "./place.js";
import { backoffMs, SILENT_TICKS, STABLE_AFTER_MS, verdict } from "./reconnect.js";
import { randomHex } from "./bytes.js";
import { browserName } from "./format.js";

// A gateway speaks first and at once; a tunnel whose far end is gone accepts and says nothing.
const CHALLENGE_TIMEOUT_MS = 10_000;
// A wrong password is answered after a delay of five seconds at most.
const CONNECT_TIMEOUT_MS = 15_000;
const CONFIG_TIMEOUT_MS = 5_000;
// After this a restart that was announced counts as a loss.
const RESTART_PATIENCE_MS = 15_000;
// A pending request lives five minutes; one that was replaced sooner was turned down.
const PAIRING_TTL_MS = 270_000;

// A stop says null here, a restart how long it should take.
const isRestart = (shutdown) => typeof shutdown?.restartExpectedMs === "number";

const ROLE = "operator";
const SCOPES = ["operator.admin", "operator.read", "operator.write", "operator.approvals", "operator.pairing"];

export class Gateway {
  state = { name: "connecting" };
  hello = null;

  #socket = null;
  #end = null; // what is known about the connection that is ending
  #calls = new Calls();
  #attempt = 0;
  #timer = 0;
  #watch = 0;
  #lastFrameAt = 0;
  #onlineSince = 0;
  #lostAt = 0;
  #turn = 0; // tells a try that has been overtaken that it is
  #announced = false; // the last end was a restart that the gateway had announced
  #pairing = null; // {requestId, since}
  #listeners = {};

  #client = {
    id: "openclaw-control-ui",
    displayName: browserName(navigator.userAgent),
    version: pageVersion,
    platform: navigator.platform || "web",
    mode: "ui",
    instanceId: randomHex(16),
  };

  /** Names: "state" (state), "hello" (hello, {gapMs, restarted}), "event" (name, payload). */
  on(name, listener) {
    (this.#listeners[name] ??= []).push(listener);
  }

  #emit(name, ...values) {
    for (const listener of this.#listeners[name] ?? []) listener(...values);
  }

  #become(state) {
    this.state = state;
    this.#emit("state", state);
  }

  start() {
    window.addEventListener("online", () => this.wake());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.wake();
    });
    this.#open();
  }

  /** Something changed for the better: look at once instead of at the end of the wait. */
  wake() {
    if (this.state.name === "online") this.#checkSilence();
    else if (this.#timer && !this.#socket) this.#open();
  }

  /** What should have been answered was not: begin anew on another connection. */
  distrust() {
    if (this.state.name === "online") this.#ended();
  }

  /** A person asks for a new try, with whatever credential there is now. */
  retry() {
    this.#attempt = 0;
    this.#pairing = null;
    this.#leave();
    this.#open();
  }

  /** Whether this gateway, with our scopes, does `method`. */
  offers(method) {
    return this.hello?.features?.methods?.includes(method) ?? false;
  }

  /** The answer to a request. Rejects with GatewayError, or Disconnected when none came. */
  request(method, params = {}, timeoutMs = undefined) {
    if (this.state.name !== "online") return Promise.reject(new Disconnected("not connected"));
    return this.#call(method, params, timeoutMs);
  }

  #call(method, params, timeoutMs) {
    return this.#calls.send(this.#socket, method, params, { timeoutMs, limit: this.hello?.policy?.maxPayload });
  }

  // Opening: what may be shown at the door, then the socket, the challenge, `connect`.

  async #open() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const turn = ++this.#turn;
    this.#trying();
    if (!pickCredential()) {
      const mode = await this.#readAuthMode();
      if (turn !== this.#turn) return;
      if (mode !== "none") {
        if (mode === null) this.#again(backoffMs(this.#attempt++, Math.random()));
        else this.#gate(mode);
        return;
      }
    }
    const socket = new WebSocket(socketUrl);
    this.#socket = socket;
    this.#end = { sent: null };
    this.#deadline(CHALLENGE_TIMEOUT_MS);
    socket.onmessage = ({ data }) => this.#socket === socket && this.#receive(data);
    socket.onclose = ({ code, reason }) => {
      if (this.#socket !== socket) return;
      this.#end.closeCode = code;
      this.#end.closeReason = reason;
      this.#ended();
    };
  }

  #trying() {
    if (this.state.name === "reconnecting") this.#become({ ...this.state, nextTryAt: null });
    else if (!["connecting", "restarting", "approval"].includes(this.state.name)) this.#become({ name: "connecting" });
  }

  /** What the gateway asks for at the door; null when it cannot be reached. */
  async #readAuthMode() {
    try {
      const answer = await fetch(configUrl, { cache: "no-store", signal: AbortSignal.timeout(CONFIG_TIMEOUT_MS) });
      return (answer.ok && (await answer.json()).authMode) || "token";
    } catch {
      return null;
    }
  }

  #deadline(afterMs) {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.#ended(), afterMs);
  }

  async #connect(challenge) {
    const credential = pickCredential();
    const token = credential?.signed ?? "";
    this.#end.sent = credential?.kind ?? "none";
    this.#deadline(CONNECT_TIMEOUT_MS);
    const signedAt = Number.isSafeInteger(challenge.ts) ? challenge.ts : Date.now();
    const device = signConnect({
      client: this.#client, role: ROLE, scopes: SCOPES, token, nonce: challenge.nonce, signedAt,
    });
    const socket = this.#socket;
    try {
      const hello = await this.#call("connect", {
        minProtocol: 3,
        maxProtocol: 4,
        client: this.#client,
        role: ROLE,
        scopes: SCOPES,
        caps: ["tool-events"],
        device,
        ...(credential && { auth: credential.auth }),
        locale: navigator.language || "en",
        userAgent: navigator.userAgent,
      }, CONNECT_TIMEOUT_MS);
      if (this.#socket === socket) this.#admitted(hello, challenge);
    } catch (error) {
      if (this.#socket !== socket || !(error instanceof GatewayError)) return; // its end is handled as an end
      this.#end.error = error;
      this.#ended();
    }
  }

  #admitted(hello, challenge) {
    const firstTime = !this.hello;
    const gapMs = this.#lostAt ? Date.now() - this.#lostAt : 0;
    keepDeviceToken(hello.auth);
    this.hello = hello;
    this.helloAt = Date.now();
    this.clockOffsetMs = Number.isSafeInteger(challenge.ts) ? challenge.ts - Date.now() : 0;
    this.#onlineSince = Date.now();
    this.#pairing = null;
    this.#lostAt = 0;
    clearTimeout(this.#watch);
    const tickMs = hello.policy?.tickIntervalMs ?? 30_000;
    this.#watch = setInterval(() => this.#checkSilence(), Math.max(1_000, tickMs / 2));
    this.#become({ name: "online" });
    const restarted = !firstTime && (this.#announced || (hello.snapshot?.uptimeMs ?? Infinity) < gapMs + 2_000);
    this.#announced = false;
    this.#emit("hello", hello, { firstTime, gapMs, restarted });
  }

  #checkSilence() {
    const tickMs = this.hello?.policy?.tickIntervalMs ?? 30_000;
    if (Date.now() - this.#lastFrameAt > SILENT_TICKS * tickMs) this.#ended();
  }

  #receive(data) {
    this.#lastFrameAt = Date.now();
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      return; // not a frame; nothing waits for it
    }
    if (frame.type === "res") {
      this.#calls.answered(frame);
    } else if (frame.type === "event") {
      this.#event(frame.event, frame.payload ?? {});
    }
  }

  #event(name, payload) {
    if (name === "connect.challenge") {
      // An empty nonce would be signed and refused; the deadline ends a gateway that never sends a real one.
      if (this.#end?.sent === null && payload.nonce) this.#connect(payload);
    } else if (name === "shutdown") {
      if (this.#end) this.#end.shutdown = payload;
    } else {
      this.#emit("event", name, payload);
    }
  }

  // Ending: forget the socket, fail what waits for it, and do what reconnect.js says.

  #leave() {
    this.#turn += 1;
    clearTimeout(this.#timer);
    clearTimeout(this.#watch);
    this.#timer = 0;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#calls.fail();
  }

  #ended() {
    const end = this.#end;
    const wasOnline = this.state.name === "online";
    if (wasOnline) {
      this.#lostAt = Date.now();
      this.#announced = isRestart(end.shutdown);
      if (Date.now() - this.#onlineSince > STABLE_AFTER_MS || end.shutdown) this.#attempt = 0;
    }
    this.#leave();
    const next = verdict(end, this.#attempt, Math.random());
    this.#end = null;
    if (next.act === "drop") {
      dropCredential(next.kind);
      if (pickCredential()) this.#open();
      else this.#ask(end.error, next.kind === "device");
    } else if (next.act === "ask") {
      this.#ask(end.error);
    } else if (next.act === "approval") {
      this.#awaitApproval(end.error, next.delayMs);
    } else if (next.act === "stop") {
      this.#become({ name: "refused", refusal: end.error ?? new GatewayError({ message: end.closeReason }) });
    } else {
      this.#attempt += 1;
      this.#again(next.delayMs, end, wasOnline);
    }
  }

  /** Ask for what the refusal names; where it names nothing, for what the gateway says that it wants. */
  async #ask(refusal, wasDevice = false) {
    const turn = this.#turn;
    const named = /TOKEN|PASSWORD/.exec(refusal?.details?.code?.replace("DEVICE_TOKEN", ""))?.[0].toLowerCase();
    const mode = named ?? (await this.#readAuthMode());
    if (turn === this.#turn) this.#gate(mode, refusal, wasDevice);
  }

  #gate(mode, refusal, wasDevice) {
    this.#become({ name: "gate", kind: mode === "password" ? "password" : "token", refusal, wasDevice });
  }

  #again(delayMs, end = {}, wasOnline = false) {
    const announced = wasOnline && this.#announced;
    const waiting = this.state.name === "restarting" && Date.now() < this.state.until;
    const nextTryAt = Date.now() + delayMs;
    this.#timer = setTimeout(() => this.#open(), delayMs);
    if (announced) {
      this.#become({ name: "restarting", until: Date.now() + Math.max(RESTART_PATIENCE_MS, 2 * delayMs) });
    } else if (!waiting) {
      const stopped = wasOnline ? Boolean(end.shutdown) : Boolean(this.state.stopped);
      this.#become({ name: "reconnecting", nextTryAt, tries: this.#attempt, stopped, refusal: end.error });
    }
  }

  #awaitApproval(refusal, delayMs) {
    const requestId = refusal.details?.requestId;
    const before = this.#pairing;
    if (before && before.requestId !== requestId && Date.now() - before.since < PAIRING_TTL_MS) {
      this.#pairing = null;
      this.#become({ name: "approval", refusal, turnedDown: true });
      return;
    }
    if (before?.requestId !== requestId) this.#pairing = { requestId, since: Date.now() };
    this.#timer = setTimeout(() => this.#open(), delayMs);
    this.#become({ name: "approval", refusal });
  }
}
