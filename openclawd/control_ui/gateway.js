// The connection to the gateway: one socket at a time, every handshake with the credential, every wait bounded.
//
// `state.name` is one of
//   connecting    the first try is under way
//   online        admitted
//   restarting    the gateway said that it restarts, and is expected back in a moment: {until, brief: whether nobody
//                 need be told yet}
//   reconnecting  the connection was lost: {nextTryAt: ms or null while a try is under way, tries, stopped, full,
//                 blocked: "socket" | "address" when only the page's files come through}
//   gate          a person has to give a secret: {kind: "token" | "password", refusal?, lost?: what became of the
//                 credential that there was, limit?: {until, again: whether the page tries once more by itself}}
//   approval      a person has to approve this browser elsewhere: {refusal, replaced?, turnedDown?}
//   refused       nothing here will change by trying again: {refusal}
// What to do after an end is decided in reconnect.js; this file moves frames and time. A gateway that can makes up for
// what was missed in between: it is told the position of the last event that was heard.

import { Calls, Disconnected, GatewayError } from "./calls.js";
import { dropCredential, keepDeviceToken, pickCredential, prefer } from "./credentials.js";
import { introduce } from "./introduction.js";
import { socketUrl } from "./place.js";
import { askedFor, whatIsBlocked } from "./reach.js";
import { backoffMs, SILENT_TICKS, STABLE_AFTER_MS, verdict } from "./reconnect.js";

// A gateway speaks first and at once; a tunnel whose far end is gone accepts and says nothing.
const CHALLENGE_TIMEOUT_MS = 10_000;
// A wrong password is answered after a delay of five seconds at most.
const CONNECT_TIMEOUT_MS = 15_000;
// After this a restart that was announced counts as a loss.
const RESTART_PATIENCE_MS = 15_000;
// And before this it is nobody's business.
const BRIEF_MS = 3_000;
// Who says that it restarts, closes; who does not, is left.
const GOODBYE_MS = 5_000;
// Nobody sees a hidden tab wait; when it is shown again it asks at once.
const HIDDEN_POLL_FACTOR = 10;
// One wait is bad luck; after so many tries without a word from the other end it is worth asking why.
const TRIES_IN_SILENCE = 3;
// Several tabs that were told the same moment.
const SPREAD_MS = 1_000;

