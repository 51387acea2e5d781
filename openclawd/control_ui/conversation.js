// One conversation: what the gateway remembers of it, what is sent from here, and the answers under way.
//
// After a hello the newest part of the transcript is read afresh, so nothing depends on having heard every event; but
// where the gateway makes up for what was missed, it is read only if something asks for it.

import { fromBase64 } from "./attachments.js";
import { randomHex } from "./bytes.js";
import { keepFile, newFileId } from "./files.js";
import { Disconnected } from "./calls.js";
import { History } from "./history.js";
import { askForFile } from "./pictures.js";
import { Remembered } from "./remembered.js";
import { Runs } from "./runs.js";
import { Sending } from "./sending.js";
import { timeline } from "./timeline.js";
import { runOf, textOf } from "./transcript.js";

/** So many messages are read at a time. */
export const PAGE = 60;
// A transcript that changes with every reading is taken as it is after so many.
const TRIES = 4;

/** A message that puts away what was said so far. */
export const BEGINS_AFRESH = /^\/(?:new|reset)\b/i;
const isCommand = (text) => text.startsWith("/");
const isEnd = (state) => state === "final" || state === "aborted" || state === "error";

export class Conversation {
  loaded = false;
  loadError = null;
  /** "": nothing older is being read · "loading" · "failed" */
  earlier = "";

  #gateway;
  #changed;
  #history = new History();
  #runs = new Runs();
  #remembered;
  #notes = []; // {key, after, at, text}
  #loading = null;
  #isBehind = false; // it should have been read, and the connection went

  /** changed(conversation): something of it is to be drawn again. */
  constructor(key, { gateway, outbox, changed }) {
    this.key = key;
    this.#gateway = gateway;
    this.#changed = () => changed(this);
    this.#remembered = new Remembered(key);
    this.sending = new Sending(key, gateway, outbox, {
      accepted: (entry, ack) => this.#accepted(entry, ack),
      changed: this.#changed,
    });
  }

  get busy() {
    return this.activeRun !== null;
  }

  get activeRun() {
    return this.#runs.active;
  }

  get empty() {
    return !this.#history.messages.length && this.sending.empty && !this.#runs.size;
  }

  get hasEarlier() {
    return this.#history.hasMore;
  }

  items() {
    return timeline({
      messages: this.#history.messages, runs: this.#runs, sends: this.sending.list(),
      remembered: this.#remembered, notes: this.#notes,
    });
  }

  /** A quiet line at the end of what is there now. */
  note(text) {
    const last = this.items().at(-1);
    const at = Date.now() + this.#gateway.clockOffsetMs;
    this.#notes.push({ key: `note:${randomHex(4)}`, after: last?.key, at, text });
    this.#changed();
  }

  // Sending.

  /** Send a message again that was refused, or ask again what failed. */
  async resend(runId) {
    if (this.sending.again(runId)) return;
    const items = this.items();
    const until = items.findIndex((item) => item.key === `run:${runId}` || item.key === runId);
    const asked = items.slice(0, until < 0 ? undefined : until).findLast((item) => item.kind === "user");
    if (!asked) return;
    try {
      const files = await Promise.all(asked.files.map((file) => this.#copy(file)));
      this.sending.send(asked.text, files);
    } catch {
      this.note("its files could not be read again; attach them to a new message");
    }
  }

  /** A file of the transcript, to be sent once more. */
  async #copy({ attachmentId, ...file }) {
    const { content } = await askForFile(this.#gateway, this.key, attachmentId);
    const id = newFileId();
    keepFile(id, fromBase64(content));
    return { ...file, id };
  }

  #accepted(entry, ack) {
    if (ack?.aborted !== undefined) {
      this.sending.drop(entry.runId);
      if (!ack.aborted) this.note("nothing was running");
    } else if (ack?.status === "ok") {
      if (!this.#runs.hasEnded(entry.runId)) this.load();
    } else {
      this.#runs.accept(entry.runId, Date.now());
    }
    // Its files are with the gateway now, under the names that the transcript gives them.
    if (BEGINS_AFRESH.test(entry.text) || entry.files.length) this.load();
  }

  async stop() {
    const run = this.activeRun;
    if (!run) return;
    try {
      const { aborted } = await this.#gateway.request("chat.abort", { sessionKey: this.key, runId: run.runId });
      if (!aborted) this.load();
    } catch (error) {
      if (!(error instanceof Disconnected)) this.note(`the answer could not be stopped: ${error.message}`);
    }
  }

  /** The gateway has it no more. */
  forget() {
    this.sending.clear();
    this.#runs.clear();
    this.#remembered.clear();
    this.#history = new History();
    this.#notes = [];
    this.#changed();
  }

  // Reading.

  /**
   * After a hello: what was not acknowledged goes first, then the transcript shows where things stand, unless that
   * was `recovered`. Tells whether an answer that was under way has ended without a word.
   */
  async resume({ recovered = false } = {}) {
    if (recovered && this.loaded && !this.#isBehind) {
      await this.sending.resume();
      return false;
    }
    const wasRunning = this.#runs.anyRunning;
    this.#runs.stale();
    await this.sending.resume();
    await this.load();
    return wasRunning && !this.busy && this.items().at(-1)?.kind === "user";
  }

  /** What a gap hides though its events were told again, the session's row shows: `before` and after it. */
  compare(before, row) {
    if (!this.loaded) return;
    const isKnown = (runId) => this.#runs.get(runId) || this.sending.find(runId);
    // A session that was not there before began with what is shown here, or elsewhere.
    const isAnother = before ? row?.sessionId !== before.sessionId : row && this.items().length === 0;
    if (isAnother || !(row?.activeRunIds ?? []).every(isKnown)) this.load();
  }

  load() {
    this.#loading ??= this.#load().finally(() => {
      this.#loading = null;
    });
    return this.#loading;
  }

