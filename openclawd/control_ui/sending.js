// What one conversation sends: in order, one at a time, each once.
//
// A message waits in the outbox until the gateway has accepted it. When the connection or the page goes in between, it
// is sent again with the same idempotency key after the next hello. What is accepted is shown from here until the
// transcript shows it.

import { dataUrl, toBase64 } from "./attachments.js";
import { fileBytes } from "./files.js";
import { Disconnected } from "./calls.js";
import { keepPicture } from "./pictures.js";

// The gateway knows a key for a day. What was handed over longer ago than this may have been done or not.
const CERTAIN_MS = 12 * 3_600_000;
// What another tab wrote is its own to send; after this that tab is gone.
const OTHER_TAB_MS = 20_000;
// Where a gateway that has too much to do names no time.
const BUSY_MS = 1_000;
// A slow line gets a second more for this many characters; nothing else tells it from a dead one.
const CHARACTERS_A_SECOND = 50_000;
const ANSWER_MS = 30_000;

export class Sending {
  /** Moves with every message that was accepted. */
  changes = 0;

  #accepted = []; // {runId, text, files, at}
  #own = new Set(); // ids that this tab sends
  #current = null;
  #pumping = null;

  /** hooks: {accepted(entry, ack), changed()} */
  constructor(sessionKey, gateway, outbox, hooks) {
    Object.assign(this, { sessionKey, gateway, outbox, hooks });
  }

  /** {runId, text, files, at, state: "accepted" | "sending" | "waiting" | "unsure" | "failed", error?, kept?}, in order. */
  list() {
    const waiting = this.outbox.of(this.sessionKey).map((entry) => ({ ...entry, state: this.#stateOf(entry) }));
    return [...this.#accepted, ...waiting].sort((a, b) => a.at - b.at);
  }

  #stateOf(entry) {
    if (entry.error) return "failed";
    if (isUnsure(entry) && entry !== this.#current) return "unsure";
    return this.gateway.isHere ? "sending" : "waiting";
  }

  find(runId) {
    return this.list().find((one) => one.runId === runId) ?? null;
  }

  get empty() {
    return !this.#accepted.length && !this.outbox.of(this.sessionKey).length;
  }

  send(text, files) {
    // After what was written before, also where the clock was set back in between.
    const at = Math.max(Date.now(), (this.list().at(-1)?.at ?? 0) + 1);
    this.#own.add(this.outbox.add(this.sessionKey, text, files, at).runId);
    this.hooks.changed();
    this.pump();
  }

  /** Try again what was refused, or what may or may not have arrived. */
  again(runId) {
    const entry = this.#waiting(runId);
    if (!entry) return false;
    this.outbox.change(entry, { error: undefined, tried: undefined });
    this.#own.add(runId);
    this.hooks.changed();
    this.pump();
    return true;
  }

  /** Take a message back that is not on its way: {text, files}, or null when it is too late. */
  takeBack(runId) {
    const entry = this.#waiting(runId);
    if (!entry || entry === this.#current || !this.outbox.waits(entry)) return null;
    this.outbox.remove(entry);
    this.hooks.changed();
    return { text: entry.text, files: entry.files };
  }

  #waiting(runId) {
    return this.outbox.of(this.sessionKey).find((entry) => entry.runId === runId) ?? null;
  }

  /** After a hello: everything that waits here is sent, whichever tab wrote it. */
  resume() {
    for (const entry of this.outbox.of(this.sessionKey)) this.#own.add(entry.runId);
    return this.pump();
  }

  /** Another tab changed what waits. */
  changedElsewhere() {
    setTimeout(() => this.resume(), OTHER_TAB_MS);
    this.hooks.changed();
  }

  pump() {
    this.#pumping ??= this.#pump().finally(() => {
      this.#pumping = null;
    });
    return this.#pumping;
  }

  async #pump() {
    for (;;) {
      const next = this.outbox.of(this.sessionKey)
        .find((entry) => this.#own.has(entry.runId) && !entry.error && !isUnsure(entry));
      if (!next || this.gateway.state.name !== "online") return;
      this.#current = next;
      const goesOn = await this.#deliver(next).finally(() => {
        this.#current = null;
      });
      this.hooks.changed();
      if (!goesOn) return;
    }
  }

  /** Whether the next one may follow. */
  async #deliver(entry) {
    if (!this.outbox.waits(entry)) return true;
    const attachments = await this.#attachments(entry);
    if (!attachments) {
      this.outbox.change(entry, { error: "this browser has lost its file; edit it and attach the file again" });
      return true;
    }
    if (!entry.tried) this.outbox.change(entry, { tried: Date.now() });
    const characters = attachments.reduce((sum, file) => sum + file.content.length, entry.text.length);
    try {
      const ack = await this.gateway.request("chat.send", {
        sessionKey: this.sessionKey, message: entry.text, deliver: false, idempotencyKey: entry.runId,
        ...(attachments.length && { attachments }),
      }, ANSWER_MS + (characters / CHARACTERS_A_SECOND) * 1_000);
      this.#isAccepted(entry);
      this.hooks.accepted(entry, ack);
      return true;
    } catch (error) {
      if (error instanceof Disconnected) {
        this.gateway.distrust(); // open, but no acknowledgement came: the next connection will tell
        return false; // stays as it is; resume() sends it again
      }
      if (error.details?.runId === entry.runId) {
        this.#isAccepted(entry); // what failed is its answer
        this.hooks.accepted(entry, { status: "ok" });
      } else if (error.retryable) {
        await new Promise((resolve) => setTimeout(resolve, error.retryAfterMs ?? BUSY_MS));
      } else {
        this.outbox.change(entry, { error: error.message, tried: undefined });
      }
      return true;
    }
  }

  /** As `chat.send` takes them; null when a file is gone. */
  async #attachments(entry) {
    const found = [];
    for (const [index, file] of entry.files.entries()) {
      const bytes = await fileBytes(file.id);
      if (!bytes) return null;
      const content = toBase64(bytes);
      if (file.kind === "image") keepPicture(`${entry.runId}:${index}`, dataUrl(file.mimeType, content));
      found.push({ type: file.kind, mimeType: file.mimeType, fileName: file.fileName, content });
    }
    return found;
  }

  #isAccepted(entry) {
    if (this.#accepted.some((one) => one.runId === entry.runId)) return;
    const { runId, text, files, at } = entry;
    this.#accepted.push({ runId, text, files, at, state: "accepted" });
    this.changes += 1;
    this.outbox.delivered(entry);
  }

  /** What is being answered was accepted, also when the acknowledgement itself got lost. */
  isAnswered(runId) {
    const entry = this.#waiting(runId);
    if (entry) this.#isAccepted(entry);
  }

  /** Forget what the transcript speaks for by now; `gone` tells of an accepted one, `known` of one that waits. */
  settle({ gone, known }) {
    this.#accepted = this.#accepted.filter((one) => !gone(one));
    for (const entry of this.outbox.of(this.sessionKey)) if (known(entry)) this.outbox.delivered(entry);
  }

  /** An accepted message that will not be in the transcript. */
  drop(runId) {
    this.#accepted = this.#accepted.filter((one) => one.runId !== runId);
  }

  /** The conversation is gone, and so is what was to be sent to it. */
  clear() {
    this.#accepted = [];
    for (const entry of this.outbox.of(this.sessionKey)) this.outbox.delivered(entry);
  }
}

const isUnsure = (entry) => Boolean(entry.tried) && Date.now() - entry.tried > CERTAIN_MS;