// A stop says null here, a restart how long it should take.
const isRestart = (shutdown) => typeof shutdown?.restartExpectedMs === "number";

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
  #pairing = null; // the id of the request that waits for approval
  #triedAgain = false; // by itself, after a refusal for too many tries
  #triedOther = false; // the other credential, after such a refusal
  #blocked = "";
  #position = null; // {epoch, seq} of the last event that was heard, where the gateway says so
  #back = null; // {promise, settle} from the word that it restarts until it is back, or not expected any more
  #listeners = {};

  /**
   * Names: "state" (state), "hello" (hello, {firstTime, gapMs, restarted, recovered: every event of the gap follows}),
   * "event" (name, payload).
   */
  on(name, listener) {
    (this.#listeners[name] ??= []).push(listener);
  }

  #emit(name, ...values) {
    for (const listener of this.#listeners[name] ?? []) listener(...values);
  }

  #become(state) {
    this.state = state;
    this.#emit("state", state);
    if (state.name === "restarting") return;
    this.#back?.settle();
    this.#back = null;
  }

  /** Whether it is there, or away for so short that nothing need look different. */
  get isHere() {
    return this.state.name === "online" || (this.state.name === "restarting" && this.state.brief);
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
    else if (this.#timer && !this.#socket && this.state.name !== "gate") this.#open();
  }

  /** What should have been answered was not: begin anew on another connection. */
  distrust() {
    if (this.state.name === "online") this.#ended();
  }

  /** A person asks for a new try, with whatever credential there is now. */
  retry() {
    this.#attempt = 0;
    this.#pairing = null;
    this.#triedAgain = this.#triedOther = false;
    this.#leave();
    this.#open();
  }

  /** Whether this gateway, with our scopes, does `method`. */
  offers(method) {
    return this.hello?.features?.methods?.includes(method) ?? false;
  }

  /** The answer to a request; one to a gateway that restarts waits for it. Rejects with GatewayError, or Disconnected when none came. */
  async request(method, params = {}, timeoutMs = undefined) {
    if (this.#back) await this.#back.promise;
    if (this.state.name !== "online") throw new Disconnected("not connected");
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
      const kind = await askedFor();
      if (turn !== this.#turn) return;
      if (kind === null) this.#again(backoffMs(this.#attempt++, Math.random()));
      else if (kind) this.#gate(kind);
      if (kind !== "") return;
    }
    const socket = new WebSocket(socketUrl);
    this.#socket = socket;
    this.#end = { sent: null, admitted: false };
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

  #deadline(afterMs) {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.#ended(), afterMs);
  }

  async #connect(challenge) {
    const { params, ...shown } = introduce(challenge, this.#position);
    Object.assign(this.#end, shown);
    this.#blocked = "";
    this.#deadline(CONNECT_TIMEOUT_MS);
    const socket = this.#socket;
    try {
      const hello = await this.#call("connect", params, CONNECT_TIMEOUT_MS);
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
    Object.assign(this.#end, { admitted: true, deviceToken: hello.auth?.deviceToken });
    this.hello = hello;
    this.helloAt = Date.now();
    this.clockOffsetMs = Number.isSafeInteger(challenge.ts) ? challenge.ts - Date.now() : 0;
    this.#onlineSince = Date.now();
    this.#pairing = null;
    this.#triedAgain = this.#triedOther = false;
    this.#blocked = "";
    this.#lostAt = 0;
    clearTimeout(this.#watch);
    const tickMs = hello.policy?.tickIntervalMs ?? 30_000;
    this.#watch = setInterval(() => this.#checkSilence(), Math.max(1_000, tickMs / 2));
    // Made up for: the position is where the replay begins, until it is heard. Else everything is read anew from here on.
    const recovered = !firstTime && hello.resume?.recovered === true;
    if (!recovered) this.#position = hello.resume ? { epoch: hello.resume.epoch, seq: hello.resume.seq } : null;
    this.#become({ name: "online" });
    const restarted = !firstTime && (this.#announced || (hello.snapshot?.uptimeMs ?? Infinity) < gapMs + 2_000);
    this.#announced = false;
    this.#emit("hello", hello, { firstTime, gapMs, restarted, recovered });
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
      if (this.#position && Number.isSafeInteger(frame.seq)) {
        this.#position = { epoch: frame.epoch ?? this.hello.resume.epoch, seq: frame.seq };
      }
      this.#event(frame.event, frame.payload ?? {});
    }
  }

  #event(name, payload) {
    if (name === "connect.challenge") {
      // An empty nonce would be signed and refused; the deadline ends a gateway that never sends a real one.
      if (this.#end?.sent === null && payload.nonce) this.#connect(payload);
    } else if (name === "shutdown") {
      if (!this.#end) return;
      this.#end.shutdown = payload;
      if (isRestart(payload)) this.#waitForTheNext();
    } else {
      this.#emit("event", name, payload);
    }
  }

  /** From now on nothing is answered here. */
  #waitForTheNext() {
    if (this.#back || this.state.name !== "online") return;
    let settle;
    const promise = new Promise((resolve) => {
      settle = resolve;
    });
    this.#back = { promise, settle };
    this.#deadline(GOODBYE_MS);
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
      dropCredential(next.kind, end.deviceToken);
      if (pickCredential()) this.#open();
      else this.#ask(end.error, next.kind === "device" ? "token" : undefined);
    } else if (next.act === "void") {
      this.#voided(next, end);
    } else if (next.act === "ask") {
      this.#ask(end.error);
    } else if (next.act === "limited") {
      this.#limited(end, next.retryAfterMs);
    } else if (next.act === "approval") {
      this.#awaitApproval(end.error, next.delayMs);
    } else if (next.act === "stop") {
      this.#become({ name: "refused", refusal: end.error ?? new GatewayError({ message: end.closeReason }) });
    } else {
      this.#attempt += 1;
      this.#again(next.delayMs, { ...end, full: next.full }, wasOnline);
    }
  }

  /** Ask for what the refusal names; where it names nothing, for what the gateway says that it wants. */
  async #ask(refusal, lost) {
    const turn = this.#turn;
    this.#trying();
    const named = /TOKEN|PASSWORD/.exec(refusal?.details?.code?.replace("DEVICE_TOKEN", ""))?.[0].toLowerCase();
    const kind = named ?? (await askedFor());
    if (turn !== this.#turn) return;
    if (kind !== "") this.#gate(kind ?? "token", { refusal, lost });
    else if (refusal) this.#become({ name: "refused", refusal });
    else this.#again(backoffMs(this.#attempt++, Math.random()));
  }

  #gate(kind, more = {}) {
    this.#become({ name: "gate", kind, ...more });
  }

  /** The credential of a live connection is void. Who was sent away by a person does not come back by itself. */
  #voided({ what, delayMs }, end) {
    if (what === "secret") dropCredential("secret");
    else dropCredential("device", end.deviceToken);
    if (what === "device") dropCredential("secret");
    this.#attempt += 1;
    if (pickCredential()) this.#again(delayMs, {}, true);
    else this.#ask(undefined, what);
  }

  /** Too many wrong tries: the gate, which opens again at a moment that is known. */
  async #limited(end, retryAfterMs) {
    // It was not even looked at. The other credential, if there is one, may be let in whatever was tried.
    if (!this.#triedOther && prefer(end.sent === "device" ? "secret" : "device")) {
      this.#triedOther = true;
      this.#open();
      return;
    }
    const again = !this.#triedAgain;
    const waitMs = retryAfterMs + Math.random() * SPREAD_MS;
    const until = Date.now() + waitMs;
    if (again) {
      this.#timer = setTimeout(() => {
        this.#triedAgain = true;
        this.#open();
      }, waitMs);
    }
    const turn = this.#turn;
    const kind = end.sent === "secret" ? end.secretKind : await askedFor();
    if (turn === this.#turn) this.#gate(kind || "token", { refusal: end.error, limit: { until, again } });
  }

  #again(delayMs, end = {}, wasOnline = false) {
    const announced = wasOnline && this.#announced;
    const waiting = this.state.name === "restarting" && Date.now() < this.state.until;
    const nextTryAt = Date.now() + delayMs;
    this.#timer = setTimeout(() => this.#open(), delayMs);
    if (announced) {
      const until = Date.now() + Math.max(RESTART_PATIENCE_MS, 2 * delayMs);
      const brief = { name: "restarting", until, brief: true };
      this.#become(brief);
      setTimeout(() => this.state === brief && this.#become({ ...brief, brief: false }), BRIEF_MS);
    } else if (!waiting) {
      const stopped = wasOnline ? Boolean(end.shutdown) : Boolean(this.state.stopped);
      this.#become({
        name: "reconnecting", nextTryAt, tries: this.#attempt, stopped, refusal: end.error, full: end.full,
        blocked: this.#blocked,
      });
      if (end.sent === null && !end.full && this.#attempt >= TRIES_IN_SILENCE) this.#findOut();
    }
  }

  /** A gateway that is away, or something in between that lets the page's files through and not its socket? */
  async #findOut() {
    this.#blocked = await whatIsBlocked();
    if (this.state.name === "reconnecting") this.#become({ ...this.state, blocked: this.#blocked });
  }

  /** The request may be another one by now, when the old one was too old or replaced: it is shown in its place. */
  #awaitApproval(refusal, delayMs) {
    const { requestId, pauseReconnect } = refusal.details;
    const isOther = this.#pairing !== null && this.#pairing !== requestId;
    this.#pairing = requestId;
    if (pauseReconnect) {
      this.#pairing = null;
      this.#become({ name: "approval", refusal, turnedDown: true });
      return;
    }
    this.#timer = setTimeout(() => this.#open(), document.hidden ? delayMs * HIDDEN_POLL_FACTOR : delayMs);
    this.#become({ name: "approval", refusal, replaced: isOther || Boolean(this.state.replaced) });
  }
}