  async #load() {
    for (let tries = 1; ; tries += 1) {
      const changes = this.#runs.changes + this.sending.changes;
      let page;
      try {
        page = await this.#read({});
      } catch (error) {
        this.#isBehind = error instanceof Disconnected;
        this.loadError = this.#isBehind ? null : error.message;
        this.#changed();
        return;
      }
      if (changes === this.#runs.changes + this.sending.changes || tries === TRIES) {
        this.#apply(page);
        return;
      }
    }
  }

  #read(from) {
    return this.#gateway.request("chat.history", { sessionKey: this.key, limit: PAGE, ...from });
  }

  #apply(page) {
    this.loaded = true;
    this.#isBehind = false;
    this.loadError = null;
    this.#history.newest(page);
    const { messages } = this.#history;
    this.#runs.adopt(page.activeRuns, messages.some((message) => message.errorMessage));
    // Accepted and over: the transcript speaks for it. In the transcript: it is shown once.
    const told = new Set(messages.filter((message) => message.role === "user").map(runOf));
    this.sending.settle({
      gone: ({ runId }) => told.has(runId) || !this.#runs.get(runId),
      known: ({ runId }) => told.has(runId),
    });
    this.#changed();
  }

  /** Read the page before the oldest message that is here. */
  async loadEarlier() {
    if (this.earlier === "loading" || !this.hasEarlier) return;
    this.earlier = "loading";
    this.#changed();
    try {
      const page = await this.#read({ offset: this.#history.messages.length });
      if (!this.#history.older(page)) this.load();
      this.earlier = "";
    } catch {
      this.earlier = "failed";
    }
    this.#changed();
  }

  // Hearing.

  /** An `agent` event of this session: when a run begins, who answers, and which tools are used. */
  heardAgent({ runId, stream, data }) {
    if (stream === "lifecycle" && data?.phase === "start") this.#runs.start(this.#begin(runId, data.startedAt));
    else if (stream === "lifecycle" && data?.phase === "model") this.#begin(runId).model = { provider: data.provider, model: data.model };
    else if (stream === "tool") this.#runs.tool(this.#begin(runId), data);
    else return;
    this.#changed();
  }

  /** A `chat` event of this session. Returns the answer's text when it is complete. */
  heardChat(payload) {
    const { runId, state, message } = payload;
    const run = this.#begin(runId);
    if (!isEnd(state)) {
      if (state === "delta") this.#runs.delta(run, payload);
      this.#changed();
      return null;
    }
    this.#runs.end(run, payload);
    this.#remembered.keepMeta(runId, run.meta);
    const asked = this.sending.find(runId);
    if (asked && isCommand(asked.text) && message?.timestamp) {
      this.#remembered.keepCommand(message.timestamp, { runId, text: asked.text, at: asked.at });
    }
    // The transcript knows what the event did not say: a silent end, what was asked elsewhere, what tools answered.
    if ((state === "final" && !message) || !asked || run.parts.some((part) => part.kind === "tool")) this.load();
    this.#changed();
    return state === "final" ? textOf(message?.content) : null;
  }

  #begin(runId, startedAt) {
    const known = this.#runs.get(runId) !== null;
    this.sending.isAnswered(runId);
    const run = this.#runs.begin(runId, startedAt);
    // Asked from another page: its question is in the transcript.
    if (!known && !this.sending.find(runId)) this.load();
    return run;
  }

  /** A message was written into the transcript: one of another page is not known here yet. */
  heardMessage({ message }) {
    const runId = message ? runOf(message) : null;
    if (!runId || !(this.#runs.get(runId) || this.sending.find(runId))) this.load();
  }
}
